"""Whether a counter still moves: how a stall is told from idleness, from load and from a clock that jumps.

A stall is judged by a counter that its owner moves, never by CPU time (an idle process is healthy), and never by
comparing times of two processes. What is added up is the time for which *the watcher itself* was seen to run while
the counter stood still: a look that comes late counts for no more than `most_s`. So a watcher that was stopped
(SIGSTOP), or starved, or slept with its machine, finds nobody late when it comes back, and no jump of a clock means
anything.
"""

from __future__ import annotations


class Standstill:
    """One counter under watch.

    Parameters
    ----------
    most_s : what one look counts for at most: twice the time between two looks.
    """

    __slots__ = ("_counter", "_looked_at", "most_s", "stood_s")

    def __init__(self, most_s: float) -> None:
        self.most_s = most_s
        self.stood_s = 0.0  #: for how long it stood still, as far as it was watched
        self._counter: object = None
        self._looked_at: float | None = None

    def look(self, counter: object, now: float) -> float:
        """What it says now.

        Parameters
        ----------
        counter : anything that differs once its owner has moved. now : monotonic seconds.

        Returns
        -------
        float
            Seconds for which it stood still; 0.0 at the first look and whenever it has moved.
        """
        moved = self._looked_at is None or counter != self._counter
        step_s = 0.0 if self._looked_at is None else min(max(0.0, now - self._looked_at), self.most_s)
        self._counter, self._looked_at = counter, now
        self.stood_s = 0.0 if moved else self.stood_s + step_s
        return self.stood_s
