"""The pulse of a host: a counter in shared memory that its event loop moves, for the keeper that looks at it.

Moved by the loop itself, so a loop that stands still is seen, whatever the other threads of the host do.
"""

from __future__ import annotations

import mmap
import os

#: Environment variable by which a keeper tells its host that it is there, and where the pulse is.
KEPT = "GUARD_KEPT"
#: Seconds between two beats.
BEAT_S = 0.5


def create() -> int:
    """Memory for a pulse; its descriptor is inherited by the next program that this process executes."""
    fd = os.memfd_create("guardian-pulse", 0)
    os.ftruncate(fd, mmap.PAGESIZE)
    return fd


class Pulse:
    """Either end. `fd` may be closed afterwards."""

    def __init__(self, fd: int) -> None:
        self._page = mmap.mmap(fd, mmap.PAGESIZE)
        self._word = memoryview(self._page).cast("Q")

    @property
    def count(self) -> int:
        """0 until the first beat."""
        return self._word[0]

    def beat(self) -> None:
        self._word[0] += 1

    def close(self) -> None:
        self._word.release()
        self._page.close()
