"""What runs on this machine, found without Channel Access: lock files of hosts, and sockets of the kernel."""

from __future__ import annotations

import contextlib
import os
import pwd
import socket
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from guardian.host import locks
from guardian.host.claim import Claim, parse

_UDP = Path("/proc/net/udp")
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
        return f"process {self.pid} of {self.user} ({self.program})"


def claims() -> dict[str, Claim]:
    """The hosts that say on this machine that they run something: by the PV that tells it, of each node."""
    found = {pv: parse(text) for pv, text in locks.written(locks.folder()).items()}
    return {pv: claim for pv, claim in found.items() if claim is not None and claim.port}


def listeners(port: int) -> list[Listener]:
    """Who has this UDP port; a process once, however many sockets it has."""
    found: dict[object, Listener] = {}
    sockets = list(_sockets(port))
    owners = _owners({inode for _, _, inode in sockets}) if sockets else {}
    for address, uid, inode in sockets:
        pid = owners.get(inode, 0)
        one = Listener(address=address, pid=pid, user=_user(uid), program=_program(pid) if pid else "")
        found.setdefault(pid or inode, one)
    return sorted(found.values(), key=lambda one: (one.pid, one.address))


def local_addresses(port: int) -> list[str]:
    """Where a search by unicast from this machine reaches those who have this UDP port."""
    addresses = [one.address for one in listeners(port)]
    return list(dict.fromkeys(_LOOPBACK if address == "0.0.0.0" else address for address in addresses))


def _sockets(port: int) -> Iterator[tuple[str, int, int]]:
    """Address, uid and inode of each socket on this port."""
    try:
        lines = _UDP.read_text().splitlines()[1:]
    except OSError:
        return
    for line in lines:
        words = line.split()
        address, _, number = words[1].partition(":")
        if int(number, 16) == port:
            yield socket.inet_ntoa(struct.pack("=I", int(address, 16))), int(words[7]), int(words[9])


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
        return " ".join(word.decode(errors="replace") for word in words if word)[:100]
    return "ended"


def _user(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return f"uid {uid}"
