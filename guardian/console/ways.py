"""The way to a state, before anybody asks for it: what the dialog of a request shows."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass, replace
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from guardian.console.console import Console, ProblemError
from guardian.console.documents import UnreadableError
from guardian.core.dangers import Dangers, basis, dangers, verb
from guardian.core.documents import as_json
from guardian.core.facts import Facts
from guardian.core.journey import Journey, journey, timed, why_not_state
from guardian.core.names import NAME_BYTES
from guardian.errors import ExpectedError


@dataclass(frozen=True, slots=True, kw_only=True)
class Way:
    """Of one node to one state, at one moment. ``times``: what states on it usually take, in seconds."""

    facts: Facts
    state: str
    journey: Journey
    dangers: Dangers
    times: dict[str, float]

    def encode(self) -> dict[str, Any]:
        """As pages get it."""
        took, dangerous = self.journey.expected, self.dangers
        untold = replace(dangerous, passes_goto=(), managed_by="", manual=False)  # the journey warns of the others
        return {
            "node": self.facts.node,
            "state": self.state,
            "states": self.journey.states,
            "warnings": [*self.journey.warnings, *untold.sentences()],
            "usual_s": took.usual_s if took is not None and took.timed else None,
            "most_s": took.most_s if took is not None and took.timed else None,
            "untimed": took.untimed if took is not None else (),
            "times": self.times,
            "passes_goto": dangerous.passes_goto,
            "leaves_nominal": bool(dangerous.leaves_nominal),
            "managed_by": dangerous.managed_by,
            "dangerous": bool(dangerous),
            "word": verb(self.journey, self.state),
            "basis": basis(self.facts, dangerous),
        }


def routes(console: Console) -> list[BaseRoute]:
    """The way of a node."""

    async def way(request: Request) -> Response:
        way = await way_of(console, request.path_params["node"], request.query_params.get("state", ""))
        return Response(as_json(way.encode()), media_type="application/json")

    return [Route("/api/nodes/{node}/way", way)]


async def way_of(console: Console, node: str, state: str) -> Way:
    """From where the node is now.

    Raises
    ------
    ProblemError
        It cannot be asked for this state.
    """
    cell = console.cell(node)
    if not 0 < len(state.encode()) <= NAME_BYTES or not state.isprintable():
        raise ProblemError(400, f"which state of {node}? Say its name: 1 to {NAME_BYTES} bytes that can be shown")
    if not cell.facts.there:
        raise ProblemError(409, f"{node} cannot be asked for {state}: it does not answer; start its host, or wait")
    graph, unreadable = None, False
    try:
        graph = await console.documents.graph(node)
    except UnreadableError:
        unreadable = True
    except ExpectedError as error:
        raise ProblemError(409, f"the way of {node} to {state} is not known: {error}; try again") from None
    took: dict[str, dict[str, float]] = {}
    with contextlib.suppress(ExpectedError):  # good to know, and no reason to ask for nothing
        took = await console.documents.times(node)
    facts = cell.facts
    if why := why_not_state(facts, graph, state):
        raise ProblemError(404, why)
    known = {name: (times["usual"], times["most"]) for name, times in took.items()}
    found = timed(journey(facts, graph, state), facts, graph, known)
    return Way(
        facts=facts,
        state=state,
        journey=found,
        dangers=dangers(facts, graph, found, state, unreadable=unreadable),
        times={name: took[name]["usual"] for name in found.states if name in took},
    )
