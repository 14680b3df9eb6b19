"""The workers of a `MonitoredThreadPool`, its queue, and its beat.

The beat is progress and nothing else. It is moved by a worker that has finished a job, by :func:`keepalive` inside a
job, and, while there is nothing to do, by an idle worker: the one that finished last wakes four times a period. While
any job runs or waits no idle worker beats, so a pool in which nothing gets done stands still, however many of its
workers are idle.

Why not the workers of ``ThreadPoolExecutor``: they cannot be given up. Here a worker that hangs is taken off the crew
(what it may still bring is dropped), its job's future fails, and others take its place. All are daemons, as else one
that hangs would hold up the end of the interpreter; at that end the jobs that were taken are finished first, as long as
some get done.

Workers hold the crew, the pool holds the crew, the crew does not hold the pool: a pool that nobody has any more is
collected, and its workers end when the queue is empty.

Locking: `lock` guards hands, idle, queue and the jobs of hands. It is taken twice where a destructor runs in the middle
of it. No user code runs under it. Whoever waits has a bell of his own, whose ring is kept.
"""

from __future__ import annotations

import atexit
import itertools
import logging
import os
import threading
import time
import weakref
from collections import deque
from collections.abc import Callable
from concurrent.futures import InvalidStateError
from concurrent.futures.thread import BrokenThreadPool
from contextlib import suppress

from guardian.access.bells import Bells
from guardian.enums import Recovery
from guardian.errors import ExosError, Interrupted
from guardian.health import threads as room
from guardian.health.hand import Hand, Job
from guardian.health.waits import PoolFuture

#: An idle pool beats so often in a period.
IDLE_BEATS = 4
_BROKEN = "A thread initializer failed, the thread pool is not usable anymore"
_CLOSED = "cannot schedule new futures after shutdown"

_log = logging.getLogger("guardian.health")


class Crew:
    """Hands and queue of one pool. Any thread may use it.

    Parameters
    ----------
    most : hands at a time. initializer : called in each hand before its first job.
    """

    def __init__(
        self,
        name: str,
        *,
        most: int,
        period_s: float,
        recovery: Recovery,
        prefix: str,
        initializer: Callable[[], object],
    ) -> None:
        self.name = name
        self.most = most
        self.initializer = initializer
        self.pid = os.getpid()
        self.lock = threading.RLock()
        self.hands: set[Hand] = set()
        self._idle: list[Hand] = []
        self._queue: deque[Job] = deque()
        self._chores: deque[Callable[[], None]] = deque()
        self._given_up: list[Hand] = []
        self._numbers = itertools.count()
        self._prefix = prefix
        self._closed = self._broken = False
        self._ended = Bells()
        self.registration = room.table.enroll(name, period_s, recovery, renew=self.renew, kind="pool")
        try:
            with self.lock:
                self._add_hand()  # it beats while there is nothing to do
        except BaseException:
            self.registration.deregister()
            raise
        _crews.add(self)

    @property
    def period_s(self) -> float:
        return self.registration.watched.period_s

    @property
    def is_of_parent(self) -> bool:
        """In a forked child: nobody works here, and the lock may be held by a thread that is not there."""
        return os.getpid() != self.pid

    # -- from outside ----------------------------------------------------------------------------------------------

    def submit(self, job: Job) -> None:
        """Have it done.

        Raises
        ------
        RuntimeError, BrokenThreadPool
            As of a ``ThreadPoolExecutor``. ExosError: in a forked child.
        """
        if self.is_of_parent:
            raise ExosError(
                f"pool {self.name} belongs to process {self.pid}, and its workers are not in {os.getpid()}, its child; "
                "make a pool in the child"
            )
        with room.table.shield(), self.lock:
            if self._broken:
                raise BrokenThreadPool(_BROKEN)
            if self._closed:
                raise RuntimeError(_CLOSED)
            if not self._queue and not self._is_busy:
                self._beat()  # the period of the first job begins now
            self._queue.append(job)
            if self._idle:
                self._idle.pop().bell.ring()
            elif len(self.hands) < self.most:
                try:
                    self._add_hand()
                except RuntimeError:
                    if not self.hands:
                        self._queue.remove(job)
                        raise
                    # those that are there do it, later

    def outstanding(self) -> tuple[PoolFuture, ...]:
        """The futures of all jobs that wait or run."""
        with self.lock:
            running = [hand.job.future for hand in self.hands if hand.job is not None]
            return (*running, *(job.future for job in self._queue))

    def close(self, *, cancel: bool = False) -> None:
        """Take no more jobs; the hands end when the queue is empty. `cancel`: empty it."""
        if self.is_of_parent:
            return
        dropped: list[Job] = []
        with room.table.shield(), self.lock:
            self._closed = True
            if cancel:
                dropped = list(self._queue)
                self._queue.clear()
        for job in dropped:
            if job.future.cancel():
                job.future.set_running_or_notify_cancel()  # those that wait for it hear of it
        self.let_go()
        if not self.hands:
            self.registration.deregister()

    def let_go(self) -> None:
        """Nobody has the pool any more.

        Called by the collector of garbage, in the middle of anything: of a thread that is just starting, while whoever
        starts it waits for that with a lock. So it takes none; the last of the hands deregisters.
        """
        if self.is_of_parent:
            return
        self._closed = True
        for hand in tuple(self.hands):
            hand.bell.ring()

    def join(self, timeout_s: float | None = None) -> bool:
        """Wait until the hands have ended, but for those that were given up."""
        deadline = float("inf") if timeout_s is None else time.monotonic() + timeout_s
        hands = tuple(self.hands)
        if not self._ended.wait(lambda: not self.hands, deadline):
            return False
        for hand in hands:
            if not hand.given_up:
                hand.join()
        return True

    def finish(self) -> None:
        """The interpreter ends: finish what was taken, as long as some of it gets done."""
        self.close()
        counters = room.table.counters
        while self.hands:
            before = counters[self.registration.watched.slot]
            if not self.join(self.period_s) and counters[self.registration.watched.slot] == before:
                _log.warning(
                    "pool %s: %d jobs hang, and are not waited for at the end of the program",
                    self.name,
                    len(self.hands),
                )
                return

    # -- in the hands ----------------------------------------------------------------------------------------------

    def next(self, hand: Hand) -> Callable[[], None] | None:
        """What this hand does next; None: it ends. Waits until there is something."""
        while True:
            with self.lock:
                if hand.given_up:
                    return None
                if self._chores:
                    return self._chores.popleft()
                if self._queue:
                    job = self._queue.popleft()
                    hand.job, hand.began, hand.settled = job, time.monotonic(), False
                    job.future.hand = hand
                    return hand.serve
                if self._closed:
                    break
                self._idle.append(hand)
                beats = not self._is_busy
            hand.bell.wait(self.period_s / IDLE_BEATS if beats else None)
            with self.lock:
                with suppress(ValueError):  # whoever rang has done so
                    self._idle.remove(hand)
                if beats and not self._is_busy and not self._queue:
                    self._beat()
        self._leave(hand)
        return None

    def settles(self, hand: Hand) -> bool:
        """Whether the outcome of its job counts; a job is done now."""
        with self.lock:
            if hand.given_up:
                return False
            hand.settled = True
            self._beat()
            return True

    def finished(self, hand: Hand) -> None:
        """It is done with its job."""
        with self.lock:
            if hand.job is not None:
                hand.job.future.hand = None
            hand.job = None
            if not hand.given_up:
                self._beat()

    def break_up(self, hand: Hand) -> None:
        """The initializer has failed: nothing more is done here."""
        with self.lock:
            self._broken = True
            dropped = list(self._queue)
            self._queue.clear()
        for job in dropped:
            with suppress(InvalidStateError):
                job.future.set_exception(BrokenThreadPool(_BROKEN))
        for other in tuple(self.hands):
            other.bell.ring()
        self._closed = True
        self._leave(hand)

    # -- in the thread that looks ----------------------------------------------------------------------------------

    def renew(self, why: str) -> None:
        """Others in the place of those that hang.

        Parameters
        ----------
        why : a sentence.

        Raises
        ------
        ExosError
            As many as were given up before hang still.
        """
        with self.lock:
            self._given_up = [hand for hand in self._given_up if hand.is_alive()]
            if len(self._given_up) >= self.most:
                raise ExosError(f"{len(self._given_up)} of its workers were given up before, and hang still")
            now = time.monotonic()
            stuck = [hand for hand in self.hands if hand.job is not None and now - hand.began >= self.period_s]
            stuck += [hand for hand in self.hands if hand not in stuck and not hand.is_alive()]
            for hand in stuck:
                hand.given_up = True
                self.hands.discard(hand)
                if hand.job is not None and not hand.settled:
                    self._chores.append(_failing(hand.job.future, self.name, hand, why))
            self._given_up += stuck
            self._register_anew()
            wanted = min(len(self._queue) + bool(self._chores) - len(self._idle), self.most - len(self.hands))
            for _ in range(max(wanted, 0 if self.hands else 1)):
                self._add_hand()
            for hand in self._idle:
                hand.bell.ring()
        for hand in stuck:
            hand.place.abandon()

    def _register_anew(self) -> None:
        old = self.registration
        watched = old.watched
        old.deregister()
        self.registration = room.table.enroll(
            self.name,
            watched.period_s,
            watched.recovery,
            renew=self.renew,
            restarts=watched.restarts + 1,
            kind="pool",
        )
        for hand in self.hands:
            hand.place.follow(self.registration)

    # -- helpers ---------------------------------------------------------------------------------------------------

    @property
    def _is_busy(self) -> bool:
        return any(hand.job is not None for hand in self.hands)

    def _beat(self) -> None:
        with suppress(ExosError, Interrupted):  # it is not watched any more
            self.registration.keepalive()

    def _add_hand(self) -> None:
        hand = Hand(self, f"{self._prefix}_{next(self._numbers)}")
        self.hands.add(hand)  # first: whoever lets go rings all that are to end
        try:
            hand.start()
        except BaseException:
            self.hands.discard(hand)
            raise

    def _leave(self, hand: Hand) -> None:
        with self.lock:
            self.hands.discard(hand)
            is_last = not self.hands
        if is_last:
            self.registration.deregister()
        self._ended.ring()


def _failing(future: PoolFuture, pool: str, hand: Hand, why: str) -> Callable[[], None]:
    """A chore, as those who wait for the future may have callbacks, which are no business of the thread that looks."""

    def fail() -> None:
        after = time.monotonic() - hand.began
        error = ExosError(f"this job was given up after {after:.3g} s, and its worker {hand.name} with it: {why}")
        with suppress(InvalidStateError):
            future.set_exception(error)

    return fail


_crews: weakref.WeakSet[Crew] = weakref.WeakSet()


@atexit.register
def _finish_all() -> None:
    for crew in tuple(_crews):
        if not crew.is_of_parent:
            crew.finish()
