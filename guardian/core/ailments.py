"""What a host may suffer from without its nodes noticing: judged here, measured by the host. Pure.

An :class:`Ailment` is a condition that a person should know of while the nodes go on. Each has a sentence in three
parts: what was found, what it means meanwhile, what to do.
"""

from __future__ import annotations

from dataclasses import dataclass

from guardian.core.when import span, utc
from guardian.enums import Severity

#: Fewer free descriptors than this, or than this part of all, are few.
FEW_DESCRIPTORS, FEW_DESCRIPTORS_PART = 50, 0.1
#: How long a want of descriptors is told after the last thing that failed for it, in seconds.
WANT_S = 10.0
#: Parts of a machine's memory: with less left programs suffer soon, and are killed soon.
LITTLE_MEMORY_PART, NO_MEMORY_PART = 0.05, 0.02
#: A clock that gains or loses more than this between two looks has been set, in seconds.
JUMP_S = 1.0
#: How long a clock that was set forward is told, in seconds.
JUMP_TOLD_S = 600.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Ailment:
    """One thing that is wrong with a host.

    Parameters
    ----------
    what : names it among the others, the same while it lasts: "descriptors".
    text : the sentence. It may change while it lasts.
    since : epoch seconds at which it began, where the one who tells it knows better than whoever hears of it.
    dated : the sentence says itself since when.
    """

    what: str
    severity: Severity
    text: str
    since: float | None = None
    dated: bool = False


def descriptors(used: int, most: int, wanted: str = "") -> Ailment | None:
    """Whether descriptors run short.

    Parameters
    ----------
    used, most : of this process. wanted : what has failed for want of one within the last :data:`WANT_S`.
    """
    found = f"{used} of {most} descriptors are used"
    if wanted:
        return Ailment(
            what="descriptors",
            severity=Severity.MAJOR,
            text=f"{found} up: {wanted}. What runs goes on, what failed is tried again; find out who opens so many "
            "connections (CA_CLNT_CNT), or start the host with a higher `ulimit -n`",
        )
    if most - used < max(FEW_DESCRIPTORS, most * FEW_DESCRIPTORS_PART):
        return Ailment(
            what="descriptors",
            severity=Severity.MINOR,
            text=f"{found}: soon new clients are turned away and workers cannot be started; find out who opens so many "
            "connections (CA_CLNT_CNT), or start the host with a higher `ulimit -n`",
        )
    return None


def memory(free: float, most: float) -> Ailment | None:
    """Whether the memory of the machine runs short.

    Parameters
    ----------
    free, most : bytes; what programs can still get, and what there is.
    """
    if not most or free >= most * LITTLE_MEMORY_PART:
        return None
    return Ailment(
        what="memory",
        severity=Severity.MAJOR if free < most * NO_MEMORY_PART else Severity.MINOR,
        text=f"{free / 2**20:.0f} MB of {most / 2**30:.1f} GB of memory are left on this machine: the kernel will end "
        "programs to get some, and may end workers; find out which program grows (`top`, then M)",
    )


class WallClock:
    """Whether the wall clock of a machine goes as time does.

    Nothing in a host or a node waits by the wall clock; only the stamps of what happened are taken from it.
    """

    def __init__(self) -> None:
        self._ahead: float | None = None  # of the other clock
        self._in_order = 0.0  # the same, when it last was ahead of all stamps
        self._highest = 0.0
        self._back: Ailment | None = None  # until it has caught up with _highest
        self._forward: Ailment | None = None
        self._forward_at = 0.0

    def look(self, mono: float, wall: float) -> float:
        """What the clocks say now; call it once a second.

        Parameters
        ----------
        mono : seconds of a clock that nobody can set, and that goes on while the machine sleeps. wall : epoch seconds.

        Returns
        -------
        float
            By how much the clock was set since the last look, in seconds; 0.0 if it was not.
        """
        ahead = wall - mono
        jump = 0.0 if self._ahead is None else ahead - self._ahead
        self._ahead = ahead
        if jump < -JUMP_S:
            self._back, self._forward = _set_back(-jump, wall, self._highest), None
        elif jump > JUMP_S and (gap := ahead - self._in_order) > JUMP_S:  # else it was set right again
            self._forward, self._forward_at = _set_forward(gap, wall), mono
        if wall >= self._highest:  # it has caught up, or was set right again
            self._highest, self._back, self._in_order = wall, None, ahead
        if mono - self._forward_at > JUMP_TOLD_S:
            self._forward = None
        return jump if abs(jump) > JUMP_S else 0.0

    @property
    def ailment(self) -> Ailment | None:
        """What is wrong with it at present."""
        return self._back or self._forward


_HARMLESS = "Nodes, timers and restarts do not depend on it. See to the time service (`chronyc tracking`)"


def _set_back(by_s: float, now: float, until: float) -> Ailment:
    return Ailment(
        what="clock",
        severity=Severity.MINOR,
        since=now,
        text=f"the clock of this machine was set back by {span(by_s)}: until it shows {utc(until)} the stamps of "
        f"events, log and journal are not in order (the numbers of the events are). {_HARMLESS}",
    )


def _set_forward(by_s: float, now: float) -> Ailment:
    return Ailment(
        what="clock",
        severity=Severity.MINOR,
        since=now,
        text=f"the clock of this machine was set forward by {span(by_s)}: the stamps of events, log and journal have a "
        f"gap. {_HARMLESS}",
    )
