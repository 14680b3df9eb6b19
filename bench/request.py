"""From a REQUEST to its STATE, and through a chain of ten states, beside a bare round trip of the same server.

Round trips of one pyepics client on loopback:

* ``C IOC``: put on a record of a real EPICS base IOC -> its own monitor (nothing can be faster);
* ``host``: put on MANAGER of a node -> its own monitor, the bare round trip of this server;
* ``request``: put on REQUEST -> the monitor of STATE (in addition the link, the worker, user code, and back);
* ``chain``: put on REQUEST -> STATE ten states further on, nine states entered, run and left on the way.

Paced, with 20 to 60 ms between them, as people and managers do; the first two back to back as well. Requests are not
made back to back, and before a chain all rests for half a second: a node that changes state more than 50 times in a
second is paced on purpose (R22).

Goals: at most 3 x the bare round trip with such pauses, the chain as well; a request takes less than a loop of 16 Hz
takes on the average, half a cycle.
"""

from __future__ import annotations

import os
import tempfile
import time
from itertools import cycle
from pathlib import Path

from bench.figures import SAMPLES, Figure, Report
from bench.trips import BACK_TO_BACK, PACED, Trip, in_turns
from tests.support import SoftIoc, ca_env, free_port
from tests.system.hosting import Guardhost

MODULE = """
    from guardian import GuardState
    class A(GuardState): pass
    class B(GuardState): pass
    request = "A"
    edges = [("INIT", "A"), ("A", "B"), ("B", "A")]
"""
CHAIN = """
    from guardian import GuardState
    class S0(GuardState):
        goto = True
    for n in range(1, 11):
        globals()[f"S{n}"] = type(f"S{n}", (GuardState,), {})
    request = "S0"
    edges = [("INIT", "S0")] + [(f"S{n}", f"S{n + 1}") for n in range(10)]
"""
PEER = "BENCH:PEER"
HALF_CYCLE_MS = 1e3 / 16 / 2
REST_S = 0.5
BARE = "host, put -> its own monitor"


def run(report: Report) -> None:
    """Back to back, paced, and the chain."""
    count, port = report.size(SAMPLES, 10), free_port()
    with (
        tempfile.TemporaryDirectory() as folder,
        SoftIoc(f'record(stringout, "{PEER}") {{}}', port),
        Guardhost(Path(folder), {"NODE": MODULE, "CHAIN": CHAIN}) as host,
    ):
        for node in host.nodes:
            host.wait(node, "STATUS", "DONE")
        os.environ.update(ca_env(port, EPICS_CA_ADDR_LIST=f"127.0.0.1:{port} 127.0.0.1:{host.port}"))
        trips(report, host, "back to back", BACK_TO_BACK, count)
        paced = trips(report, host, "20 to 60 ms between them", PACED, count)
        chain(report, host, paced)


def bare(host: Guardhost, pause_s: tuple[float, float]) -> Trip:
    """The round trip of the server alone."""
    manager = host.pv("NODE", "MANAGER")
    return Trip(manager, manager, cycle(("ann", "bob")), pause_s)


def trips(report: Report, host: Guardhost, what: str, pause_s: tuple[float, float], count: int) -> Figure:
    """In turns; the bare round trip of this server."""
    them = {"C IOC": Trip(PEER, PEER, cycle("ab"), pause_s), BARE: bare(host, pause_s)}
    if pause_s != BACK_TO_BACK:
        them["request"] = Trip(host.pv("NODE", "REQUEST"), host.pv("NODE", "STATE"), cycle("BA"), pause_s)
    took = in_turns(count, them)
    report.part(what)
    peer = report.figure("C IOC, put -> its own monitor", took["C IOC"], "ms")
    server = report.figure(BARE, took[BARE], "ms", beside=peer)
    if "request" in took:
        report.figure("REQUEST -> STATE", took["request"], "ms", beside=server, goal=3)
        report.figure("REQUEST -> STATE", took["request"], "ms", peer="half a cycle", beside=HALF_CYCLE_MS, goal=1)
        report.check("each request was followed", len(took["request"]) == count, len(took["request"]))
    return server


def chain(report: Report, host: Guardhost, paced: Figure) -> None:
    """Each after a rest, so that R22 does not pace it. After a rest the bare round trip is slower, too."""
    there = Trip(host.pv("CHAIN", "REQUEST"), host.pv("CHAIN", "STATE"), cycle(("S10", "S0")))
    alone = bare(host, (REST_S, REST_S))
    took, beside = [], []
    for _ in range(report.size(80, 2)):
        beside.append(alone())
        time.sleep(REST_S)
        took.append(there())
        time.sleep(REST_S)
        there()
    report.part(f"a chain, after a rest of {REST_S:g} s")
    rested = report.figure(f"{BARE}, after a rest", beside, "ms")
    report.figure("REQUEST -> STATE ten states on", took, "ms", beside=paced, goal=3)
    report.figure("REQUEST -> STATE ten states on", took, "ms", beside=rested)
