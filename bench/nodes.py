"""What many nodes cost: start, memory, idle CPU, and how fast the worst user code is ended.

* ``start``: from the moment the host serves until every node is DONE, beside the same count of bare Python processes.
* ``asked``: how much later that moment is because the network is asked first whether another host runs one of the
  nodes: where nobody does, and where one runs them all; beside the time that a search is meant to take.
* ``memory``: PSS of a worker, beside a bare Python process; of the host per node.
* ``idle``: CPU of host and workers with nodes resting in a state, in percent of one core, per node.
* ``stop``: OP=STOP until WORKER=STOP, for code that sleeps and for code that holds the GIL, beside the limit of 1 s.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import psutil

from ioc.cas.ask import SEARCH_S
from ioc.server import Server
from tests.system.hosting import Guardhost

GOOD = """
    from guardian import GuardState
    request = nominal = "WORK"
    class WORK(GuardState): pass
    edges = [("INIT", "WORK")]
"""
STUCK = """
    import ctypes, time
    from guardian import GuardState
    request = "REST"
    class REST(GuardState):
        goto = True
    class SLEEPS(GuardState):
        def main(self): time.sleep(3600)
    class HOLDS(GuardState):
        def main(self): ctypes.PyDLL(None).sleep(3600)
    edges = [("INIT", "REST"), ("REST", "SLEEPS"), ("REST", "HOLDS")]
"""


def bare(count: int) -> tuple[float, float]:
    """Seconds to start so many bare interpreters that import numpy, and the PSS of one in MB."""
    began = time.monotonic()
    code = "import numpy, sys; print('up', flush=True); sys.stdin.read()"
    children = [
        subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        for _ in range(count)
    ]
    for child in children:
        assert child.stdout is not None
        child.stdout.readline()
    took = time.monotonic() - began
    pss = psutil.Process(children[0].pid).memory_full_info().pss / 1e6
    for child in children:
        child.communicate()
    return took, pss


def cpu_s(processes: list[psutil.Process]) -> float:
    return sum(sum(p.cpu_times()[:2]) for p in processes)


def asked(host: Guardhost, names: list[str]) -> float:
    """Seconds for the question who has these nodes, as a host asks it."""
    os.environ |= {name: value for name, value in host.env.items() if name.startswith("EPICS_CA")}
    began = time.monotonic()
    found = asyncio.run(Server(ifo=host.ifo).elsewhere(names))
    assert len(found) in (0, len(names))
    return time.monotonic() - began


def nodes(folder: Path, count: int) -> None:
    names = [f"N{i:03d}" for i in range(count)]
    peer_s, peer_mb = bare(count)
    with Guardhost(folder, dict.fromkeys(names, GOOD)) as host:
        began = time.monotonic()
        for monitor in [host.ca.monitor(host.pv(n, "STATUS"), as_string=True) for n in names]:
            monitor.wait_value("DONE", 120)
        took = time.monotonic() - began
        print(f"start: {count} nodes DONE in {took:.1f} s, {took / peer_s:.2f} x {count} bare interpreters with numpy")
        nobodys, theirs = asked(host, [f"X{name}" for name in names]), asked(host, names)
        print(f"asked: {count} nodes in {nobodys:.2f} s, {nobodys / SEARCH_S:.2f} x a search", end="; ")
        print(f"{theirs:.2f} s, {theirs / SEARCH_S:.2f} x, where another host has them all")
        workers = list(host.workers().values())
        pss = sum(w.memory_full_info().pss for w in workers) / len(workers) / 1e6
        assert host.child is not None
        process = psutil.Process(host.child.pid)
        print(f"memory: {pss:.1f} MB PSS a worker, {pss / peer_mb:.2f} x a bare interpreter with numpy;", end=" ")
        print(f"host {process.memory_full_info().pss / 1e6:.0f} MB for {count} nodes")
        time.sleep(2)
        before = cpu_s([process]), cpu_s(workers)
        time.sleep(10)
        after = cpu_s([process]), cpu_s(workers)
        host_pc, workers_pc = ((b - a) * 10 for a, b in zip(before, after, strict=True))
        print(f"idle: host {host_pc / count:.3f} %, worker {workers_pc / count:.3f} % of a core a node", end=" ")
        print(f"({host_pc + workers_pc:.0f} % in all)")
        began = time.monotonic()
        host.child.stop(60)
        print(f"end: all gone in {time.monotonic() - began:.2f} s")


def stop(folder: Path) -> None:
    with Guardhost(folder, {"BAD": STUCK}) as host:
        for state in ("SLEEPS", "HOLDS"):
            host.wait("BAD", "WORKER", "RUN")
            host.put("BAD", "REQUEST", state)
            host.wait("BAD", "STATE", state)
            host.wait("BAD", "STATUS", "MAIN")
            began = time.monotonic()
            host.put("BAD", "OP", "STOP")
            host.wait("BAD", "WORKER", "STOP")
            took = time.monotonic() - began
            print(f"stop: {state} gone in {took:.2f} s, {took:.2f} x the limit of 1 s")
            host.put("BAD", "REQUEST", "REST")
            host.put("BAD", "OP", "EXEC")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=100)
    count = parser.parse_args().count
    with tempfile.TemporaryDirectory() as folder:
        nodes(Path(folder), count)
    with tempfile.TemporaryDirectory() as folder:
        stop(Path(folder))


if __name__ == "__main__":
    main()
