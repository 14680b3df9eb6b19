"""How long channels are waited for that are not there. Pure.

A call of user code that uses a hundred channels of an IOC that is down must not wait a hundred timeouts, one after the
other. Nor may a channel that exists be taken for missing because others are. So the waits in vain of one call use up
one timeout together; after that a channel is waited for as long as a server needs that answers.
"""

from __future__ import annotations

#: Enough for a server that answers: libca sends the first search for a name 30 ms after it was asked for.
MOMENT_S = 0.1


class Patience:
    """The patience of one call of user code.

    Parameters
    ----------
    timeout_s : how long a channel is waited for that is the only one missing.
    """

    def __init__(self, timeout_s: float) -> None:
        self.timeout_s = timeout_s
        self._spent_s: float | None = None  # None: nobody tells of calls

    def calling(self) -> None:
        """A call begins, with all its patience."""
        self._spent_s = 0.0

    def in_vain(self, seconds: float) -> None:
        """A channel did not come in so many seconds."""
        if self._spent_s is not None:
            self._spent_s += seconds

    @property
    def left_s(self) -> float:
        """How long to wait for a channel that is used for the first time."""
        if self._spent_s is None:
            return self.timeout_s
        return max(self.timeout_s - self._spent_s, min(MOMENT_S, self.timeout_s))
