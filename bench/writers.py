"""What a quiet client notices of twenty that write settings as fast as they can, beside what it costs alone.

A real host with five nodes. The quiet client (libca) reads a PV and writes a setting of a node of its own, with
callback, 20 to 60 ms between them; medians and 99th percentiles in microseconds, alone and beside the twenty (a third
each libca, caproto and bare messages), and their ratio. All share the cores of this machine, so a part of it is the
scheduler's: ``load`` is the same beside twenty processes that only spin.
"""

from __future__ import annotations

import argparse
import contextlib
import random
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil

from tests.support.writers import MODULE, NODES, SETTINGS, Writers
from tests.system.hosting import Guardhost

QUIET = "QUIET"
SPIN = "while True: pass"


def measure(once: Callable[[int], None], count: int) -> tuple[float, float]:
    """Median and 99th percentile in microseconds."""
    took = []
    for number in range(count + 10):
        time.sleep(random.uniform(0.020, 0.060))
        began = time.perf_counter()
        once(number)
        took.append((time.perf_counter() - began) * 1e6)
    took = sorted(took[10:])
    return statistics.median(took), took[int(0.99 * len(took))]


@contextlib.contextmanager
def spinning(count: int) -> Iterator[None]:
    """So many processes that want a core."""
    processes = [subprocess.Popen([sys.executable, "-c", SPIN]) for _ in range(count)]
    try:
        yield
    finally:
        for process in processes:
            process.kill()
            process.wait()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=200)
    count = parser.parse_args().count
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        modules = dict.fromkeys((*NODES, QUIET), MODULE)
        with Guardhost(folder, modules, options=("--log", str(folder / "host.log"))) as host:
            for node in modules:
                host.wait(node, "STATUS", "DONE", 60)
            _measure(host, count)


def _measure(host: Guardhost, count: int) -> None:
    assert host.child is not None
    process = psutil.Process(host.child.pid)
    trips: dict[str, Callable[[int], None]] = {
        "read": lambda _: host.ca.get(host.pv(QUIET, "STATE")) and None,
        "write": lambda n: host.put(QUIET, "MANAGER", f"q{n}"),
    }
    alone = {what: measure(once, count) for what, once in trips.items()}
    with spinning(20):
        load = {what: measure(once, count) for what, once in trips.items()}
    with Writers(f"{host.ifo}:GRD-", host.env) as writers:
        writers.go()
        time.sleep(2)
        before, began = process.memory_info().rss, time.monotonic()
        beside = {what: measure(once, count) for what, once in trips.items()}
        grown, took_s = process.memory_info().rss - before, time.monotonic() - began
        results = writers.end(*SETTINGS)
    for what in trips:
        for how, (median, p99) in (("alone", alone[what]), ("load", load[what]), ("beside 20", beside[what])):
            ratio = median / alone[what][0]
            print(f"  {what:6} {how:10} {median:8.0f} us  p99 {p99:8.0f} us  {ratio:6.1f} x alone")
    per_s = sum(one.taken for one in results) / (took_s + 2)
    print(f"  {per_s:.0f} writes/s; the host has grown by {grown / 1e6:.1f} MB in {took_s:.0f} s")


if __name__ == "__main__":
    main()
