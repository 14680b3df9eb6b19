"""Hours in minutes: a host under everything at once, for as long as SOAK_S says (600 s by default). ``make soak``."""

from __future__ import annotations

import os
import random
import signal
import time
from pathlib import Path

import psutil
import pytest

from tests.system.hosting import Guardhost
from tests.system.test_must_hold import GOOD, STUCK

pytestmark = [pytest.mark.ca, pytest.mark.proc, pytest.mark.soak, pytest.mark.timeout(7200)]

SOAK_S = float(os.environ.get("SOAK_S", "600"))
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
