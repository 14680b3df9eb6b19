"""The life of a node's worker process: one at a time, restarted when it dies, given up when it dies too often (R12).

Bookkeeping only. What a death means for the node is decided in ``supervision.py``, how long is waited and when it is
given up in ``deaths.py``.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from guardian.core.deaths import Deaths, Verdict
from guardian.core.events import Kill

if TYPE_CHECKING:
    from guardian.core.settings import Going, Limits


@dataclass(frozen=True, slots=True, kw_only=True)
class Ended:
    """How a worker ended: by STOP, after a failed load, or (neither) by itself; ``verdict``: what follows a death,
    None if somebody wanted it to end."""

    stopping: bool
    load_failed: bool
    asked_again: bool
    verdict: Verdict | None


class Lifecycle:
    """Which worker is alive, and why it ends."""

    def __init__(self, limits: Limits) -> None:
        self._deaths = Deaths(limits.restarting)
        self.gen = 0
        self.alive = False
        self.stopping = False  #: told to end, not gone yet
        self.load_failed = False
        self.asked_again = False  #: EXEC came while a worker whose load had failed was still there
        self.stuck = ""  #: why it was killed as hung: its end is a death like any other
        self.killed_for: Going | None = None  #: what the new worker is to enter after a redirect's kill (R8)

    def obey(self, limits: Limits) -> None:
        """Other limits are in force from now on."""
        self._deaths.obey(limits.restarting)

    def spawn(self, now: float) -> int:
        self.gen += 1
        self.alive = True
        self.stopping = self.load_failed = self.asked_again = False
        self.killed_for = None
        self.stuck = ""
        self._deaths.born(now)
        return self.gen

    def kill(self, why: str) -> Kill:
        return Kill(gen=self.gen, why=why)

    def pardon(self) -> None:
        """Someone asked for a new start: earlier deaths do not count any more."""
        self._deaths.pardon()

    def ended(self, now: float, *, innocent: bool) -> Ended:
        """The worker is gone. A death that nobody asked for is counted, unless it was none of this node's doing."""
        self.alive = False
        self._deaths.ended(now)
        asked = self.stopping or self.load_failed or self.killed_for is not None
        return Ended(
            stopping=self.stopping,
            load_failed=self.load_failed,
            asked_again=self.asked_again,
            verdict=None if asked else self._deaths.judge(innocent=innocent),
        )
