"""Where a test may speak: free ports on loopback, random PV prefixes, and an environment that stays on 127.0.0.1.

Invariants
----------
* Two tests never share a port or a prefix, also when several pytest workers run at once: both are drawn at random, and
  ports below the kernel's own range (32768 up) so that no client socket lands on one between the draw and its use.
* No CA repeater is ever started. libca spawns ``caRepeater`` when it can bind the repeater port, and that process
  outlives everybody. So the session holds a UDP socket on a repeater port of its own: libca believes that one is there.
"""

from __future__ import annotations

import functools
import os
import random
import socket

_LOW, _HIGH = 20000, 32000  # below /proc/sys/net/ipv4/ip_local_port_range
_handed_out: set[int] = set()
_random = random.SystemRandom()  # hypothesis and pytest-randomly seed the global one: every worker would draw the same


def free_port() -> int:
    """A port of 127.0.0.1 that is free for both TCP and UDP and was not handed out before in this process."""
    for _ in range(500):
        port = _random.randrange(_LOW, _HIGH)
        if port in _handed_out:
            continue
        with (
            socket.socket(socket.AF_INET, socket.SOCK_STREAM) as tcp,
            socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp,
        ):
            try:
                # The wildcard address: also busy when somebody holds the port on another interface.
                tcp.bind(("0.0.0.0", port))
                udp.bind(("0.0.0.0", port))
            except OSError:
                continue
        _handed_out.add(port)
        return port
    raise AssertionError(f"no free port between {_LOW} and {_HIGH} after 500 draws; is something leaking sockets?")


def random_prefix() -> str:
    """A PV prefix nobody else uses, e.g. ``T5F09C3:``."""
    return f"T{_random.getrandbits(24):06X}:"


@functools.cache
def repeater_port() -> int:
    """The repeater port of this session, held by a socket of ours for as long as the process lives."""
    while True:
        port = free_port()
        sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        try:
            sock.bind(("127.0.0.1", port))
        except OSError:
            sock.close()
            continue
        _held.append(sock)
        return port


_held: list[socket.socket] = []


def ca_env(port: int, **more: str) -> dict[str, str]:
    """A full environment for a child process that serves or asks on ``port`` of 127.0.0.1 and nowhere else.

    Parameters
    ----------
    port : CA port of the server, UDP and TCP.
    more : further variables; they win.
    """
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("EPICS_", "CAPROTO_", "PYEPICS_", "EZCA_"))
    }
    repeater = str(repeater_port())
    return {
        **kept,
        "EPICS_CA_ADDR_LIST": "127.0.0.1",
        "EPICS_CA_AUTO_ADDR_LIST": "NO",
        "EPICS_CA_SERVER_PORT": str(port),
        "EPICS_CA_REPEATER_PORT": repeater,
        "EPICS_CAS_SERVER_PORT": str(port),
        "EPICS_CAS_INTF_ADDR_LIST": "127.0.0.1",
        "EPICS_CAS_BEACON_ADDR_LIST": "127.0.0.1",
        "EPICS_CAS_AUTO_BEACON_ADDR_LIST": "NO",
        "EPICS_CAS_BEACON_PORT": repeater,
        # epicscorelibs' IOC can carry a PVA server: keep that one at home too.
        "EPICS_PVA_ADDR_LIST": "127.0.0.1",
        "EPICS_PVA_AUTO_ADDR_LIST": "NO",
        "EPICS_PVAS_INTF_ADDR_LIST": "127.0.0.1",
        # caproto holds every second update for 10 ms unless told otherwise, and searches late after a restart.
        "CAPROTO_SERVER_HIGH_LOAD_TIMEOUT_SEC": "0",
        "CAPROTO_CLIENT_MAX_RETRY_SEARCHES_INTERVAL_SEC": "0.1",
        "OPENBLAS_NUM_THREADS": "1",
        "PYTHONUNBUFFERED": "1",
        **more,
    }
