"""What every command shares: exit codes, and one line for what went wrong.

0 the work is done, 1 it failed, 2 the call was wrong. Nothing else, so that scripts can rely on it.
"""

from __future__ import annotations

import sys

OK = 0
FAILED = 1
WRONG_CALL = 2


def complain(command: str, text: str) -> None:
    """One line on stderr, headed by the command; line breaks inside become spaces."""
    sys.stdout.flush()  # so that on a terminal and in a log the two streams stay in order
    print(f"{command}: {' '.join(text.split())}", file=sys.stderr, flush=True)
