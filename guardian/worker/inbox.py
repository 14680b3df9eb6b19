"""Where commands from the host wait for the loop: put in by the thread that reads the link, taken between two calls."""

from __future__ import annotations

from collections import deque

from guardian.access.bells import Bell
from guardian.core.events import Command, Leave, Stop


def ends_call(command: Command, entry: int) -> bool:
    """Whether `command` means that a method of `entry` is to end now."""
    return isinstance(command, Stop) or (isinstance(command, Leave) and command.interrupt and command.entry == entry)


class Inbox:
    """Commands from the host, put in by the thread that reads the link."""

    def __init__(self) -> None:
        self._commands: deque[Command] = deque()
        self._bell = Bell()  # no Event: a signal handler of user code may raise in the middle of it
        self._nudged = False

    def put(self, command: Command) -> None:
        self._commands.append(command)
        self._bell.ring()

    def nudge(self) -> None:
        """Something that the code watches has changed; from any thread (R18). Only the first of many rings."""
        if not self._nudged:
            self._nudged = True
            self._bell.ring()

    @property
    def nudged(self) -> bool:
        """Whether that was so since :meth:`forget_nudge`."""
        return self._nudged

    def forget_nudge(self) -> None:
        """What has changed until now is about to be looked at."""
        self._nudged = False

    def take(self) -> Command | None:
        return self._commands.popleft() if self._commands else None

    def wait(self, timeout_s: float | None) -> None:
        """Until a command comes or a nudge, at most `timeout_s` seconds."""
        self._bell.wait(0 if self._commands else timeout_s)

    def ends_call(self, entry: int) -> bool:
        """Whether a command waits that means the end of a method of `entry`."""
        return any(ends_call(command, entry) for command in tuple(self._commands))
