"""Whether the present thread is one in which libca hands over answers.

User code that calls pyepics itself may have callbacks, and they run in threads of libca. As long as one of them runs,
no other answer is taken in, of whatever channel. Who waits there waits for itself: without a look the wait would end
with its timeout, as if the IOC had not answered, and until then every channel of the process would stand still.

What libca itself asks is asked here: ``ca_pend_event`` is refused in such a thread, and only there. It is asked only in
a thread that Python has not made, so nobody else pays for it.
"""

from __future__ import annotations

import sys
import threading

from guardian.errors import DeadlockDetectedError

#: ECA_EVDISALLOW of caerr.h, "request inappropriate within subscription (monitor) update callback".
_NOT_IN_A_CALLBACK = 210


def is_callback() -> bool:
    """Whether a callback of libca runs in the present thread."""
    if not isinstance(threading.current_thread(), threading._DummyThread):
        return False
    epics = sys.modules.get("epics")
    if epics is None or epics.ca.libca is None or epics.ca.current_context() is None:
        return False
    import ctypes

    return bool(epics.ca.libca.ca_pend_event(ctypes.c_double(1e-9)) == _NOT_IN_A_CALLBACK)


def refuse_to_wait(what: str) -> None:
    """Call it before waiting for an answer of libca.

    Parameters
    ----------
    what : the name of a channel, or whatever is waited for.

    Raises
    ------
    DeadlockDetectedError
        This is a callback, so the answer could never come.
    """
    if is_callback():
        raise DeadlockDetectedError(
            f"{what}: this is a callback of Channel Access, and the answer that it was about to wait for can only come "
            "after its end. Set a flag here, and read or write in run() or in a thread of your own; a value that is "
            "known already can be read, and write(..., wait=False) does not wait"
        )
