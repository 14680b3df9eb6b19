"""Watched threads of a plain program: what a beat and a registration cost, and how soon one that hangs is found.

A thread that hangs must be found within 1.5 periods, counted from its last beat to the end of its process.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time

from guardian.health import get_process_state, keepalive, ready, register, set_process_name
from guardian.health.monitored import MonitoredThread
from tests.support.child import REPO

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


def each_us(call: object, times: int) -> float:
    """Microseconds that a call takes."""
    began = time.perf_counter()
    for _ in range(times):
        call()  # type: ignore[operator]
    return (time.perf_counter() - began) / times * 1e6


def found_after_periods(period_s: float) -> float:
    """From the last beat of a thread that hangs to the end of its process."""
    with subprocess.Popen(
        [sys.executable, "-c", HANGS, str(period_s)], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, cwd=REPO
    ) as process:
        assert process.stdout is not None
        last_beat = float(process.stdout.readline())
        process.wait()
        return (time.monotonic() - last_beat) / period_s


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--times", type=int, default=10, help="threads that hang, for each period (10)")
    times = parser.parse_args().times
    with tempfile.TemporaryDirectory() as os.environ["GUARD_LOCK_DIR"]:
        with register("bench", 600):
            print(f"a beat                       {each_us(keepalive, 1_000_000):8.3f} us")
            thread = MonitoredThread(target=time.sleep, args=(2,), period_s=600, daemon=True)
            thread.start()
            print(f"a beat by its thread object  {each_us(thread.keepalive, 300_000):8.3f} us")
        print(f"register and deregister      {each_us(lambda: register('bench', 600).deregister(), 1000):8.3f} us")
        print(
            f"a name                       {each_us(lambda: set_process_name(f'b{time.monotonic_ns()}'), 300):8.3f} us"
        )
        print(f"a state                      {each_us(ready, 300):8.3f} us")
        print(f"the state of this process    {each_us(get_process_state, 1000):8.3f} us")
        for period_s in (0.5, 2.0):
            found = [found_after_periods(period_s) for _ in range(times)]
            print(
                f"found, period {period_s:g} s: after {statistics.median(found):.2f} periods (median), "
                f"{max(found):.2f} (worst of {times}), limit 1.5"
            )


if __name__ == "__main__":
    main()
