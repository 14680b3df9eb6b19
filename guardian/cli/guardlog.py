"""``guardlog``: reads what hosts have recorded. Needs no host that runs, and disturbs none that does.

Exit codes are those of `guardian.cli.output`: 1 says that there is nothing that can be read, 2 a wrong call.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from typing import NoReturn

from guardian._version import __version__
from guardian.cli.log import COMMAND, WrongCall, add_shared_options, audit, say
from guardian.cli.output import FAILED, WRONG_CALL, open_streams
from guardian.errors import ExpectedError


class _Parser(argparse.ArgumentParser):
    """Says in one line what is wrong with a call."""

    def error(self, message: str) -> NoReturn:
        say(f"{message}; see {self.prog} --help")
        self.exit(WRONG_CALL)


def main(argv: Sequence[str] | None = None) -> int:
    """Do one order."""
    open_streams()
    parser = _Parser(prog=COMMAND, description="Read what hosts have recorded.")
    parser.add_argument("--version", action="version", version=__version__)
    add_shared_options(parser)
    orders = parser.add_subparsers(dest="do", required=True, metavar="ORDER")
    for part in (audit,):
        part.add(orders)
    options = parser.parse_args(argv)
    try:
        code: int = options.run(options)
        sys.stdout.flush()
        return code
    except ExpectedError as error:
        say(str(error))
        return WRONG_CALL if isinstance(error, WrongCall) else FAILED
    except KeyboardInterrupt:
        return FAILED
    except OSError as error:  # what was printed is not taken: `guardlog audit | head`, or a full disk
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        if not isinstance(error, BrokenPipeError):
            say(str(error))
        return FAILED


if __name__ == "__main__":
    raise SystemExit(main())
