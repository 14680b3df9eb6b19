"""Where a host is reached and keeps what it knows, and what lies in its state directory. Light: commands look there.

``$XDG_STATE_HOME/guardian/x1`` is that of a host of a user, ``/var/lib/guardian/X1`` that of a service of the machine;
a site file or ``--state-dir`` may say another one.
"""

from __future__ import annotations

import os
from pathlib import Path

#: Site files of hosts that are services of the machine, ``X1.toml``, and where these keep their state: ``X1``.
SYSTEM_SITES, SYSTEM_STATE = Path("/etc/guardian"), Path("/var/lib/guardian")
#: The largest number that a port can have.
MAX_PORT = 65535
#: Of the state directory: the socket that takes orders.
CONTROL_SOCKET = "control.sock"
#: The files of the log of each node, or a link to where they are.
LOGS = "logs"
#: What nodes did; further files of it have a date in their names.
JOURNAL = "journal.jsonl"
#: How long their states take, a file a node.
DURATIONS = "durations"
#: The code that they have loaded, a git repository.
ARCHIVE = "archive.git"


def default_state_dir(name: str) -> Path:
    """Where a host keeps its state when nobody says where: $XDG_STATE_HOME/guardian/NAME."""
    base = os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state"
    return Path(base) / "guardian" / (name.lower() or "default")
