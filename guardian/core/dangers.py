"""What makes a request one to think twice about, and whether it has become more so since somebody looked. Pure.

An order is given by somebody who saw the way some time ago. Where it meanwhile leads through DOWN, or out of NOMINAL,
or takes a node from a manager, that is not what was agreed to; anything else that changed is no reason to refuse it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from guardian.core.facts import Facts
from guardian.core.graph import LISTED, Graph
from guardian.core.journey import Journey
from guardian.core.when import span
from guardian.enums import NONE_STATE


@dataclass(frozen=True, slots=True, kw_only=True)
class Dangers:
    """Of one request; false if there are none.

    Parameters
    ----------
    passes_goto : goto states on the way, not at its end. leaves_nominal : the nominal state that it gives up, "": none.
    managed_by : who steers the node, "": nobody. manual : no edge is followed.
    unknown_way : it says which way it may take, and that cannot be read.
    """

    passes_goto: tuple[str, ...] = ()
    leaves_nominal: str = ""
    managed_by: str = ""
    manual: bool = False
    unknown_way: bool = False

    def __bool__(self) -> bool:
        return any(self.sentences())

    def sentences(self, known: Dangers | None = None) -> Iterator[str]:
        """What is dangerous; with `known`, only what was not so then."""
        known = known or Dangers()
        if gotos := [name for name in self.passes_goto if name not in known.passes_goto]:
            more = f" and {len(gotos) - LISTED} more" if len(gotos) > LISTED else ""
            yield f"the way passes {', '.join(gotos[:LISTED])}{more}, from where all is built up again"
        if self.leaves_nominal and not known.leaves_nominal:
            yield f"it gives up its nominal state, {self.leaves_nominal}"
        if self.managed_by and self.managed_by != known.managed_by:
            yield f"it is managed by {self.managed_by}"
        if self.manual and not known.manual:
            yield "its MODE is MANUAL, edges do not count"
        if self.unknown_way and not known.unknown_way:
            yield "its GRAPH cannot be read, so the way may pass any state, also one from where all is built up again"


def dangers(facts: Facts, graph: Graph | None, way: Journey, state: str, *, unreadable: bool = False) -> Dangers:
    """Those of a request for `state`, on this way. `unreadable`: there is a graph, and nobody can read it."""
    gotos = way.states[1:-1] if graph is not None else ()
    nominal = facts.nominal if facts.nominal != NONE_STATE else ""
    return Dangers(
        passes_goto=tuple(name for name in gotos if graph is not None and graph.is_goto(name)),
        leaves_nominal=nominal if nominal in (facts.state, facts.request) and state != nominal else "",
        managed_by=facts.managed_by,
        manual=facts.mode == "MANUAL",
        unknown_way=unreadable and state != NONE_STATE,
    )


def basis(facts: Facts, seen: Dangers) -> dict[str, Any]:
    """What a way was judged by, for who asks later: :func:`read_basis`."""
    return {
        "id": facts.id,
        "state": facts.state,
        "request": facts.request,
        "request_id": facts.request_id,
        "mode": facts.mode,
        "manager": facts.manager,
        "worker": facts.worker,
        "passes_goto": list(seen.passes_goto),
        "leaves_nominal": seen.leaves_nominal,
        "unknown_way": seen.unknown_way,
    }


def read_basis(told: Mapping[str, Any]) -> Dangers:
    """The dangers that were known.

    Raises
    ------
    ValueError
        It is no basis.
    """
    try:
        gotos = told["passes_goto"]
        if not isinstance(gotos, list):
            raise TypeError(gotos)
        return Dangers(
            passes_goto=tuple(str(name) for name in gotos),
            leaves_nominal=str(told["leaves_nominal"]),
            managed_by=str(told["manager"]) if told["mode"] == "MANAGED" else "",
            manual=told["mode"] == "MANUAL",
            unknown_way=bool(told["unknown_way"]),
        )
    except (KeyError, TypeError):
        raise ValueError("it is no basis of a way") from None


def verb(way: Journey, state: str) -> str:
    """What the button says: what it does, how far that is, and how long it usually takes."""
    if state == NONE_STATE:
        return "Withdraw the request"
    steps = len(way.states) - 1
    far = [f"{steps} state{'s' if steps > 1 else ''}"] if steps > 0 else []
    if way.expected is not None and way.expected.timed and not way.expected.untimed:
        far.append(f"usually {span(round(way.expected.usual_s, 1))}")
    return f"Request {state}" + (f" ({', '.join(far)})" if far else "")
