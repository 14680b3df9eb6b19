"""What a bench finds: figures beside a peer or a limit of the same run, and checks that hold or do not.

A **figure** is a number with its unit, what stands beside it, and the goal for the ratio of the two. Whether a goal is
met depends on the machine and on who else is on it, so a miss is told and ends nothing. A **check** is about what was
done, not how fast: an event that was lost, a file that is larger than its bound. One that does not hold is a fault.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

#: So many samples are behind a 99th percentile that is quoted, at least.
SAMPLES = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """One number.

    Parameters
    ----------
    part : of the bench; figures of one part are shown together. what : is measured.
    value : in `unit`; of several samples their median. p99 : of at least :data:`SAMPLES` samples, else None.
    worst : of fewer samples, else None. n : how many samples.
    peer, beside : what it is compared with, and the value of that in `unit`, measured in this run, or a limit.
    goal : for `ratio`, value over beside; it is to be no more, or with `more` no less.
    """

    part: str
    what: str
    value: float
    unit: str
    n: int = 1
    p99: float | None = None
    worst: float | None = None
    peer: str = ""
    beside: float | None = None
    goal: float | None = None
    more: bool = False

    @property
    def ratio(self) -> float | None:
        """Of the value to what stands beside it."""
        return None if not self.beside else self.value / self.beside

    @property
    def met(self) -> bool | None:
        """Whether it is as it should be; None: there is no goal."""
        if self.goal is None or self.ratio is None:
            return None
        return self.ratio >= self.goal if self.more else self.ratio <= self.goal

    def facts(self) -> dict[str, Any]:
        """For JSON."""
        return {**asdict(self), "ratio": self.ratio, "met": self.met}


@dataclass
class Report:
    """What one bench has found, shown line by line as it is found.

    Parameters
    ----------
    quick : the bench is only to show that it works: few samples, small numbers, and figures that mean nothing.
    """

    quick: bool = False
    figures: list[Figure] = field(default_factory=list)
    checks: dict[str, bool] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    _part: str = ""

    def size(self, full: int, quick: int) -> int:
        """How many, much or long: `full`, or `quick` where only the working is shown."""
        return quick if self.quick else full

    def part(self, name: str) -> None:
        """What follows belongs to this."""
        self._part = name
        print(f"{name}:", flush=True)

    def figure(
        self,
        what: str,
        value: float | Sequence[float],
        unit: str,
        *,
        peer: str = "",
        beside: float | Figure | None = None,
        goal: float | None = None,
        limit: float | None = None,
        more: bool = False,
        p99: float | None = None,
        n: int = 0,
    ) -> Figure:
        """Note a figure, and show it.

        Parameters
        ----------
        value : one number, or samples; of these the median counts.
        beside : a number in the same unit, or another figure. goal, more : see :class:`Figure`.
        limit : in the same unit, what it is to be at most (with `more`: at least); beside and goal in one.
        p99, n : of samples that somebody else has counted.
        """
        if limit is not None:
            peer, beside, goal = peer or "the limit", limit, 1.0
        samples = sorted(value) if not isinstance(value, (int, float)) else [float(value)]
        n = n or len(samples)
        found = Figure(
            part=self._part,
            what=what,
            value=statistics.median(samples),
            unit=unit,
            n=n,
            p99=percentile(samples, 99) if len(samples) >= SAMPLES else p99 if n >= SAMPLES else None,
            worst=samples[0 if more else -1] if 1 < len(samples) < SAMPLES else None,
            peer=peer or (beside.what if isinstance(beside, Figure) else ""),
            beside=beside.value if isinstance(beside, Figure) else beside,
            goal=goal,
            more=more,
        )
        self.figures.append(found)
        print(f"  {sentence(found)}", flush=True)
        return found

    def check(self, what: str, holds: bool, found: object = "") -> None:
        """Note whether something is as it must be; `found` says what it is instead."""
        self.checks[what] = self.checks.get(what, True) and holds
        if not holds:
            self.note(f"DOES NOT HOLD: {what}{f': {found}' if found != '' else ''}")

    def note(self, text: str) -> None:
        """Something else that a reader should know: a profile of what was too slow."""
        self.notes.append(text)
        print(*(f"  {line}" for line in text.splitlines()), sep="\n", flush=True)

    @property
    def missed(self) -> Iterator[Figure]:
        """Figures that are not as they should be."""
        return (figure for figure in self.figures if figure.met is False)

    def facts(self) -> dict[str, Any]:
        """For JSON."""
        return {"figures": [one.facts() for one in self.figures], "checks": self.checks, "notes": self.notes}


def percentile(samples: Sequence[float], percent: float) -> float:
    """Of sorted samples; the smallest that so many percent do not exceed."""
    return samples[max(0, math.ceil(len(samples) * percent / 100) - 1)]


def sentence(figure: Figure) -> str:
    """A figure in one line."""
    text = f"{figure.what:44} {number(figure.value):>9} {figure.unit}"
    if figure.p99 is not None:
        text += f", p99 {number(figure.p99)}"
    if figure.worst is not None:
        text += f", {'least' if figure.more else 'worst'} {number(figure.worst)} of {figure.n}"
    if figure.ratio is not None:
        text += f"; {number(figure.ratio)} x {figure.peer} ({number(figure.beside or 0)})"
    if figure.met is not None:
        text += f", goal {'at least' if figure.more else 'at most'} {number(figure.goal or 0)} x: "
        text += "met" if figure.met else "MISSED"
    return text


def number(value: float) -> str:
    """With three digits that count."""
    if value == 0 or not math.isfinite(value):
        return f"{value:g}"
    digits = max(0, 2 - math.floor(math.log10(abs(value))))
    return f"{value:,.{min(digits, 6)}f}"
