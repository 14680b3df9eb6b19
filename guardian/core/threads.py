"""Watched threads: what is known of one, and when it is late. Pure; `guardian.health` and the host look.

A thread (or a pool) says "I am alive" by moving a counter of its own; what it promised is to do so once a period. It
is late when it stood still for LATE periods, looked at LOOKS times a period: so it is found within 1.5 periods, and one
that keeps its promise to the last moment is never taken for hung.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from guardian.core.standstill import Standstill
from guardian.enums import Recovery

#: Periods for which a thread may stand still.
LATE = 1.25
#: Looks in a period.
LOOKS = 8
#: The shortest period that can be promised, and the longest pause between two looks, in seconds.
SHORTEST_S = 0.1
LONGEST_LOOK_S = 1.0
#: Threads (and pools) of one process that can be watched.
MOST_THREADS = 512


@dataclass(frozen=True, slots=True, kw_only=True)
class Watched:
    """A registration.

    Parameters
    ----------
    slot : which counter is its own. serial : rises with each registration of its process, and tells one from another in
    the same slot. restarts : how often it was made anew. kind : "thread" or "pool".
    """

    slot: int
    serial: int
    name: str
    period_s: float
    recovery: Recovery = Recovery.PROCESS
    restarts: int = 0
    kind: str = "thread"


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """One look at a watched thread: ``age_s`` since it was last seen to move, as far as it was watched."""

    thread: Watched
    age_s: float

    @property
    def late(self) -> bool:
        return self.age_s >= LATE * self.thread.period_s

    @property
    def state(self) -> str:
        return "LATE" if self.late else "ALIVE"


class ThreadWatch:
    """The threads of one process under watch."""

    def __init__(self) -> None:
        self._threads: dict[int, Watched] = {}
        self._stands: dict[int, Standstill] = {}

    @property
    def look_s(self) -> float | None:
        """Seconds between two looks; None: there is nobody to look at."""
        shortest = min((thread.period_s for thread in self._threads.values()), default=None)
        return None if shortest is None else min(max(shortest, SHORTEST_S) / LOOKS, LONGEST_LOOK_S)

    def settle(self, threads: Iterable[Watched]) -> None:
        """These are watched from now on. Those that were before keep their age; the others start with none."""
        now = {thread.serial: thread for thread in threads}
        self._stands = {serial: self._stands.get(serial) or Standstill(0.0) for serial in now}
        self._threads = now
        for stand in self._stands.values():
            stand.most_s = 2 * (self.look_s or 0.0)

    def look(self, counters: Sequence[int] | Mapping[int, int], now: float) -> tuple[Seen, ...]:
        """All of them, as they are now. `counters` by slot; `now`: monotonic seconds."""
        return tuple(
            Seen(thread=thread, age_s=self._stands[serial].look(counters[thread.slot], now))
            for serial, thread in self._threads.items()
        )
