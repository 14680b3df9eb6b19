"""What a room answers where it cannot do what it was asked for."""

from __future__ import annotations


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
