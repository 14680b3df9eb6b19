"""What all parts of the console share: the names of the site, the board, the channels, and where records are read."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from guardian.client.names import Names
from guardian.client.watch import Watch
from guardian.console.board import Board
from guardian.console.logins import Logins


@dataclass(frozen=True, slots=True, kw_only=True)
class Console:
    """A console that runs.

    Parameters
    ----------
    title : of the site, shown on top of each page.
    folders : gives the state directories of hosts on this machine, whose journals and logs are read.
    logins : who may write, and who has logged in to do so; None: nobody, it only shows.
    """

    title: str
    names: Names
    board: Board
    watch: Watch
    folders: Callable[[], list[Path]]
    logins: Logins | None = None


class ProblemError(Exception):
    """A request that cannot be answered, and what the page is to say.

    Parameters
    ----------
    status : of HTTP.
    """

    def __init__(self, status: int, says: str) -> None:
        super().__init__(says)
        self.status = status
        self.says = says
