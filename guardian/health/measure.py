"""What a process knows of itself: how long it is up, what memory it holds, and what tells it from all others."""

from __future__ import annotations

import os
import time

_runs: dict[int, str] = {}


def uptime_s() -> float:
    """Seconds since this process began, sleep of the machine included; no jump of a clock changes it."""
    with open("/proc/self/stat", "rb") as file:
        began_ticks = int(file.read().rpartition(b")")[2].split()[19])
    return max(0.0, time.clock_gettime(time.CLOCK_BOOTTIME) - began_ticks / os.sysconf("SC_CLK_TCK"))


def mem_bytes() -> int:
    """Memory of this process that is in RAM."""
    with open("/proc/self/statm", "rb") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def run_id() -> str:
    """The same as long as this process lives, and another one in any other."""
    pid = os.getpid()
    if pid not in _runs:
        _runs.clear()  # a forked child is another process
        _runs[pid] = os.urandom(6).hex()
    return _runs[pid]
