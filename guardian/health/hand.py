"""A worker of a `MonitoredThreadPool`, and the job it does."""

from __future__ import annotations

import logging
from collections.abc import Callable
from concurrent.futures import InvalidStateError
from typing import TYPE_CHECKING, Any

from guardian.access.bells import Bell
from guardian.health import threads as room
from guardian.health.threads import Registration
from guardian.health.waits import PoolFuture, Waiter

if TYPE_CHECKING:
    from guardian.health.crew import Crew

_log = logging.getLogger("guardian.health")


class Job:
    """A call that was submitted."""

    __slots__ = ("call", "future")

    def __init__(self, future: PoolFuture, call: Callable[[], Any]) -> None:
        self.future = future
        self.call = call


class Hand(Waiter):
    """A worker."""

    def __init__(self, crew: Crew, name: str) -> None:
        super().__init__(name=name, daemon=True)
        self.crew = crew
        self.bell = Bell()
        self.place = Registration(crew.registration.watched, room.table.counters, None, None)
        self.job: Job | None = None
        self.began = 0.0  #: monotonic seconds at which the job began
        self.settled = False  #: the outcome of the job counts
        self.given_up = False

    def run(self) -> None:
        room.bind(self.place)  # for the initializer
        crew = self.crew
        try:
            crew.initializer()
        except BaseException:
            _log.critical("pool %s: its initializer failed", crew.name, exc_info=True)
            crew.break_up(self)
            return
        while (work := crew.next(self)) is not None:
            try:
                work()
            except BaseException:
                _log.critical("pool %s: a callback of a future would have ended a worker", crew.name, exc_info=True)
            del work

    def serve(self) -> None:
        """Do its job, and hand in what comes of it."""
        job = self.job
        assert job is not None
        future, result, error = job.future, None, None
        if not future.set_running_or_notify_cancel():
            self.crew.finished(self)
            return
        room.bind(self.place)  # a job may have registered its thread
        try:
            result = job.call()
        except BaseException as raised:
            error = raised
        try:
            if self.crew.settles(self):
                if error is not None:
                    future.set_exception(error)
                else:
                    future.set_result(result)
        except InvalidStateError:
            _log.error("pool %s: the future of a job had a result already, and keeps it", self.crew.name)
        finally:
            self.crew.finished(self)
            del job, future, result, error  # the cycle of an exception with its traceback, and what the job held
