"""The datagrams by which a service tells its manager how it is, as sd_notify(3) does: systemd reads them.

One socket, named by ``NOTIFY_SOCKET``; one datagram, some lines ``NAME=VALUE``. There is no answer. Without that
variable everything here is silent, so nobody who uses it needs to ask.

Nothing here waits: the socket is non-blocking, and a manager that does not read (it is being restarted) costs a
datagram.

Source: sd_notify(3), sd_watchdog_enabled(3) of systemd 252.
"""

from __future__ import annotations

import contextlib
import os
import socket
import time
from collections.abc import Collection, Mapping, MutableMapping

ADDRESS, WATCHDOG, WATCHDOG_OF = "NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID"
READY, ALIVE, STOPPING = "READY=1", "WATCHDOG=1", "STOPPING=1"
#: Bytes of a status: it is shown in one line of a terminal or a journal.
STATUS_BYTES = 240


class Notify:
    """The way to the service manager.

    Attributes
    ----------
    watchdog_s : it ends this service when it has heard nothing for so long; 0.0: it does not.
    """

    def __init__(self, address: str = "", watchdog_s: float = 0.0) -> None:
        self.watchdog_s = watchdog_s if address else 0.0
        self._address = f"\0{address[1:]}" if address.startswith("@") else address
        self._socket: socket.socket | None = None

    def __bool__(self) -> bool:
        """Whether there is a service manager that listens."""
        return bool(self._address)

    def send(self, *lines: str) -> bool:
        """Say these lines, together. False: they could not be said now."""
        if not self._address:
            return True
        try:
            if self._socket is None:
                self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
                self._socket.setblocking(False)
            self._socket.sendto("\n".join(lines).encode(), self._address)
        except OSError:
            return False
        return True

    def close(self) -> None:
        if self._socket is not None:
            self._socket.close()
            self._socket = None


def listen_to(environ: Mapping[str, str], mine: Collection[int] = ()) -> Notify:
    """The way that an environment names. It stays there, for a process that is started next.

    Parameters
    ----------
    mine : process ids that a watchdog for this service may be meant for; empty: this process.
    """
    address = environ.get(ADDRESS, "")
    watchdog_s = 0.0
    with contextlib.suppress(ValueError):
        if int(environ.get(WATCHDOG_OF) or os.getpid()) in (mine or {os.getpid()}):
            watchdog_s = max(int(environ.get(WATCHDOG) or 0), 0) / 1e6
    return Notify(address if address.startswith(("/", "@")) else "", watchdog_s)


def take(environ: MutableMapping[str, str], mine: Collection[int] = ()) -> Notify:
    """As :func:`listen_to`, and take it out of the environment: no worker, nor what it starts, speaks for the host."""
    notify = listen_to(environ, mine)
    for name in (ADDRESS, WATCHDOG, WATCHDOG_OF):
        environ.pop(name, None)
    return notify


def status(text: str) -> str:
    """The line that says in words how the service is."""
    line = " ".join(text.split())
    data = line.encode()
    return f"STATUS={line if len(data) <= STATUS_BYTES else data[: STATUS_BYTES - 3].decode(errors='ignore') + '...'}"


def more_time(seconds: float) -> str:
    """The line that asks for time while it starts or stops: as much from now on."""
    return f"EXTEND_TIMEOUT_USEC={int(seconds * 1e6)}"


def reloading() -> str:
    """The lines that say that it reads its files anew; :data:`READY` ends that."""
    return f"RELOADING=1\nMONOTONIC_USEC={time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000}"
