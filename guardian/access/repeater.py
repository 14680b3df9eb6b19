"""No process of ours starts a CA repeater.

libca looks for a repeater when it makes its first channel: if it can bind the repeater port it starts ``caRepeater``,
which outlives everybody, or, where EPICS is not installed, prints four lines about a missing program. A repeater
belongs to the machine, not to whichever worker happened to be first, and dies with nobody. Only beacons need it:
without them a client still connects, and reconnects by searching. A repeater that runs already is used as ever.
"""

from __future__ import annotations

import contextlib
import os
import socket
from collections.abc import Iterator

REPEATER_PORT = 5065


@contextlib.contextmanager
def as_if_repeated() -> Iterator[None]:
    """While this is held, libca believes that a repeater runs. Make the first channel inside."""
    with contextlib.ExitStack() as stack:
        sock = stack.enter_context(socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
        with contextlib.suppress(OSError, ValueError, OverflowError):  # taken: there is one
            sock.bind(("", int(os.environ.get("EPICS_CA_REPEATER_PORT") or REPEATER_PORT)))
        yield
