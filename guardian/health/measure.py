"""What a process knows of itself: how long it is up, what memory it holds, and what tells it from all others."""

from __future__ import annotations

import os
import time

_known: dict[int, tuple[float, str]] = {}  # by pid: a forked child is another process


def uptime_s() -> float:
    """Seconds since this process began, sleep of the machine included; no jump of a clock changes it."""
    return max(0.0, time.clock_gettime(time.CLOCK_BOOTTIME) - _this()[0])


def mem_bytes() -> int:
    """Memory of this process that is in RAM; 0 if that cannot be told, as without a descriptor."""
    try:
        with open("/proc/self/statm", "rb") as file:
            return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except OSError:
        return 0


def run_id() -> str:
    """The same as long as this process lives, and another one in any other."""
    return _this()[1]


def _this() -> tuple[float, str]:
    pid = os.getpid()
    known = _known.get(pid)
    if known is None:
        _known.clear()
        known = _known[pid] = _began(), os.urandom(6).hex()
    return known


def _began() -> float:
    """When this process began, in seconds since the machine did."""
    try:
        with open("/proc/self/stat", "rb") as file:
            ticks = int(file.read().rpartition(b")")[2].split()[19])
    except OSError:
        return time.clock_gettime(time.CLOCK_BOOTTIME)
    return ticks / os.sysconf("SC_CLK_TCK")
