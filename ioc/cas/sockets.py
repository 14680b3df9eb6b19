"""The sockets of a server: one port number for searches (UDP) and circuits (TCP), held by this process alone.

Channel Access servers usually share a UDP port. On Linux a search by unicast then reaches only one of them, the one
that bound last: a second server on this machine makes all PVs of the first one unreachable for many clients, and nobody
says so. So the port is bound without sharing. If it is taken, now or by a server that comes later, somebody is told: a
caller that named the port, or the other server. A caller that named none gets another port.

The sockets are bound here and never closed in between, so nothing can take the port between a look and its use.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass

CA_PORT = 5064
_TRIES = 100


class NoPort(OSError):
    """No port can be served; the text says which and what to do."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Bound:
    """A port, and its two sockets on each interface."""

    port: int
    tcp: tuple[socket.socket, ...]
    udp: tuple[socket.socket, ...]


def usual_port() -> int:
    """The port that clients try first: EPICS_CAS_SERVER_PORT, else EPICS_CA_SERVER_PORT, else 5064."""
    for name in ("EPICS_CAS_SERVER_PORT", "EPICS_CA_SERVER_PORT"):
        if text := os.environ.get(name, "").strip():
            try:
                return int(text)
            except ValueError:
                raise NoPort(f"{name}={text}: it is no port number; set one from 1 to 65535") from None
    return CA_PORT


def bind(interfaces: Sequence[str], wish: int | None) -> Bound:
    """Bind `wish`; 0: a port that is free; None: the usual one, or if that is taken one that is free.

    Raises
    ------
    NoPort
        `wish` is taken, or an interface is none of this machine.
    """
    if wish:
        try:
            return _bind(interfaces, wish)
        except OSError as error:
            raise NoPort(
                f"port {wish} on {', '.join(interfaces)} cannot be served: {error.strerror}. "
                f"Stop the server that has it, or name no port and a free one is taken"
            ) from None
    for port in [*([usual_port()] if wish is None else []), *[0] * _TRIES]:
        try:
            return _bind(interfaces, port)
        except OSError as error:
            last = error
    raise NoPort(f"no free port on {', '.join(interfaces)}: {last.strerror}. Check EPICS_CAS_INTF_ADDR_LIST")


def _bind(interfaces: Sequence[str], port: int) -> Bound:
    with ExitStack() as undo:
        tcp, udp = [], []
        for interface in interfaces:
            circuits = undo.enter_context(socket.socket(socket.AF_INET, socket.SOCK_STREAM))
            # Not sharing, on Linux: it allows the port of connections that were just closed.
            circuits.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            circuits.bind((interface, port))
            circuits.listen(socket.SOMAXCONN)
            port = circuits.getsockname()[1]
            tcp.append(circuits)
            searches = undo.enter_context(socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
            searches.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
            searches.bind((interface, port))
            udp.append(searches)
        for one in (*tcp, *udp):
            one.setblocking(False)
        undo.pop_all()
        return Bound(port=port, tcp=tuple(tcp), udp=tuple(udp))
