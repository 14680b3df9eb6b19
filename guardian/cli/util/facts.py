"""``guardutil print|states|edges|path``: what a system is, for people and, with --json, for programs.

The text of ``print`` is that of the original Guardian: lines with the facts of the module, then ``index * STATE``, a
star before what stands in the menu of requests.
"""

from __future__ import annotations

import argparse
import json
import time
from difflib import get_close_matches
from typing import Any

from guardian.access.prefix import channel_prefix
from guardian.cli.orders import Order
from guardian.cli.output import FAILED, OK
from guardian.cli.times import moment
from guardian.cli.util import say
from guardian.cli.util.archived import add_archive_options, ran_at
from guardian.cli.util.looking import graph_of, look, takes_node
from guardian.core.documents import graph_facts, read_graph
from guardian.core.graph import Edge, Graph, SystemFacts
from guardian.core.setpoints import shown, unpacked
from guardian.errors import ExpectedError, GraphError


def define(order: Order) -> None:
    """What each takes."""
    takes_node(order, {"print": _print, "states": _states, "edges": _edges, "path": _path}[order.name])
    if order.name == "states":
        order.add_argument(
            "--at", metavar="TIME", help="those of the code that ran then: 2016-08-23, '2016-08-23 08:13', 2h, 30d; UTC"
        )
        add_archive_options(order)
    elif order.name == "path":
        order.add_argument("start", metavar="FROM", help="the state it is in")
        order.add_argument("end", metavar="TO", help="the state that is requested")


def system_facts(facts: SystemFacts, graph: Graph, *, node: str, ifo: str) -> dict[str, Any]:
    """All that ``print --json`` says."""
    return {
        "name": node,
        "ifo": ifo,
        "prefix": facts.prefix,
        "module": facts.module,
        "usercode": list(facts.usercode),
        "request": facts.request,
        "nominal": facts.nominal,
        "watchdog": facts.watchdog_s,
        "ca_monitor": facts.ca_monitor,
        "ca_monitor_notify": facts.ca_monitor_notify,
        "ca_channels": [[one.name, shown(unpacked(one.value))] if one.value else one.name for one in facts.ca_channels],
        "states": graph_facts(graph)["states"],
        "edges": [_edge(e) for e in graph.edges],
    }


def _edge(edge: Edge) -> dict[str, Any]:
    return {"from": edge.start, "to": edge.end, "weight": edge.weight, "implied": edge.implied}


def _print(options: argparse.Namespace) -> int:
    facts = look(options).facts
    graph = Graph.build(facts.states, facts.edges)
    if options.json:
        print(json.dumps(system_facts(facts, graph, node=options.node, ifo=options.ifo)))
        return OK
    print(f"ifo: {options.ifo}")
    print(f"name: {options.node}")
    print(f"CA prefix: {channel_prefix(options.ifo, facts.prefix)}")
    print(f"module:\n  {facts.module}")
    print("usercode:", *facts.usercode, sep="\n  ")
    print(f"nominal: {facts.nominal or '(none)'}")
    print(f"initial request: {facts.request or '(none)'}")
    if facts.watchdog_s:
        print(f"watchdog: {facts.watchdog_s:g} s")
    if facts.ca_monitor or facts.ca_monitor_notify or facts.ca_channels:
        print(f"set-point monitor: {_monitor(facts)}")
    print("states (*=requestable):")
    _list_states(graph)
    return OK


def _monitor(facts: SystemFacts) -> str:
    told = ["on" if facts.ca_monitor else "off", *["notifies"] * facts.ca_monitor_notify]
    if facts.ca_channels:
        told.append(f"{len(facts.ca_channels)} channels from the start")
    return ", ".join(told)


def _states(options: argparse.Namespace) -> int:
    if options.at is not None:
        return _states_at(options)
    if options.site or options.state_dir:
        raise ExpectedError("--site and --state-dir say where the archive is, which is read with --at TIME; add that")
    graph = graph_of(options)
    if options.json:
        print(json.dumps(graph_facts(graph)["states"]))
    else:
        _list_states(graph)
    return OK


def _states_at(options: argparse.Namespace) -> int:
    """The numbers of that day."""
    archive, commit = ran_at(options, moment("--at", options.at, time.time()))
    document = archive.states(commit)
    try:
        graph = read_graph(document)
    except (ValueError, GraphError) as error:
        raise ExpectedError(f"{options.node}: {commit.short} in {archive.path} has no states: {error}") from None
    if options.json:
        print(json.dumps({**commit.facts(), "states": graph_facts(graph)["states"]}))
        return OK
    print(f"{options.node}: the states of {commit}")
    _list_states(graph)
    return OK


def _list_states(graph: Graph) -> None:
    width = max(len(str(state.index)) for state in graph.states.values())
    longest = max(map(len, graph.states))
    for state in graph.states.values():
        flags = ["goto"] * (state.goto is not None) + ["no redirect"] * (not state.redirect)
        if state.watchdog_s is not None:
            flags.append(f"watchdog {state.watchdog_s:g} s" if state.watchdog_s else "no watchdog")
        about = "; ".join(filter(None, (", ".join(flags), state.doc)))
        star = "*" if state.request else " "
        print(f"  {state.index:>{width}} {star} {state.name:{longest}}  {about}".rstrip())


def _edges(options: argparse.Namespace) -> int:
    graph = graph_of(options)
    if options.json:
        print(json.dumps([_edge(e) for e in graph.edges]))
        return OK
    for edge in graph.edges:
        notes = [f"weight {edge.weight:g}"] * (edge.weight != 1) + ["goto"] * edge.implied
        print(f"{edge.start} -> {edge.end}" + (f"  ({', '.join(notes)})" if notes else ""))
    return OK


def _path(options: argparse.Namespace) -> int:
    graph = graph_of(options)
    for name in (options.start, options.end):
        if name not in graph:
            near = get_close_matches(name.upper(), list(graph.states), n=1)
            hint = f"did you mean {near[0]}?" if near else f"see guardutil states {options.node}"
            raise ExpectedError(f"{options.node}: no state {name!r}; {hint}")
    path, cost = graph.path(options.start, options.end), graph.cost(options.start, options.end)
    if path is None or cost is None:
        say(f"{options.node}: {graph.why_no_path(options.start, options.end)}")
        return FAILED
    if options.json:
        print(json.dumps({"path": path, "cost": cost}))
    else:
        print(f"{' -> '.join(path)}  (cost {cost:g})")
    return OK
