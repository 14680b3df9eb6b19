"""``guardctrl list``: the nodes that are found on the network, a line each; or those of one host on this machine."""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from typing import Any

from guardian.cli.ctrl import Orders, add_nodes, add_order, say
from guardian.cli.ctrl.facts import Facts
from guardian.cli.ctrl.find import Found, chosen, find
from guardian.cli.ctrl.names import Names, control_socket, names_of
from guardian.cli.output import FAILED, OK
from guardian.errors import ExpectedError
from guardian.host.control import ask


def add(orders: Orders) -> None:
    """Define the order."""
    order = add_order(
        orders,
        "list",
        _list,
        "list the nodes on the network",
        about="With --state-dir, those of this one host, which is asked without Channel Access.",
    )
    add_nodes(order, text="these only; * and ? match any characters", least_one=False)


def facts_of(nodes: Sequence[str], names: Names) -> list[Facts]:
    """What each of these nodes says now; those that do not answer are not :attr:`Facts.there`."""
    from guardian.cli.caclient import Session
    from guardian.cli.ctrl.remote import connect

    return [_or_silent(remote.facts, remote.node) for remote in connect(Session(), nodes, names)]


def _or_silent(read: Any, node: str) -> Facts:
    try:
        facts: Facts = read()
    except ExpectedError as error:
        say(str(error))
        return Facts(node=node)
    return facts


def nobody(names: Names) -> str:
    """What to say if no host answers: the line to type, if one runs on this machine."""
    from guardian.cli.ctrl.doctor import hint

    return f"no host answers for {names.hosts}; {hint(names.hosts, names)}"


def silent(nodes: Sequence[str], names: Names) -> str:
    """What to say of nodes that do not answer."""
    from guardian.cli.ctrl.doctor import hint

    pv = names.pv(nodes[0], "STATE")
    return f"{', '.join(nodes)} {'does' if len(nodes) == 1 else 'do'} not answer ({pv}); {hint(pv, names)}"


def warn_of(found: Found, nodes: Sequence[str]) -> None:
    """Say who could not be asked, and which nodes are run twice."""
    for trouble in found.troubles:
        say(trouble)
    for node, hosts in found.nodes.items():
        if len(hosts) > 1 and node in nodes:
            say(f"{node} is run by {len(hosts)} hosts, at {' and '.join(hosts)}; remove it from all but one")


def _list(options: argparse.Namespace) -> int:
    if options.state_dir and not options.nodes:
        entries = ask(control_socket(options), {"do": "list"})["nodes"]
        _print(entries, as_json=options.json)
        return OK
    names = names_of(options)
    if options.nodes:
        found, nodes = Found(), chosen(options.nodes, names)
    else:
        found = find(names)
        nodes = list(found.nodes)
    warn_of(found, nodes)
    if not options.nodes and not found.hosts:
        say(nobody(names))
        if options.json:
            print("[]")
        return FAILED
    every = facts_of(nodes, names)
    _print([{**facts.as_dict(), "why": "" if facts.ok else facts.reason} for facts in every], as_json=options.json)
    return OK if all(facts.there for facts in every) else FAILED


def _print(nodes: list[dict[str, Any]], *, as_json: bool) -> None:
    if as_json:
        print(json.dumps(nodes))
        return
    width = max((len(n["node"]) for n in nodes), default=4)
    for n in nodes:
        if n.get("there", True):
            way = f"{n['state']} -> {n['request']}  {n['status']}"
            print(f"{n['node']:{width}}  {n['op']:5}  {n['mode']:7}  {way}  {'OK' if n['ok'] else n['why']}")
        else:
            print(f"{n['node']:{width}}  {n['why']}")
