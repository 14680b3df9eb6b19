"""What is known of a process: its name, how far it has come, and how the last one ended."""

from __future__ import annotations

from dataclasses import dataclass

from guardian.enums import ProcessState


@dataclass(frozen=True, slots=True, kw_only=True)
class Process:
    """A process that is supervised.

    Parameters
    ----------
    name : unique on its machine. pid : 0 while there is none. since : epoch seconds at which it came to this state.
    last_exit : how the last one ended, a sentence with its time; "" if none has ended yet.
    """

    name: str = ""
    state: ProcessState = ProcessState.STOPPED
    pid: int = 0
    since: float = 0.0
    last_exit: str = ""
