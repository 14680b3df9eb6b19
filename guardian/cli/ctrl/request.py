"""``guardctrl request STATE NODE...``: shows the way first, then asks; with ``--wait``, until the nodes are there.

Nothing is written before all is clear: each node answers, and has the state. So an order with a slip in it does not do
half of its work.
"""

from __future__ import annotations

import argparse
import getpass
import json
import os
import shlex
import sys
import time
import uuid
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from guardian.cli.ctrl import COMMAND, WrongCall, add_nodes, answer_s, prepare, say, seconds
from guardian.cli.ctrl.find import SOME, agreed, chosen, is_pattern, may_be_node
from guardian.cli.ctrl.listing import silent
from guardian.cli.ctrl.names import names_of
from guardian.cli.orders import Order
from guardian.cli.output import FAILED, OK
from guardian.client.names import Names
from guardian.core.documents import graph_told, read_durations
from guardian.core.facts import Facts
from guardian.core.graph import Graph
from guardian.core.journey import Journey, journey, timed, why_not_state
from guardian.enums import NONE_STATE
from guardian.errors import ExpectedError

if TYPE_CHECKING:
    from guardian.cli.ctrl.wait import Asked, Verdict
    from guardian.client.ca import Session
    from guardian.client.remote import Remote

TIMEOUT_S = 60.0
_ROWS = ("GRAPH", "REQUEST_CMD", "DURATIONS")
_ABOUT = """\
The way is shown first, and how long it usually takes. With --wait the exit code is 0 when all nodes have arrived, 1
if one was refused, failed or was asked for something else meanwhile, 4 if one stalled, 3 if the time is over."""


def define(order: Order) -> None:
    """What it takes."""
    prepare(order, _request, about=_ABOUT)
    order.add_argument("state", metavar="STATE", help="the state that is wanted; NONE withdraws the request")
    add_nodes(order, text="name of a node, or a pattern: SUS_*")
    order.add_argument("--wait", action="store_true", help="wait until the nodes have arrived")
    order.add_argument(
        "--timeout", type=seconds, default=TIMEOUT_S, metavar="S", help=f"with --wait: how long ({TIMEOUT_S:g} s)"
    )
    order.add_argument("--yes", action="store_true", help="do not ask, however many nodes there are")
    order.add_argument("--dry-run", action="store_true", help="show the way, and ask nobody for anything")


def user() -> str:
    """Who asks."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a number without a name
        return f"uid {os.getuid()}"


def _request(options: argparse.Namespace) -> int:
    from guardian.client.ca import Session

    names = names_of(options)
    if is_pattern(options.state):
        raise WrongCall(_turned(options.state, options.nodes, options.nodes[-1], "is a pattern of nodes"))
    session = Session()
    remotes = _reach(session, options.state, chosen(options.nodes, names), names)
    facts = {remote.node: remote.facts() for remote in remotes}
    graphs = {remote.node: _graph(remote) for remote in remotes}
    if faults := [why for n, f in facts.items() if (why := why_not_state(f, graphs[n], options.state))]:
        more = f" And {len(faults) - SOME} nodes more." if len(faults) > SOME else ""
        raise ExpectedError(f"nothing was requested: {'; '.join(faults[:SOME])}{more}")
    ways = {remote.node: _way(remote, facts[remote.node], graphs[remote.node], options.state) for remote in remotes}
    if not options.json:
        for way in ways.values():
            print(way)
            _warn(way)
        sys.stdout.flush()
    if options.dry_run:
        _report(ways, {}, options)
        return OK
    if not agreed(f"request {options.state}", list(facts), yes=options.yes):
        raise ExpectedError("nothing was requested")
    return _ask(remotes, facts, ways, options)


def _way(remote: Remote, facts: Facts, graph: Graph | None, state: str) -> Journey:
    """The way, and how long it is going to take, where the node says so."""
    way = journey(facts, graph, state)
    try:
        told = remote.text("DURATIONS") if state != NONE_STATE else ""
        return timed(way, facts, graph, read_durations(told)) if told else way
    except (ValueError, ExpectedError):  # good to know, and no more
        return way


def _warn(way: Journey) -> None:
    for warning in way.warnings:
        say(f"warning: {way.node}: {warning}")


# --- reaching the nodes -------------------------------------------------------------------------------------------


def _reach(session: Session, state: str, nodes: Sequence[str], names: Names) -> list[Remote]:
    """All of these nodes.

    Raises
    ------
    WrongCall
        Names stand in the wrong order: there is a node that is called like the state, and none like one of the nodes.
    ExpectedError
        One does not answer.
    """
    from guardian.cli.ctrl.remote import connect_all
    from guardian.client.remote import Remote

    remotes = [Remote(session, names, node, _ROWS, answer_s=answer_s()) for node in nodes]
    twin = session.channel(names.pv(state, "STATE")) if may_be_node(state) else None
    connect_all(session, remotes, or_else=lambda: twin is not None and twin.connected)
    missing = [remote.node for remote in remotes if not remote.there]
    if not missing:
        return remotes
    if twin is not None and twin.connected and len(missing) == 1:
        raise WrongCall(_turned(state, nodes, missing[0], f"is a node, and no node {missing[0]} answers"))
    raise ExpectedError(f"nothing was requested: {silent(missing, names)}")


def _turned(state: str, nodes: Sequence[str], meant: str, what: str) -> str:
    """The right line, where a node stands in the place of the state, and the state among the nodes."""
    right = [meant, state, *(node for node in nodes if node != meant)]
    return f"{state} {what}; did you mean: {COMMAND} request {shlex.join(right)}"


def _graph(remote: Remote) -> Graph | None:
    """None if the node does not say: it is an original Guardian's, or its code is not loaded yet."""
    try:
        return graph_told(remote.text("GRAPH"))
    except (ValueError, ExpectedError) as error:
        say(f"warning: {remote.node}: its graph cannot be used: {error}")
        return None


# --- asking -------------------------------------------------------------------------------------------------------


def _ask(
    remotes: Sequence[Remote], facts: dict[str, Facts], ways: dict[str, Journey], options: argparse.Namespace
) -> int:
    from guardian.cli.ctrl.wait import Asked, Progress, Verdict, Waiting, worst

    begun = time.monotonic()
    ends: dict[str, Verdict] = {}
    waiting: list[tuple[Remote, Asked]] = []
    for remote in remotes:
        asked = Asked(
            state=options.state,
            id=uuid.uuid4().hex[:12] if remote.has("REQUEST_CMD") else "",
            before=facts[remote.node].request_id,
        )
        try:
            if options.wait:
                remote.follow()
            if why := _write(remote, asked):
                ends[remote.node] = Verdict(code=FAILED, word="refused", text=f"refused {options.state}: {why}")
            else:
                waiting.append((remote, asked))
        except ExpectedError as error:
            ends[remote.node] = Verdict(code=FAILED, word="failed", text=f"was not asked: {error}")
    if not options.wait:
        _report(ways, ends, options)
        return worst([end.code for end in ends.values()])
    try:
        ends |= Waiting(waiting).run(options.timeout, Progress())
    except KeyboardInterrupt:
        raise ExpectedError(f"it is not waited for any more; {options.state} stays requested") from None
    _report(ways, ends, options, took_s=time.monotonic() - begun)
    return worst([end.code for end in ends.values()])


def _write(remote: Remote, asked: Asked) -> str | None:
    if asked.id:
        command = {"state": asked.state, "person": user(), "id": asked.id}
        return remote.write("REQUEST_CMD", json.dumps(command))
    return remote.write("REQUEST", asked.state)


def _report(
    ways: dict[str, Journey], ends: dict[str, Verdict], options: argparse.Namespace, *, took_s: float | None = None
) -> None:
    """How it ended; a node without an end is asked, and on its way."""
    told: list[dict[str, Any]] = []
    for node, way in ways.items():
        end = ends.get(node)
        result = "shown" if options.dry_run else "requested" if end is None else end.word
        text = "" if end is None else end.text
        told.append({"node": node, "state": options.state, "path": way.states, "warnings": way.warnings})
        told[-1] |= {"result": result, "why": text}
        if way.expected is not None:
            told[-1] |= {"usually_s": way.expected.usual_s, "most_s": way.expected.most_s}
            told[-1]["never_timed"] = list(way.expected.untimed)
        if options.json or options.dry_run:
            continue
        if end is None:
            print(f"{node}: {options.state} is requested")
        elif end.code == OK:
            print(f"{node}: {text}" + (f", after {took_s:.1f} s" if took_s is not None and len(ways) == 1 else ""))
        else:
            say(f"{node} {text}")
    if options.json:
        print(json.dumps(told))
