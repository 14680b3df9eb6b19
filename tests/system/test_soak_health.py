"""Nobody is killed who is well: for an hour in peace, and for an hour with both processors taken. ``make soak``.

SOAK_S says another time. Every ten minutes the host is stopped for ten seconds, while all that it watches goes on.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.support import eventually
from tests.system.hosting import Guardhost

pytestmark = [pytest.mark.ca, pytest.mark.proc, pytest.mark.soak, pytest.mark.timeout(9000)]

SOAK_S = float(os.environ.get("SOAK_S", "3600"))
STOP_EVERY_S, STOPPED_S = 600.0, 10.0
NODES = [f"N{i}" for i in range(6)]
#: Two threads and a pool, all with a period of 2 s, and calls that may take 2 s; all is kept until HUNG stops one.
MODULE = """
    import time
    from guardian import GuardState
    from guardian.health import MonitoredThread, MonitoredThreadPool, keepalive
    request = nominal = "WORK"
    watchdog = 2.0
    WORK_S = {work_s}
    hung = []
    pool = []
    def beat(name):
        while not (hung and name == "laser"):
            keepalive()
            time.sleep(0.5)
        time.sleep(3600)
    def spin(seconds):
        until = time.thread_time() + seconds
        while time.thread_time() < until:
            pass
    class INIT(GuardState):
        def main(self):
            for name in ("camera", "laser"):
                MonitoredThread(target=beat, args=(name,), name=name, period_s=2.0).start()
            pool.append(MonitoredThreadPool(2, name="analysis", period_s=2.0))
            return True
    class WORK(GuardState):
        def run(self):
            spin(WORK_S)
            time.sleep(0.2)
            if WORK_S:
                pool[0].submit(spin, WORK_S)
            return True
    class HUNG(GuardState):
        goto = True
        def main(self):
            hung.append(True)
    edges = [("INIT", "WORK")]
"""


@contextmanager
def processors_taken() -> Iterator[None]:
    """A program for every processor that never rests."""
    hogs = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(os.cpu_count() or 1)]
    try:
        yield
    finally:
        for hog in hogs:
            hog.kill()
            hog.wait()


@contextmanager
def peace() -> Iterator[None]:
    yield


@pytest.mark.parametrize(("surroundings", "work_s"), [(peace, 0.0), (processors_taken, 0.002)])
def test_nobody_is_killed_who_is_well(tmp_path: Path, surroundings: type, work_s: float) -> None:
    with Guardhost(tmp_path, dict.fromkeys(NODES, MODULE.format(work_s=work_s))) as host, surroundings():
        assert host.child is not None
        for node in NODES:
            host.wait(node, "STATUS", "DONE", 120)
            host.wait(node, "PROC_STATE", "READY", 60)
        eventually(lambda: all(len(watched(host, node)) == 3 for node in NODES), 30, "three threads of each")
        pids = {node: host.get(node, "PROC_PID") for node in NODES}
        until, stop_at, oldest = time.monotonic() + SOAK_S, time.monotonic() + min(60.0, SOAK_S / 3), 0.0
        while time.monotonic() < until:
            if time.monotonic() > stop_at:
                os.kill(host.child.pid, signal.SIGSTOP)
                time.sleep(STOPPED_S)
                os.kill(host.child.pid, signal.SIGCONT)
                stop_at = time.monotonic() + STOP_EVERY_S
            oldest = max(oldest, *(one["age"] for node in NODES for one in watched(host, node)))
            time.sleep(1.0)
        for node in NODES:
            kept = {row: int(host.ca.get(host.pv(node, row)).value) for row in ("KILLS", "RESTARTS")}
            assert kept == {"KILLS": 0, "RESTARTS": 0}, host.child.report()
            assert host.get(node, "PROC_PID") == pids[node]
            assert host.get(node, "LAST_EXIT") == ""
        print(
            f"{surroundings.__name__}: {SOAK_S:.0f} s, nobody was killed; the oldest beat seen was {oldest:.2f} s old"
        )
        host.put(NODES[0], "REQUEST", "HUNG")  # and they were watched indeed
        eventually(lambda: host.get(NODES[0], "PROC_PID") != pids[NODES[0]], 60, "the worker that has hung to go")
        assert "laser" in host.get(NODES[0], "LAST_EXIT")
        assert all(host.get(node, "PROC_PID") == pids[node] for node in NODES[1:])


def watched(host: Guardhost, node: str) -> list[dict[str, float]]:
    told: list[dict[str, float]] = json.loads(host.get(node, "THREADS"))["threads"]
    return told
