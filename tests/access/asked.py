"""A program that makes checks when it is asked to, because a process has one CA context and one CA environment.

:func:`answer` is the side of the program: it reads ``NAME`` lines from stdin, calls the function of that name, and says
``ok NAME`` or the traceback and ``failed NAME``. :class:`Client` is the side of the test.
"""

from __future__ import annotations

import sys
import traceback
from collections.abc import Callable

from tests.support.child import Child

#: The longest checks go through hundreds of steps, each of a fraction of a second on an idle machine.
PATIENCE_S = 240.0


class Client:
    """The program, asked one check after another."""

    def __init__(self, child: Child) -> None:
        self.child = child

    def begin(self, check: str) -> int:
        start = len(self.child.output)
        self.child.send(f"{check}\n")
        return start

    def end(self, check: str, start: int) -> str:
        end = self.child.wait_for(rf"^(ok|failed) {check}$", PATIENCE_S, start=start)
        said = self.child.output[start : end.end()]
        assert end[1] == "ok", said
        return said

    def check(self, check: str) -> str:
        return self.end(check, self.begin(check))


def answer(make: Callable[[str], None]) -> None:
    """Make the checks that are asked for, until stdin ends."""
    for line in sys.stdin:
        check = line.strip()
        try:
            make(check)
        except BaseException:
            traceback.print_exc()
            print(f"failed {check}", flush=True)
        else:
            print(f"ok {check}", flush=True)
