"""What a site file says of the log: the table ``[logs]``. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from guardian.enums import LogLevel
from guardian.host import rotation
from guardian.host.rotation import Bounds

#: A file of one node, and all files of a host together.
BOUNDS = Bounds(file_bytes=8_000_000, total_bytes=1_000_000_000)
KEYS: dict[str, type | tuple[type, ...]] = {
    "files": bool,
    "dir": str,
    **rotation.KEYS,
    "lines_per_s": (int, float),
    "burst_lines": int,
    "level": str,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class LogBudget:
    """What one worker may say."""

    lines_per_s: float = 200.0
    burst_lines: float = 1000.0
    turn_s: float = 0.05
    turn_bytes: int = 64 * 1024
    turn_reads: int = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class LogRules:
    """How a host keeps its log.

    Parameters
    ----------
    files : whether each node has files of its own. folder : where; None: in the state directory.
    bounds : of a file of one node, and of all files of the host together.
    budget : of each worker. level : LOGLEVEL of nodes for which nobody has said otherwise, and of the host.
    """

    files: bool = True
    folder: Path | None = None
    bounds: Bounds = BOUNDS
    budget: LogBudget = field(default_factory=LogBudget)
    level: LogLevel = LogLevel.INFO


def faults(table: Mapping[str, Any], where: str) -> list[str]:
    """What makes no sense in the table, a sentence each."""
    found = rotation.faults(table, where, BOUNDS)
    if "level" in table and table["level"] not in LogLevel.__members__:
        found.append(f"{where}level = {table['level']!r}; use one of {', '.join(LogLevel.__members__)}")
    for key in ("lines_per_s", "burst_lines"):
        if key in table and not 1 <= table[key] <= 1e6:
            found.append(f"{where}{key} = {table[key]}; use 1 to 1000000 lines")
    return found


def rules(table: Mapping[str, Any], here: Path) -> LogRules:
    """What the table says; paths in it begin at `here`."""
    usual = LogBudget()
    return LogRules(
        files=table.get("files", True),
        folder=here / table["dir"] if "dir" in table else None,
        bounds=rotation.bounds(table, BOUNDS),
        budget=LogBudget(
            lines_per_s=table.get("lines_per_s", usual.lines_per_s),
            burst_lines=table.get("burst_lines", usual.burst_lines),
        ),
        level=LogLevel[table.get("level", "INFO")],
    )
