"""When hosts with a state directory were alive: each run of one writes the time into a file of its own.

See :mod:`guardian.host.store`, which writes them.
"""

from __future__ import annotations

import contextlib
from pathlib import Path

#: Their names begin so; what follows is the session.
ALIVE = ".alive-"


def alive_stamps(directory: Path) -> list[float]:
    """Epoch seconds at which hosts with this directory are known to have lived, one for each run of a host; sorted."""
    with contextlib.suppress(OSError):
        return sorted(filter(None, map(stamp_in, directory.glob(f"{ALIVE}*"))))
    return []


def stamp_in(path: Path) -> float:
    """The time in a stamp; 0 if there is none that can be read."""
    try:
        return float(path.read_bytes()[:32])
    except (OSError, ValueError):
        return 0.0
