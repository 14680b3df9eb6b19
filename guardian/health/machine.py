"""The machine and the system that a process belongs to, and what this package can do here."""

from __future__ import annotations

import os
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path

from guardian.errors import ExosError
from guardian.health import process

_NET = Path("/sys/class/net")
_ETHERNET = "1"


def get_sysname() -> str:
    """The name of the system: SITE, or IFO where there is none; outside of a site the name of the machine."""
    supervisor = process.process.supervisor
    if supervisor is not None and supervisor.sysname:
        return supervisor.sysname
    return os.environ.get("SITE") or os.environ.get("IFO") or os.uname().nodename


def get_system_mac() -> str:
    """The hardware address of this machine, as "aa:bb:cc:dd:ee:ff".

    That of its first interface, by name, which has hardware; in a container, where none has, of the first one that is
    no loopback.

    Raises
    ------
    ExosError
        There is none.
    """
    try:
        interfaces = sorted(_NET.iterdir())
    except OSError:
        interfaces = []
    addresses = [(not (path / "device").exists(), address) for path in interfaces if (address := _address(path))]
    if not addresses:
        names = ", ".join(path.name for path in interfaces) or "none"
        raise ExosError(
            f"get_system_mac(): no network interface with a hardware address (found: {names}); use get_sysname()"
        )
    return min(addresses, key=lambda found: found[0])[1]


def _address(interface: Path) -> str:
    try:
        kind, address = ((interface / name).read_text().strip() for name in ("type", "address"))
    except OSError:  # it has just gone
        return ""
    return address.lower() if kind == _ETHERNET and address.strip("0:") else ""


def is_stackable() -> bool:
    """Whether another machine can take over: not yet."""
    return False


def is_capability_supported(name: str) -> bool:
    """Whether this package can do that, here and now.

    Parameters
    ----------
    name : one of "processes", "threads", "pools", "heartbeats", "supervised" (a host looks after this process),
        "watchdog" (so calls that last too long can be made to fail), "ca-client", "ca-server", "ligo", "standby",
        "campaigns", "snapshots". What is not known is not supported.
    """
    if not isinstance(name, str):
        raise ExosError(f"is_capability_supported(): the name of a capability is a text, found {name!r:.80}")
    return _CAPABILITIES.get(name.lower(), _no)()


def _no() -> bool:
    return False


def _yes() -> bool:
    return True


def _supervised() -> bool:
    return process.process.supervisor is not None


def _has(*packages: str) -> Callable[[], bool]:
    return lambda: all(find_spec(package) is not None for package in packages)


_CAPABILITIES: dict[str, Callable[[], bool]] = {
    "processes": _yes,
    "threads": _yes,
    "pools": _yes,
    "heartbeats": _yes,
    "supervised": _supervised,
    "watchdog": _supervised,
    "ca-client": _has("epics"),
    "ca-server": _has("caproto"),
    "ligo": _has("ezca", "cdsutils"),
    "standby": is_stackable,
    "campaigns": _no,
    "snapshots": _no,
}
