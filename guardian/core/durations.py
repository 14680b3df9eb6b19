"""How long the states of a node take: until they complete, and until they are left. Pure.

Two times, and they must not be mixed up:

* **done**: from the entry to the first completion. That is what a request waits for when it passes the state; one in
  which the node then rests for days does not grow slower by it.
* **stay**: from the entry until the state is left.

"Usual" is the median of the last :data:`RECENT` times, so an odd night changes nothing, and a machine that was rebuilt
is known after some dozens of entries. Memory: some kB a state, however long it runs.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from statistics import median

#: Of each state so many times are kept, the newest.
RECENT = 50


@dataclass(frozen=True, slots=True, kw_only=True)
class Spans:
    """Times of one kind, in seconds.

    Parameters
    ----------
    count : how many there were. total_s : of all of them. recent : the last ones, the newest at the end.
    """

    count: int = 0
    total_s: float = 0.0
    recent: tuple[float, ...] = ()

    def and_one(self, seconds: float) -> Spans:
        """With one more."""
        seconds = round(seconds, 3)
        recent = (*self.recent[1 - RECENT :], seconds)
        return Spans(count=self.count + 1, total_s=round(self.total_s + seconds, 3), recent=recent)

    @property
    def usual_s(self) -> float:
        """The median; 0.0 if there is none."""
        return round(median(self.recent), 3) if self.recent else 0.0

    @property
    def p90_s(self) -> float:
        """Nine of ten took no longer."""
        return sorted(self.recent)[math.ceil(0.9 * len(self.recent)) - 1] if self.recent else 0.0

    @property
    def most_s(self) -> float:
        """The longest of the last ones."""
        return max(self.recent, default=0.0)

    @property
    def last_s(self) -> float:
        """The newest."""
        return self.recent[-1] if self.recent else 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class StateTimes:
    """What is known of one state."""

    done: Spans = field(default_factory=Spans)
    stay: Spans = field(default_factory=Spans)


@dataclass(frozen=True, slots=True, kw_only=True)
class Expected:
    """How long a way is going to take, as far as that is known.

    Parameters
    ----------
    usual_s : the sum of what its states usually take. most_s : of the longest that each of them took lately.
    untimed : states on the way that have never completed. timed : whether any has.
    """

    usual_s: float = 0.0
    most_s: float = 0.0
    untimed: tuple[str, ...] = ()
    timed: bool = False


def expected(states: Sequence[str], known: Mapping[str, tuple[float, float]]) -> Expected:
    """What the completion of these states takes, one after the other.

    Parameters
    ----------
    known : by state, what it usually takes, and the longest that it took lately; seconds.
    """
    timed = [known[state] for state in states if state in known]
    return Expected(
        usual_s=round(sum(usual for usual, _ in timed), 3),
        most_s=round(sum(most for _, most in timed), 3),
        untimed=tuple(state for state in states if state not in known),
        timed=bool(timed),
    )
