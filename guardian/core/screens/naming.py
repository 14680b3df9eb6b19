"""What screens call PVs, and each other.

A file is called as its IFO and its node, ``X1-SUS_MC1``, so all screens of a laboratory fit in one folder. What follows
the name of a node begins with a small letter, which no name of a node has: no two screens have one file.
"""

from __future__ import annotations

from dataclasses import dataclass

from guardian.core.interface import BY_NAME
from guardian.core.names import pv_name
from guardian.errors import ExpectedError

#: The macros of the strip, as users of Guardian know them.
IFO, NODE = "$(IFO)", "$(SYSTEM)"


@dataclass(frozen=True, slots=True, kw_only=True)
class Names:
    """Of one node, or of the one that macros will name. ``template``: how the site names PVs."""

    template: str
    ifo: str
    node: str

    def pv(self, row: str) -> str:
        """A PV of it, by its row in the table."""
        return pv_name(self.template, ifo=self.ifo, node=self.node, name=BY_NAME[row].name)

    @property
    def screen(self) -> str:
        """The screen of the node."""
        return file_of(self.ifo, self.node)

    @property
    def states(self) -> str:
        """The one with all its states."""
        return f"{self.screen}_states"


def any_node(template: str, ifo: str) -> Names:
    """The names on a screen that is for every node. A site without an IFO has no macro for it."""
    return Names(template=template, ifo=IFO if ifo else "", node=NODE)


def file_of(ifo: str, name: str) -> str:
    """The file of a screen, without its ending.

    Raises
    ------
    ExpectedError
        No file can be called so.
    """
    if "/" in ifo:
        raise ExpectedError(f"{ifo!r} cannot begin the name of a file; the screens of this IFO cannot be written")
    return f"{ifo}-{name}" if ifo else name
