"""How long a host waits for a worker, at most. Who asks it for that waits longer."""

from __future__ import annotations

#: How long a node that leaves waits for its worker's end, in seconds.
END_S = 30.0
#: How long whoever restarts a node waits for its new worker, in seconds: imports may take that long.
RESTART_S = 60.0
