"""What a page needs of one node beside its cell: its PVs, its graph, and how long its states take; and the tree of all.

What a node does not say is null: it does not answer, is an original Guardian's, or has no code yet.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterable
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route

from guardian.console.console import Console
from guardian.core.documents import as_json, graph_facts
from guardian.core.facts import PLAIN_ROWS
from guardian.core.hierarchy import Place
from guardian.core.interface import ROWS
from guardian.errors import ExpectedError


def routes(console: Console) -> list[BaseRoute]:
    """One node, and the tree."""

    async def node(request: Request) -> Response:
        cell = console.cell(request.path_params["node"])
        graph, times = None, dict[str, dict[str, float]]()
        with contextlib.suppress(ExpectedError):
            graph = await console.documents.graph(cell.node)
        with contextlib.suppress(ExpectedError):
            times = await console.documents.times(cell.node)
        told = {
            "node": cell.node,
            "pvs": pvs(console, cell.node, plain=cell.facts.there and not cell.facts.ours),
            "graph": None if graph is None else graph_facts(graph),
            "durations": times,
            "nominal": cell.facts.nominal,
        }
        return Response(as_json(told), media_type="application/json")

    async def tree(_: Request) -> Response:
        return JSONResponse(branches(console.board.tree()))

    return [Route("/api/nodes/{node}", node), Route("/api/tree", tree)]


def pvs(console: Console, node: str, *, plain: bool) -> list[dict[str, Any]]:
    """The PVs of a node. `plain`: only those that every Guardian has."""
    return [
        {
            "row": row.name,
            "pv": console.names.pv(node, row.name),
            "text": row.text,
            "kind": row.kind.value,
            "units": row.units,
            "asg": row.asg.name,
            "writable": row.writable,
            "labels": row.labels,
        }
        for row in ROWS
        if not plain or row.name in PLAIN_ROWS
    ]


def branches(tree: Iterable[Place]) -> list[dict[str, Any]]:
    """Who manages whom."""
    return [
        {
            "node": place.facts.node,
            "flags": {flag.kind: flag.text for flag in place.flags},
            "watched": place.watched,
            "again": place.again,
            "below": branches(place.below),
        }
        for place in tree
    ]
