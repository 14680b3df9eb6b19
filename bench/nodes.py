"""What nodes cost, 50, 150 and 500 of them in one host: start, memory, CPU at rest and at work, and their end.

* start: 100 nodes, from the start of the host until the last worker is READY, beside a bare forkserver with the same
  imports and as many processes. Goal: at most 2 x.
* memory: PSS of a worker with its module and 5 connected channels. Limit: 10 MB.
* CPU: of the host with all its processes, while the nodes rest in a state, and while each, or as many as the machine
  carries, reads its 5 channels 16 times a second; beside bare processes that poll theirs at 16 Hz (``PV.get()`` of
  pyepics). Goal: 150 quiet nodes take at most 1/5 of what the pollers take.
* curves: what a node costs among 500, beside one among 50. Goal: at most 1.2 x, which is flat.
* asked: how much later a host starts because the network is asked first whether another one runs one of its nodes:
  where nobody does, and where one runs them all; beside the time that a search is meant to take.
* stop: OP=STOP until WORKER=STOP. Limit for code that sleeps: 1 s. Code that holds the GIL hears nothing and is killed
  after 1 s (R10); goal: it is gone at most a tenth later.
"""

from __future__ import annotations

import asyncio
import os
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import psutil

from bench.bare import READY, channels, names, workers
from bench.figures import Report
from bench.machine import cpu_s
from ioc.cas.ask import SEARCH_S
from ioc.server import Server
from tests.support import REPO, Child, SoftIoc, ca_env, free_port
from tests.system.hosting import Guardhost

COUNTS = ((50, 2), (150, 4), (500, 6))  #: in full, and where all is to be quick
START, FLAT, PSS_MB, STOP_S, KILLED = 2.0, 1.2, 10.0, 1.0, 1.1
#: Where all cores are busy a client waits as long; so much of them may be, by what a node costs where there are fewer.
SLOW_S, FULL = 120.0, 0.8
#: Of the pollers' CPU, for so many nodes.
QUIET = {150: 1 / 5}
PLAIN = """
    from guardian import GuardState
    request = nominal = "WORK"
    class WORK(GuardState): pass
    edges = [("INIT", "WORK")]
"""
MODULE = """
    from guardian import GuardState
    request = nominal = "QUIET"
    NAMES = [f"{SYSTEM}_C{n}" for n in range(5)]
    def read():
        return [ezca[name] for name in NAMES]
    class QUIET(GuardState):
        goto = True
        def main(self):
            read()
    class READS(GuardState):
        def run(self):
            read()
            return True
    edges = [("INIT", "QUIET"), ("QUIET", "READS")]
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


@dataclass(frozen=True, slots=True, kw_only=True)
class Cost:
    """Of one node, or of one process that does as much without us: seconds, MB, percent of a core."""

    start_s: float
    pss_mb: float
    quiet: float = 0.0
    reads: float


def run(report: Report) -> None:
    """The start, the curves, and the ends."""
    start(report)
    counts = (COUNTS[0], COUNTS[-1]) if report.quick else COUNTS
    costs: list[Cost] = []
    for full, quick in counts:
        costs.append(at_count(report, report.size(full, quick), QUIET.get(full), costs[-1] if costs else None))
    curves(report, costs[0], costs[-1])
    asked(report)
    stop(report)


# --- start ------------------------------------------------------------------------------------------------------------


def start(report: Report) -> None:
    """In turns."""
    count = report.size(100, 4)
    bare, ours = [], []
    for _ in range(report.size(5, 1)):
        bare.append(bare_s(count))
        ours.append(host_s(count))
    report.part(f"start of {count} nodes")
    peer = report.figure("a bare forkserver, all up", bare, "s")
    report.figure("a host, all READY", ours, "s", beside=peer, goal=START)


def bare_s(count: int) -> float:
    began = time.monotonic()
    with Child([sys.executable, "-m", "bench.bare", str(count)], env=ca_env(free_port()), cwd=REPO) as child:
        child.wait_for(READY, 300)
        return time.monotonic() - began


def host_s(count: int) -> float:
    with tempfile.TemporaryDirectory() as folder:
        host = Guardhost(Path(folder), dict.fromkeys(names(count), PLAIN))
        began = time.time()
        with host:
            return last_s(host, "PROC_STATE", "READY") - began


def last_s(host: Guardhost, row: str, value: str, nodes: Sequence[str] = ()) -> float:
    """When the last of these nodes came there, by the clock of the server: who looks later has not been in the way.

    nodes : default: all.
    """
    monitors = [host.ca.monitor(host.pv(node, row), as_string=True) for node in nodes or host.nodes]
    return max(monitor.wait_value(value, 600).stamp_utc for monitor in monitors)


# --- what a node costs ------------------------------------------------------------------------------------------------


def at_count(report: Report, count: int, goal: float | None, one: Cost | None) -> Cost:
    """Of each, among so many; shown for all.

    one : of a node among fewer, which says how many this machine can carry.
    """
    readers = carried(count, one)
    with tempfile.TemporaryDirectory() as folder:
        port, host = free_port(), Guardhost(Path(folder), dict.fromkeys(names(count), MODULE))
        host.env["EPICS_CA_ADDR_LIST"] = f"127.0.0.1:{host.port} 127.0.0.1:{port}"
        records = [f'record(ao, "{host.ifo}:{name}") {{}}' for node in host.nodes for name in channels(node)]
        with SoftIoc("\n".join(records), port):
            theirs = pollers(report, count, f"{host.ifo}:", port) if readers == count else None
            ours = nodes(report, host, readers)
    report.part(f"{count} nodes with 5 channels each")
    start_s, quiet = ours.start_s * count, ours.quiet * count
    reads = quiet + (ours.reads - ours.quiet) * readers
    if theirs is None:
        report.figure("start until all are DONE", start_s, "s")
        report.figure("PSS of a worker", ours.pss_mb, "MB", limit=PSS_MB)
        report.figure("CPU, nodes that are quiet", quiet, "% of a core")
        report.figure(f"CPU, {readers} of them read at 16 Hz", reads, "% of a core")
        report.note(f"all {count} at 16 Hz, or as many pollers, are more than this machine carries")
        return ours
    report.figure("start until all are DONE", start_s, "s", peer="pollers", beside=theirs.start_s * count)
    report.figure("PSS of a worker", ours.pss_mb, "MB", limit=PSS_MB)
    report.figure("PSS of a worker", ours.pss_mb, "MB", peer="a poller", beside=theirs.pss_mb)
    polls = report.figure("CPU, pollers at 16 Hz", theirs.reads * count, "% of a core")
    report.figure("CPU, nodes that are quiet", quiet, "% of a core", beside=polls, goal=goal)
    report.figure("CPU, nodes that read at 16 Hz", reads, "% of a core", beside=polls)
    return ours


def carried(count: int, one: Cost | None) -> int:
    """How many of so many nodes this machine lets read at 16 Hz, while the others are quiet."""
    cores = FULL * 100 * (os.cpu_count() or 1)
    if one is None or one.reads * count <= cores:
        return count
    return max(1, int((cores - one.quiet * count) / (one.reads - one.quiet)))


def pollers(report: Report, count: int, prefix: str, port: int) -> Cost:
    began = time.monotonic()
    with Child([sys.executable, "-m", "bench.bare", str(count), prefix], env=ca_env(port), cwd=REPO) as child:
        child.wait_for(READY, 600)
        start_s = (time.monotonic() - began) / count
        return Cost(start_s=start_s, pss_mb=pss_mb(workers(child.pid)), reads=cpu(report, child.pid) / count)


def nodes(report: Report, host: Guardhost, readers: int) -> Cost:
    count, began = len(host.nodes), time.time()
    with host:
        assert host.child is not None
        start_s = (last_s(host, "STATUS", "DONE") - began) / count
        pss, quiet = pss_mb(list(host.workers().values())), cpu(report, host.child.pid) / count
        for node in host.nodes[:readers]:
            host.put(node, "REQUEST", "READS", timeout_s=SLOW_S)  # they fill the machine one after the other
        last_s(host, "STATE", "READS", host.nodes[:readers])
        reads = quiet + (cpu(report, host.child.pid) - quiet * count) / readers
        here = len(host.workers())
        report.check(f"each of {count} nodes has its worker", here == count, here)
        dead = [node for node in host.nodes if int(host.ca.get(host.pv(node, "RESTARTS")).value)]
        report.check("no worker was started twice", not dead, dead)
        ended = host.child.stop(120)
        report.check("a host ends with exit code 0", ended == 0, ended)
    return Cost(start_s=start_s, pss_mb=pss, quiet=quiet, reads=reads)


def pss_mb(processes: list[psutil.Process]) -> float:
    """The mean."""
    return float(sum(one.memory_full_info().pss for one in processes) / len(processes) / 1e6)


def cpu(report: Report, pid: int) -> float:
    """Percent of a core that a process and all below it take."""
    seconds, processes = report.size(20, 1), [top := psutil.Process(pid), *top.children(recursive=True)]
    time.sleep(report.size(10, 0))  # what was begun before is over then
    before, began = cpu_s(*processes), time.monotonic()
    time.sleep(seconds)
    return (cpu_s(*processes) - before) / (time.monotonic() - began) * 100


def curves(report: Report, few: Cost, many: Cost) -> None:
    report.part(f"a node among {report.size(*COUNTS[-1])}")
    among = f"one among {report.size(*COUNTS[0])}"
    report.figure("start", many.start_s * 1e3, "ms", peer=among, beside=few.start_s * 1e3, goal=FLAT)
    report.figure("PSS of its worker", many.pss_mb, "MB", peer=among, beside=few.pss_mb, goal=FLAT)
    report.figure("CPU, quiet", many.quiet, "% of a core", peer=among, beside=few.quiet, goal=FLAT)
    report.figure("CPU, reads at 16 Hz", many.reads, "% of a core", peer=among, beside=few.reads, goal=FLAT)


# --- the rest of a life -----------------------------------------------------------------------------------------------


def asked(report: Report) -> None:
    count = report.size(100, 4)
    with tempfile.TemporaryDirectory() as folder, Guardhost(Path(folder), dict.fromkeys(names(count), PLAIN)) as host:
        last_s(host, "STATUS", "DONE")
        os.environ |= {name: value for name, value in host.env.items() if name.startswith("EPICS_CA")}
        report.part(f"who has these {count} nodes?")
        for what, them, has in (("nobody", [f"X{name}" for name in host.nodes], 0), ("a host", host.nodes, count)):
            began = time.monotonic()
            found = asyncio.run(Server(ifo=host.ifo).elsewhere(them))
            report.figure(what, time.monotonic() - began, "s", peer="a search", beside=SEARCH_S)
            report.check(f"asked who has them, where it is {what}: right", len(found) == has, found)


def stop(report: Report) -> None:
    took: dict[str, list[float]] = {"SLEEPS": [], "HOLDS": []}
    with tempfile.TemporaryDirectory() as folder, Guardhost(Path(folder), {"BAD": STUCK}) as host:
        for _ in range(report.size(10, 1)):
            for state, seconds in took.items():
                host.wait("BAD", "WORKER", "RUN")
                host.put("BAD", "REQUEST", state)
                host.wait("BAD", "STATE", state)
                host.wait("BAD", "STATUS", "MAIN")
                began = time.monotonic()
                host.put("BAD", "OP", "STOP")
                host.wait("BAD", "WORKER", "STOP")
                seconds.append(time.monotonic() - began)
                host.put("BAD", "REQUEST", "REST")
                host.put("BAD", "OP", "EXEC")
    report.part("OP=STOP until the worker is gone")
    report.figure("code that sleeps", took["SLEEPS"], "s", limit=STOP_S)
    report.figure("code that holds the GIL", took["HOLDS"], "s", peer="until it is killed", beside=STOP_S, goal=KILLED)
