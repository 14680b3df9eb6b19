"""Hours in minutes: a host under everything at once, and one whose threads and calls are watched, for as long as SOAK_S
says (600 s by default). ``make soak``.
"""

from __future__ import annotations

import os
import random
import signal
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import psutil
import pytest

from tests.support import Child
from tests.system.hosting import Guardhost
from tests.system.test_must_hold import GOOD, STUCK

pytestmark = [pytest.mark.ca, pytest.mark.proc, pytest.mark.soak, pytest.mark.timeout(7200)]

SOAK_S = float(os.environ.get("SOAK_S", "600"))
#: What promises to beat every 2 s, and does so every second; and calls that may take 2 s. HANGS keeps neither.
WATCHED = """
    import time
    from guardian import GuardState
    from guardian.health import MonitoredThread
    request = nominal = 'WORK'
    watchdog = 2.0
    hang = []
    def beats():
        while not hang:
            thread.keepalive()
            time.sleep(1.0)
        time.sleep(3600)
    class INIT(GuardState):
        def main(self):
            global thread
            thread = MonitoredThread(target=beats, name='pump', period_s=2.0, daemon=True)
            thread.start()
            return True
    class WORK(GuardState):
        def run(self):
            time.sleep(0.2)
            return True
    class HANGS(GuardState):
        def main(self):
            hang.append(True)
    edges = [('INIT', 'WORK'), ('WORK', 'HANGS')]
"""
STATES = ("SLEEPS", "SPINS", "HOLDS", "FLOODS", "REST")


def test_a_host_under_everything_at_once(tmp_path: Path) -> None:
    """Requests, STOP/EXEC, kill -9, floods and hangs at random: the good nodes never notice, nothing is left behind."""
    good, bad = [f"GOOD{i}" for i in range(10)], [f"BAD{i}" for i in range(10)]
    modules = {**dict.fromkeys(good, GOOD), **dict.fromkeys(bad, STUCK)}
    with Guardhost(tmp_path, modules) as host:
        for node in modules:
            host.wait(node, "STATUS", "DONE", 60)
        watched = [host.ca.monitor(host.pv(n, "OK"), as_string=True) for n in good]
        assert host.child is not None
        process = psutil.Process(host.child.pid)

        def held() -> tuple[int, int]:
            return process.num_fds(), process.num_threads()

        before, memory = held(), process.memory_info().rss
        chance, rounds, until = random.Random(1), 0, time.monotonic() + SOAK_S
        slowest = 0.0
        while time.monotonic() < until:
            node = chance.choice(bad)
            what = chance.randrange(6)
            if what <= 2:
                host.put(node, "REQUEST", chance.choice(STATES), wait=False)
            elif what == 3:
                host.put(node, "OP", "STOP", wait=False)
                host.put(node, "OP", "EXEC", wait=False)
            elif what == 4:
                host.put(node, "REENTER", 1, wait=False)
            elif (worker := host.workers().get(node)) is not None:
                os.kill(worker.pid, signal.SIGKILL)
            asked = time.monotonic()
            host.get(chance.choice(good), "STATE")
            slowest = max(slowest, time.monotonic() - asked)
            rounds += 1
            time.sleep(chance.uniform(0.0, 0.3))
        for node in bad:
            host.put(node, "OP", "STOP", wait=False)
        for node in bad:
            host.wait(node, "WORKER", "STOP", 60)
        for node in bad:
            host.put(node, "REQUEST", "REST", wait=False)
            host.put(node, "OP", "EXEC", wait=False)
        for node in bad:
            host.wait(node, "STATUS", "DONE", 60)
        assert [m.values for m in watched] == [["True"]] * len(good)
        assert held() == before
        grown = (process.memory_info().rss - memory) / 1e6
        print(
            f"{rounds} rounds in {SOAK_S:.0f} s; slowest answer {slowest:.3f} s; the host has grown by {grown:.1f} MB"
        )
        assert slowest < 3.0
        assert grown < 30


@contextmanager
def all_processors_busy() -> Iterator[None]:
    """As many processes that never rest as there are processors."""
    with ExitStack() as burning:
        for _ in range(os.cpu_count() or 1):
            burning.enter_context(Child([sys.executable, "-c", "while True: pass"]))
        yield


@pytest.mark.parametrize("busy", [False, True], ids=["idle", "busy"])
def test_nobody_is_killed_who_keeps_a_promise_and_who_breaks_it_is(tmp_path: Path, busy: bool) -> None:
    """Periods and watchdogs of 2 s; at the end one thread hangs, and is found."""
    nodes = [f"PUMP{i}" for i in range(10)]
    with ExitStack() as around, Guardhost(tmp_path, dict.fromkeys(nodes, WATCHED)) as host:
        for node in nodes:
            host.wait(node, "OK", "True", 60)
        if busy:
            around.enter_context(all_processors_busy())
        before = {node: worker.pid for node, worker in host.workers().items()}
        assert host.child is not None
        process = psutil.Process(host.child.pid)
        used, began = sum(process.cpu_times()[:2]), time.monotonic()
        while time.monotonic() < began + SOAK_S:
            time.sleep(1.0)
            assert "worker died" not in host.child.output, host.child.report()
        used = (sum(process.cpu_times()[:2]) - used) / (time.monotonic() - began)
        assert {node: worker.pid for node, worker in host.workers().items()} == before
        assert all(int(host.get(node, "KILLS")) == 0 for node in nodes)
        host.put("PUMP0", "REQUEST", "HANGS")
        host.wait("PUMP0", "STATE", "HANGS")
        asked = time.monotonic()
        host.child.wait_for("PUMP0 .*worker died: thread pump has not beaten", 30)
        print(f"a hang found after {time.monotonic() - asked:.1f} s; the host took {used:.1%} of a processor")
        survivors = {node: worker.pid for node, worker in host.workers().items() if node != "PUMP0"}
        assert survivors == {node: pid for node, pid in before.items() if node != "PUMP0"}
