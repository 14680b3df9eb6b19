"""Watched threads of a plain program: what a beat and a registration cost, and how soon one that hangs is found.

A beat beside a call of ``time.monotonic``, which nothing that is told the time can do without. A thread that hangs is
to be found within 1.5 periods, counted from its last beat to the end of its process.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable

from bench.figures import Report
from guardian.health import get_process_state, keepalive, ready, register, set_process_name
from guardian.health.monitored import MonitoredThread
from tests.support.child import REPO

PERIODS = 1.5
HANGS = """
import sys, time
from guardian.health import keepalive, register
with register("hangs", float(sys.argv[1])):
    for _ in range(3):
        time.sleep(0.05)
        keepalive()
    print(time.monotonic(), flush=True)
    time.sleep(600)
"""


def run(report: Report) -> None:
    """The costs, and threads that hang."""
    with tempfile.TemporaryDirectory() as os.environ["GUARD_LOCK_DIR"]:
        costs(report)
        report.part("from the last beat until the process has ended")
        for period_s in (0.5, 2.0):
            times = report.size(10, 1)
            found = [found_after_periods(report, period_s) for _ in range(times)]
            report.figure(f"period {period_s:g} s", found, "periods")
            report.figure(f"period {period_s:g} s, worst", max(found), "periods", n=times, limit=PERIODS)


def costs(report: Report) -> None:
    """Of calls of this process."""
    many, few = report.size(300_000, 3000), report.size(300, 30)
    report.part("a call")
    clock = report.figure("time.monotonic", each_us(time.monotonic, many), "us", n=many)
    with register("bench", 600):
        report.figure("a beat", each_us(keepalive, many), "us", n=many, beside=clock)
        thread = MonitoredThread(target=time.sleep, args=(2,), period_s=600, daemon=True)
        thread.start()
        report.figure("a beat by its thread object", each_us(thread.keepalive, many), "us", n=many, beside=clock)
    names = iter(range(few))
    calls: dict[str, Callable[[], object]] = {
        "register and deregister": lambda: register("bench", 600).deregister(),
        "a name": lambda: set_process_name(f"b{next(names)}"),
        "a state": ready,
        "the state of this process": get_process_state,
    }
    for what, call in calls.items():
        report.figure(what, each_us(call, few), "us", n=few)


def each_us(call: Callable[[], object], times: int) -> float:
    """Microseconds that a call takes."""
    began = time.perf_counter()
    for _ in range(times):
        call()
    return (time.perf_counter() - began) / times * 1e6


def found_after_periods(report: Report, period_s: float) -> float:
    """From the last beat of a thread that hangs to the end of its process."""
    with subprocess.Popen(
        [sys.executable, "-c", HANGS, str(period_s)], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, cwd=REPO
    ) as process:
        assert process.stdout is not None
        last_beat = float(process.stdout.readline())
        code = process.wait(60)
        took_s = time.monotonic() - last_beat
    report.check("a process whose thread hangs ends with an error", code != 0, f"exit code {code}")
    return took_s / period_s
