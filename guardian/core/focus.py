"""What of a large graph is worth looking at: the way to what is requested, and what is beside it. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from guardian.core.graph import Graph

#: A graph of more states is first shown by its focus.
WHOLE_UP_TO = 40


@dataclass(frozen=True, slots=True, kw_only=True)
class Focus:
    """Part of a graph.

    Parameters
    ----------
    way : from the present state to the one requested, both included, as far as it is known. states : all that is shown.
    """

    way: tuple[str, ...]
    states: frozenset[str]


def focus(graph: Graph, *, state: str, target: str, request: str) -> Focus:
    """The way, what one declared edge leads to or from it, and the states that are reached from everywhere.

    Names that the graph does not have are passed over: the node may say NONE, or be of other code by now.
    """
    way = _way(graph, state, target, request)
    near = {*way, *(name for name in (state, target, request) if name in graph)}
    beside = {
        name
        for edge in graph.edges
        if not edge.implied and (edge.start in near or edge.end in near)
        for name in (edge.start, edge.end)
    }
    gotos = {name for name in graph.states if graph.is_goto(name)}
    return Focus(way=way, states=frozenset(near | beside | gotos) or frozenset(_first(graph.states)))


def _way(graph: Graph, state: str, target: str, request: str) -> tuple[str, ...]:
    """Through the target: the node has decided for it, and may be held there."""
    if state not in graph:
        return ()
    if target not in graph or target == state:
        return (graph.path(state, request) if request in graph else None) or (state,)
    return (state, *((graph.path(target, request) if request in graph else None) or (target,)))


def _first(names: Iterable[str]) -> tuple[str, ...]:
    return tuple(names)[:1]
