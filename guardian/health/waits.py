"""Waiting for jobs of a pool, and the deadlock in which each worker waits for what no worker is left to do.

A worker that waits *without a timeout* for jobs takes part in a graph: it goes on when these are done. A job can get
done if it runs in a worker that can go on, or if it waits in the queue of a pool of which any worker can go on, or that
has room for another one. What follows from that is found by assuming that all who wait are stuck, and taking out,
again and again, those that can go on; who remains is in a deadlock. It is looked for when somebody begins to wait,
under one lock: so of two jobs that begin at the same instant it is the second that closes the circle, and it alone
gets the :class:`DeadlockDetectedError`; the first goes on when that one's job has ended.

There is no false alarm: whatever is not known to be stuck is taken to go on. That is a worker that is idle or works,
one that waits with a timeout, or for a lock, a queue, a future of another kind. Those that are stuck all the same are
seen by the beat of the pool.

``wait`` and ``as_completed`` of the standard library wait for an event that they hand to each future. A future of ours
puts an event in its place that knows who waits for what. They do not say for what they wait, so that is read from the
frame of the caller; if it should be called otherwise one day, nothing is found, and nothing breaks.
"""

from __future__ import annotations

import os
import sys
import threading
import time
from collections.abc import Callable, Collection, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING, Any

from guardian.access.bells import Bells
from guardian.errors import DeadlockDetectedError, ExosError
from guardian.health import threads as room

if TYPE_CHECKING:
    from guardian.health.crew import Crew


class Waiter(threading.Thread):
    """A thread that takes part: a worker of a pool."""

    crew: Crew
    given_up: bool


class PoolFuture(Future[Any]):
    """The future of a job of a pool.

    The methods that user code calls take a lock of the standard library, which an interrupt of that code (R8) could
    leave taken for ever; so they hold the shield as well, but not while they wait.

    Attributes
    ----------
    crew : who does it. hand : the worker that does it now; None: it waits, or is done.
    """

    def __init__(self, crew: Crew) -> None:
        super().__init__()
        self.crew = crew
        self.hand: Waiter | None = None
        self._waiters = _Waiters()
        self._bells = Bells()
        self._over = False
        super().add_done_callback(_ring)  # the first one: others may take their time, or wait for who waits for this

    def result(self, timeout: float | None = None) -> Any:
        """As of any future.

        Raises
        ------
        DeadlockDetectedError
            It can never be done, as all who could do it wait for this.
        """
        self._await(timeout)
        with room.table.shield():
            return super().result(0)

    def exception(self, timeout: float | None = None) -> BaseException | None:
        """As of any future. Raises as :meth:`result`."""
        self._await(timeout)
        with room.table.shield():
            return super().exception(0)

    def done(self) -> bool:
        with room.table.shield():
            return super().done()

    def add_done_callback(self, fn: Callable[[Future[Any]], object]) -> None:
        with room.table.shield():
            super().add_done_callback(fn)

    def cancel(self) -> bool:
        with room.table.shield():
            return super().cancel()

    def _await(self, timeout: float | None) -> None:
        """Until it is done, or for so many seconds. On bells: code that waits is interrupted at any bytecode."""
        if self._over:
            return
        if self.crew.pid != os.getpid():
            raise ExosError(
                f"this is a job of pool {self.crew.name} of process {self.crew.pid}, and nobody does it in "
                f"{os.getpid()}, its child; make a pool in the child"
            )
        if timeout is not None:
            self._bells.wait(lambda: self._over, time.monotonic() + timeout)
            return
        with waiting_for((self,)):
            self._bells.wait(lambda: self._over, float("inf"))


def _ring(future: Any) -> None:
    future._over = True
    future._bells.ring()


# --- the graph --------------------------------------------------------------------------------------------------------


class Until(Enum):
    """How long is waited for several futures."""

    ALL = "all are done"
    ANY = "one is done"
    EXCEPTION = "one has raised, or all are done"


@dataclass(frozen=True, slots=True)
class _Wait:
    """For what a worker waits."""

    futures: tuple[Future[Any], ...]
    until: Until


_lock = threading.RLock()
_waits: dict[Waiter, _Wait] = {}


@contextmanager
def waiting_for(futures: Collection[Future[Any]], *, until: Until = Until.ALL, what: str = "") -> Iterator[None]:
    """The present thread waits inside, without a timeout.

    Parameters
    ----------
    what : who asks, for the sentence.

    Raises
    ------
    DeadlockDetectedError
        It would wait for ever.
    """
    thread = threading.current_thread()
    if not isinstance(thread, Waiter) or thread.given_up:
        yield
        return
    with _lock:
        before = _waits.get(thread)
        _waits[thread] = _Wait(tuple(futures), until)
        if thread in _stuck():
            _put_back(thread, before)
            raise DeadlockDetectedError(_sentence(thread, futures, what))
    try:
        yield
    finally:
        with _lock:
            _put_back(thread, before)


def _put_back(thread: Waiter, before: _Wait | None) -> None:
    if before is None:
        _waits.pop(thread, None)
    else:
        _waits[thread] = before


def _stuck() -> set[Waiter]:
    """Those that can never go on."""
    stuck = {thread for thread in _waits if not thread.given_up}
    while True:
        free = {thread for thread in stuck if _goes_on(_waits[thread], stuck)}
        if not free:
            return stuck
        stuck -= free


def _goes_on(wait: _Wait, stuck: set[Waiter]) -> bool:
    still = [future for future in wait.futures if not future.done()]
    if wait.until is Until.ALL:
        return all(_gets_done(future, stuck) for future in still)
    over = [future for future in wait.futures if future.done()]
    if wait.until is Until.EXCEPTION:
        over = [future for future in over if future.cancelled() or future.exception(0) is not None]
    return bool(over) or not still or any(_gets_done(future, stuck) for future in still)


def _gets_done(future: Future[Any], stuck: set[Waiter]) -> bool:
    if not isinstance(future, PoolFuture):
        return True
    hand = future.hand
    if hand is not None:
        return hand not in stuck
    crew = future.crew
    hands = tuple(crew.hands)
    return future.done() or len(hands) < crew.most or any(one not in stuck for one in hands)


def _sentence(thread: Waiter, futures: Collection[Future[Any]], what: str) -> str:
    pool = thread.crew.name
    if any(isinstance(future, PoolFuture) and future.hand is thread for future in futures):
        asked = what or "a job asks for its own result"
        return f"pool {pool}: {asked}, and would wait for itself for ever"
    workers = f"all {thread.crew.most} workers wait" if thread.crew.most > 1 else "its one worker waits"
    return (
        f"pool {pool}: {what or 'a job waits for another one'} that could never be done: {workers} for such jobs. "
        "Give the pool more workers, let jobs that wait run in another pool, or wait with a timeout."
    )


# --- wait() and as_completed() of the standard library ----------------------------------------------------------------


class _Waiters(list[Any]):
    """The list in which a future keeps who waits for it."""

    def append(self, waiter: Any) -> None:
        if isinstance(threading.current_thread(), Waiter) and not isinstance(waiter.event, _KnownEvent):
            futures = sys._getframe(1).f_locals.get("fs")
            if isinstance(futures, (set, frozenset, list, tuple)):
                waiter.event = _KnownEvent(futures, _until(waiter))
        super().append(waiter)


def _until(waiter: Any) -> Until:
    if type(waiter).__name__ != "_AllCompletedWaiter":
        return Until.ANY
    return Until.EXCEPTION if waiter.stop_on_exception else Until.ALL


class _KnownEvent(threading.Event):
    """An event of which is known who waits for it, and for what."""

    def __init__(self, futures: Collection[Future[Any]], until: Until) -> None:
        super().__init__()
        self._futures = futures  # as_completed() takes out of it what it has given already
        self._until = until

    def wait(self, timeout: float | None = None) -> bool:
        if timeout is not None or self.is_set():
            return super().wait(timeout)
        with waiting_for(tuple(self._futures), until=self._until):
            return super().wait()


def _be_a_child() -> None:
    """Of a process that was forked nobody else waits here, and a thread that is not there may hold the lock."""
    global _lock
    _lock = threading.RLock()
    _waits.clear()


os.register_at_fork(after_in_child=_be_a_child)
