"""Whether anybody notices the worst user code: round trips while a neighbour sleeps, spins, holds the GIL or floods.

A put on MANAGER of a node -> its own monitor, by one pyepics client on loopback, 2 to 6 ms between them: of the node
that misbehaves, and of its neighbour, beside the same before. A machine of two cores has one left when a neighbour
spins, so a ratio up to 2 is the machine's, not the host's.

Goal: at most 2 x the round trip in quiet.
"""

from __future__ import annotations

import os
import tempfile
from itertools import cycle
from pathlib import Path

from bench.figures import SAMPLES, Report
from bench.trips import Trip, in_turns
from tests.support import ca_env
from tests.system.hosting import Guardhost
from tests.system.test_must_hold import GOOD, STUCK

PAUSE_S = (0.002, 0.006)
NODES = {"GOOD": "its neighbour", "BAD": "the node itself"}


def run(report: Report) -> None:
    """Quiet, and each way to misbehave."""
    count = report.size(SAMPLES, 20)
    with tempfile.TemporaryDirectory() as folder, Guardhost(Path(folder), {"GOOD": GOOD, "BAD": STUCK}) as host:
        for node in host.nodes:
            host.wait(node, "STATUS", "DONE")
        os.environ.update(ca_env(host.port))
        trips = {
            node: Trip(host.pv(node, "MANAGER"), host.pv(node, "MANAGER"), cycle(("ann", "bob")), PAUSE_S)
            for node in NODES
        }
        report.part("quiet")
        before = in_turns(count, trips)
        quiet = {node: report.figure(f"{who}, in quiet", before[node], "ms") for node, who in NODES.items()}
        for state in ("SLEEPS", "SPINS", "HOLDS", "FLOODS"):
            host.put("BAD", "REQUEST", state)
            host.wait("BAD", "STATE", state)
            host.wait("BAD", "STATUS", "MAIN")
            took = in_turns(count, trips)
            report.part(state)
            for node, who in NODES.items():
                report.figure(who, took[node], "ms", beside=quiet[node], goal=2)
            report.check(f"{state}: it still does", host.get("BAD", "STATUS") == "MAIN", host.get("BAD", "STATUS"))
            host.put("BAD", "REQUEST", "REST")
            host.wait("BAD", "STATUS", "DONE")
