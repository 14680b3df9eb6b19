"""Threads of the standard library with the methods of the field: ``register``, ``keepalive``, ``deregister``.

For programs that were written for a network switch. What they do is what the functions of this package do, to the
thread that they are called on.
"""

from __future__ import annotations

import threading
from typing import Any

from guardian.enums import Recovery
from guardian.errors import ExosError
from guardian.health import threads as room
from guardian.health.threads import PERIOD_S


def install() -> None:
    """Give every :class:`threading.Thread` the methods register, keepalive and deregister. Harmless twice.

    Raises
    ------
    ExosError
        Somebody else has given it a method of one of these names.
    """
    methods: dict[str, Any] = {"register": _register, "keepalive": _keepalive, "deregister": _deregister}
    for name, method in methods.items():
        found = vars(threading.Thread).get(name, method)
        if found is not method:
            raise ExosError(
                f"install(): threading.Thread has a method {name} already, of {getattr(found, '__module__', '?')}; "
                "use the functions register, keepalive and deregister instead"
            )
    for name, method in methods.items():
        setattr(threading.Thread, name, method)


def _register(self: threading.Thread, period: float = PERIOD_S) -> None:
    """This thread promises to call keepalive() at least once in `period` seconds. The last one counts."""
    if self is threading.current_thread():
        before = room.table.of(self)
        room.register(self.name, period, Recovery.PROCESS if before is None else before.watched.recovery)
    elif not self.is_alive():
        raise ExosError(f"{self.name}: register() of a thread that does not run; call it in the thread itself")
    else:
        room.table.enroll(self.name, period, Recovery.PROCESS, thread=self)


def _keepalive(self: threading.Thread) -> None:
    """This thread is alive."""
    _of(self, "keepalive").keepalive()


def _deregister(self: threading.Thread) -> None:
    """This thread is not watched any more."""
    _of(self, "deregister").deregister()


def _of(thread: threading.Thread, call: str) -> room.Registration:
    registration = room.table.of(thread)
    if registration is None:
        raise ExosError(f"{thread.name}: {call}() of a thread that is not registered; call register(period) first")
    return registration
