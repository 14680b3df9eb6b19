"""In which states a node was, and how long, from the records of its journal. Pure.

A stay begins with the record of an entry (kind ``enter``) and ends with the next one. It ends, too, when the node
leaves its host (``end``). A host that was killed tells no end: the node was there as long as that host is known to
have lived, or until the last thing that it did.
"""

from __future__ import annotations

from bisect import bisect_right
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


def stays(
    records: Iterable[Mapping[str, Any]], *, begin: float, end: float, alive: Sequence[float] = ()
) -> Iterator[Stay]:
    """The stays of one node between two times, the oldest first; those that reach over an end are cut there.

    Parameters
    ----------
    records : of the node, the oldest first; before them the last one that tells where it was at `begin`, and behind
        them the first one after `end`, which tells that it was there until then.
    alive : sorted epoch seconds at which its host is known to have lived.
    """
    state, since, last = "", begin, begin
    for record in records:
        stamp = float(record["stamp"])
        if tells_where(record):
            left = min(stamp, _seen(last, stamp, alive)) if _begins(record) else stamp
            if state and left > max(since, begin):
                yield Stay(state=state, begin=max(since, begin), end=min(left, end))
            state, since = (str(record.get("state", "")), stamp) if record["kind"] == "enter" else ("", stamp)
        last = max(last, stamp)
    if state and (left := _seen(last, end, alive)) > max(since, begin):
        yield Stay(state=state, begin=max(since, begin), end=min(left, end))


def _seen(last: float, before: float, alive: Sequence[float]) -> float:
    """When the node was there for the last time: its host lived, or it did something."""
    at = bisect_right(alive, before)
    return max(last, alive[at - 1]) if at else last
