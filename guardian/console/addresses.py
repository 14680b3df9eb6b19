"""The addresses by which a console may be asked for: those of its machine, and those of proxies in front of it.

A page of somebody else can have a name of its own point at this machine (DNS rebinding), and is then for a browser at
home here. So only these are answered; and what writes has to come from a page of the very address that it asks.
"""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Iterable
from urllib.parse import urlsplit

_PORTS = {"http": 80, "https": 443}


class Addresses:
    """Those of one console.

    Parameters
    ----------
    names : of the machine, besides its addresses and ``localhost``. origins : of proxies, see :func:`origin`.
    """

    def __init__(self, names: Iterable[str] = (), origins: Iterable[str] = ()) -> None:
        self._names = {"localhost", socket.gethostname().lower(), *(name.lower() for name in names)}
        self._origins = {given.split("://")[1]: given for given in origins}

    def origin_of(self, host: str, server: tuple[str, int] | None) -> str | None:
        """The origin of pages that are asked for by this `Host`, where `server` was reached; None: not by this one."""
        host = host.lower()
        if host in self._origins:
            return self._origins[host]
        if server is None:
            return None
        address, port = server
        own = {_authority("http", name, port) for name in (*self._names, _plain(address))}
        return f"http://{host}" if host in own else None


def origin(text: str) -> str:
    """An origin as browsers write it: ``https://control.lab.example``.

    Raises
    ------
    ValueError
        It is none.
    """
    parts = urlsplit(text)
    if parts.scheme not in _PORTS or not parts.hostname or parts.path not in ("", "/") or parts.query or parts.fragment:
        raise ValueError("it is scheme and name, and a port where it is not the usual one: https://control.lab.example")
    if parts.username is not None:
        raise ValueError("it has no user in it")
    return f"{parts.scheme}://{_authority(parts.scheme, parts.hostname, parts.port or _PORTS[parts.scheme])}"


def _authority(scheme: str, name: str, port: int) -> str:
    shown = f"[{name}]" if ":" in name else name
    return shown if port == _PORTS[scheme] else f"{shown}:{port}"


def _plain(address: str) -> str:
    """Without what stands for the interface, and an IPv4 address as such."""
    try:
        parsed = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return address
    return str(getattr(parsed, "ipv4_mapped", None) or parsed)
