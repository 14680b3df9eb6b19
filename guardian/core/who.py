"""Who wrote. Plain values."""

from __future__ import annotations

from dataclasses import dataclass

#: The kind of the records in the journal that say who wrote what (:mod:`guardian.core.audit`).
WRITE = "write"


@dataclass(frozen=True, slots=True)
class Who:
    """A client. ``user`` and ``host`` are what it claims to be; only ``address`` is known.

    Who speaks through the control socket of a host has no ``host``, and the user is told by the kernel.
    """

    user: str
    host: str
    address: str

    def __str__(self) -> str:
        user = one_word(self.user)
        return f"{user}@{one_word(self.host)} ({self.address})" if self.host else f"{user} ({self.address})"


def one_word(name: str) -> str:
    """A name that is claimed, for a sentence: in quotes if it is not one word, as it could read like words of ours.

    It gets two bytes longer at most, so nobody can push out what follows.
    """
    return name if not {" ", '"'} & {*name} else '"' + name.replace('"', "'") + '"'
