import signal

import pytest

AWAITED = {signal.SIGCHLD, signal.SIGIO}


@pytest.fixture
def awaited_signals():
    """Signals of commands wait, as they do in the loop; unblocked, SIGIO would end the tests."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, AWAITED)
    yield
    while signal.sigtimedwait(AWAITED, 0):
        pass
    signal.pthread_sigmask(signal.SIG_SETMASK, before)
