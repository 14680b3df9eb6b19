"""How soon a host finds a death and a hang, how soon all is well again, and what the watching costs.

* dead: kill -9 of a worker until a client sees that it is gone, beside the limit of 0.2 s; until PROC_STATE is READY
  again, beside the limit of 2 s, and beside a bare interpreter that imports numpy. Each death is the first in its
  window, so the delay before the restart is the usual one.
* hung: from the last beat of a watched thread until its worker is killed for it, in periods; the limit is 1.5.
* cost: CPU of the host for nodes whose threads are watched with a period of 2 s, beside the same nodes without.
"""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import psutil

from bench.figures import Report
from bench.machine import cpu_s
from tests.support import Child, eventually
from tests.system.hosting import Guardhost

NOTICED_S, READY_S, PERIODS = 0.2, 2.0, 1.5
PLAIN = """
    from guardian import GuardState
    request = nominal = "WORK"
    class WORK(GuardState): pass
    edges = [("INIT", "WORK")]
"""
WATCHED = """
    import time
    from guardian import GuardState
    from guardian.health import MonitoredThread, keepalive
    request = nominal = "WORK"
    HANG = []
    def beat():
        while not HANG:
            keepalive()
            last = time.monotonic()
            time.sleep(0.05)
        log(f"last beat at {last!r}")
        time.sleep(3600)
    class INIT(GuardState):
        def main(self):
            for name in ("camera", "laser"):
                MonitoredThread(target=beat, name=name, period_s=PERIOD).start()
            return True
    class WORK(GuardState): pass
    class HUNG(GuardState):
        goto = True
        def main(self):
            HANG.append(True)
    edges = [("INIT", "WORK")]
"""


def run(report: Report) -> None:
    """Deaths, hangs, and the cost."""
    for part in (dead, hung, cost):
        with tempfile.TemporaryDirectory() as folder:
            part(report, Path(folder))


def dead(report: Report, folder: Path) -> None:
    nodes = [f"N{i}" for i in range(report.size(10, 3))]
    with Host(folder, dict.fromkeys(nodes, PLAIN)) as host:
        for node in nodes:
            host.wait(node, "STATUS", "DONE", 60)
        states = {node: host.ca.monitor(host.pv(node, "PROC_STATE"), as_string=True) for node in nodes}
        noticed, ready = [], []
        for i in range(report.size(300, 3)):
            node = nodes[i % len(nodes)]
            monitor, pid = states[node], int(host.ca.get(host.pv(node, "PROC_PID")).value)
            seen = len(monitor.values)
            time.sleep(random.uniform(0.1, 0.2))
            began = time.monotonic()
            os.kill(pid, signal.SIGKILL)
            _until(lambda m=monitor, n=seen: len(m.values) > n)  # type: ignore[misc]
            noticed.append(time.monotonic() - began)
            _until(lambda m=monitor, n=seen: "READY" in m.values[n:])  # type: ignore[misc]
            ready.append(time.monotonic() - began)
        bare = [bare_s() for _ in range(report.size(10, 2))]
    report.part("kill -9 of a worker")
    report.figure("noticed", noticed, "s", limit=NOTICED_S)
    report.figure("ready", ready, "s", limit=READY_S)
    report.figure("ready", ready, "s", beside=report.figure("an interpreter that imports numpy", bare, "s"))


def hung(report: Report, folder: Path) -> None:
    report.part("from the last beat of a thread until its worker is killed")
    for period_s in (0.5, 2.0):
        (folder / str(period_s)).mkdir()
        took = hangs(folder / str(period_s), period_s, report.size(30, 1))
        report.figure(f"period {period_s:g} s", took, "periods")
        report.figure(f"period {period_s:g} s, worst", max(took), "periods", n=len(took), limit=PERIODS)


def hangs(folder: Path, period_s: float, count: int) -> list[float]:
    """How many periods each took."""
    nodes = [f"N{i}" for i in range(min(5, count))]
    with Host(folder, dict.fromkeys(nodes, WATCHED.replace("PERIOD", str(period_s)))) as host:
        assert host.child is not None
        child, took = host.child, []
        for node in nodes:
            host.wait(node, "STATUS", "DONE", 60)
        for i in range(count):
            node = nodes[i % len(nodes)]
            kills = int(host.ca.get(host.pv(node, "KILLS")).value)
            told = len(_last_beats(child, node))
            time.sleep(random.uniform(0.0, period_s))
            host.put(node, "REQUEST", "HUNG")
            _until(lambda n=node, k=kills: int(host.ca.get(host.pv(n, "KILLS")).value) > k)  # type: ignore[misc]
            killed = time.monotonic()
            eventually(lambda n=node, t=told: len(_last_beats(child, n)) > t, 10, "the last beat in the log")  # type: ignore[misc]
            took.append((killed - max(_last_beats(child, node)[told:])) / period_s)
            host.put(node, "REQUEST", "WORK")
            host.wait(node, "OK", "True", 60)
    return took


def cost(report: Report, folder: Path) -> None:
    nodes, seconds = [f"N{i:03d}" for i in range(report.size(50, 2))], report.size(20, 2)
    used = {}
    for what, module in (("without", PLAIN), ("with", WATCHED.replace("PERIOD", "2.0"))):
        (folder / what).mkdir()
        with Host(folder / what, dict.fromkeys(nodes, module)) as host:
            for node in nodes:
                host.wait(node, "STATUS", "DONE", 120)
            time.sleep(report.size(3, 1))
            assert host.child is not None
            process = psutil.Process(host.child.pid)
            before = cpu_s(process)
            time.sleep(seconds)
            used[what] = (cpu_s(process) - before) / seconds * 100
    report.part(f"a host of {len(nodes)} nodes")
    without = report.figure("no thread is watched", used["without"], "% of a core")
    report.figure("two threads of each are watched", used["with"], "% of a core", beside=without)


class Host(Guardhost):
    """A guardhost that runs by a site file, in which each death is the first in its window."""

    @property
    def argv(self) -> list[str]:
        argv = super().argv
        at = argv.index("guardian.cli.guardhost") + 1
        path = self.folder / "site.toml"
        lines = [f'ifo = "{self.ifo}"', f"nodes = {self.nodes!r}"]
        path.write_text("\n".join([*lines, "[policy]", "restarts = 1000000", "restart_window = 1"]))
        return [*argv[:at], "--site", str(path), *argv[at + len(self.nodes) :]]


def bare_s() -> float:
    """Seconds until a bare interpreter has imported numpy."""
    began = time.monotonic()
    subprocess.run([sys.executable, "-c", "import numpy"], check=True)
    return time.monotonic() - began


def _until(condition: Callable[[], bool], timeout_s: float = 60.0) -> None:
    until = time.monotonic() + timeout_s
    while not condition():
        if time.monotonic() > until:
            raise SystemExit(f"nothing came within {timeout_s:g} s")
        time.sleep(0.001)


def _last_beats(child: Child, node: str) -> list[float]:
    lines = [line for line in child.output.splitlines() if " last beat at " in line and f" {node} " in line]
    return [float(line.split()[-1]) for line in lines]
