"""``guardctrl tree [NODE...]``: draws who manages whom, and flags what is wrong with it.

=========  =====================================================================
STALLED    it rests away from its request, and waits for its manager
UNMANAGED  a manager took it, and it is in MODE AUTO or MANUAL now
CONTESTED  two managers took it, or one did and another one has it
ORPHANED   the manager it follows does not answer
MISSING    it is listed, by a manager or a host, and does not answer
=========  =====================================================================

Exit code 1: something is flagged.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from guardian.cli.ctrl import add_nodes, prepare, say
from guardian.cli.ctrl.listing import named
from guardian.cli.ctrl.names import names_of
from guardian.cli.orders import Order
from guardian.cli.output import FAILED, OK
from guardian.client.names import Names
from guardian.core.facts import Facts
from guardian.core.hierarchy import Place, draw, grow
from guardian.errors import ExpectedError

if TYPE_CHECKING:
    from guardian.client.ca import Session

SUBNODES = "SUBNODES"
_ABOUT = "Flags nodes that are STALLED, UNMANAGED, CONTESTED, ORPHANED or MISSING; exit code 1 if there are any."


def define(order: Order) -> None:
    """What it takes."""
    prepare(order, _tree, about=_ABOUT)
    add_nodes(order, text="what is at and below these nodes only", least_one=False)


def _tree(options: argparse.Namespace) -> int:
    from guardian.client.ca import Session

    names = names_of(options)
    first = named(options.nodes, names)
    facts, listed = _read_all(Session(), first, names, searched=not options.nodes)
    tree = grow(facts, listed)
    if options.json:
        print(json.dumps([_as_dict(place) for place in tree]))
    else:
        for line in draw(tree):
            print(line)
    return FAILED if any(map(_flagged, tree)) else OK


def _read_all(
    session: Session, first: Sequence[str], names: Names, *, searched: bool
) -> tuple[dict[str, Facts], dict[str, dict[str, bool]]]:
    """These nodes and all below them, level by level: what each says, and the nodes that it lists, taken or not."""
    from guardian.cli.ctrl.remote import connect

    facts: dict[str, Facts] = {}
    listed: dict[str, dict[str, bool]] = {}
    level = list(first)
    while level:
        for remote in connect(session, level, names, (SUBNODES,), searched=searched):
            facts[remote.node] = Facts(node=remote.node)
            try:
                facts[remote.node] = remote.facts()
                nodes = _nodes(remote.text(SUBNODES))
            except ExpectedError as error:
                say(str(error))
                continue
            if nodes:
                listed[remote.node] = nodes
        below = [node for nodes in listed.values() for node in nodes if node not in facts]
        level = list(dict.fromkeys(below))
    return facts, listed


def _nodes(text: str) -> dict[str, bool]:
    try:
        return {str(one["node"]): bool(one["taken"]) for one in json.loads(text or "[]")}
    except (ValueError, TypeError, KeyError):
        raise ExpectedError(f"{SUBNODES} says {text[:60]!r}, which is no list of nodes") from None


def _flagged(place: Place) -> bool:
    return bool(place.flags) or any(map(_flagged, place.below))


def _as_dict(place: Place) -> dict[str, Any]:
    said = place.facts
    return {
        "node": said.node,
        "there": said.there,
        "state": said.state,
        "request": said.request,
        "status": said.status,
        "watched": place.watched,
        "mode": said.mode,
        "manager": said.managed_by,
        "ok": said.ok,
        "flags": {flag.kind: flag.text for flag in place.flags},
        "below": [_as_dict(child) for child in place.below],
    }
