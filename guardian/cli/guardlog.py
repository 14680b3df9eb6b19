"""``guardlog``: reads what hosts have recorded. Needs no host that runs, and disturbs none that does.

Exit codes are those of `guardian.cli.output`: 1 says that there is nothing that can be read, 2 a wrong call.
"""

from __future__ import annotations

import signal
import sys
from collections.abc import Sequence

from guardian._version import __version__
from guardian.cli.log import COMMAND, WrongCall, add_shared_options, allow_many_files, audit, events, lines, say, stays
from guardian.cli.output import FAILED, WRONG_CALL, OrderParser, not_taken, open_streams
from guardian.errors import ExpectedError


def main(argv: Sequence[str] | None = None) -> int:
    """Do one order."""
    open_streams()
    allow_many_files()
    parser = OrderParser(prog=COMMAND, description="Read what hosts have recorded.")
    parser.add_argument("--version", action="version", version=__version__)
    add_shared_options(parser)
    orders = parser.add_subparsers(dest="do", required=True, metavar="ORDER")
    for part in (lines, events, stays, audit):
        part.add(orders)
    words = sys.argv[1:] if argv is None else list(argv)
    options = parser.parse_args(lines.order_words(words, orders.choices))
    try:
        code: int = options.run(options)
        sys.stdout.flush()
        return code
    except ExpectedError as error:
        say(str(error))
        return WRONG_CALL if isinstance(error, WrongCall) else FAILED
    except KeyboardInterrupt:
        return 128 + signal.SIGINT if getattr(options, "follow", False) else FAILED
    except OSError as error:
        return not_taken(COMMAND, error)


if __name__ == "__main__":
    raise SystemExit(main())
