"""The worker process of a node as PROC_NAME, PROC_STATE, PROC_PID, PROC_SINCE and LAST_EXIT show it: life after life.

It remembers and words, and decides nothing. How long a process lived is measured by the monotonic clock; the time of
day is for people.
"""

from __future__ import annotations

import time
from dataclasses import replace
from datetime import UTC, datetime

from guardian.core.process import Process
from guardian.enums import ProcessState

#: In which there is no process.
NONE_THERE = frozenset({ProcessState.FAIL, ProcessState.STOPPED})


class Life:
    """What is known of the process called `name`."""

    def __init__(self, name: str) -> None:
        self.process = Process(name=name, since=round(time.time(), 3))
        self._asked_at = 0.0
        self._killed_for = ""
        self._said = ProcessState.BOOTING  # how far it says that it is: it may say so before who made it tells its pid

    def asked(self) -> None:
        """Somebody is about to make it."""
        self._asked_at, self._killed_for, self._said = time.monotonic(), "", ProcessState.BOOTING
        self._becomes(ProcessState.STARTED, pid=0)

    def exists(self, pid: int) -> None:
        """It is there, called `pid`."""
        self._becomes(self._said, pid=pid)

    def reached(self, state: ProcessState) -> None:
        """It has come further; it never goes back."""
        self._said = max(self._said, state)
        if ProcessState.STARTED < self.process.state < state:
            self._becomes(state, pid=self.process.pid)

    def is_killed(self, why: str) -> None:
        self._killed_for = why

    def ended(self, how: str) -> str:
        """It is gone, or was not made after all.

        Returns
        -------
        str
            How, with what is needed to find it elsewhere: "killed by SIGKILL, pid 4711, after 12.1 s".
        """
        if pid := self.process.pid:
            how = f"{how}, pid {pid}, after {time.monotonic() - self._asked_at:.1f} s"
        told = f"{self._killed_for}; {how}" if self._killed_for else how
        self.process = replace(self.process, last_exit=f"{datetime.now(UTC):%Y-%m-%d %H:%M:%SZ} {told}")
        self._becomes(ProcessState.STOPPED, pid=0)
        return how

    def settles(self, *, failed: bool) -> None:
        """Whether what has ended was given up."""
        state = ProcessState.FAIL if failed else ProcessState.STOPPED
        if self.process.state in NONE_THERE - {state}:
            self._becomes(state, pid=0)

    def _becomes(self, state: ProcessState, *, pid: int) -> None:
        self.process = replace(self.process, state=state, pid=pid, since=round(time.time(), 3))
