"""Where the hosts of this machine keep what they know, also those that do not run now, and those of other users.

No host is asked. Three places say it: that of the hosts of this user, that of services, and the lock files of hosts
with a state directory of their own.
"""

from __future__ import annotations

import os
import socket
from contextlib import suppress
from pathlib import Path

from guardian.host.claim import parse
from guardian.host.locks import folder, written
from guardian.host.places import SYSTEM_STATE, default_state_dir


def state_dirs(having: str = "") -> list[Path]:
    """The state directories, absolute and sorted; those that this user may not read are left out.

    Parameters
    ----------
    having : a name that must be in each of them.
    """
    machine, found = socket.gethostname(), set()
    for base in bases():
        with suppress(OSError):
            found |= {path.absolute() for path in base.iterdir() if path.is_dir()}
    claims = [claim for text in written(folder()).values() if (claim := parse(text)) and claim.machine == machine]
    found |= {Path(claim.dir) for claim in claims if os.path.isabs(claim.dir)}
    readable = [path for path in sorted(found) if os.access(path, os.R_OK | os.X_OK)]
    return [path for path in readable if os.path.lexists(path / having)]


def bases() -> tuple[Path, Path]:
    """The folders that have a state directory for each host of this user, and for each service."""
    return default_state_dir("").parent, SYSTEM_STATE


def looked_in() -> str:
    """For a message that nothing was found."""
    return f"{' and '.join(map(str, bases()))}, and where hosts of this machine hold locks"
