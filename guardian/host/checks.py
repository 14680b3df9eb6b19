"""The processes that read a node's new code before its worker does (R11), so that bad code harms nobody.

They are workers that end once they have said whether the code loads. One that dies of it, or is not wanted any more, is
no trouble of the node: the first is an answer, the second is killed and forgotten. While it is still there it belongs
to the node, which is not gone before it is.

A script that writes LOAD to all nodes of a host would start as many imports at once, and nodes and host would wait for
the processor; so only some read at a time, and the others wait for their :class:`Turns`.
"""

from __future__ import annotations

import asyncio
import os
from collections import deque
from collections.abc import Callable

from guardian.core.events import CheckBegan, Checked, GiveUp, Loaded, LoadFailed, Report, Sources
from guardian.host.spawner import Event, Exited, Failed
from guardian.host.worker import WorkerHandle

#: What a process that has answered gets to end by itself, in seconds.
END_S = 1.0
#: Checks at a time in one host.
MOST_AT_ONCE = max(4, 2 * (os.cpu_count() or 1))

#: Makes the process of a check: (its key, its number, who is told what it says). May raise OSError.
Start = Callable[[str, int, Callable[[int, Report], None]], WorkerHandle]


class Turns:
    """Lets so many in at a time, in the order in which they came. Nobody is let in from within a method."""

    def __init__(self, most: int = MOST_AT_ONCE) -> None:
        self._free = most
        self._waiting: deque[Callable[[], None]] = deque()

    def take(self, enter: Callable[[], None]) -> None:
        """Call `enter` when there is a turn; then :meth:`give_back` is owed."""
        self._waiting.append(enter)
        self._next()

    def give_back(self) -> None:
        self._free += 1
        self._next()

    def _next(self) -> None:
        if self._free and self._waiting:
            self._free -= 1
            asyncio.get_running_loop().call_soon(self._waiting.popleft())


class Checks:
    """The checks of one node.

    Parameters
    ----------
    start : makes a process that was told to check. tell : is told that a check began and how it ended, once each, never
        from within :meth:`begin`, :meth:`end` or :meth:`end_all`. sources : is told what was compiled.
    """

    def __init__(
        self,
        node: str,
        turns: Turns,
        start: Start,
        tell: Callable[[CheckBegan | Checked], None],
        sources: Callable[[int, Sources], None] = lambda *_: None,
    ) -> None:
        self._node = node
        self._turns = turns
        self._start = start
        self._tell = tell
        self._sources = sources
        self._processes: dict[str, WorkerHandle] = {}
        self._asked = 0  # the check whose answer is awaited

    def __len__(self) -> int:
        """How many processes are there."""
        return len(self._processes)

    def begin(self, number: int) -> None:
        """Start a check as soon as it has its turn."""
        self._asked = number
        self._turns.take(lambda: self._enter(number))

    def give_up(self, number: int) -> None:
        """It takes too long, and is to say where it is."""
        if process := self._processes.get(self._key(number)):
            process.send(GiveUp())

    def end(self, number: int) -> None:
        """Nobody waits for that check any more. One that has not answered says where it stands before it is killed."""
        process = self._processes.get(self._key(number))
        if process is not None and self._asked == number:
            process.kill()
        elif process is not None:
            process.end(END_S)
        self._asked = 0 if self._asked == number else self._asked

    def end_all(self) -> None:
        """The node leaves."""
        self._asked = 0
        for process in self._processes.values():
            process.kill()

    def on_spawner(self, event: Event) -> bool:
        """The spawner tells of a process; False: it is none of these."""
        process = self._processes.get(event.key)
        if process is None:
            return False
        if isinstance(event, (Exited, Failed)):
            try:
                process.close()  # what it said last counts
            finally:
                del self._processes[event.key]
                self._turns.give_back()
                reason = f"the process that was to read it died: {event.reason}; the log has what it said"
                self._answer(process.gen, LoadFailed(reason=reason))
        return True

    def _key(self, number: int) -> str:
        return f"{self._node}#check{number}"

    def _enter(self, number: int) -> None:
        if number != self._asked:
            self._turns.give_back()
            return
        try:
            self._processes[self._key(number)] = self._start(self._key(number), number, self._heard)
        except OSError as error:
            self._turns.give_back()
            reason = f"the process that was to read it was not started: {error.strerror}; look at `ulimit -n`"
            self._answer(number, LoadFailed(reason=reason))
        else:
            self._tell(CheckBegan(number=number))

    def _heard(self, number: int, report: Report) -> None:
        if isinstance(report, (Loaded, LoadFailed)):
            self._answer(number, report)
        elif isinstance(report, Sources) and number == self._asked:
            self._sources(number, report)

    def _answer(self, number: int, report: Loaded | LoadFailed) -> None:
        if number == self._asked:
            self._asked = 0
            self._tell(Checked(number=number, report=report))
