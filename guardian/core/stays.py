"""In which states a node was, and how long, from the records of its journal. Pure.

A stay begins with the record of an entry (kind ``enter``) and ends with the next one. It ends, too, when the node
leaves its host (``end``). A host that was killed tells no end: the node was there as long as that host is known to
have lived, or until the last thing that it did.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from guardian.enums import Status


@dataclass(frozen=True, slots=True, kw_only=True)
class Stay:
    """Epoch seconds, from when to when."""

    state: str
    begin: float
    end: float

    @property
    def seconds(self) -> float:
        return self.end - self.begin


def tells_where(record: Mapping[str, Any]) -> bool:
    """Whether it says that a node is in a state from now on, or nowhere."""
    return record["kind"] in ("enter", "end") or _begins(record)


def _begins(record: Mapping[str, Any]) -> bool:
    """Whether a host has begun with the node: its first worker starts."""
    return bool(record["kind"] == "worker" and record.get("status") == Status.INIT.name)


class Whereabouts:
    """Where one node was between two times, told record by record. What reaches over an end is cut there.

    Parameters
    ----------
    begin, end : epoch seconds. alive : when each run of its host lived for the last time, sorted epoch seconds.
    """

    def __init__(self, *, begin: float, end: float, alive: Sequence[float] = ()) -> None:
        self._begin = begin
        self._end = end
        self._alive = alive
        self._state = ""
        self._since = self._last = begin

    def hear(self, record: Mapping[str, Any]) -> Stay | None:
        """The next one of its records; the stay that ends with it."""
        stamp, ended = float(record["stamp"]), None
        if tells_where(record):
            left = min(stamp, _seen(self._last, stamp, self._alive)) if _begins(record) else stamp
            ended = self._stay(left)
            entered = record["kind"] == "enter"
            self._state, self._since = (str(record.get("state", "")), stamp) if entered else ("", stamp)
        self._last = max(self._last, stamp)
        return ended

    def last(self) -> Stay | None:
        """There are no more records: the stay that nothing has ended."""
        return self._stay(_seen(self._last, self._end, self._alive))

    def so_far(self, at: float) -> Stay | None:
        """There may be more records, later than `at`: the stay up to there."""
        return self._stay(at)

    def _stay(self, left: float) -> Stay | None:
        begin, end = max(self._since, self._begin), min(left, self._end)
        return Stay(state=self._state, begin=begin, end=end) if self._state and end > begin else None


def stays(
    records: Iterable[Mapping[str, Any]], *, begin: float, end: float, alive: Sequence[float] = ()
) -> Iterator[Stay]:
    """The stays of one node between two times, the oldest first; those that reach over an end are cut there.

    Parameters
    ----------
    records : of the node, the oldest first; before them the last one that tells where it was at `begin`, and behind
        them the first one after `end`, which tells that it was there until then.
    alive : when each run of its host lived for the last time, sorted epoch seconds.
    """
    where = Whereabouts(begin=begin, end=end, alive=alive)
    for record in records:
        if (stay := where.hear(record)) is not None:
            yield stay
    if (stay := where.last()) is not None:
        yield stay


def _seen(last: float, before: float, alive: Sequence[float]) -> float:
    """When the node was there for the last time: it did something, or the run of its host lived in which it did that.

    Each run has one time, the last one at which it lived: so it is the first of these that is not earlier.
    """
    at = bisect_left(alive, last)
    return max(last, min(alive[at], before)) if at < len(alive) else last
