"""What goes into the log about bad clients: each line counts, and there are few of them.

caproto logs a traceback for each connection that breaks the protocol, so a port scan at night buries what matters. Here
an address has :data:`LINES` lines in :data:`PERIOD_S` seconds; the next line that it gets says how many were left out.
The table is bounded too: with more than :data:`ADDRESSES` of them, the oldest is forgotten.
"""

from __future__ import annotations

import logging
import time
from dataclasses import dataclass

log = logging.getLogger(__name__)

LINES = 5
PERIOD_S = 60.0
ADDRESSES = 1000


@dataclass(slots=True)
class _Account:
    since: float
    said: int = 0
    left_out: int = 0


class Complaints:
    """The budget of a server."""

    def __init__(self) -> None:
        self._accounts: dict[str, _Account] = {}

    def about(self, address: str, sentence: str) -> None:
        """Say this about a client at this address, unless enough was said."""
        now = time.monotonic()
        account = self._accounts.get(address)
        if account is None or now - account.since > PERIOD_S:
            left_out = 0 if account is None else account.left_out
            self._accounts.pop(address, None)  # so that it is the youngest again
            account = self._accounts[address] = _Account(now)
            if left_out:
                log.warning("%d lines more about clients at %s were left out", left_out, address)
        if account.said < LINES:
            account.said += 1
            log.warning("%s", sentence)
            if account.said == LINES:
                log.warning("clients at %s will be passed over in silence for %g s", address, PERIOD_S)
        else:
            account.left_out += 1
        if len(self._accounts) > ADDRESSES:
            del self._accounts[next(iter(self._accounts))]
