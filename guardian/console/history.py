"""GET /api/history: in which states nodes were, and how long, from the journals on this machine.

However often a node changes, an answer is of bounded size: stays that are shorter than a :data:`PARTS`-th of the time
become one band with those beside them, which tells how many they are. The sums are of all.
"""

from __future__ import annotations

import time
from contextlib import closing
from fnmatch import fnmatchcase
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route

from guardian.client.records.journals import Journals
from guardian.client.records.stays import Stays
from guardian.client.records.within import Bound
from guardian.console import asked
from guardian.console.console import Console
from guardian.console.elsewhere import Here, here, why_not_here
from guardian.console.problem import ProblemError
from guardian.core.stays import Stay
from guardian.errors import ExpectedError

#: Without ``since``, so many seconds.
USUAL_S = 3600.0
MOST_NODES = 60
#: A band is not shorter than such a part of the time, but where it stands alone.
PARTS = 1500


class Bands:
    """The stays of one node as they are drawn, and their sums.

    Parameters
    ----------
    shortest_s : see :data:`PARTS`.
    """

    def __init__(self, shortest_s: float) -> None:
        self.bands: list[dict[str, Any]] = []
        self.times: dict[str, float] = {}
        self.counts: dict[str, int] = {}
        self._shortest_s = shortest_s

    def add(self, stay: Stay) -> None:
        """The next one."""
        self.times[stay.state] = self.times.get(stay.state, 0.0) + stay.seconds
        self.counts[stay.state] = self.counts.get(stay.state, 0) + 1
        last = self.bands[-1] if self.bands else None
        if last is not None and stay.end - last["begin"] < self._shortest_s:
            last["end"] = stay.end
            last["count"] = last.get("count", 1) + 1
            last["state"] = last["state"] if last["state"] == stay.state else ""
        else:
            self.bands.append({"state": stay.state, "begin": stay.begin, "end": stay.end})


def routes(console: Console) -> list[BaseRoute]:
    """The one address."""

    async def history(request: Request) -> Response:
        now = time.time()
        since, until = asked.span(request)
        end = now if until is None else min(until, now)
        begin = end - USUAL_S if since is None else since
        if begin >= end:
            raise ProblemError(400, "since is in the future; nothing has happened there yet")
        nodes = _nodes(console, asked.names(request, "node"))

        def read(bound: Bound) -> tuple[dict[str, Any], Here]:
            told = _read(console, nodes, (begin, end, now), bound)
            return told, here(console, nodes, [node for node in nodes if told["nodes"][node]])

        told, found = await console.desk.read(request, read)
        told["says"] += await why_not_here(console, nodes, found)
        return JSONResponse(told)

    return [Route("/api/history", history)]


def _nodes(console: Console, asked_for: tuple[str, ...]) -> list[str]:
    """Patterns are those of nodes that the console knows."""
    found: list[str] = []
    for name in asked_for:
        known = any(letter in name for letter in "*?[")
        found += sorted(node for node in console.board.cells if fnmatchcase(node, name)) if known else [name]
    found = list(dict.fromkeys(found))
    if not found:
        raise ProblemError(
            400, "say of which nodes: node=SUS_MC1&node=IMC_LOCK, or a pattern that some have: node=SUS_*"
        )
    if len(found) > MOST_NODES:
        raise ProblemError(400, f"these are {len(found)} nodes; {MOST_NODES} are shown together at most: name fewer")
    return found


def _read(console: Console, nodes: list[str], times: tuple[float, float, float], bound: Bound) -> dict[str, Any]:
    said: list[str] = []
    since, until, now = times
    each = {node: Bands((until - since) / PARTS) for node in nodes}
    reached = None
    try:
        with closing(Journals(console.folders(), said.append)) as journals:
            stays = Stays(journals, nodes, since=since, until=until, now=now, bound=bound)
            for node, stay in stays:
                each[node].add(stay)
            reached = stays.reached
            if journals.damaged:
                said.append(f"damaged lines that were passed over: {journals.damaged}")
    except ExpectedError as error:
        said.append(str(error))
    return {
        "since": since,
        "until": until if reached is None else reached,
        "more": reached is not None,
        "now": now,
        "nodes": {node: bands.bands for node, bands in each.items()},
        "times": {node: bands.times for node, bands in each.items()},
        "counts": {node: bands.counts for node, bands in each.items()},
        "says": said,
    }
