"""Who wrote. Plain values."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Who:
    """A client. ``user`` and ``host`` are what it claims to be; only ``address`` is known."""

    user: str
    host: str
    address: str

    def __str__(self) -> str:
        return f"{self.user}@{self.host} ({self.address})"
