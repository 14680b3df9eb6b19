"""A wall clock for one process and its children that a test can set, put in their way as ``sitecustomize``.

Monotonic time is left alone, as when somebody sets the clock of a machine. The file that ``TEST_CLOCK_FILE`` names
holds by how many seconds it is wrong; as long as there is none it is right.
"""

from __future__ import annotations

import os
import time
from pathlib import Path

#: What is put on PYTHONPATH, under the name that Python looks for.
SITECUSTOMIZE = """
import os, time
_time, _time_ns, _file = time.time, time.time_ns, os.environ["TEST_CLOCK_FILE"]
_seen = (0.0, 0.0)
def _shift_s():
    global _seen
    read_at, shift_s = _seen
    if time.monotonic() - read_at > 0.05:
        try:
            with open(_file) as file:
                shift_s = float(file.read() or shift_s)
        except OSError:
            pass
        _seen = time.monotonic(), shift_s
    return shift_s
time.time = lambda: _time() + _shift_s()
time.time_ns = lambda: _time_ns() + int(_shift_s() * 1e9)
"""


class ShiftedClock:
    """The clock of the processes that are started with :attr:`env`."""

    def __init__(self, folder: Path) -> None:
        (folder / "clock").mkdir()
        (folder / "clock" / "sitecustomize.py").write_text(SITECUSTOMIZE)
        self._file = folder / "clock" / "shift"
        self.env = {"TEST_CLOCK_FILE": str(self._file), "PYTHONPATH": str(folder / "clock")}

    def set(self, shift_s: float) -> None:
        """Set it wrong by so much."""
        temp = self._file.with_name("new")
        temp.write_text(str(shift_s))
        os.replace(temp, self._file)

    def now(self) -> float:
        """What it shows, epoch seconds."""
        try:
            return time.time() + float(self._file.read_text())
        except OSError:
            return time.time()
