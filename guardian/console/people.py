"""Who sits in front of a page, and what that one may do."""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import IntEnum

NAME_LENGTH = 32
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._@-]*")


class Role(IntEnum):
    """Each may what the one before may, and more."""

    VIEWER = 0
    OPERATOR = 1
    EXPERT = 2

    @property
    def word(self) -> str:
        """As files, pages and command lines have it."""
        return self.name.lower()


ROLES = {role.word: role for role in Role}


@dataclass(frozen=True, slots=True)
class Person:
    """Somebody who has logged in."""

    name: str
    role: Role


def why_not_name(name: str) -> str | None:
    """Why nobody can be called so; None if somebody can."""
    if _NAME.fullmatch(name) and len(name) <= NAME_LENGTH:
        return None
    return f"{name!r} cannot be a name: use letters, digits, . _ @ and -, at most {NAME_LENGTH} of them"
