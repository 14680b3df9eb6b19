"""What all parts of the console share: the names of the site, the board, the channels, and where records are read."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from difflib import get_close_matches
from pathlib import Path

from guardian.client.names import Names
from guardian.client.watch import Watch
from guardian.console.board import Board, Cell
from guardian.console.desk import Desk
from guardian.console.documents import Documents
from guardian.console.logins import Logins
from guardian.console.problem import ProblemError
from guardian.core.texts import printable

__all__ = ["Console", "ProblemError"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Console:
    """A console that runs.

    Parameters
    ----------
    title : of the site, shown on top of each page.
    folders : gives the state directories of hosts on this machine, whose journals and logs are read.
    desk : where they are read.
    logins : who may write, and who has logged in to do so; None: nobody, it only shows.
    """

    title: str
    names: Names
    board: Board
    watch: Watch
    documents: Documents
    folders: Callable[[], list[Path]]
    desk: Desk = field(default_factory=Desk)
    logins: Logins | None = None

    def cell(self, node: str) -> Cell:
        """What the board says of a node.

        Raises
        ------
        ProblemError
            There is none of this name.
        """
        if (cell := self.board.cells.get(node)) is not None:
            return cell
        node = printable(node)[:40]
        near = get_close_matches(node.upper(), list(self.board.cells), n=3)
        hint = f"did you mean {' or '.join(near)}?" if near else "guardctrl list shows which hosts answer"
        raise ProblemError(404, f"{node} is none of the {len(self.board.cells)} nodes known here; {hint}")
