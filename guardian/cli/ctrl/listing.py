"""``guardctrl list``: the nodes that are found on the network, a line each; or those of one host on this machine."""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Sequence
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any

from guardian.cli.ctrl import add_nodes, prepare, say
from guardian.cli.ctrl.find import chosen, find, some
from guardian.cli.ctrl.names import control_socket, names_of
from guardian.cli.orders import Order
from guardian.cli.output import FAILED, OK
from guardian.client.names import Names
from guardian.errors import ExpectedError
from guardian.host.asking import ask

if TYPE_CHECKING:
    from guardian.client.finding import Found
    from guardian.core.facts import Facts

#: Ways that are longer than this are not lined up with.
_WAY = 40


def define(order: Order) -> None:
    """What it takes."""
    prepare(order, _list, about="With --state-dir, those of this one host, which is asked without Channel Access.")
    add_nodes(order, text="these only; * and ? match any characters", least_one=False)


def facts_of(nodes: Sequence[str], names: Names, *, searched: bool = False) -> list[Facts]:
    """What each of these nodes says now; those that do not answer are not :attr:`Facts.there`."""
    from guardian.cli.ctrl.remote import connect
    from guardian.client.ca import Session

    remotes = connect(Session(), nodes, names, searched=searched)
    return [_or_silent(remote.facts, remote.node) for remote in remotes]


def _or_silent(read: Any, node: str) -> Facts:
    from guardian.core.facts import Facts

    try:
        facts: Facts = read()
    except ExpectedError as error:
        say(str(error))
        return Facts(node=node)
    return facts


def named(words: Sequence[str], names: Names) -> list[str]:
    """The nodes that the words mean; without words, all that are found on the network.

    Raises
    ------
    ExpectedError
        As :func:`chosen`; or no host answers.
    """
    if words:
        return chosen(words, names)
    found = find(names)
    if not found.hosts:
        raise ExpectedError(nobody(names))
    nodes = list(found.nodes)
    warn_of(found, nodes)
    return nodes


def nobody(names: Names) -> str:
    """What to say if no host answers: the line to type, if one runs on this machine."""
    from guardian.cli.ctrl.doctor import hint

    return f"no host answers for {names.hosts}; {hint(names.hosts, names)}"


def silent(nodes: Sequence[str], names: Names) -> str:
    """What to say of nodes that do not answer."""
    from guardian.cli.ctrl.doctor import hint

    pv = names.pv(nodes[0], "STATE")
    near = get_close_matches(nodes[0].upper(), find(names).nodes, n=1)
    meant = f"did you mean {near[0]}? " if near and near[0] not in nodes else ""
    return f"{some(nodes)} {'does' if len(nodes) == 1 else 'do'} not answer ({pv}); {meant}{hint(pv, names)}"


def tell_silent(every: Sequence[Facts], names: Names) -> None:
    """Say what to do about those that do not answer."""
    if missing := [facts.node for facts in every if not facts.there]:
        say(silent(missing, names))


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
    from guardian.client.finding import Found

    names = names_of(options)
    if options.nodes:
        found, nodes = Found(), chosen(options.nodes, names)
    else:
        found = find(names)
        nodes = list(found.nodes)
    warn_of(found, nodes)
    if not options.nodes and not found.hosts:
        raise ExpectedError(nobody(names))
    every = facts_of(nodes, names, searched=not options.nodes)
    tell_silent(every, names)
    _print([{**facts.as_dict(), "why": "" if facts.ok else facts.reason} for facts in every], as_json=options.json)
    return OK if all(facts.there for facts in every) and not found.deaf else FAILED


def _print(nodes: list[dict[str, Any]], *, as_json: bool) -> None:
    if as_json:
        print(json.dumps(nodes))
        return
    there = [n for n in nodes if n.get("there", True)]
    ways = {n["node"]: f"{n['state']} -> {n['request']}" for n in there}
    width = max((len(n["node"]) for n in nodes), default=0)
    widest = min(max(map(len, ways.values()), default=0), _WAY)
    for n in nodes:
        if n["node"] in ways:
            head = f"{n['op']:5}  {n['mode']:7}  {ways[n['node']]:{widest}}  {n['status']:8}"
            print(_cut(f"{n['node']:{width}}  {head}  {'OK' if n['ok'] else n['why']}"))
        else:
            print(f"{n['node']:{width}}  {n['why']}")


def _cut(line: str) -> str:
    """To one line of the terminal, if stdout is one: WHY of a manager is long, and ``why`` shows all of it."""
    try:
        room = os.get_terminal_size(sys.stdout.fileno()).columns if sys.stdout.isatty() else 0
    except OSError:
        room = 0
    return line if not room or len(line) <= room else f"{line[: max(room - 4, 0)]} ..."
