"""The way a node is going to take to a state, and what to know before it is sent there. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from difflib import get_close_matches

from guardian.cli.ctrl.facts import Facts
from guardian.core.graph import LISTED, Graph
from guardian.enums import NONE_STATE


@dataclass(frozen=True, slots=True, kw_only=True)
class Journey:
    """`states`: all that it passes, both ends included; empty where that is not known or there is no path."""

    node: str
    states: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()

    def __str__(self) -> str:
        if not self.states:
            return f"{self.node}: no way is known"
        return f"{self.node}: " + (" -> ".join(self.states) if len(self.states) > 1 else f"is in {self.states[0]}")


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
