"""A hub that watches PVs: ``hub_of_pvs.py PREFIX[=NAME] ...``. A process of its own, for its Channel Access context.

It prints each change; ``state`` on its stdin prints what it knows; at the end of stdin it ends.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from guardian.health import Change, Hub


def say(line: str) -> None:
    """In one piece: two threads say something."""
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def main(*watched: str) -> None:
    def tell(change: Change) -> None:
        say(f"CHANGE {change.pulse.name} {change.sentence}")

    with Hub(tell) as hub:
        for one in watched:
            prefix, _, name = one.partition("=")
            hub.watch(prefix, name or None, period_s=0.4, stall_s=3.0)
        say("HUB READY")
        for _line in sys.stdin:
            known = {name: heartbeat.as_dict() for name, heartbeat in hub.heartbeats.items()}
            say(f"KNOWN {json.dumps(known)}")
    say("HUB ENDED")


if __name__ == "__main__":
    main(*sys.argv[1:])
