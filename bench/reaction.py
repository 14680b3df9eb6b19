"""From a channel that changes to the output of a node that reacts, beside what others would write for that.

Channels are records of a real EPICS base IOC: a client writes one and waits for the other. Who reacts is a process of
its own: a node (its worker waits for events), a state machine of pysmlib, a bare event loop on pyepics, and a loop of
16 Hz, as that of LIGO's Guardian. They take turns of some samples, so that all meet the same machine. Paced, with 20
to 60 ms between samples at random, as events come in real life.

Goals: at most 1.5 x pysmlib, at most 1/20 of the loop of 16 Hz, at the median.
"""

from __future__ import annotations

import os
import sys
import tempfile
from contextlib import ExitStack
from itertools import count
from pathlib import Path

from bench.figures import SAMPLES, Report
from bench.reactors import REACTORS, READY
from bench.trips import Trip, in_turns
from tests.support import Child, SoftIoc, ca_env, free_port
from tests.support.child import REPO
from tests.system.hosting import Guardhost

NODE = """
    from guardian import GuardState

    request = nominal = 'FOLLOW'
    reactive = True

    class FOLLOW(GuardState):
        def main(self):
            self.last = None

        def run(self):
            value = ezca['IN']
            if value != self.last:
                ezca['OUT'] = value
                self.last = value

    edges = [('INIT', 'FOLLOW')]
"""
GUARDIAN = "node"


def run(report: Report) -> None:
    """Medians and 99th percentiles of all, a turn at a time."""
    samples, port = report.size(SAMPLES, 10), free_port()
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        host = Guardhost(folder, {"FOLLOW": NODE}, env={"EPICS_CA_AUTO_ADDR_LIST": "NO"})
        host.env["EPICS_CA_ADDR_LIST"] = f"127.0.0.1:{port} 127.0.0.1:{host.port}"
        names = {name: f"{host.ifo}:{number}" for number, name in enumerate(REACTORS)} | {GUARDIAN: host.ifo}
        records = [f'record(ao, "{prefix}:{end}") {{}}' for prefix in names.values() for end in ("IN", "OUT")]
        stack.enter_context(SoftIoc("\n".join(records), port))
        os.environ.update(ca_env(port))
        for name in REACTORS:
            argv = [sys.executable, "-m", "bench.reactors", name, f"{names[name]}:IN", f"{names[name]}:OUT"]
            stack.enter_context(Child(argv, env=ca_env(port), cwd=REPO)).wait_for(READY, 60)
        stack.enter_context(host)
        host.wait("FOLLOW", "STATE", "FOLLOW")
        values = count(1.0)
        trips = {name: Trip(f"{prefix}:IN", f"{prefix}:OUT", values) for name, prefix in names.items()}
        took = in_turns(samples, trips)
    report.part("a channel changes -> another one is written")
    peers = {name: report.figure(name, took[name], "ms") for name in REACTORS}
    node = report.figure(GUARDIAN, took[GUARDIAN], "ms", beside=peers["pysmlib"], goal=1.5)
    report.figure(GUARDIAN, took[GUARDIAN], "ms", beside=peers["pyepics"])
    report.figure(GUARDIAN, took[GUARDIAN], "ms", beside=peers["16 Hz"], goal=1 / 20)
    report.check("each change was followed", node.n == samples, node.n)
