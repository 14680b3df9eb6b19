"""``guardhost`` on a starting line: it is loaded, and waits for the word before it does anything at all.

Two that are merely started one after the other are a Python start apart, which differs by 50 ms and more. Here all
that takes long is over; the word is a moment of the monotonic clock, which is one for all processes of a machine::

    python -m tests.support.starting_line SUS --ifo X1 ...     says LOADED, and waits for a line with a time
"""

from __future__ import annotations

import importlib
import sys
import time

from guardian.cli import guardhost

#: What a host imports while it starts.
LATER = ("ioc.server", "guardian.host.host", "guardian.host.spawner")
#: A sleep may be so late; the rest is spun away.
SPIN_S = 0.002


def main() -> int:
    for name in LATER:
        importlib.import_module(name)
    print("LOADED", flush=True)
    at = float(sys.stdin.readline())
    while (left := at - time.monotonic()) > 0:
        if left > SPIN_S:
            time.sleep(left - SPIN_S)
    return guardhost.main()


if __name__ == "__main__":
    raise SystemExit(main())
