"""What runs on this machine, found without a search: lock files of hosts, and the kernel's table of sockets.

A Channel Access server has one number for its UDP and its TCP port; of the programs of this user that have such a port,
those come into question that are called guardian or guardhost. Those of other users are left alone, unless a lock file
says that they are hosts. Where GUARD_LOCK_DIR keeps hosts apart, nobody is looked for across its border.
"""

from __future__ import annotations

import contextlib
import os
import socket
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from guardian.host import locks
from guardian.host.claim import Claim, parse
from guardian.host.users import user_name

_NET = Path("/proc/net")
_LISTEN = "0A"
_PRIVILEGED = 1024
_LOOPBACK = "127.0.0.1"


@dataclass(frozen=True, slots=True, kw_only=True)
class Listener:
    """A process that has a UDP port. `pid`: 0 if it may not be seen, as it is another user's."""

    address: str
    pid: int
    user: str
    program: str

    def __str__(self) -> str:
        if not self.pid:
            return f"a process of {self.user}"
        return f"process {self.pid} of {self.user} ({self.program[:100]})"


def claims() -> dict[str, Claim]:
    """The hosts that say on this machine that they run something: by the PV that tells it, of each node."""
    found = {pv: parse(text) for pv, text in locks.written(locks.folder()).items()}
    return {pv: claim for pv, claim in found.items() if claim is not None and claim.port}


def listeners(port: int) -> list[Listener]:
    """Who has this UDP port; a process once, however many sockets it has."""
    found: dict[object, Listener] = {}
    sockets = [one for one in _table("udp") if one.port == port]
    owners = _owners({one.inode for one in sockets}) if sockets else {}
    for one in sockets:
        pid = owners.get(one.inode, 0)
        who = Listener(address=one.address, pid=pid, user=user_name(one.uid), program=_program(pid) if pid else "")
        found.setdefault(pid or one.inode, who)
    return sorted(found.values(), key=lambda one: (one.pid, one.address))


def local_addresses(port: int) -> list[str]:
    """Where a search by unicast from this machine reaches those who have this UDP port."""
    addresses = [one.address for one in _table("udp") if one.port == port]
    return list(dict.fromkeys(_LOOPBACK if address == "0.0.0.0" else address for address in addresses))


def candidates() -> set[int]:
    """Ports on which a host of this user may serve."""
    if os.environ.get("GUARD_LOCK_DIR"):
        return set()
    udp = {one.port for one in _table("udp") if one.uid == os.getuid()}
    tcp = {one.port for one in _table("tcp") if one.uid == os.getuid() and one.state == _LISTEN}
    ports = [port for port in udp & tcp if port >= _PRIVILEGED]
    return {port for port in ports if any(map(_is_host, listeners(port)))}


def _is_host(one: Listener) -> bool:
    return "guardian" in one.program or "guardhost" in one.program


@dataclass(frozen=True, slots=True)
class _Socket:
    address: str
    port: int
    state: str
    uid: int
    inode: int


def _table(kind: str) -> Iterator[_Socket]:
    """The sockets of this machine, see proc(5)."""
    try:
        lines = (_NET / kind).read_text().splitlines()[1:]
    except OSError:
        return
    for words in map(str.split, lines):
        address, _, port = words[1].partition(":")
        ip = socket.inet_ntoa(struct.pack("=I", int(address, 16)))
        yield _Socket(ip, int(port, 16), words[3], int(words[7]), int(words[9]))


def _owners(inodes: set[int]) -> dict[int, int]:
    """The process that has each of these sockets, as far as one may look."""
    wanted = {f"socket:[{inode}]": inode for inode in inodes}
    found: dict[int, int] = {}
    for folder in Path("/proc").glob("[0-9]*/fd"):
        with contextlib.suppress(OSError):  # it is another user's, or has ended
            for link in folder.iterdir():
                with contextlib.suppress(OSError):
                    if (inode := wanted.get(os.readlink(link))) is not None:
                        found.setdefault(inode, int(folder.parent.name))
    return found


def _program(pid: int) -> str:
    with contextlib.suppress(OSError):
        words = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
        return " ".join(word.decode(errors="replace") for word in words if word)
    return "ended"
