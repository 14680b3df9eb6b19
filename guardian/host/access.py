"""What a site says of who may write its nodes' PVs, and the judge that is made of it.

Names are looked up here, and files are read: it may take seconds, so it is no business of the event loop's.
"""

from __future__ import annotations

import re
import socket
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from ipaddress import ip_network
from pathlib import Path

from guardian.core.acf import Acf, read_acf
from guardian.core.judge import ByAddress, ByFile, Entry, address_of
from guardian.core.security import Security
from guardian.errors import ExpectedError

_HOST_NAME = re.compile(r"(?=.{1,253}$)[A-Za-z0-9_]([A-Za-z0-9_-]*[A-Za-z0-9_])?(\.[A-Za-z0-9_-]+)*")
_LOOKED_UP_AT_ONCE = 16
_MOST_BYTES = 16_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Access:
    """The section [access] of a site file, and --acf.

    Parameters
    ----------
    operators, hosts : networks, addresses and host names, as they are written.
    acf : an access security file, which decides instead of them. check_addresses : it is asked with the addresses of
        clients, not with the host names that they claim.
    file : the site file; None: the command line says all.
    """

    operators: tuple[str, ...] = ()
    hosts: tuple[str, ...] = ()
    acf: Path | None = None
    check_addresses: bool = False
    file: Path | None = None


def why_not_entry(text: str) -> str | None:
    """Why this is neither a network, nor an address, nor the name of a host; None if it is."""
    if re.fullmatch(r"[0-9.]+", text) or "/" in text or ":" in text:
        try:
            ip_network(text)
        except ValueError as error:
            return f"{text!r} is no network ({error}); write one as 10.1.2.0/24, or an address"
        return None
    return None if _HOST_NAME.fullmatch(text) else f"{text!r} is neither a network, nor an address, nor a host name"


def make_judge(access: Access) -> tuple[Security, list[str]]:
    """Read the files, and look the names up.

    Returns
    -------
    The judge, and what is to be told: names that have no address, what the file has that is not known.

    Raises
    ------
    ExpectedError
        The file cannot be read, or not be used.
    """
    if access.acf is not None:
        acf = acf_of(access.acf)
        warnings = list(acf.warnings)
        if not access.check_addresses:
            return ByFile(acf), warnings
        names = {name for members in acf.hosts.values() for name in members.names}
        known = _looked_up(names, warnings)
        return ByFile(acf, addresses=known), warnings
    warnings = []
    known = _looked_up({text for text in (*access.operators, *access.hosts) if not _is_network(text)}, warnings)

    def entries(texts: Iterable[str]) -> list[Entry]:
        return [
            Entry(text, (ip_network(text),) if _is_network(text) else tuple(map(ip_network, sorted(known[text]))))
            for text in texts
        ]

    file = "" if access.file is None else str(access.file)
    judge = ByAddress(entries(access.operators), entries(access.hosts), is_own=is_own, file=file)
    return judge, warnings


def acf_of(path: Path) -> Acf:
    """What an access security file says.

    Raises
    ------
    ExpectedError
    """
    try:
        with path.open("rb") as file:
            data = file.read(_MOST_BYTES + 1)
    except OSError as error:
        raise ExpectedError(
            f"access security file {path}: {error.strerror}; name one that can be read, or none"
        ) from None
    if len(data) > _MOST_BYTES:
        raise ExpectedError(f"{path} has more than {_MOST_BYTES} bytes, and is no access security file")
    try:
        text = data.decode()
    except UnicodeDecodeError:
        text = data.decode("latin-1")
    return read_acf(text, str(path))


def is_own(address: str) -> bool:
    """Whether an address is one of this machine: its own it reaches from that very address. Nothing is sent for it."""
    try:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
            probe.connect((address, 9))
            return bool(probe.getsockname()[0] == address)
    except OSError:
        return False


def _is_network(text: str) -> bool:
    return address_of(text.partition("/")[0]) is not None


def _looked_up(names: set[str], warnings: list[str]) -> dict[str, frozenset[str]]:
    """The addresses of each."""
    with ThreadPoolExecutor(_LOOKED_UP_AT_ONCE) as pool:
        found = dict(zip(names, pool.map(_addresses, names), strict=True))
    for name in sorted(name for name, addresses in found.items() if not addresses):
        warnings.append(f"access: the host {name} has no address, so nobody is let in by it; check the name, or DNS")
    return found


def _addresses(name: str) -> frozenset[str]:
    if (address := address_of(name)) is not None:
        return frozenset({str(address)})
    try:
        return frozenset(str(one[4][0]) for one in socket.getaddrinfo(name, None, socket.AF_INET, socket.SOCK_STREAM))
    except (OSError, UnicodeError):
        return frozenset()
