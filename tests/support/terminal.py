"""A real terminal for a program under a test: ``Child(on_terminal(argv), stdin=True)``.

What is sent to the child is typed on the terminal, so that ``\\x03`` is Ctrl-C and ``\\x04`` Ctrl-D; what the terminal
shows, the echo of what is typed included, is the output of the child. The program leads a session of its own there.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence

CTRL_C = "\x03"
CTRL_D = "\x04"
_BRIDGE = "import os, pty, sys; sys.exit(os.waitstatus_to_exitcode(pty.spawn(sys.argv[1:])))"


def on_terminal(argv: Sequence[str]) -> list[str]:
    """What to run in the place of `argv`; its exit code is that of the program."""
    return [sys.executable, "-c", _BRIDGE, *argv]
