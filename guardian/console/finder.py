"""Keeps the board up to date on which nodes there are: asks the network, again and again.

A node is there once a host has listed it, or the command line or the site file has named it. It goes away only where it
was removed on purpose: the host that ran it answers, and lists it no more. One that does not answer stays on the wall,
and says so.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterable

from guardian.client.finding import Found, find_nodes
from guardian.client.names import Names
from guardian.client.watch import Watch
from guardian.console.board import Board

#: Between two searches; and before the next one as long as nothing was ever found.
EVERY_S, SOON_S = 10.0, 1.0
SEARCH_S = 0.6
_log = logging.getLogger(__name__)


class Finder:
    """Looks for the nodes of a site.

    Parameters
    ----------
    named : nodes that are there in any case.
    """

    def __init__(self, board: Board, watch: Watch, names: Names, named: Iterable[str]) -> None:
        self._board = board
        self._watch = watch
        self._names = names
        self._named = frozenset(named)
        self._listed_by: dict[str, str] = {}
        self._lists: dict[str, list[str]] = {}  # of each host, as it was last
        board.place(sorted(self._named))

    async def run(self) -> None:
        """Look until it is cancelled."""
        told: set[str] = set()
        while True:
            try:
                found = await find_nodes(self._names, SEARCH_S)
                for trouble in found.troubles:
                    if trouble not in told:
                        _log.warning("%s", trouble)
                told = set(found.troubles)
                self.take(found)
            except Exception:  # anybody on the network may answer with anything, and screens must not end by it
                _log.exception("the search for nodes has failed, and is tried again; please report this")
            await asyncio.sleep(EVERY_S if self._board.cells else SOON_S)

    def take(self, found: Found) -> None:
        """What was found."""
        there = found.nodes
        for node in [node for node in self._board.silent if node not in there and node not in self._named]:
            if self._has_removed(found, node):
                self._board.take_away(node)
                del self._listed_by[node]
        self._listed_by |= {node: hosts[0] for node, hosts in there.items()}
        self._lists |= found.hosts
        self._board.place(there)
        self._board.run_by({node: hosts for node, hosts in there.items() if len(hosts) > 1})
        silent = self._board.silent
        self._board.seek_plain(node for node in silent if node in self._named and node not in there)
        self._watch.renew(pv for node in silent for pv in self._board.pvs(node))

    def _has_removed(self, found: Found, node: str) -> bool:
        """Whether the very host that listed a node lists it no more; another one may have taken its port."""
        where = self._listed_by.get(node, "")
        if where not in found.hosts:
            return False
        now, before = found.hosts[where], self._lists[where]
        return not now or not {*before}.isdisjoint(now)
