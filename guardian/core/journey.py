"""The way a node is going to take to a state, and what to know before it is sent there. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from difflib import get_close_matches

from guardian.core.durations import Expected, expected
from guardian.core.facts import Facts
from guardian.core.graph import LISTED, Graph
from guardian.core.when import span
from guardian.enums import NONE_STATE


@dataclass(frozen=True, slots=True, kw_only=True)
class Journey:
    """`states`: all that it passes, both ends included; empty where that is not known or there is no path.

    `expected`: how long it is going to take; None if nothing has to be waited for, or the node does not say.
    """

    node: str
    states: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    expected: Expected | None = None

    def __str__(self) -> str:
        if not self.states:
            return f"{self.node}: no way is known"
        way = " -> ".join(self.states) if len(self.states) > 1 else f"is in {self.states[0]}"
        return f"{self.node}: {way}{_how_long(self.expected)}"


def why_not_state(facts: Facts, graph: Graph | None, state: str) -> str | None:
    """Why a node cannot be asked for this state; None if it can, or only the node knows."""
    if graph is None or state in graph or state == NONE_STATE:
        return None
    near = get_close_matches(state.upper(), list(graph.states), n=1)
    menu = ", ".join(graph.menu[:LISTED]) + (" and more" if len(graph.menu) > LISTED else "")
    return f"{facts.node} has no state {state!r}; " + (f"did you mean {near[0]}?" if near else f"its menu is {menu}")


def journey(facts: Facts, graph: Graph | None, state: str) -> Journey:
    """From where the node is now. A state that it does not have is refused before, see :func:`why_not_state`."""
    warnings = list(_hindrances(facts))
    states: tuple[str, ...] = ()
    if state == NONE_STATE:
        states = (facts.state,)
        warnings.append(f"{NONE_STATE} withdraws its request: it stays where it is")
    elif graph is None:
        warnings.append("its graph is not known, so neither is the way")
    elif facts.mode == "MANUAL":
        states = (facts.state, state)
        warnings.append(f"MODE is MANUAL: it enters {state} directly, edges do not count")
    elif facts.state not in graph:
        warnings.append(f"it is in {facts.state}, from where the way is not known")
    elif path := graph.path(facts.state, state):
        states = path
        gotos = [name for name in path[1:-1] if graph.is_goto(name)]
        warnings += [f"the way passes {name}, a goto state" for name in gotos]
    else:
        warnings.append(graph.why_no_path(facts.state, state))
    return Journey(node=facts.node, states=states, warnings=tuple(warnings))


def timed(way: Journey, facts: Facts, graph: Graph | None, known: Mapping[str, tuple[float, float]]) -> Journey:
    """The way, with how long it is going to take.

    Parameters
    ----------
    known : what the node says of its states, see `guardian.core.documents.read_durations`.
    """
    if not way.states or (to_come := _to_complete(way.states, facts, graph)) == ():
        return way
    return replace(way, expected=expected(to_come, known))


def _to_complete(states: tuple[str, ...], facts: Facts, graph: Graph | None) -> tuple[str, ...]:
    """Those of a way that have to complete until it has arrived; the present one only if that is waited for."""
    present, *rest = states
    if facts.status == "DONE" or facts.mode == "MANUAL":
        return tuple(rest)
    leaves_at_once = rest and graph is not None and graph.is_goto(rest[0]) and graph[present].redirect
    return tuple(rest) if leaves_at_once else states


def _how_long(told: Expected | None) -> str:
    if told is None:
        return ""
    if not told.timed:
        return f" ({' and '.join(told.untimed[:LISTED])} never timed)"
    missing = f", without {' and '.join(told.untimed[:LISTED])} (never timed)" if told.untimed else ""
    return f", usually {_about(told.usual_s)}, at most so far {_about(told.most_s)}{missing}"


def _about(seconds: float) -> str:
    return "less than 1 s" if seconds < 1 else span(seconds)


def _hindrances(facts: Facts) -> list[str]:
    """What stands between a request and its end, whatever the way."""
    found = []
    if facts.managed_by:
        found.append(f"it is managed by {facts.managed_by}, which may ask for another state; MODE=AUTO takes it away")
    if facts.op in ("STOP", "PAUSE"):
        found.append(f"OP is {facts.op}: it goes nowhere before OP=EXEC")
    if facts.worker == "DEAD":
        found.append(facts.reason)
    if facts.error == "ERROR":
        found.append(f"ERROR in {facts.state}: only a redirect, LOAD or REENTER gets it out of there")
    if facts.error == "CONNECT":
        found.append(f"{facts.state} waits for {', '.join(facts.connect) or 'a channel'}")
    return found
