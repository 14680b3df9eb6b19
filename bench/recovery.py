"""How soon a host finds a death and a hang, how soon all is well again, and what the watching costs.

* ``dead``: kill -9 of a worker until a client sees that it is gone, beside the limit of 0.2 s; until PROC_STATE is
  READY again, beside the limit of 2 s, and beside a bare interpreter that imports numpy. Each death is the first in its
  window, so the delay before the restart is the usual one.
* ``hung``: from the last beat of a watched thread until its worker is killed for it, in periods; the limit is 1.5.
* ``cost``: CPU of the host for nodes whose threads are watched with a period of 2 s, beside the same nodes without.
"""

from __future__ import annotations

import argparse
import os
import random
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import psutil

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


def site(folder: Path, nodes: list[str], ifo: str) -> Path:
    """A site file in which each death is the first in its window."""
    path = folder / "site.toml"
    lines = [f'ifo = "{ifo}"', f"nodes = {nodes!r}", "[policy]", "restarts = 1000000", "restart_window = 1"]
    path.write_text("\n".join(lines))
    return path


class Host(Guardhost):
    """A guardhost that runs by a site file."""

    @property
    def argv(self) -> list[str]:
        argv = super().argv
        at = argv.index("guardian.cli.guardhost") + 1
        return [*argv[:at], "--site", str(site(self.folder, self.nodes, self.ifo)), *argv[at + len(self.nodes) :]]


def bare_s() -> float:
    """Seconds until a bare interpreter has imported numpy."""
    began = time.monotonic()
    subprocess.run([sys.executable, "-c", "import numpy"], check=True)
    return time.monotonic() - began


def show(what: str, took: list[float], limit: float, unit: str) -> None:
    median, worst = statistics.median(took), max(took)
    p99 = sorted(took)[int(0.99 * len(took))]
    verdict = "within" if median < limit else "MISSES"
    print(
        f"  {what:8} median {median:.3f} {unit}, p99 {p99:.3f}, worst {worst:.3f}: {median / limit:.2f} x the limit of "
        f"{limit:g} {unit} ({verdict}), n = {len(took)}"
    )


def dead(folder: Path, count: int) -> None:
    nodes = [f"N{i}" for i in range(10)]
    with Host(folder, dict.fromkeys(nodes, PLAIN)) as host:
        for node in nodes:
            host.wait(node, "STATUS", "DONE", 60)
        states = {node: host.ca.monitor(host.pv(node, "PROC_STATE"), as_string=True) for node in nodes}
        noticed, ready = [], []
        for i in range(count):
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
        print("dead: kill -9 of a worker")
        show("noticed", noticed, NOTICED_S, "s")
        show("ready", ready, READY_S, "s")
        print(f"           {statistics.median(ready) / bare_s():.2f} x a bare interpreter that imports numpy")


def _until(condition: Callable[[], bool], timeout_s: float = 60.0) -> None:
    until = time.monotonic() + timeout_s
    while not condition():
        if time.monotonic() > until:
            raise SystemExit(f"nothing came within {timeout_s:g} s")
        time.sleep(0.001)


def hung(folder: Path, period_s: float, count: int) -> None:
    nodes = [f"N{i}" for i in range(5)]
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
        show(f"{period_s:g} s", took, PERIODS, "periods")


def _last_beats(child: Child, node: str) -> list[float]:
    lines = [line for line in child.output.splitlines() if " last beat at " in line and f" {node} " in line]
    return [float(line.split()[-1]) for line in lines]


def cost(folder: Path, count: int) -> None:
    nodes, used = [f"N{i:03d}" for i in range(count)], {}
    for what, module in (("without", PLAIN), ("with", WATCHED.replace("PERIOD", "2.0"))):
        (folder / what).mkdir()
        with Host(folder / what, dict.fromkeys(nodes, module)) as host:
            for node in nodes:
                host.wait(node, "STATUS", "DONE", 120)
            time.sleep(3)
            assert host.child is not None
            process = psutil.Process(host.child.pid)
            before = sum(process.cpu_times()[:2])
            time.sleep(20)
            used[what] = (sum(process.cpu_times()[:2]) - before) / 20 * 100
    print(
        f"cost: host of {count} nodes with two watched threads each {used['with']:.2f} % of a core, "
        f"{used['with'] / max(used['without'], 1e-3):.2f} x the same without ({used['without']:.2f} %)"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=100, help="deaths, and a third as many hangs for each period")
    parser.add_argument("--nodes", type=int, default=50)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        dead(Path(folder), options.count)
    print("hung: from the last beat of a thread until its worker is killed")
    for period_s in (0.5, 2.0):
        with tempfile.TemporaryDirectory() as folder:
            hung(Path(folder), period_s, max(3, options.count // 3))
    with tempfile.TemporaryDirectory() as folder:
        cost(Path(folder), options.nodes)


if __name__ == "__main__":
    main()
