"""What a site says of who may write its nodes' PVs, and the judge that is made of it.

Names are looked up here, and files are read: it may take seconds, so it is no business of the event loop's. A name
server that does not answer holds up neither the start of a host nor its end for longer than :data:`LOOK_UP_S`.
"""

from __future__ import annotations

import queue
import re
import socket
import threading
import time
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, replace
from ipaddress import ip_network
from pathlib import Path

from guardian.core.acf import Acf, read_acf
from guardian.core.judge import ByAddress, ByFile, Entry, address_of
from guardian.core.security import Security
from guardian.errors import ExpectedError
from guardian.host.reading import read_bytes

_HOST_NAME = re.compile(r"(?=.{1,253}$)[A-Za-z0-9_]([A-Za-z0-9_-]*[A-Za-z0-9_])?(\.[A-Za-z0-9_-]+)*")
#: How long names are looked up, all together; what has not come by then has no address yet.
LOOK_UP_S = 3.0
_LOOKED_UP_AT_ONCE = 16
_NO_ADDRESS = "has no address, so nobody is let in by it; check the name, or DNS. It is looked up again each minute"


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


@dataclass(frozen=True, slots=True)
class Rules:
    """What the files say, and which addresses the names in them have. Made by :func:`read_rules`."""

    access: Access
    acf: Acf | None
    known: Mapping[str, frozenset[str]]

    @property
    def nameless(self) -> list[str]:
        """Names that have no address."""
        return sorted(name for name, addresses in self.known.items() if not addresses)

    @property
    def warnings(self) -> list[str]:
        """What is to be told: what the file has that is not known, names that have no address."""
        return [
            *(self.acf.warnings if self.acf is not None else ()),
            *(f"access: the host {name} {_NO_ADDRESS}" for name in self.nameless),
        ]

    def judge(self) -> Security:
        """The judge by these rules.

        Raises
        ------
        ExpectedError
            They cannot be used.
        """
        access = self.access
        if self.acf is not None:
            return ByFile(self.acf, addresses=self.known if access.check_addresses else None)
        file = "" if access.file is None else str(access.file)
        return ByAddress(self._entries(access.operators), self._entries(access.hosts), is_own=is_own, file=file)

    def _entries(self, texts: Iterable[str]) -> list[Entry]:
        return [
            Entry(text, (ip_network(text),) if _is_network(text) else tuple(map(ip_network, sorted(self.known[text]))))
            for text in texts
        ]

    def looked_up_again(self) -> Rules:
        """With the addresses that names have got meanwhile; no file is read."""
        return replace(self, known={**self.known, **_looked_up(self.nameless)})


def read_rules(access: Access) -> Rules:
    """Read the files, and look the names up.

    Raises
    ------
    ExpectedError
        The file cannot be read.
    """
    if access.acf is None:
        texts = (*access.operators, *access.hosts)
        return Rules(access, None, _looked_up({text for text in texts if not _is_network(text)}))
    acf = acf_of(access.acf)
    names = {name for members in acf.hosts.values() for name in members.names} if access.check_addresses else ()
    return Rules(access, acf, _looked_up(names))


def acf_of(path: Path) -> Acf:
    """What an access security file says.

    Raises
    ------
    ExpectedError
    """
    try:
        data = read_bytes(path)
    except OSError as error:
        raise ExpectedError(
            f"access security file {path}: {error.strerror}; name one that can be read, or none"
        ) from None
    try:
        text = data.decode("utf-8-sig")  # editors of Windows begin with a mark
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


def _looked_up(names: Collection[str]) -> dict[str, frozenset[str]]:
    """The addresses of each; none of a name that takes too long."""
    found = dict.fromkeys(names, frozenset[str]())
    waiting, answers = list(found), queue.SimpleQueue[tuple[str, frozenset[str]]]()

    def work() -> None:
        while waiting:
            try:
                name = waiting.pop()
            except IndexError:  # another thread has the last one
                return
            answers.put((name, _addresses(name)))

    for _ in range(min(_LOOKED_UP_AT_ONCE, len(found))):
        # Nobody waits for the end of these: a name server may take half a minute not to answer.
        threading.Thread(target=work, name="look up", daemon=True).start()
    until = time.monotonic() + LOOK_UP_S
    for _ in range(len(found)):
        try:
            name, addresses = answers.get(timeout=max(0.0, until - time.monotonic()))
        except queue.Empty:
            waiting.clear()
            break
        found[name] = addresses
    return found


def _addresses(name: str) -> frozenset[str]:
    if (address := address_of(name)) is not None:
        return frozenset({str(address)})
    try:
        return frozenset(str(one[4][0]) for one in socket.getaddrinfo(name, None, socket.AF_INET, socket.SOCK_STREAM))
    except (OSError, UnicodeError):
        return frozenset()
