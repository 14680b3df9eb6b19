"""Who may write a PV: the question, and what an answer is.

Each row of the interface table is in an access security group (:class:`guardian.core.interface.Asg`). Whoever knows the
site's rules judges a client for a group; the face tells clients their rights by it, and the node refuses by it.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from typing import Protocol

from guardian.core.interface import Asg
from guardian.core.who import Who


class Level(IntEnum):
    """What a client may do."""

    NONE = 0
    READ = 1
    WRITE = 2


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a client may do with the PVs of a group.

    Parameters
    ----------
    why : why it may write; or why not, and what would allow it. rule : by which rule it may do what it may.
    """

    level: Level
    why: str
    rule: str = ""


class Security(Protocol):
    """The rules of a site."""

    def judge(self, asg: Asg, who: Who) -> Verdict:
        """What `who` may do with the PVs of `asg`."""


class Everybody:
    """No rules: who can reach the host may write what can be written."""

    def judge(self, asg: Asg, who: Who) -> Verdict:
        if asg is Asg.READ:
            return Verdict(Level.READ, "it is read only")
        return Verdict(Level.WRITE, "everybody may")
