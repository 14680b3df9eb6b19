"""What the console knows of all nodes at this moment, and who waits for news of it. Pure, but for the wait.

The board is told what was heard (:meth:`Board.hear`) and which nodes there are (:meth:`Board.place`); it numbers what
changed, so that each page is sent what is new to it and nothing else. A node is a :class:`Cell`: what SUMMARY says, and
where it stands among its managers. The rows of single nodes are kept as long as a page shows them.

Invariants
----------
* A number is never given twice, and each change of a cell or a row has a higher one.
* A cell is encoded once for all pages.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field

import msgspec

from guardian.client.names import Names
from guardian.client.watch import Heard, Watch
from guardian.core.facts import PLAIN_ROWS, Facts, from_rows, from_summary
from guardian.core.hierarchy import Flag, Place, grow
from guardian.core.interface import ROWS
from guardian.core.texts import printable
from guardian.enums import Severity

SUMMARY, SUBNODES = "SUMMARY", "SUBNODES"
#: What is followed of every node.
ALWAYS = (SUMMARY, SUBNODES)
#: What a page shows of one node.
SHOWN = tuple(row.name for row in ROWS)

_encode = msgspec.json.Encoder().encode


@dataclass(slots=True)
class Cell:
    """A node. ``seq``: number of its last change. ``text``: the JSON of it that pages get.

    hosts : that run it, if there are several: then nobody knows which of them is seen here.
    """

    node: str
    facts: Facts
    seq: int = 0
    under: str = ""
    flags: dict[str, str] = field(default_factory=dict)
    hosts: tuple[str, ...] = ()
    text: str = ""

    @property
    def twice(self) -> str:
        """What is wrong with a node that several hosts run, else ""."""
        return f"is run by {' and '.join(self.hosts)}: remove it from all but one" if self.hosts else ""

    def encode(self) -> None:
        """Make ``text``."""
        said, twice = self.facts, self.twice
        told = {
            "node": self.node,
            "there": said.there,
            "ours": said.ours,
            "severity": Severity.MAJOR.name if twice and said.there else said.worst.name,
            "ok": said.ok and not twice,
            "state": said.state,
            "request": said.request,
            "target": said.target,
            "status": said.status,
            "nominal": said.nominal,
            "stalled": said.stalled,
            "op": said.op,
            "mode": said.mode,
            "manager": said.managed_by,
            "worker": said.worker,
            "error": said.error,
            "load": said.load,
            "since": said.since,
            "id": said.id,
            "says": said.says,
            "why": twice or said.reason,
            "by": said.by,
            "connect": said.connect,
            "under": self.under,
            "flags": self.flags,
            "where": said.where,
        }
        self.text = _encode(told).decode()


@dataclass(slots=True)
class Row:
    """A PV of a node that a page shows, as its text. ``severity``: of its alarm; ``stamp``: epoch seconds."""

    text: str
    severity: int
    stamp: float
    seq: int


class Board:
    """All nodes.

    Attributes
    ----------
    cells : by node. gone : number of the change in which a node was taken away. seq : number of the last change.
    """

    def __init__(self, names: Names) -> None:
        self.names = names
        self.cells: dict[str, Cell] = {}
        self.gone: dict[str, int] = {}
        self.seq = 0
        self._watch: Watch | None = None
        self._pvs: dict[str, tuple[str, str]] = {}  # node and row of each PV that is followed
        self._plain: dict[str, dict[str, str]] = {}  # rows of nodes without SUMMARY
        self._listed: dict[str, dict[str, bool]] = {}
        self._rows: dict[str, dict[str, Row]] = {}
        self._readers: dict[str, int] = {}
        self._waiting: set[asyncio.Event] = set()

    def attach(self, watch: Watch) -> None:
        """From now on PVs are followed."""
        self._watch = watch

    # -- which nodes there are -----------------------------------------------------------------------------------------

    def place(self, nodes: Iterable[str]) -> None:
        """There are these, too."""
        new = [node for node in nodes if node not in self.cells]
        for node in new:
            self.cells[node] = Cell(node=node, facts=Facts(node=node))
            self.gone.pop(node, None)
            self._follow(node, ALWAYS)
        if new:
            self._changed({*new}, replant=True)

    def take_away(self, node: str) -> None:
        """There is no such node any more."""
        if self.cells.pop(node, None) is not None:
            if node not in self._readers:
                self._leave(node, (*ALWAYS, *PLAIN_ROWS))
            self._plain.pop(node, None)
            self._listed.pop(node, None)
            self.seq += 1
            self.gone[node] = self.seq
            self._changed(set(), replant=True)

    def run_by(self, several: Mapping[str, Iterable[str]]) -> None:
        """Which nodes are run by several hosts, and by which."""
        changed = set()
        for node, cell in self.cells.items():
            if (hosts := tuple(several.get(node, ()))) != cell.hosts:
                cell.hosts = hosts
                changed.add(node)
        if changed:
            self._changed(changed, replant=True)

    def seek_plain(self, nodes: Iterable[str]) -> None:
        """These have no SUMMARY: an original Guardian's. They are known by the PVs that every Guardian has."""
        for node in nodes:
            if node not in self._plain:
                self._plain[node] = {}
                self._follow(node, PLAIN_ROWS)

    @property
    def silent(self) -> list[str]:
        """Nodes that do not answer."""
        return [node for node, cell in self.cells.items() if not cell.facts.there]

    def pvs(self, node: str) -> list[str]:
        """What is followed of a node, by full names."""
        return [pv for pv, (owner, _) in self._pvs.items() if owner == node]

    # -- what they say -------------------------------------------------------------------------------------------------

    def hear(self, news: Mapping[str, Heard]) -> None:
        """PVs have changed, by full name."""
        changed: set[str] = set()
        replant = False
        self.seq += 1
        for pv, heard in news.items():
            node, row = self._pvs.get(pv, ("", ""))
            if not node:
                continue
            if node in self._rows and row in SHOWN:
                self._hear_row(node, row, heard)
            cell = self.cells.get(node)
            if cell is None:
                continue
            if row == SUBNODES:
                replant |= self._hear_listed(node, heard.text)
            elif row == SUMMARY or (node in self._plain and row in PLAIN_ROWS):
                before = cell.facts
                cell.facts = self._facts(cell, row, heard)
                if cell.facts != before:
                    changed.add(node)
                    replant |= _place_of(before) != _place_of(cell.facts)
        self._changed(changed, replant=replant)

    def _facts(self, cell: Cell, row: str, heard: Heard) -> Facts:
        node = cell.node
        if row == SUMMARY:
            if heard.reading is None:
                return Facts(node=node) if cell.facts.ours else cell.facts
            try:
                return from_summary(node, heard.where, heard.text, "")
            except ValueError as error:
                why = printable(str(error))
                return Facts(node=node, where=heard.where, ours=True, why=why, severity=Severity.INVALID.name)
        rows = self._plain[node]
        if heard.reading is None:
            rows.pop(row, None)
        else:
            rows[row] = heard.text
        if cell.facts.ours:
            return cell.facts
        where = heard.where or cell.facts.where
        return from_rows(node, where, rows) if rows else Facts(node=node)

    def _hear_listed(self, node: str, text: str) -> bool:
        try:
            listed = {str(one["node"]): bool(one["taken"]) for one in json.loads(text or "[]")}
        except (ValueError, TypeError, KeyError, RecursionError):  # of another program
            listed = {}
        before = self._listed.get(node, {})
        self._listed[node] = listed
        return listed != before

    def _changed(self, nodes: set[str], *, replant: bool) -> None:
        if replant:
            nodes |= self._replant()
        if nodes:
            self.seq += 1
            for node in nodes:
                cell = self.cells[node]
                cell.seq = self.seq
                cell.encode()
        for event in self._waiting:
            event.set()

    def _replant(self) -> set[str]:
        """Give each node its place in the tree; those whose place or flags changed."""
        under: dict[str, str] = {}
        flags: dict[str, dict[str, str]] = {}
        for above, place in _walk(self.tree()):
            node = place.facts.node
            if not place.again:
                under[node] = above
                flags[node] = {flag.kind: flag.text for flag in place.flags}
        moved = set()
        for node, cell in self.cells.items():
            if (cell.under, cell.flags) != (where := (under.get(node, ""), flags.get(node, {}))):
                cell.under, cell.flags = where
                moved.add(node)
        return moved

    def tree(self) -> list[Place]:
        """Who manages whom at this moment: the roots."""
        facts = {node: cell.facts for node, cell in self.cells.items()}
        listed = {
            node: {child: taken for child, taken in nodes.items() if child in facts}
            for node, nodes in self._listed.items()
            if node in facts
        }
        roots = grow(facts, listed)
        for _, place in _walk(roots):
            if not place.again and (twice := self.cells[place.facts.node].twice):
                place.flags.append(Flag(kind="TWICE", text=twice))
        return roots

    # -- the rows of one node ------------------------------------------------------------------------------------------

    @contextmanager
    def showing(self, node: str) -> Iterator[None]:
        """While a page shows a node its rows are kept. Pages share them."""
        self._readers[node] = self._readers.get(node, 0) + 1
        if self._readers[node] == 1:
            self._rows[node] = {}
            self._follow(node, SHOWN)
        try:
            yield
        finally:
            self._readers[node] -= 1
            if not self._readers[node]:
                del self._readers[node], self._rows[node]
                kept = (*ALWAYS, *(PLAIN_ROWS if node in self._plain else ())) if node in self.cells else ()
                self._leave(node, [row for row in SHOWN if row not in kept])

    def rows(self, node: str, since: int = -1) -> dict[str, Row]:
        """What a page that is shown `node` is to know, of what changed after number `since`."""
        return {name: row for name, row in self._rows.get(node, {}).items() if row.seq > since}

    def _hear_row(self, node: str, row: str, heard: Heard) -> None:
        reading = heard.reading
        if reading is None:
            self._rows[node][row] = Row(text="", severity=3, stamp=0.0, seq=self.seq)
        else:
            self._rows[node][row] = Row(
                text=heard.text, severity=reading.severity, stamp=reading.stamp_utc, seq=self.seq
            )

    # -- PVs and waiting -----------------------------------------------------------------------------------------------

    def _follow(self, node: str, rows: Iterable[str]) -> None:
        new = {self.names.pv(node, row): (node, row) for row in rows}
        again = [pv for pv in new if pv in self._pvs]
        self._pvs |= new
        if self._watch is not None:
            self._watch.follow(pv for pv in new if pv not in again)
            self._watch.tell_again(again)

    def _leave(self, node: str, rows: Iterable[str]) -> None:
        pvs = [pv for row in rows if (pv := self.names.pv(node, row)) in self._pvs]
        for pv in pvs:
            del self._pvs[pv]
        if self._watch is not None:
            self._watch.leave(pvs)

    @contextmanager
    def waiting(self) -> Iterator[asyncio.Event]:
        """An event that is set by each change, from now on."""
        event = asyncio.Event()
        self._waiting.add(event)
        try:
            yield event
        finally:
            self._waiting.discard(event)


def _place_of(said: Facts) -> tuple[object, ...]:
    """What the place and the flags of a node are made of: the tree is not made anew for each step of a node."""
    stalls = (said.state, said.request) if said.stalled else ()
    return said.there, said.mode, said.manager, stalls


def _walk(tree: Iterable[Place], above: str = "") -> Iterator[tuple[str, Place]]:
    for place in tree:
        yield above, place
        yield from _walk(place.below, place.facts.node)
