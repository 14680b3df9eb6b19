"""The thread "guardian-health": looks at the watched threads of its process, and does what their policy says.

It runs while somebody is registered. In a worker the host judges, so that not even code that stops the whole
interpreter escapes; here only those are judged that are to be made anew first. That a thread has ended is noticed here
in any case.

What happens to a thread that is late:

========  ==============================================================================================
PROCESS   the process ends with exit code 70, after it has said why and where all its threads stand
THREAD    it is made anew; the process ends if it is late again within PROBATION periods, or if ABANDONED
          threads that were given up hang still
REPORT    it is told once, and once more when it beats again
========  ==============================================================================================

An exception that ends a thread counts as lateness. One that returns without deregistering is told, and not watched any
more: it has done what it had to do.
"""

from __future__ import annotations

import logging
import os
import sys
import threading
import time

from guardian.access.bells import Bell
from guardian.core.threads import LONGEST_LOOK_S, Seen, ThreadWatch
from guardian.enums import Recovery
from guardian.health import failing
from guardian.health import threads as room
from guardian.health.threads import Registration
from guardian.health.told import Told, tell

#: A thread that was made anew is on probation for so many of its periods.
PROBATION = 10
#: Threads that were given up and hang still, at most.
ABANDONED = 8


class Watcher(threading.Thread):
    """Looks until nobody is registered any more."""

    def __init__(self) -> None:
        super().__init__(name="guardian-health", daemon=True)
        self.bell = Bell()
        self._watch = ThreadWatch()
        self._late: set[int] = set()
        self._abandoned: list[threading.Thread] = []

    def run(self) -> None:
        while (pause_s := self.look(time.monotonic())) is not None:
            self.bell.wait(pause_s)

    def look(self, now: float) -> float | None:
        """One look at all of them; seconds until the next one, None: there is nobody to look at."""
        global _watcher
        with room.table.lock:
            if _watcher is not self:  # its start was interrupted, and another one looks
                return None
            registered, untold_s = room.table.all(), room.table.tell()
            if not registered and untold_s is None:
                _watcher = None
                return None
        alive = {one.watched.serial: one for one in registered if not self._has_ended(one)}
        supervised = room.table.report is not None
        judged = [one.watched for one in alive.values() if not supervised or one.watched.recovery is Recovery.THREAD]
        self._watch.settle(judged)
        self._late &= alive.keys()
        for seen in self._watch.look(room.table.counters, now):
            registration = alive[seen.thread.serial]
            if not registration.ended and seen.late is not (seen.thread.serial in self._late):
                self._turned(registration, seen)
        pause_s = self._watch.look_s or LONGEST_LOOK_S
        return pause_s if untold_s is None else min(pause_s, untold_s)

    def _turned(self, registration: Registration, seen: Seen) -> None:
        thread, who = seen.thread, f"{seen.thread.kind} {seen.thread.name}"
        if not seen.late:
            self._late.discard(thread.serial)
            tell(Told(thread=thread, what="ALIVE", sentence=f"{who} beats again"), logging.INFO)
            return
        self._late.add(thread.serial)
        self._treat(
            registration,
            "LATE",
            f"{who} has not beaten for {seen.age_s:.3g} s, promised every {thread.period_s:g} s",
        )

    def _has_ended(self, registration: Registration) -> bool:
        thread, watched = registration.thread, registration.watched
        if thread is None or thread.ident is None or thread.is_alive():
            return False
        if thread is threading.main_thread() and (error := _end_of_main()) is not None:
            registration.failed(error)
        if registration.failure:
            self._treat(registration, "FAILED", f"thread {watched.name} has ended: {registration.failure}")
            registration.deregister()
        elif not registration.ended:
            registration.deregister()
            sentence = f"thread {watched.name} has ended without deregister(); it is not watched any more"
            tell(Told(thread=watched, what="ENDED", sentence=sentence))
        return True

    def _treat(self, registration: Registration, what: str, sentence: str) -> None:
        thread = registration.watched
        news = Told(thread=thread, what=what, sentence=sentence)
        if thread.recovery is Recovery.REPORT:
            tell(news)
            return
        owner = registration.thread
        if thread.recovery is Recovery.PROCESS or registration.renew is None:
            failing.fail(news, owner)
        if thread.restarts and time.monotonic() - registration.since < PROBATION * thread.period_s:
            why = f"; it was made anew {time.monotonic() - registration.since:.3g} s ago, which has not helped"
            failing.fail(Told(thread=thread, what=what, sentence=sentence + why), owner)
        self._abandoned = [one for one in self._abandoned if threading.Thread.is_alive(one)]
        if len(self._abandoned) >= ABANDONED:
            why = f"; {len(self._abandoned)} threads that were given up before hang still"
            failing.fail(Told(thread=thread, what=what, sentence=sentence + why), owner)
        tell(news)
        if owner is not None:
            self._abandoned.append(owner)
        try:
            registration.renew(sentence)
        except Exception as error:
            why = f"; it could not be made anew: {error}"
            failing.fail(Told(thread=thread, what=what, sentence=sentence + why), owner)
        tell(Told(thread=thread, what="RENEWED", sentence=f"{thread.kind} {thread.name} was made anew"))


def _end_of_main() -> BaseException | None:
    """The exception that ended the main thread, while other threads keep the program from ending.

    Once none does, the program is about to end by itself, and must not be kept from what it does then.
    """
    main = threading.main_thread()
    if not any(one.is_alive() for one in threading.enumerate() if one is not main and not one.daemon):
        return None
    error = getattr(sys, "last_value", None)
    return error if isinstance(error, BaseException) and not isinstance(error, KeyboardInterrupt) else None


_watcher: Watcher | None = None


def late() -> tuple[str, ...]:
    """The names of those that are late now, as far as this process looks itself."""
    looks = _watcher
    serials = frozenset() if looks is None else frozenset(looks._late)
    return tuple(one.watched.name for one in room.table.all() if one.watched.serial in serials)


def wake() -> None:
    """The table has changed. Do not hold its lock: the start of a thread is waited for, and in a thread that starts a
    destructor may want that lock.

    Raises
    ------
    RuntimeError
        No thread can be made any more.
    """
    global _watcher
    with room.table.lock:
        if _watcher is not None:
            _watcher.bell.ring()
            return
        if not room.table.all():
            return
        made = _watcher = Watcher()
    try:
        made.start()
    except BaseException:
        with room.table.lock:
            if _watcher is made:
                _watcher = None
        raise


def _be_a_child() -> None:
    global _watcher
    _watcher = None


os.register_at_fork(after_in_child=_be_a_child)
