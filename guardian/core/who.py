"""Who wrote. Plain values."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Who:
    """A client. ``user`` and ``host`` are what it claims to be; only ``address`` is known.

    Who speaks through the control socket of a host has no ``host``, and the user is told by the kernel.
    """

    user: str
    host: str
    address: str

    def __str__(self) -> str:
        return f"{self.user}@{self.host} ({self.address})" if self.host else f"{self.user} ({self.address})"
