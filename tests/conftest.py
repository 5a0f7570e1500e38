import gc
import os
import signal
from pathlib import Path

import pytest

# Whoever started us may ignore these, as nohup does, and all that tests start would inherit it.
for number in (signal.SIGHUP, signal.SIGINT, signal.SIGQUIT):
    if signal.getsignal(number) is signal.SIG_IGN:
        signal.signal(number, signal.default_int_handler if number is signal.SIGINT else signal.SIG_DFL)

# What its group may write to is no configuration.
os.umask(0o022)

# What a command of a test left running may close its output after the test: that must not end the tests.
signal.signal(signal.SIGIO, lambda *_: None)

# xdist's workers have a thread that hears from their master. A signal that a test sends to itself and has blocked would
# end the process there: so workers start with all blocked, which threads inherit, and this one alone takes them.
if "PYTEST_XDIST_WORKER" in os.environ:
    signal.pthread_sigmask(signal.SIG_SETMASK, ())

# Real daemons, and installations: none of that is for a build of the package.
LIVE = {Path(__file__).parent / "live", Path(__file__).parent / "install"}
AWAITED = {signal.SIGCHLD, signal.SIGIO}


@pytest.hookimpl(hookwrapper=True)
def pytest_sessionstart(session):
    """The workers are started in here, if there are any."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
    yield
    signal.pthread_sigmask(signal.SIG_SETMASK, before)


def pytest_collection_modifyitems(items):
    for item in items:
        if LIVE & set(Path(item.fspath).parents):  # `path` came with pytest 7
            item.add_marker(pytest.mark.live)


def pytest_collection_finish(session):
    """To look for garbage among thousands of tests takes a third of a second, wherever something is timed."""
    gc.freeze()


@pytest.fixture
def awaited_signals():
    """Signals of commands wait, as they do in the loop."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, AWAITED)
    yield
    while signal.sigtimedwait(AWAITED, 0):
        pass
    signal.pthread_sigmask(signal.SIG_SETMASK, before)
