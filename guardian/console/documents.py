"""The long documents of a node, GRAPH and DURATIONS: read once for all pages that want them.

They are not followed, since a page wants them seldom and they are long. GRAPH is read again where LOAD_TIME is another
one, which is asked for each time: a short PV. DURATIONS changes with every state, and may be some seconds old. Who asks
while somebody else's question is on its way gets the same answer.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Coroutine
from typing import Any

from guardian.client.watch import Watch
from guardian.console.board import Board
from guardian.core.documents import graph_told, read_times
from guardian.core.graph import Graph
from guardian.errors import ExpectedError

#: How old DURATIONS may be.
FRESH_S = 5.0


class UnreadableError(ExpectedError):
    """A node says what is no graph: it was cut, or is of a program that is newer, or another one."""


class Documents:
    """Those of all nodes."""

    def __init__(self, board: Board, watch: Watch) -> None:
        self._board = board
        self._watch = watch
        self._graphs: dict[str, tuple[str, Graph | None]] = {}  # with the LOAD_TIME of each
        self._times: dict[str, tuple[float, dict[str, dict[str, float]]]] = {}  # with when they were read
        self._asked: dict[tuple[str, str], asyncio.Task[Any]] = {}

    async def graph(self, node: str) -> Graph | None:
        """Its graph; None if it has none: it is an original Guardian's, or its code is not loaded yet.

        Raises
        ------
        ExpectedError
            It did not answer. So nobody takes a graph that could not be read for one without dangers.
        UnreadableError
            It answered what is no graph.
        """
        found: Graph | None = await self._once(node, "GRAPH", self._graph)
        return found

    async def times(self, node: str) -> dict[str, dict[str, float]]:
        """How long those of its states take that have ever completed, see :func:`read_times`.

        Raises
        ------
        ExpectedError
            It did not answer.
        """
        found: dict[str, dict[str, float]] = await self._once(node, "DURATIONS", self._durations)
        return found

    async def _once(self, node: str, row: str, ask: Callable[[str], Coroutine[Any, Any, Any]]) -> Any:
        asked = self._asked.get((node, row))
        if asked is None:
            asked = self._asked[node, row] = asyncio.create_task(ask(node))
            asked.add_done_callback(lambda _: self._asked.pop((node, row)))
        return await asyncio.shield(asked)

    async def _graph(self, node: str) -> Graph | None:
        loaded = await self._text(node, "LOAD_TIME")
        if node not in self._graphs or self._graphs[node][0] != loaded or not loaded:
            self._graphs[node] = loaded, _graph_of(await self._text(node, "GRAPH"))
        return self._graphs[node][1]

    async def _durations(self, node: str) -> dict[str, dict[str, float]]:
        stamp, times = self._times.get(node, (float("-inf"), {}))
        if time.monotonic() - stamp >= FRESH_S:
            try:
                times = read_times(await self._text(node, "DURATIONS"))
            except ValueError:  # good to know, and no more
                times = {}
            self._times[node] = time.monotonic(), times
        return times

    async def _text(self, node: str, row: str) -> str:
        """ "" of a node that is not there, or has no SUMMARY and so no such rows: it is not asked."""
        cell = self._board.cells.get(node)
        if cell is None or not (cell.facts.there and cell.facts.ours):
            return ""
        return await self._watch.read(self._board.names.pv(node, row))


def _graph_of(text: str) -> Graph | None:
    try:
        return graph_told(text)
    except (ValueError, ExpectedError):
        raise UnreadableError("its GRAPH cannot be read, it is cut or of another version") from None
