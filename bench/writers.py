"""What a quiet client notices of twenty that write settings as fast as they can, beside what it notices alone.

A real host with five nodes. The quiet client (libca) reads a PV and writes a setting of a node of its own, with
callback, 20 to 60 ms between them: alone, beside the twenty (a third each libca, caproto and bare messages), and beside
twenty processes that only spin, for all share the cores of this machine.
"""

from __future__ import annotations

import contextlib
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path

import psutil

from bench.figures import SAMPLES, Figure, Report
from bench.trips import PACED, in_turns
from tests.support.writers import MODULE, NODES, SETTINGS, Writers
from tests.system.hosting import Guardhost

QUIET = "QUIET"
SPIN = "while True: pass"
TWENTY = 20
#: What is on its way to clients and disk may take so much.
QUEUES_MB = 40.0


def run(report: Report) -> None:
    """Alone, beside load, beside the writers."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        modules = dict.fromkeys((*NODES, QUIET), MODULE)
        with Guardhost(folder, modules, options=("--log", str(folder / "host.log"))) as host:
            for node in modules:
                host.wait(node, "STATUS", "DONE", 60)
            measure(report, host)


def measure(report: Report, host: Guardhost) -> None:
    """The same two things each time."""
    samples, written = report.size(SAMPLES, 10), count()
    trips = {
        "a read": paced(lambda: host.ca.get(host.pv(QUIET, "STATE"))),
        "a write": paced(lambda: host.put(QUIET, "MANAGER", f"q{next(written)}")),
    }
    report.part("alone")
    alone = {what: report.figure(f"{what}, alone", took, "ms") for what, took in in_turns(samples, trips).items()}
    with spinning(TWENTY):
        show(report, f"beside {TWENTY} that spin", in_turns(samples, trips), alone)
    assert host.child is not None
    process = psutil.Process(host.child.pid)
    with Writers(f"{host.ifo}:GRD-", host.env) as writers:
        began = time.monotonic()
        writers.go()
        time.sleep(2)
        before_b = process.memory_info().rss
        took = in_turns(samples, trips)
        grown_b = process.memory_info().rss - before_b
        results = writers.end(*SETTINGS)
        took_s = time.monotonic() - began
    show(report, f"beside {len(writers)} that write", took, alone)
    report.figure("settings written", sum(one.taken for one in results) / took_s, "/s")
    report.figure("memory that the host has grown by", grown_b / 1e6, "MB", limit=QUEUES_MB)
    for one in results:
        report.check("no writer has lost the host", not one.lost, one)
        found = str(host.get(one.node, one.setting))
        report.check("each setting is what was written last", found in one.possible, (found, one))


def show(report: Report, part: str, took: dict[str, list[float]], alone: dict[str, Figure]) -> None:
    report.part(part)
    for what, samples in took.items():
        report.figure(what, samples, "ms", beside=alone[what])


def paced(once: Callable[[], object]) -> Callable[[], float]:
    """Rest, and do it once; milliseconds."""

    def trip() -> float:
        time.sleep(random.uniform(*PACED))
        began = time.perf_counter()
        once()
        return (time.perf_counter() - began) * 1e3

    return trip


@contextlib.contextmanager
def spinning(number: int) -> Iterator[None]:
    """So many processes that want a core."""
    processes = [subprocess.Popen([sys.executable, "-c", SPIN]) for _ in range(number)]
    try:
        yield
    finally:
        for process in processes:
            process.kill()
            process.wait()
