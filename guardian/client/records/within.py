"""Answers in bounded time: how much may be looked at for one, and where the next one goes on.

Whoever waits for an answer gets the newest that was found until then, and a place: what is older is asked for with it.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from guardian.errors import ExpectedError

T = TypeVar("T")
#: Of one time, so many can be passed over: an answer has to find them all again before it goes on.
MOST_SKIPPED = 10_000


@dataclass(slots=True)
class Bound:
    """How much may be looked at. Another thread may set `stopped`.

    An answer may take more where it would not come any further than the one before: at the very least it goes on.
    """

    seconds: float
    most_bytes: int
    stopped: threading.Event = field(default_factory=threading.Event)
    _looked: int = 0
    _begin: float = field(default_factory=time.monotonic)

    def over(self, more_bytes: int) -> bool:
        """Whether it is enough, with so many bytes that were looked at since the last call."""
        self._looked += more_bytes
        late = time.monotonic() - self._begin > self.seconds
        return late or self._looked > self.most_bytes or self.ended

    @property
    def ended(self) -> bool:
        """Whether nobody waits for the answer any more."""
        return self.stopped.is_set()

    def part(self, share: float) -> Bound:
        """A part of it, from now on."""
        return Bound(self.seconds * share, int(self.most_bytes * share), self.stopped)


@dataclass(frozen=True, slots=True)
class Before:
    """A place among what is sorted by time, the newest first: behind the first `skip` of that very time."""

    stamp: float
    skip: int = 0

    @classmethod
    def parse(cls, text: str) -> Before:
        """As :meth:`__str__` writes it, or a time alone.

        Raises
        ------
        ExpectedError
        """
        stamp, _, skip = text.partition("~")
        try:
            found = cls(float(stamp), int(skip or 0))
        except ValueError:
            found = cls(float("nan"))
        if not abs(found.stamp) < 1e12 or found.skip < 0:
            raise ExpectedError(f'before={text!r} is no place: give what the answer before has as "before"')
        if found.skip > MOST_SKIPPED:
            raise ExpectedError(
                f"before={text!r} passes over {found.skip} of one time, and {MOST_SKIPPED} can be: give another span"
            )
        return found

    def __str__(self) -> str:
        return f"{self.stamp!r}~{self.skip}" if self.skip else repr(self.stamp)


@dataclass(frozen=True, slots=True, kw_only=True)
class Page(Generic[T]):
    """What was found, the newest first. ``before``: where it goes on; None: there is no more."""

    found: list[T]
    before: Before | None = None


def page(
    found: list[T],
    stamp_of: Callable[[T], float],
    *,
    most: int,
    before: Before | None = None,
    reached: float | None = None,
) -> Page[T]:
    """The next page of what was found, which is sorted, the newest first, from the time of `before` on.

    Parameters
    ----------
    most : on a page. reached : what is older was not looked at; None: this is all.
    """
    skip = 0
    if before is not None:
        same = next((at for at, one in enumerate(found) if stamp_of(one) != before.stamp), len(found))
        skip = min(before.skip, same)
    left = found[skip : skip + most]
    if len(found) > skip + most:
        stamp = stamp_of(left[-1])
        again = sum(stamp_of(one) == stamp for one in left)
        if before is not None and before.stamp == stamp:
            again += skip
        return Page(found=left, before=Before(stamp, again))
    if reached is None:
        return Page(found=left)
    return Page(found=left, before=Before(reached, sum(stamp_of(one) == reached for one in found)))
