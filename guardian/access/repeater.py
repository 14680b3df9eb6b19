"""No process of ours starts a CA repeater.

libca looks for a repeater when it makes its first channel: if it can bind the repeater port it starts ``caRepeater``,
which outlives everybody, or, where EPICS is not installed, prints four lines about a missing program. A repeater
belongs to the machine, not to whichever worker happened to be first, and dies with nobody. Only beacons need it:
without them a client still connects, and reconnects by searching. A repeater that runs already is used as ever.

libca finds the port taken, of whatever address. So each process takes it of a loopback address of its own: many that
start at once, as the managers of a tree do, do not take it from each other, nor anything from a repeater.
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
        for address in (_own_address(), ""):
            with contextlib.suppress(OSError, ValueError, OverflowError):  # taken: there is one
                sock.bind((address, int(os.environ.get("EPICS_CA_REPEATER_PORT") or REPEATER_PORT)))
                break
        yield


def _own_address() -> str:
    """An address of 127.128.0.0/9 that no other process has."""
    pid = os.getpid()
    return f"127.{128 | (pid >> 16) & 127}.{(pid >> 8) & 255}.{pid & 255}"
