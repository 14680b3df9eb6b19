"""The life of a node's worker process: one at a time, restarted when it dies, given up when it dies too often (R12).

Bookkeeping only. What a death means for the node is decided in ``engine.py``.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING

from guardian.core.events import Kill

if TYPE_CHECKING:
    from guardian.core.settings import Going, Limits


@dataclass(frozen=True, slots=True, kw_only=True)
class Ended:
    """How a worker ended: by STOP, after a failed load, or (neither) by itself; ``too_often``: give up."""

    stopping: bool
    load_failed: bool
    asked_again: bool
    too_often: bool


class Lifecycle:
    """Which worker is alive, and why it ends."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._deaths: deque[float] = deque()
        self.gen = 0
        self.alive = False
        self.stopping = False  #: told to end, not gone yet
        self.load_failed = False
        self.asked_again = False  #: EXEC came while a worker whose load had failed was still there
        self.stuck = ""  #: why it was killed as hung: its end is a death like any other
        self.killed_for: Going | None = None  #: what the new worker is to enter after a redirect's kill (R8)

    def spawn(self) -> int:
        self.gen += 1
        self.alive = True
        self.stopping = self.load_failed = self.asked_again = False
        self.killed_for = None
        self.stuck = ""
        return self.gen

    def kill(self, why: str) -> Kill:
        return Kill(gen=self.gen, why=why)

    def pardon(self) -> None:
        """Someone asked for a new start: earlier deaths do not count any more."""
        self._deaths.clear()

    def ended(self, now: float, *, innocent: bool) -> Ended:
        """The worker is gone. A death that nobody asked for is counted, unless it was none of this node's doing."""
        self.alive = False
        asked = self.stopping or self.load_failed or self.killed_for is not None
        if not asked:
            if not innocent:
                self._deaths.append(now)
            while self._deaths and now - self._deaths[0] > self._limits.restart_window_s:
                self._deaths.popleft()
        return Ended(
            stopping=self.stopping,
            load_failed=self.load_failed,
            asked_again=self.asked_again,
            too_often=len(self._deaths) > self._limits.restarts,
        )
