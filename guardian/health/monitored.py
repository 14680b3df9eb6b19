"""A thread that is watched from its start to its end, and that can be made anew.

The object is its first thread; those that take over, when it is late, run the same ``run()`` of the same object. The
one that was given up is not stopped, as nothing can stop a thread: it ends at its next
:meth:`MonitoredThread.keepalive`, which raises :class:`~guardian.errors.Interrupted` in it, and what it does until then
counts for nothing.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from guardian.enums import Recovery
from guardian.errors import ExosError, Interrupted
from guardian.health import checks
from guardian.health import threads as room
from guardian.health.threads import PERIOD_S, Registration

#: How often who waits for the end looks whether another thread works now, in seconds.
_SLICE_S = 0.5


class MonitoredThread(threading.Thread):
    """A thread that promises to call :meth:`keepalive` at least once in `period_s` seconds.

    It is registered when it starts, and deregistered when ``run()`` returns. An exception that ends it is a failure,
    and is treated as lateness.

    Parameters
    ----------
    target, name, args, kwargs, daemon : as of :class:`threading.Thread`. A thread that hangs and is no daemon holds up
        the end of its program.
    period_s : from 0.1 s to a day. recovery : what is done when it is late. With Recovery.THREAD ``run()`` is called
        anew in another thread.
    """

    def __init__(
        self,
        group: None = None,
        target: Callable[..., object] | None = None,
        name: str | None = None,
        args: Iterable[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
        *,
        period_s: float = PERIOD_S,
        recovery: Recovery = Recovery.PROCESS,
        daemon: bool | None = None,
    ) -> None:
        super().__init__(group=group, target=target, name=name, daemon=daemon)
        self.__work = target, tuple(args), dict(kwargs or {})
        self.__life: Callable[[], None] | None = None  # run(), as a subclass or whoever made it has it
        self.__present: threading.Thread = self  # the one that works now
        self.period_s = checks.period(period_s, "a thread")
        self.recovery = checks.recovery(recovery, "a thread")

    def start(self) -> None:
        """Register, and start."""
        if self.__life is None:
            self.__life = self.run
            vars(self)["run"] = self._live
        if self.ident is None:
            self._enroll(self, super().start, restarts=0)
        else:
            super().start()  # which says that this cannot be

    def run(self) -> None:
        """What it does; a subclass may have its own."""
        target, args, kwargs = self.__work
        if target is not None:
            target(*args, **kwargs)

    def keepalive(self) -> None:
        """It is alive. From any thread.

        Raises
        ------
        ExosError
            It is not registered. Interrupted: in a thread that was given up, as another one has its place.
        """
        registration: Registration | None = getattr(room.table.here, "registration", None)
        if registration is None or not self._is_of_mine(registration.thread) or self._has_another(registration):
            registration = room.table.of(self.__present)
        if registration is None:
            raise ExosError(f"{self.name}: keepalive() of a thread that does not run; start() registers it")
        registration.keepalive()

    def is_alive(self) -> bool:
        """Whether the thread that works now is alive."""
        return super().is_alive() if self.__present is self else self.__present.is_alive()

    def join(self, timeout: float | None = None) -> None:
        """Wait until the thread that works has ended, at most `timeout` seconds."""
        deadline = None if timeout is None else time.monotonic() + timeout
        while True:
            present = self.__present
            left_s = _SLICE_S if deadline is None else min(_SLICE_S, max(0.0, deadline - time.monotonic()))
            if present is self:
                super().join(left_s)
            else:
                present.join(left_s)
            has_ended = not self.is_alive() and present is self.__present
            if has_ended or (deadline is not None and time.monotonic() >= deadline):
                return

    def _is_of_mine(self, thread: threading.Thread | None) -> bool:
        return thread is self or (isinstance(thread, _StandIn) and thread.stands_for is self)

    def _has_another(self, registration: Registration) -> bool:
        """Whether the thread of this one was registered anew since, by another thread."""
        thread = registration.thread
        return registration.ended and thread is not None and room.table.of(thread) is not None

    def _enroll(self, thread: threading.Thread, start: Callable[[], None], *, restarts: int) -> None:
        registration = room.table.enroll(
            self.name, self.period_s, self.recovery, thread=thread, renew=self._renew, restarts=restarts
        )
        try:
            start()
        except BaseException:
            registration.deregister()
            raise

    def _live(self) -> None:
        thread = threading.current_thread()
        first = room.table.of(thread)
        assert first is not None and self.__life is not None
        room.bind(first)
        try:
            self.__life()
        except BaseException as error:
            registration = room.table.of(thread)
            if registration is None and isinstance(error, Interrupted):
                return  # it was given up, and has heard of it
            if registration is not None and isinstance(error, SystemExit):
                registration.deregister()
            elif registration is not None:
                registration.failed(error)
            raise
        if (registration := room.table.of(thread)) is not None:
            registration.deregister()

    def _renew(self, _why: str) -> None:
        """Another thread in place of the one that works now."""
        old, stand_in = room.table.of(self.__present), _StandIn(self)
        if old is not None:
            self._enroll(stand_in, stand_in.start, restarts=old.watched.restarts + 1)
            self.__present = stand_in
            old.abandon()


class _StandIn(threading.Thread):
    """Works in place of a thread that was given up."""

    def __init__(self, stands_for: MonitoredThread) -> None:
        super().__init__(name=stands_for.name, daemon=True)
        self.stands_for = stands_for

    def run(self) -> None:
        self.stands_for._live()
