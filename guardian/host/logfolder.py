"""The folder of a host's log files: which file is whose, in which order, and how all together stay within bounds.

``NODE.log`` grows; what was put aside is ``NODE.log.20261129T031512Z``. Within a file times do not fall by more than
:data:`SLACK_S`: a clock that is set back begins a new file. So a moment is found in a file by halving it.
"""

from __future__ import annotations

import contextlib
import os
import re
import stat
from dataclasses import dataclass
from pathlib import Path

#: Lines of several threads, and of host and worker, come about so much out of order, in seconds.
SLACK_S = 10.0
SUFFIX = ".log"
_FILE = re.compile(r"([A-Z][A-Za-z0-9_-]*)\.log(?:\.(\d{8}T\d{6}Z)(?:-(\d+))?)?")


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeFile:
    """One file of one node, as it was found."""

    node: str
    path: Path
    growing: bool  #: ``NODE.log`` itself
    size: int
    inode: int
    aside: tuple[str, int] = ("", 0)  #: when it was put aside, and which one of that moment


def log_path(folder: Path, node: str) -> Path:
    """The file of a node that grows."""
    return folder / f"{node}{SUFFIX}"


def node_files(folder: Path) -> dict[str, list[NodeFile]]:
    """The files of each node, the oldest first.

    Raises
    ------
    OSError
        The folder cannot be read.
    """
    found: dict[str, list[NodeFile]] = {}
    with os.scandir(folder) as entries:
        for entry in entries:
            name = _FILE.fullmatch(entry.name)
            if name is None:
                continue
            with contextlib.suppress(OSError):  # removed meanwhile
                status = entry.stat()
                if not stat.S_ISREG(status.st_mode):
                    continue
                one = NodeFile(
                    node=name[1],
                    path=Path(entry.path),
                    growing=name[2] is None,
                    size=status.st_size,
                    inode=status.st_ino,
                    aside=(name[2] or "", int(name[3] or 0)),
                )
                found.setdefault(one.node, []).append(one)
    for files in found.values():
        files.sort(key=lambda one: (one.growing, one.aside))
    return found


def most_bytes(file_bytes: int, total_bytes: int, nodes: int) -> int:
    """How large a file may grow where so many nodes have one: all that grow together take half of the disk at most."""
    return min(file_bytes, total_bytes // (2 * max(nodes, 1)))


def make_room(folder: Path, file_bytes: int, total_bytes: int) -> list[Path]:
    """Remove the oldest files of those nodes that take most, until all together have room to grow in `total_bytes`.

    So a node that floods the log loses its own past, not that of others.

    Returns
    -------
    list of Path
        What was removed.
    """
    found = node_files(folder)
    limit = most_bytes(file_bytes, total_bytes, len(found))
    growing = sum(max(one.size, limit) for files in found.values() for one in files if one.growing)
    aside = {node: [one for one in files if not one.growing] for node, files in found.items()}
    taken = {node: sum(one.size for one in files) for node, files in aside.items()}
    removed = []
    while growing + sum(taken.values()) > total_bytes:
        node = max(taken, key=lambda name: taken[name])
        if not aside[node]:
            break
        old = aside[node].pop(0)
        with contextlib.suppress(OSError):
            old.path.unlink()
            removed.append(old.path)
            taken[node] -= old.size
            continue
        del taken[node], aside[node]  # it cannot be removed: the others make room
        if not taken:
            break
    return removed
