"""The automaton, the graph and the journal alone: no process, no network, no user code.

* ``events``: a walk of a node round a ring of states, recorded and fed again to a new automaton, at the rate that R22
  allows; per input, and per state that is entered beside a transition of the package ``transitions``, which knows no
  request, path, mode or journal.
* ``planning``: all ways to one target in a graph of 1,000 states and 5,000 edges, beside Dijkstra of ``networkx``; and
  the next step once they are known.
* ``journal``: records appended and on the disk, beside the same lines written to a file in one go.
"""

from __future__ import annotations

import gc
import json
import random
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import networkx
from transitions import Machine

from bench.figures import Report
from guardian.core.engine import Engine
from guardian.core.graph import Edge, Graph, StateInfo
from guardian.host.journal import Journal
from guardian.host.rotation import aside
from tests.core.driver import Node, system

RING = [f"S{n}" for n in range(10)]
STATES, EDGES = 1000, 5000


def run(report: Report) -> None:
    """All three."""
    events(report)
    planning(report)
    journal(report)


def events(report: Report) -> None:
    """A recorded walk, fed again."""
    entered = report.size(10_000, 200)
    pairs = zip(["INIT", *RING], [*RING, RING[0]], strict=True)
    node = Node(system(" ".join(f"{a}>{b}" for a, b in pairs), request=RING[0]))
    for number in range(entered):
        node.mono += 0.1
        wanted = RING[(number + 1) % len(RING)]
        node.request(wanted)
        while node.view.state != wanted:
            node.returns(True)
    report.check("the walk has entered all states", len(node.entered) >= entered, len(node.entered))
    took = [timed(lambda: replay(node)) for _ in range(report.size(5, 1))]
    peer = [timed(lambda: turn(entered)) for _ in range(report.size(5, 1))]
    report.part("events")
    report.figure("an input", [one / len(node.fed) * 1e6 for one in took], "us")
    other = report.figure("a transition of transitions", [one / entered * 1e6 for one in peer], "us")
    report.figure("a state entered", [one / entered * 1e6 for one in took], "us", beside=other)


def replay(node: Node) -> None:
    engine = Engine("TEST")
    for event, now in node.fed:
        engine.feed(event, now)
    assert engine.view.state == node.view.state


def turn(times: int) -> None:
    ring = [{"trigger": "go", "source": a, "dest": b} for a, b in zip(RING, [*RING[1:], RING[0]], strict=True)]
    machine = Machine(states=RING, transitions=ring, initial=RING[0], auto_transitions=False)
    for _ in range(times):
        machine.go()


def planning(report: Report) -> None:
    """Ways to a target."""
    dice = random.Random(9)
    names = [f"S{n}" for n in range(STATES)]
    edges = {(a, b): 1.0 for a, b in zip(names, names[1:] + names[:1], strict=True)}
    while len(edges) < EDGES:
        edges[dice.choice(names), dice.choice(names)] = float(dice.randint(1, 9))
    listed = [StateInfo(name=name, index=number) for number, name in enumerate(names)]
    graph = Graph.build(listed, [Edge(start=a, end=b, weight=w) for (a, b), w in edges.items()])
    peer = networkx.DiGraph()
    peer.add_weighted_edges_from((b, a, w) for (a, b), w in edges.items())  # backwards: to the target
    ours, theirs = [], []
    for target in dice.sample(names, report.size(100, 3)):
        began = time.perf_counter()
        graph.step(names[0], target)
        ours.append((time.perf_counter() - began) * 1e3)
        began = time.perf_counter()
        costs = networkx.single_source_dijkstra_path_length(peer, target)
        theirs.append((time.perf_counter() - began) * 1e3)
        report.check("both find the same costs", all(graph.cost(name, target) == costs[name] for name in names))
    known = timed(lambda: [graph.step(name, target) for name in names]) / STATES
    report.part(f"planning, {STATES} states, {EDGES} edges")
    other = report.figure("networkx, costs to a target", theirs, "ms")
    report.figure("all ways to a target", ours, "ms", beside=other)
    report.figure("the next step, ways known", known * 1e6, "us")


def journal(report: Report) -> None:
    """Records on the disk."""
    count = report.size(200_000, 2000)
    records = [
        {"node": "SUS_MC1", "id": number, "stamp": 1.75e9 + number / 7, "kind": "enter", "state": "ALIGNED"}
        | {"text": "EDGE: DAMPED -> ALIGNED (100), target ALIGNED: DAMPED.run() completed", "via": "EDGE", "by": ""}
        for number in range(count)
    ]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "journal.jsonl"
        began = time.perf_counter()
        written = Journal(path)
        for number, record in enumerate(records):
            written.append(record)
            if number % 2000 == 0:
                assert written.flush(60, durable=False), written.trouble()
        assert written.flush(60), written.trouble()
        ours = time.perf_counter() - began
        assert written.close(60)
        lines = sum(one.read_bytes().count(b"\n") for one in (*aside(path), path))
        report.check("each record is in the journal", lines == count, lines)
        theirs = timed(lambda: (Path(folder) / "peer").write_text("".join(json.dumps(r) + "\n" for r in records)))
    report.part("journal")
    other = report.figure("json.dumps and one write", count / theirs, "lines/s")
    report.figure("journal", count / ours, "lines/s", beside=other, more=True)


def timed(call: Callable[[], object]) -> float:
    """Seconds."""
    gc.collect()
    began = time.perf_counter()
    call()
    return time.perf_counter() - began
