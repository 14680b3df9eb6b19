"""R22: a node that changes state too fast is paced to one change a cycle.

Short chains of quick states run at full speed; only more than ``burst`` changes within ``window_s`` seconds (two states
that jump at each other) start the pacing, and it ends when a change comes a whole cycle later than it was allowed to.
"""

from __future__ import annotations

from collections import deque

#: Sums of times do not come out exactly; a rest this short is over.
_GRAIN_S = 1e-6


class Pace:
    """Counts changes of state; times are monotonic seconds."""

    def __init__(self, *, cycle_s: float, burst: int = 50, window_s: float = 1.0) -> None:
        self._cycle_s = cycle_s
        self._window_s = window_s
        self._last: deque[float] = deque(maxlen=burst)
        self.pacing = False

    def hold_s(self, now: float) -> float:
        """Seconds by which a change that is wanted now must be put off; 0 for none."""
        if not self._last:
            return 0.0
        if self.pacing:
            late = now - self._last[-1] - self._cycle_s
            if late > self._cycle_s:
                self.pacing = False
                self._last.clear()
            return -late if late < -_GRAIN_S else 0.0
        self.pacing = len(self._last) == self._last.maxlen and now - self._last[0] < self._window_s
        return self._cycle_s if self.pacing else 0.0

    def entered(self, now: float) -> None:
        self._last.append(now)
