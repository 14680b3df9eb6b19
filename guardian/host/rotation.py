"""Files that grow for years: put aside when they are large, and the oldest removed, so that a disk is never filled.

A file is put aside by one rename, to ``NAME.20261129T031512Z`` (UTC, the moment of the rename; ``-1`` and so on for
more of one second, or after a clock was set back). So a name never comes to mean another content: who reads, copies or
indexes a file that was put aside finds it as it was, until it is removed as a whole. The order of the names is that in
which they were given.

No locks, no threads: the one who writes a file calls this.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

#: What a table of a site file may say of it.
KEYS: dict[str, type | tuple[type, ...]] = {"file_mb": (int, float), "total_mb": (int, float)}
SMALLEST_MB, LARGEST_MB = 0.01, 1e6
_MB = 1_000_000
_ASIDE = re.compile(r"\.\d{8}T\d{6}Z(-\d{1,9})?")


@dataclass(frozen=True, slots=True, kw_only=True)
class Bounds:
    """How large a file may grow, and how much disk it may take together with what was put aside; bytes."""

    file_bytes: int = 16 * _MB
    total_bytes: int = 256 * _MB


def faults(table: Mapping[str, Any], where: str, default: Bounds = Bounds()) -> list[str]:
    """What makes no sense in a table of a site file, a sentence each."""
    found = []
    for key in KEYS:
        if key in table and not SMALLEST_MB <= table[key] <= LARGEST_MB:
            found.append(f"{where}{key} = {table[key]}; use {SMALLEST_MB:g} to {LARGEST_MB:g} megabytes")
    told = bounds(table, default)
    if not found and told.total_bytes < 2 * told.file_bytes:
        found.append(
            f"{where}total_mb = {told.total_bytes / _MB:g} holds less than two files of file_mb = "
            f"{told.file_bytes / _MB:g}; say more, or smaller files"
        )
    return found


def bounds(table: Mapping[str, Any], default: Bounds = Bounds()) -> Bounds:
    """What a table of a site file says."""
    return Bounds(
        file_bytes=int(table["file_mb"] * _MB) if "file_mb" in table else default.file_bytes,
        total_bytes=int(table["total_mb"] * _MB) if "total_mb" in table else default.total_bytes,
    )


def next_name(path: Path, now: float) -> Path:
    """What a file is called when it is put aside now: a name that no file has, and none had that is still there."""
    stamp, number = stamp_of(now), 0
    if (old := aside(path)) and (newest := moment(path, old[-1]))[0] >= stamp:  # in this second, or by a clock ahead
        stamp, number = newest[0], newest[1] + 1
    return path.with_name(f"{path.name}.{stamp}" + (f"-{number}" if number else ""))


def put_aside(path: Path, now: float) -> Path:
    """Rename a file that is large enough; its new name. What is open stays open.

    Raises
    ------
    OSError
        It still has its old name.
    """
    return path.rename(next_name(path, now))


def aside(path: Path) -> list[Path]:
    """What was put aside of a file, the oldest first. An empty list if the folder cannot be read."""
    found = []
    with contextlib.suppress(OSError):
        found = [one for one in path.parent.iterdir() if one.name.startswith(path.name)]
    mine = [one for one in found if _ASIDE.fullmatch(one.name[len(path.name) :])]
    return sorted(mine, key=lambda one: moment(path, one))


def moment(path: Path, one: Path) -> tuple[str, int]:
    """When a file was put aside, as its name says, and which one of that second."""
    stamp, _, number = one.name[len(path.name) + 1 :].partition("-")
    return stamp, int(number or 0)


def stamp_of(now: float) -> str:
    """Epoch seconds as in a name."""
    return datetime.fromtimestamp(max(now, 0.0), UTC).strftime("%Y%m%dT%H%M%SZ")


def make_room(path: Path, total_bytes: int) -> list[Path]:
    """Remove the oldest of what was put aside, until all together, `path` included, take no more than `total_bytes`.

    Returns
    -------
    list of Path
        What was removed. What cannot be removed is passed over, and counts.
    """
    sizes = {one: _size(one) for one in (*aside(path), path)}
    removed: list[Path] = []
    for old in list(sizes)[:-1]:
        if sum(sizes.values()) <= total_bytes:
            break
        with contextlib.suppress(OSError):
            old.unlink()
            del sizes[old]
            removed.append(old)
    return removed


def taken(path: Path) -> int:
    """Bytes that a file takes, together with what was put aside of it."""
    return sum(map(_size, (*aside(path), path)))


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0
