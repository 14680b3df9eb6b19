"""Hung threads, hung calls and stopped processes, as a real host finds them; and what it does not take for hung."""

from __future__ import annotations

import json
import os
import re
import signal
import time
from pathlib import Path
from typing import Any

import psutil
import pytest

from guardian.host import history
from guardian.worker.loop import IDLE_CYCLE_S
from tests.support import eventually
from tests.system.hosting import Guardhost
from tests.system.test_must_hold import GOOD

pytestmark = [pytest.mark.ca, pytest.mark.proc]

#: Its thread hangs as the state says. Its period is a second.
CAMERA = """
    import ctypes, re, threading, time
    from guardian import GuardState
    from guardian.health import MonitoredThread, Recovery, register

    PERIOD_S = 1.0
    hang = []
    request = nominal = 'REST'

    def sleeps():
        time.sleep(3600)
    def holds():
        ctypes.PyDLL(None).sleep(3600)
    def matches():
        re.match('(a+)+$', 'a' * 50 + 'b')
    def deadlocks():
        lock = threading.Lock()
        lock.acquire()
        lock.acquire()

    def film():
        while True:
            thread.keepalive()
            time.sleep(0.1)
            if hang:
                hang.pop()()

    class INIT(GuardState):
        def main(self):
            global thread
            thread = MonitoredThread(target=film, name='camera', period_s=PERIOD_S, daemon=True)
            thread.start()
            return True
    class REST(GuardState):
        goto = True
        def main(self):
            hang.clear()
    class SLEEPS(GuardState):
        def main(self):
            hang.append(sleeps)
    class HOLDS(GuardState):
        def main(self):
            hang.append(holds)
    class MATCHES(GuardState):
        def main(self):
            hang.append(matches)
    class DEADLOCKS(GuardState):
        def main(self):
            hang.append(deadlocks)
    edges = [('INIT', 'REST')] + [('REST', s) for s in ('SLEEPS', 'HOLDS', 'MATCHES', 'DEADLOCKS')]
"""

#: It says how long a call may take.
DOG = """
    import ctypes, time
    from guardian import GuardState
    request = nominal = 'REST'
    watchdog = 1.0
    class REST(GuardState):
        goto = True
    class MAIN_HANGS(GuardState):
        def main(self):
            time.sleep(3600)
    class RUN_HANGS(GuardState):
        def run(self):
            ctypes.PyDLL(None).sleep(3600)
    class MAY_HANG(GuardState):
        watchdog = None
        def main(self):
            time.sleep(3600)
    edges = [('INIT', 'REST')] + [('REST', s) for s in ('MAIN_HANGS', 'RUN_HANGS', 'MAY_HANG')]
"""


def log_of(host: Guardhost) -> str:
    assert host.child is not None
    return host.child.output


def logged(host: Guardhost, words: str, timeout_s: float = 30) -> str:
    """The first line of the log with these words, a pattern."""
    assert host.child is not None
    host.child.wait_for(words, timeout_s)
    return next(line for line in log_of(host).splitlines() if re.search(words, line))


def threads(host: Guardhost, node: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(host.get(node, "THREADS"))["threads"]
    return found


def entered(host: Guardhost, node: str, state: str) -> float:
    """Epoch at which a state was entered first."""
    records = history.read(host.state_dir / "journal.jsonl", node=node)
    return next(float(r["stamp"]) for r in records if r.get("kind") == "enter" and r["state"] == state)


def died(host: Guardhost, node: str) -> dict[str, Any]:
    """The record of its first death."""

    def found() -> dict[str, Any] | None:
        records = history.read(host.state_dir / "journal.jsonl", node=node)
        return next((r for r in records if r.get("text", "").startswith("worker died")), None)

    return eventually(found, 30, f"{node} to die")


@pytest.mark.parametrize("state", ["SLEEPS", "HOLDS", "MATCHES", "DEADLOCKS"])
def test_a_thread_that_hangs_is_a_death_and_the_next_worker_works(tmp_path: Path, state: str) -> None:
    """Asleep, in C with the interpreter held, in a regular expression, in a lock that nobody gives back."""
    with Guardhost(tmp_path, {"CAM": CAMERA, "GOOD": GOOD}) as host:
        host.wait("CAM", "OK", "True")
        eventually(lambda: [t["name"] for t in threads(host, "CAM")] == ["camera"], 10, "THREADS to have the camera")
        sibling, worker = host.workers()["GOOD"], host.workers()["CAM"]
        host.put("CAM", "REQUEST", state)
        death = died(host, "CAM")
        host.put("CAM", "REQUEST", "REST")
        assert re.match(r"worker died: thread camera has not beaten for 1\.\d s, promised every 1 s", death["text"]), (
            death
        )
        took_s = death["stamp"] - entered(host, "CAM", state)
        print(f"{state}: found and dead after {took_s:.2f} s")
        assert took_s < 1.5 + 0.1 + 1.5, "the period, the last beat before, last words, and a busy machine"
        host.wait("CAM", "OK", "True", 60)
        assert not worker.is_running() and int(host.get("CAM", "RESTARTS")) >= 1 == int(host.get("CAM", "KILLS"))
        logged(host, r"CAM .*, line \d+ in " + state.lower())  # the stack of the thread, its own line
        assert sibling.is_running() and host.workers()["GOOD"].pid == sibling.pid


def test_a_worker_that_fails_itself_is_a_death_whose_reason_is_told(tmp_path: Path) -> None:
    """An exception ends a thread: only its own process can know."""
    ends = CAMERA.replace("def holds():\n        ctypes.PyDLL(None).sleep(3600)", "def holds():\n        1 / 0")
    with Guardhost(tmp_path, {"CAM": ends, "GOOD": GOOD}) as host:
        host.wait("CAM", "STATUS", "DONE")
        host.put("CAM", "REQUEST", "HOLDS")
        eventually(lambda: host.get("CAM", "LAST_EXIT") != "", 30, "the worker to end")
        assert re.search(r" thread camera .*ZeroDivisionError.*; .*, pid \d+, after ", host.get("CAM", "LAST_EXIT"))
        assert int(host.get("GOOD", "RESTARTS")) == 0


@pytest.mark.parametrize(("state", "method"), [("MAIN_HANGS", "main"), ("RUN_HANGS", "run")])
def test_a_call_that_outlasts_its_watchdog_is_a_death(tmp_path: Path, state: str, method: str) -> None:
    with Guardhost(tmp_path, {"DOG": DOG}) as host:
        host.wait("DOG", "OK", "True")
        host.put("DOG", "REQUEST", state)
        death = died(host, "DOG")
        host.put("DOG", "REQUEST", "REST")
        assert re.match(
            rf"worker died: watchdog: {state}\.{method}\(\) has lasted 1\.\d s, 1 s are allowed", death["text"]
        ), death
        host.wait("DOG", "OK", "True", 60)
        assert int(host.get("DOG", "KILLS")) == 1
        logged(host, rf"DOG .*DOG\.py.*, line \d+ in {method}")


def test_a_state_without_watchdog_may_take_its_time(tmp_path: Path) -> None:
    with Guardhost(tmp_path, {"DOG": DOG}) as host:
        host.wait("DOG", "OK", "True")
        host.put("DOG", "REQUEST", "MAY_HANG")
        host.wait("DOG", "STATUS", "MAIN")
        time.sleep(3)
        host.put("DOG", "REQUEST", "REST")  # interrupted, not killed
        host.wait("DOG", "OK", "True")
        assert int(host.get("DOG", "KILLS")) == 0


def test_a_watchdog_that_is_shorter_than_the_cycle_of_a_state_without_a_run_kills_nobody(tmp_path: Path) -> None:
    watchdog_s = 0.8 * IDLE_CYCLE_S
    with Guardhost(tmp_path, {"DOG": DOG.replace("watchdog = 1.0", f"watchdog = {watchdog_s}")}) as host:
        host.wait("DOG", "OK", "True")
        worker = host.workers()["DOG"].pid
        time.sleep(5)
        assert (host.get("DOG", "OK"), int(host.get("DOG", "KILLS"))) == ("True", 0), log_of(host)
        assert host.workers()["DOG"].pid == worker


@pytest.mark.parametrize(("node", "source"), [("CAM", CAMERA), ("DOG", DOG)])
def test_a_worker_that_is_stopped_from_outside_is_found(tmp_path: Path, node: str, source: str) -> None:
    with Guardhost(tmp_path, {node: source}) as host:
        host.wait(node, "OK", "True")
        worker = host.workers()[node]
        if node == "CAM":
            eventually(lambda: threads(host, node), 10, "THREADS to have the camera")
        worker.suspend()
        asked = time.monotonic()
        psutil.wait_procs([worker], timeout=30)
        print(f"{node}: found and dead after {time.monotonic() - asked:.2f} s")
        assert not worker.is_running()
        died(host, node)
        host.wait(node, "OK", "True", 60)
        assert int(host.get(node, "RESTARTS")) == int(host.get(node, "KILLS")) == 1


def test_a_host_that_is_stopped_for_ten_seconds_takes_nobody_for_hung(tmp_path: Path) -> None:
    """Periods and watchdogs of one second."""
    with Guardhost(tmp_path, {"CAM": CAMERA, "DOG": DOG}) as host:
        for node in ("CAM", "DOG"):
            host.wait(node, "OK", "True")
        eventually(lambda: threads(host, "CAM"), 10, "THREADS to have the camera")
        before = {node: worker.pid for node, worker in host.workers().items()}
        assert host.child is not None
        for pause_s in (10, 1.2, 1.2, 1.2):
            os.kill(host.child.pid, signal.SIGSTOP)
            try:
                time.sleep(pause_s)
            finally:
                os.kill(host.child.pid, signal.SIGCONT)
            time.sleep(0.3)
        time.sleep(3)
        assert {node: worker.pid for node, worker in host.workers().items()} == before
        assert [host.get(node, "KILLS") for node in before] == [host.get(node, "RESTARTS") for node in before]
        assert "worker died" not in log_of(host) and "has not beaten" not in log_of(host)
        assert all(host.get(node, "OK") == "True" for node in before)


def test_threads_live_through_PAUSE_and_LOAD(tmp_path: Path) -> None:
    with Guardhost(tmp_path, {"CAM": CAMERA}) as host:
        host.wait("CAM", "OK", "True")
        eventually(lambda: threads(host, "CAM"), 10, "THREADS to have the camera")
        worker = host.workers()["CAM"]
        host.put("CAM", "OP", "PAUSE")
        time.sleep(2)
        host.put("CAM", "OP", "EXEC")
        host.put("CAM", "LOAD", 1)
        host.wait("CAM", "LOAD_STATUS", "DONE")
        time.sleep(2)
        assert [t["state"] for t in threads(host, "CAM")] == ["ALIVE"] and worker.is_running()
        host.put("CAM", "OP", "STOP")
        host.wait("CAM", "WORKER", "STOP")
        eventually(lambda: threads(host, "CAM") == [], 10, "THREADS to be empty")
        assert int(host.get("CAM", "KILLS")) == 0


def test_a_call_that_takes_long_is_told_and_harms_nobody(tmp_path: Path) -> None:
    site = tmp_path / "site.toml"
    with SlowSite(tmp_path, {"DOG": DOG}, nodes=["DOG"], options=("--site", str(site))) as host:
        host.wait("DOG", "OK", "True")
        host.put("DOG", "REQUEST", "MAY_HANG")
        logged(host, r"DOG WARNING: in MAY_HANG\.main\(\) for more than \d+(\.\d)? s; it waits or is busy")
        assert host.get("DOG", "WHY").startswith("in MAY_HANG.main() for more than ")
        assert "REQUEST=REST interrupts it (since " in host.get("DOG", "WHY")
        for name in ("OK", "EXECTIME"):
            assert host.ca.get(host.pv("DOG", name)).severity == 1, name
        assert "DOG: in MAY_HANG.main() for more than" in host.ctrl("why", "DOG")
        assert "in MAY_HANG.main() for more than" in host.ctrl("status", "DOG")
        assert "in MAY_HANG.main() for more than" in host.ctrl("list", "DOG")
        host.put("DOG", "REQUEST", "REST")
        host.wait("DOG", "OK", "True")
        eventually(lambda: host.ca.get(host.pv("DOG", "EXECTIME")).severity == 0, 10, "EXECTIME without alarm")
        assert int(host.get("DOG", "KILLS")) == 0


class SlowSite(Guardhost):
    """A host by a site file that wants to know of calls of more than a second."""

    @property
    def argv(self) -> list[str]:
        lines = [f'ifo = "{self.ifo}"', 'nodes = ["DOG"]', 'path = ["."]', f"port = {self.port}", 'state_dir = "state"']
        (self.folder / "site.toml").write_text("\n".join([*lines, "[policy]", "slow_after = 1"]))
        return [*super().argv[:3], *self.options]
