"""A tree of 150 nodes in one host, 1 top, 9 managers and 140 devices: its start, and what a level of it costs.

* start: from the start of the host until all are managed and arrived, beside the limit of 30 s.
* a jump: a device jumps, its manager sees that it has not arrived any more, and then the manager's manager; by the time
  stamps of the server. Goal: at most 5 ms a level at the median. The first level is longer than the second: before its
  run() returns, this manager has asked the device anew, and has its answer. And beside a bare round trip of this
  server, a put on MANAGER of the top -> its own monitor, before each jump.
* at rest: what the tree needs while nothing happens.
"""

from __future__ import annotations

import os
import random
import tempfile
import time
from itertools import cycle, islice
from pathlib import Path

import psutil

from bench.figures import SAMPLES, Report
from bench.machine import cpu_s
from bench.trips import BACK_TO_BACK, Trip
from tests.support import eventually
from tests.support.caclient import Monitor
from tests.system.hosting import Guardhost
from tests.system.trees import summary, tree

START_S, LEVEL_MS = 30.0, 5.0


def run(report: Report) -> None:
    """One tree for all."""
    files, below = tree(report.size(9, 2), report.size(140, 4))
    nodes = [name for name in files if name != "device"]
    with tempfile.TemporaryDirectory() as folder:
        host = Guardhost(Path(folder), files, nodes=nodes)
        began = time.monotonic()
        with host:
            start(report, host, below, began)
            at_rest(report, host)
            jumps(report, host, below)


def start(report: Report, host: Guardhost, below: dict[str, list[str]], began: float) -> None:
    host.wait("TOP", "OK", "True", 300)
    for manager, managed in below.items():
        for node in managed:
            there = lambda node=node, manager=manager: arrived(host, node, manager)  # noqa: E731
            eventually(there, 300, f"{node} to have arrived")
    report.part(f"a tree of {len(host.nodes)} nodes")
    report.figure("all managed and arrived", time.monotonic() - began, "s", limit=START_S)


def arrived(host: Guardhost, node: str, manager: str) -> bool:
    told = summary(host, node)
    return bool(told["manager"] == manager and told["mode"] == "MANAGED" and told["state"] == "ALIGNED")


def at_rest(report: Report, host: Guardhost) -> None:
    assert host.child is not None
    time.sleep(report.size(5, 1))
    processes = [process := psutil.Process(host.child.pid), *process.children(recursive=True)]
    seconds, used_s = report.size(20, 2), cpu_s(*processes)
    time.sleep(seconds)
    report.figure("CPU at rest", (cpu_s(*processes) - used_s) / seconds * 100, "% of a core")
    report.figure("memory that is not shared", sum(p.memory_full_info().uss for p in processes) / 1e6, "MB")


def jumps(report: Report, host: Guardhost, below: dict[str, list[str]]) -> None:
    manager_of = {node: manager for manager, nodes in below.items() if manager != "TOP" for node in nodes}
    states = {node: host.ca.monitor(host.pv(node, "STATE"), as_string=True) for node in manager_of}
    managers = {node: host.ca.monitor(host.pv(node, "STATUS"), as_string=True) for node in below}
    os.environ.update(host.env)
    bare = Trip(host.pv("TOP", "MANAGER"), host.pv("TOP", "MANAGER"), cycle(("ann", "bob")), BACK_TO_BACK)
    trips: list[float] = []
    whole: list[float] = []
    levels: dict[str, list[float]] = {"device -> its manager": [], "manager -> its manager": []}
    # In turn: a manager that must ask the same node again and again is slowed down.
    order = random.Random(1).sample(list(manager_of), len(manager_of))
    for device in islice(cycle(order), report.size(SAMPLES, 3)):
        manager = manager_of[device]
        for node in (device, manager, "TOP"):
            host.wait(node, "STATUS", "DONE", 60)
        trips.append(bare())
        way = ((states[device], "TRIPPED"), (managers[manager], "RUN"), (managers["TOP"], "RUN"))
        seen = [len(monitor.events) for monitor, _ in way]
        file = host.folder / f"trip_{device}"
        file.touch()
        jumped, *told = (stamp(monitor, value, at) for (monitor, value), at in zip(way, seen, strict=True))
        file.unlink()
        for level, after, before in zip(levels, told, (jumped, *told), strict=False):
            levels[level].append((after - before) * 1e3)
        whole.append((told[-1] - jumped) / len(levels) * 1e3)
        host.wait(device, "STATE", "ALIGNED", 60)
    report.part("a device jumps")
    trip = report.figure("host, put -> its own monitor", trips, "ms")
    report.figure("device -> its manager's manager, a level", whole, "ms", limit=LEVEL_MS)
    for level, took in levels.items():
        report.figure(level, took, "ms", beside=trip)
        report.check(f"{level}: no jump went unseen", len(took) == len(trips), len(took))


def stamp(monitor: Monitor, value: str, start: int) -> float:
    """The server's time of a value, in seconds."""
    return monitor.wait_value(value, 60, start=start).stamp_utc
