"""The processes that read a node's new code before its worker does (R11), so that bad code harms nobody.

They are workers that end once they have said whether the code loads. One that dies of it, or is not wanted any more, is
no trouble of the node: the first is an answer, the second is killed and forgotten. While it is still there it belongs
to the node, which is not gone before it is.
"""

from __future__ import annotations

from collections.abc import Callable

from guardian.core.events import Checked, Loaded, LoadFailed, Report
from guardian.host.spawner import Event, Exited, Failed
from guardian.host.worker import WorkerHandle

#: What a process that has answered gets to end by itself, in seconds.
END_S = 1.0

#: Makes the process of a check: (its key, its number, who is told what it says). May raise OSError.
Start = Callable[[str, int, Callable[[int, Report], None]], WorkerHandle]


class Checks:
    """The checks of one node.

    Parameters
    ----------
    start : makes a process that was told to check. tell : is told how a check ended, once each, on the loop and never
        from within a method of this class but :meth:`on_spawner`.
    """

    def __init__(self, node: str, start: Start, tell: Callable[[Checked], None]) -> None:
        self._node = node
        self._start = start
        self._tell = tell
        self._processes: dict[str, WorkerHandle] = {}
        self._asked = 0  #: the one whose answer is awaited

    def __len__(self) -> int:
        """How many processes are there."""
        return len(self._processes)

    def begin(self, number: int) -> None:
        """Start a check.

        Raises
        ------
        OSError
            There are no descriptors left for it.
        """
        self._asked = number
        key = f"{self._node}#check{number}"
        self._processes[key] = self._start(key, number, self._heard)

    def end(self, number: int) -> None:
        """Nobody waits for that check any more. One that has not answered says where it stands before it is killed."""
        process = self._processes.get(f"{self._node}#check{number}")
        if process is not None and self._asked == number:
            process.kill()
        elif process is not None:
            process.end(END_S)
        self._asked = 0 if self._asked == number else self._asked

    def end_all(self) -> None:
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
                reason = f"the process that was to read it died: {event.reason}; the log has what it said"
                self._answer(process.gen, LoadFailed(reason=reason))
        return True

    def _heard(self, number: int, report: Report) -> None:
        if isinstance(report, (Loaded, LoadFailed)):
            self._answer(number, report)

    def _answer(self, number: int, report: Loaded | LoadFailed) -> None:
        if number == self._asked:
            self._asked = 0
            self._tell(Checked(number=number, report=report))
