"""``guardutil``: looks at system modules without running them: prints, checks and draws them, and makes new ones.

No channel is touched and no host is needed, but by ``setpoints``, which asks a node that runs. Exit codes are those of
`guardian.cli.output`: 1 says that there is no such path, or that the check found something; 2, a wrong call or a module
that does not load.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from typing import NoReturn

from guardian._version import __version__
from guardian.cli.output import FAILED, WRONG_CALL, open_streams
from guardian.cli.util import COMMAND, check, facts, graph, new, say, setpoints
from guardian.errors import ExpectedError, GuardianError


class _Parser(argparse.ArgumentParser):
    """Says in one line what is wrong with a call."""

    def error(self, message: str) -> NoReturn:
        say(f"{message}; see {self.prog} --help")
        self.exit(WRONG_CALL)


def main(argv: Sequence[str] | None = None) -> int:
    """Do one order."""
    open_streams()
    parser = _Parser(prog=COMMAND, description="Look at system modules without running them.")
    parser.add_argument("--version", action="version", version=__version__)
    orders = parser.add_subparsers(dest="do", required=True, metavar="ORDER")
    for part in (facts, check, graph, new, setpoints):
        part.add(orders)
    options = parser.parse_args(argv)
    try:
        code: int = options.run(options)
        sys.stdout.flush()
        return code
    except ExpectedError as error:
        say(str(error))
        return WRONG_CALL
    except GuardianError as error:
        say(str(error))
        return FAILED
    except KeyboardInterrupt:
        return FAILED
    except OSError as error:  # what was printed is not taken: `guardutil print NODE | head`, or a full disk
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        if not isinstance(error, BrokenPipeError):
            say(str(error))
        return FAILED


if __name__ == "__main__":
    raise SystemExit(main())
