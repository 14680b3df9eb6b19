"""What all parts of the console share: the names of the site, the board, the channels, and where records are read."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from guardian.client.names import Names
from guardian.client.watch import Watch
from guardian.console.board import Board
from guardian.console.desk import Desk
from guardian.console.problem import ProblemError

__all__ = ["Console", "ProblemError"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Console:
    """A console that runs.

    Parameters
    ----------
    title : of the site, shown on top of each page.
    folders : gives the state directories of hosts on this machine, whose journals and logs are read.
    desk : where they are read.
    """

    title: str
    names: Names
    board: Board
    watch: Watch
    folders: Callable[[], list[Path]]
    desk: Desk = field(default_factory=Desk)
