"""The files of user code as they were compiled: their content, their names in an archive, and what is told with them.

Pure. A content is named as git names it, by the SHA-1 of ``blob SIZE\\0`` and its bytes, so that whoever has a name
finds it in any repository, and two files of one content are one.

In the archive a file stands by its path below the search path that it came from: ``SUS_MC1.py``, ``lib/optics.py``.
Where two search paths have a file of the same name, the first keeps it and the others stand below ``path2/``,
``path3/``.
"""

from __future__ import annotations

import hashlib
import zlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

#: The file that says what the code was: node, states with their numbers, and where each file lay.
STATES = "states.json"
#: A larger file is named, and not kept.
LARGEST_BYTES = 4_000_000
#: Digits of a commit that are shown.
DIGITS = 12


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceFile:
    """One file that was imported.

    Parameters
    ----------
    path : of the file. place : number of the search path that it lies below, from 0. name : its path below that.
    blob : name of its content. size : bytes.
    packed : the content, see :func:`unpack`; None: it was told before, or it is too large.
    """

    path: str
    place: int
    name: str
    blob: str
    size: int
    packed: bytes | None = None


def blob_id(data: bytes) -> str:
    """What git calls a file of that content."""
    return hashlib.sha1(b"blob %d\0" % len(data) + data, usedforsecurity=False).hexdigest()


def pack(data: bytes) -> bytes:
    """Small enough to travel."""
    return zlib.compress(data, 1)


def unpack(packed: bytes) -> bytes:
    """The content again."""
    return zlib.decompress(packed)


def named(files: Iterable[SourceFile]) -> dict[str, SourceFile]:
    """The files that an archive keeps, by their names in it, sorted; no two have one name."""
    found: dict[str, SourceFile] = {}
    for file in sorted(files, key=lambda one: (one.place, one.path)):
        if file.size > LARGEST_BYTES:
            continue
        name = file.name if file.name not in found and file.name != STATES else f"path{file.place + 1}/{file.name}"
        found[_free(name, found)] = file
    return dict(sorted(found.items()))


def _free(name: str, taken: Mapping[str, Any]) -> str:
    """Two links to one folder may lead to the same name below the same search path."""
    number, free = 1, name
    while free in taken:
        number += 1
        free = f"{number}/{name}"
    return free


def what_changed(before: Mapping[str, str], after: Mapping[str, str]) -> str:
    """Which files are otherwise, for a sentence: ``SUS_MC1.py, lib.py (new), old.py (gone)``; "" if none is.

    Parameters
    ----------
    before, after : names of contents by names of files.
    """
    told = [name if name in before else f"{name} (new)" for name, blob in after.items() if before.get(name) != blob]
    told += [f"{name} (gone)" for name in before if name not in after]
    return ", ".join(told[:5]) + (f" and {len(told) - 5} more" if len(told) > 5 else "")
