"""What a host finds out by looking at a worker, which cannot say so itself: a late thread, a hung call, a long call.

======================  ======================  ============================================================
what                    looked at               what is done
======================  ======================  ============================================================
a watched thread        its counter, 8 times a  :class:`Stuck`: the worker is killed; with recovery THREAD
                        period                  after 3 periods, as the worker acts first; REPORT: a line
a call, where there is  the beat, 8 times a     :class:`Stuck`, when no call has ended for so long although
a ``watchdog``          watchdog, 1/20 to 1 s   one is in progress, or the loop owes one
any call                the beat, once a        :class:`Slow`, after ``slow_after``, and each time it has
                        second                  lasted twice as long
======================  ======================  ============================================================

Who hangs is judged by `guardian.core.standstill` alone: a host that was stopped, starved or asleep finds nobody late,
and no clock or processor time means anything. What takes long is told with its true duration: that harms nobody.

Cost: a node without watched threads and watchdog has no timer, and is looked at with the tick of its host, once a
second. A look takes some 10 us.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from guardian.core import documents
from guardian.core.engine import Engine
from guardian.core.events import Input, Slow, Stuck, ThreadsWatched
from guardian.core.standstill import Standstill
from guardian.core.threads import LOOKS, MOST_THREADS, SHORTEST_S, Seen, ThreadWatch
from guardian.enums import Recovery
from guardian.worker.beat import Beat

#: Periods after which a process fails whose thread was to be made anew.
BEYOND_HELP = 3
#: Between two looks at a call under a watchdog, in seconds.
SHORTEST_LOOK_S = 0.05
LONGEST_LOOK_S = 1.0
#: A loop may pause for so long between two calls, however short those have to be: on a busy machine it is late.
IDLE_S = 1.0
#: A list of threads that changes all the time is shown this often.
SHOW_S = 1.0


class Watchable(Protocol):
    """The part of a worker that is looked at."""

    @property
    def gen(self) -> int: ...
    @property
    def counters(self) -> Sequence[int]: ...
    def beat(self) -> Beat: ...


@dataclass(slots=True)
class _Told:
    """A long call that was told. ``again_s``: how long it lasts when it is told next."""

    call: int
    entry: int
    seconds: float
    again_s: float


class Vigil:
    """Watches the worker of one node, on the event loop.

    Parameters
    ----------
    engine : of the node; what it is told goes through `feed`. say : a warning for the log. show : the threads have
    changed, and THREADS is to be published without waiting for the next second.
    """

    def __init__(
        self,
        engine: Engine,
        *,
        feed: Callable[[Input], None],
        say: Callable[[str], None],
        show: Callable[[], None],
    ) -> None:
        self._engine = engine
        self._feed = feed
        self._say = say
        self._show = show
        self._loop = asyncio.get_running_loop()
        self._timer: asyncio.TimerHandle | None = None
        self._worker: Watchable | None = None
        self._shown_at = -math.inf
        self._forget()

    def _forget(self) -> None:
        self._threads = ThreadWatch()
        self._seen: tuple[Seen, ...] = ()
        self._late: dict[int, Seen] = {}
        self._call = Standstill(0.0)
        self._told: _Told | None = None

    @property
    def threads(self) -> str:
        """THREADS, as it was at the last look."""
        return documents.threads(self._seen)

    # --- what the node tells -----------------------------------------------------------------------------------

    def begin(self, worker: Watchable) -> None:
        """There is a new worker: nothing is known of it."""
        self._worker = worker
        self._forget()
        self.settle()

    def end(self) -> None:
        """The worker is gone, or the node is leaving."""
        self._worker = None
        self._forget()
        self.settle()

    def hear(self, report: ThreadsWatched) -> None:
        """Its threads are these from now on. What cannot be watched (damage on the way) is not."""
        if self._worker is None:
            return
        self._threads.settle(t for t in report.threads if 0 <= t.slot < MOST_THREADS and t.period_s >= SHORTEST_S)
        now = self._loop.time()
        self._seen = self._threads.look(self._worker.counters, now)
        serials = {one.thread.serial for one in self._seen}
        self._late = {serial: one for serial, one in self._late.items() if serial in serials}
        if now - self._shown_at >= SHOW_S:
            self._shown_at = now
            self._show()
        self.settle()

    def settle(self) -> None:
        """Something has happened to the node: is there anything to look at, and how often?"""
        pause_s = self.pause_s
        if pause_s is None:
            if self._timer is not None:
                self._timer.cancel()
                self._timer = None
            return
        due = self._loop.time() + pause_s
        if self._timer is not None:
            if self._timer.when() <= due:
                return
            self._timer.cancel()
        self._timer = self._loop.call_at(due, self._look_again)

    @property
    def pause_s(self) -> float | None:
        """Seconds between two looks; None: there is nothing to look at."""
        if self._worker is None or not self._engine.watched:
            return None
        pauses = [self._threads.look_s] if self._threads.look_s is not None else []
        if watchdog_s := self._watchdog_s:
            pauses.append(min(max(watchdog_s / LOOKS, SHORTEST_LOOK_S), LONGEST_LOOK_S))
        return min(pauses, default=None)

    @property
    def _watchdog_s(self) -> float:
        """Of the present state; 0: there is none."""
        watchdog_s = self._engine.watchdog_s
        return watchdog_s if math.isfinite(watchdog_s) else 0.0

    # --- looking -----------------------------------------------------------------------------------------------

    def _look_again(self) -> None:
        self._timer = None
        self.look(self._loop.time())
        self.settle()

    def look(self, now: float) -> None:
        """Is a call hung, or a thread late? `now`: monotonic seconds."""
        pause_s = self.pause_s
        if self._worker is None or pause_s is None:
            return
        why = self._call_hung(self._worker.beat(), now, pause_s) or self._thread_hung(self._worker.counters, now)
        if why:
            self._feed(Stuck(gen=self._worker.gen, why=why))

    def _call_hung(self, beat: Beat, now: float, pause_s: float) -> str:
        """A call that outlasts its watchdog, or a loop that makes none; "" if all is well."""
        engine, watchdog_s = self._engine, self._watchdog_s
        busy = beat.method is not None and beat.entry == engine.entry
        judged = watchdog_s > 0 and (busy or engine.calling)
        self._call.most_s = 2 * pause_s
        counter = (engine.entry, beat.cycle, beat.call, beat.method) if judged else object()
        stood_s = self._call.look(counter, now)
        if not judged or stood_s < (watchdog_s if busy else max(watchdog_s, IDLE_S)):
            return ""
        state, allowed = engine.view.state, f"{watchdog_s:g} s are allowed"
        if busy and beat.method is not None:
            return f"watchdog: {state}.{beat.method.value}() has lasted {_span(beat.busy_s(now))}, {allowed}"
        return f"watchdog: its loop has made no call in {state} for {_span(stood_s)}, {allowed}"

    def _thread_hung(self, counters: Sequence[int], now: float) -> str:
        """The thread for which the process has failed; "" if there is none."""
        self._seen = self._threads.look(counters, now)
        before, self._late = self._late, {one.thread.serial: one for one in self._seen if one.late}
        for one in self._seen:
            thread, was = one.thread, before.get(one.thread.serial)
            if thread.recovery is Recovery.REPORT and one.late and was is None:
                self._say(f"{_not_beaten(one)}; it was asked to be told only")
            elif thread.recovery is Recovery.REPORT and was is not None and not one.late:
                self._say(f"{thread.kind} {thread.name} beats again, after {_span(was.age_s)}")
        if before.keys() != self._late.keys():
            self._show()
        failed = [one for one in self._late.values() if _is_beyond_help(one)]
        more = f", and {len(failed) - 1} more" if len(failed) > 1 else ""
        return _not_beaten(failed[0]) + more if failed else ""

    def tick(self, beat: Beat, now: float) -> None:
        """Once a second: does a call take long? `now`: monotonic seconds."""
        if self._worker is None:
            return
        gen, busy_s = self._worker.gen, beat.busy_s(now)
        told, self._told = self._told, None
        if told is not None and beat.call == told.call and beat.method is not None:
            told.seconds = busy_s
            self._told = told
        elif told is not None:
            took_s = beat.last_duration_s if beat.call == told.call else told.seconds
            self._feed(Slow(gen=gen, entry=told.entry, call=None, seconds=took_s))
        after_s = self._told.again_s if self._told is not None else self._engine.limits.slow_after_s
        if beat.method is None or beat.entry != self._engine.entry or not 0 < after_s <= busy_s:
            return
        while after_s <= busy_s:
            after_s *= 2
        self._told = _Told(call=beat.call, entry=beat.entry, seconds=busy_s, again_s=after_s)
        self._feed(Slow(gen=gen, entry=beat.entry, call=beat.method, seconds=busy_s))


def _is_beyond_help(late: Seen) -> bool:
    thread = late.thread
    if thread.recovery is Recovery.THREAD:
        return late.age_s >= BEYOND_HELP * thread.period_s
    return thread.recovery is Recovery.PROCESS


def _not_beaten(late: Seen) -> str:
    thread = late.thread
    return f"{thread.kind} {thread.name} has not beaten for {_span(late.age_s)}, promised every {thread.period_s:g} s"


def _span(seconds: float) -> str:
    return f"{seconds:.{0 if seconds >= 10 else 1}f} s"
