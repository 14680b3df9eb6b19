"""What a host measures of itself and of its machine, through psutil.

Cost: 10 us a second on the loop, and 0.3 ms each ten seconds. Descriptors are counted by the kernel (Linux 6.2 and
later say how many there are without making a list); where it does not, a thread counts them.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import resource
import time

import psutil

#: Seconds between two looks at what changes all the time: memory and processors.
SLOW_S = 10.0
#: Numbers that differ by less than this part are the same, so that an idle host posts nothing.
SAME_PART = 0.01
#: Percent of the processors that are the same.
SAME_LOAD = 0.5
_MY_DESCRIPTORS = "/proc/self/fd"


class Gauge:
    """Of this process. `look` once a second, on the loop."""

    def __init__(self) -> None:
        self._me = psutil.Process()
        self.fd_used = 0
        self.fd_most = 0
        self.mem_used = 0.0  #: bytes, as those below
        self.mem_free = 0.0
        self.mem_most = 0.0
        self.cpu = 0.0  #: percent of all processors
        self.cpu_all = 0.0
        self.cpus = os.cpu_count() or 1
        self.threads = 0
        self._slow_at = float("-inf")
        self._counting: asyncio.Task[None] | None = None

    def look(self) -> None:
        """Measure. What cannot be read, for want of a descriptor, stays as it was."""
        most, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
        self.fd_most = most if most != resource.RLIM_INFINITY else 2**31 - 1
        self._count()
        if time.monotonic() - self._slow_at >= SLOW_S:
            with contextlib.suppress(OSError, psutil.Error):
                self._look_closer()
                self._slow_at = time.monotonic()

    def close(self) -> None:
        """No more looks."""
        if self._counting is not None:
            self._counting.cancel()

    def _count(self) -> None:
        with contextlib.suppress(OSError):
            if used := _counted_by_kernel():
                self.fd_used = used
            elif self._counting is None or self._counting.done():
                self._counting = asyncio.get_running_loop().create_task(self._count_slowly())

    async def _count_slowly(self) -> None:
        try:
            self.fd_used = len(await asyncio.to_thread(os.listdir, _MY_DESCRIPTORS)) - 1
        except OSError:  # there is none left to count them with
            self.fd_used = self.fd_most

    def _look_closer(self) -> None:
        with self._me.oneshot():
            cpu = self._me.cpu_percent() / self.cpus
            used = float(self._me.memory_info().rss)
        cpu_all, memory = psutil.cpu_percent(), psutil.virtual_memory()
        self.mem_used = _steady(self.mem_used, used, used)
        self.mem_most = float(memory.total)
        self.mem_free = _steady(self.mem_free, float(memory.available), self.mem_most)
        if abs(cpu - self.cpu) >= SAME_LOAD:
            self.cpu = round(cpu, 1)
        if abs(cpu_all - self.cpu_all) >= SAME_LOAD:
            self.cpu_all = round(cpu_all, 1)


def _counted_by_kernel() -> int:
    """How many descriptors this process has; 0 if that must be counted."""
    return os.stat(_MY_DESCRIPTORS).st_size


def _steady(before: float, now: float, of: float) -> float:
    """`now`, or `before` if they are the same as far as it matters."""
    return before if abs(now - before) < SAME_PART * of else now
