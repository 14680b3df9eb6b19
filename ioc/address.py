"""Which port a Channel Access server takes, and what its clients must be told.

One server process has one (host, UDP port): of several on one port, a search by unicast reaches only one. So a port
that is taken is never shared: without a wish another one is found, and a wish that cannot be met is refused.
"""

from __future__ import annotations

import argparse
import os
import socket

from guardian.errors import ExpectedError

LOOPBACK = "127.0.0.1"
CA_PORT = 5064


def is_free(port: int, host: str = LOOPBACK) -> bool:
    """Whether nobody listens on this port, neither for searches (UDP) nor for circuits (TCP)."""
    for kind in (socket.SOCK_DGRAM, socket.SOCK_STREAM):
        with socket.socket(socket.AF_INET, kind) as probe:
            if kind == socket.SOCK_STREAM:
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # a circuit just closed is no listener
            try:
                probe.bind((host, port))
            except OSError:
                return False
    return True


def choose_port(wish: int | None, host: str = LOOPBACK) -> int:
    """The port to serve on: `wish`, else the one of the environment, else any that is free.

    Raises
    ------
    ExpectedError
        `wish` is taken.
    """
    if wish is not None:
        if not is_free(wish, host):
            raise ExpectedError(f"port {wish}: another program serves on {host}:{wish}; stop it, or name no port")
        return wish
    usual = int(os.environ.get("EPICS_CA_SERVER_PORT", CA_PORT))
    if is_free(usual, host):
        return usual
    while True:
        with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
            probe.bind((host, 0))
            port = int(probe.getsockname()[1])
        if is_free(port, host):
            return port


def client_environment(port: int, host: str = LOOPBACK) -> dict[str, str]:
    """What a client needs in its environment to find this server, and no other."""
    return {
        "EPICS_CA_ADDR_LIST": host,
        "EPICS_CA_AUTO_ADDR_LIST": "NO",
        "EPICS_CA_SERVER_PORT": str(port),
    }


def server_environment(port: int, host: str = LOOPBACK) -> dict[str, str]:
    """The same for the server, with its beacons kept to `host`."""
    return client_environment(port, host) | {
        "EPICS_CAS_SERVER_PORT": str(port),
        "EPICS_CAS_INTF_ADDR_LIST": host,
        "EPICS_CAS_BEACON_ADDR_LIST": host,
        "EPICS_CAS_AUTO_BEACON_ADDR_LIST": "NO",
    }


def try_it(port: int, pv: str, host: str = LOOPBACK) -> str:
    """A complete line for a second terminal."""
    settings = " ".join(f"{name}={value}" for name, value in client_environment(port, host).items())
    return f"{settings} caget {pv}"


def options(arguments: list[str] | None, *, program: str, text: str) -> argparse.Namespace:
    """The command line of a plant."""
    parser = argparse.ArgumentParser(prog=program, description=text)
    parser.add_argument("--prefix", default="X1:", help="what every PV name begins with (default: X1:)")
    parser.add_argument("--port", type=int, help="Channel Access port (default: 5064, or any that is free)")
    parser.add_argument("--interface", default=LOOPBACK, help=f"address to serve on (default: {LOOPBACK})")
    return parser.parse_args(arguments)
