"""``guardutil``: looks at system modules without running them: prints, checks and draws them, and makes new ones.

And it writes the PVs of a site as other programs take them (``export``).

No channel is touched and no host is needed, but by ``setpoints`` and ``diff``, which ask a node that runs. ``diff``,
``log`` and ``states --at`` read the archive of a host. Exit codes are those of `guardian.cli.output`: 1 says that there
is no such path, that the check found something, or that something differs; 2, a wrong call or a module that does not
load.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence

from guardian._version import __version__
from guardian.cli.output import FAILED, WRONG_CALL, OrderParser, not_taken, open_streams
from guardian.cli.util import COMMAND, check, diff, export, facts, graph, history, new, say, setpoints
from guardian.errors import ExpectedError, GuardianError


def main(argv: Sequence[str] | None = None) -> int:
    """Do one order."""
    open_streams()
    parser = OrderParser(
        prog=COMMAND,
        description="Look at system modules without running them, and write what other programs need to know.",
    )
    parser.add_argument("--version", action="version", version=__version__)
    orders = parser.add_subparsers(dest="do", required=True, metavar="ORDER")
    for part in (facts, check, graph, new, setpoints, diff, history, export):
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
    except OSError as error:
        return not_taken(COMMAND, error)


if __name__ == "__main__":
    raise SystemExit(main())
