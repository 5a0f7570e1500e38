import os
import signal

import pytest

# Whoever started us may ignore these, as nohup does, and all that tests start would inherit it.
for number in (signal.SIGHUP, signal.SIGINT, signal.SIGQUIT):
    if signal.getsignal(number) is signal.SIG_IGN:
        signal.signal(number, signal.default_int_handler if number is signal.SIGINT else signal.SIG_DFL)

# What its group may write to is no configuration.
os.umask(0o022)

# What a command of a test left running may close its output after the test: that must not end the tests.
signal.signal(signal.SIGIO, lambda *_: None)

AWAITED = {signal.SIGCHLD, signal.SIGIO}


@pytest.fixture
def awaited_signals():
    """Signals of commands wait, as they do in the loop."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, AWAITED)
    yield
    while signal.sigtimedwait(AWAITED, 0):
        pass
    signal.pthread_sigmask(signal.SIG_SETMASK, before)
