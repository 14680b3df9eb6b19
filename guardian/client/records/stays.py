"""In which states nodes were, and how long, from the journals of their hosts: all of them in one pass."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from pathlib import Path

from guardian.client.records.journals import Journals, Record
from guardian.client.records.telling import DROPPED
from guardian.client.records.within import Bound
from guardian.core.durations import StateTimes
from guardian.core.stays import Stay, Whereabouts, tells_where
from guardian.core.who import WRITE
from guardian.host import durations
from guardian.host.alive import alive_stamps
from guardian.host.history import Query, Words, is_mark, word
from guardian.host.places import DURATIONS

#: A host that was there so lately is there: it says so every few seconds.
_LATELY_S = 15.0
#: Of a bound, for the search of where nodes were when the time began.
_SHARE = 0.4


class Stays(Iterator[tuple[str, Stay]]):
    """The stays of some nodes between two times: of each node the oldest first.

    Parameters
    ----------
    since, until : epoch seconds; None: open. now : epoch seconds. bound : how much may be looked at; None: all.

    Attributes
    ----------
    reached : what is later was not looked at, as it would be too much; None: all was.
    """

    def __init__(
        self,
        journals: Journals,
        nodes: Sequence[str],
        *,
        since: float | None,
        until: float | None,
        now: float,
        bound: Bound | None = None,
    ) -> None:
        self.reached: float | None = None
        self._journals = journals
        self._since = since
        self._until = until
        self._bound = bound
        begin, self._end = 0.0 if since is None else since, now if until is None else until
        self._nodes = {
            node: Whereabouts(begin=begin, end=self._end, alive=_alive(journals.folders, node, now)) for node in nodes
        }
        self._words: tuple[Words, ...] = tuple((word(node),) for node in self._nodes)
        self._stays = self._all()

    def __next__(self) -> tuple[str, Stay]:
        return next(self._stays)

    def _all(self) -> Iterator[tuple[str, Stay]]:
        if self._since is not None:
            self._find_begins(self._since)
        missed = set(self._nodes)  # those whose first record after the end has not come
        query = Query(since=self._since, words=self._words, marks=self._bound is not None)
        for record in self._journals.records(query, self._is_of_node):
            if is_mark(record):
                if self._is_enough(record):
                    self.reached = min(record["stamp"], self._end)
                    break
                continue
            node = record["node"]
            if node in missed:
                if (stay := self._nodes[node].hear(record)) is not None:
                    yield node, stay
                if record["stamp"] > self._end and self._until is not None:
                    missed.remove(node)
                    if not missed:
                        break
        for node, where in self._nodes.items():
            last = where.last() if self.reached is None or node not in missed else where.so_far(self.reached)
            if last is not None:
                yield node, last

    def _is_enough(self, mark: Record) -> bool:
        if self._bound is None or not self._bound.over(mark["bytes"]):
            return False
        return self._bound.ended or self._since is None or bool(mark["stamp"] > self._since)

    def _find_begins(self, since: float) -> None:
        """Where each node was then."""
        missed = set(self._nodes)
        bound = None if self._bound is None else self._bound.part(_SHARE)
        query = Query(until=since, words=self._words, newest_first=True, marks=bound is not None)
        for record in self._journals.records(query, lambda one: self._is_of_node(one) and tells_where(one)):
            if is_mark(record):
                if bound is not None and bound.over(record["bytes"]) and (bound.ended or record["stamp"] < since):
                    return
            elif record["node"] in missed:
                self._nodes[record["node"]].hear(record)
                missed.remove(record["node"])
                if not missed:
                    return

    def _is_of_node(self, record: Record) -> bool:
        return record.get("node") in self._nodes and record["kind"] not in (WRITE, DROPPED)


def _alive(folders: Sequence[Path], node: str, now: float) -> list[float]:
    """When each run of a host that has the node lived for the last time."""
    found: list[float] = []
    for folder in [folder for folder in folders if (folder / f"{node}.json").exists()] or folders:
        stamps = alive_stamps(folder)
        if stamps and now - stamps[-1] < _LATELY_S:
            stamps[-1] = now
        found += stamps
    return sorted(found)


def usual_times(folders: Sequence[Path], node: str) -> dict[str, StateTimes]:
    """How long the states of a node usually take; none: no host has learnt it."""
    for folder in folders:
        with contextlib.suppress(OSError, ValueError):
            if found := durations.read(folder / DURATIONS, node):
                return found
    return {}
