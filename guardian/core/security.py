"""Who may write a PV: the question, and what an answer is.

Each row of the interface table is in an access security group (:class:`guardian.core.interface.Asg`). Whoever knows the
site's rules judges a client for a group; the face tells clients their rights by it, and the node refuses by it.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from typing import Any, Protocol

from guardian.core.interface import BY_NAME, Asg
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


def rights_facts(security: Security, who: Who) -> list[dict[str, Any]]:
    """What a client may do with the PVs of each group, and why."""
    found = []
    for asg in Asg:
        verdict = security.judge(asg, who)
        found.append(
            {
                "group": asg.value,
                "may": verdict.level.name.lower(),
                "rule": verdict.rule,
                "why": verdict.why,
                "pvs": [row.name for row in BY_NAME.values() if row.asg is asg],
            }
        )
    return found
