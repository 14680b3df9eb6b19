"""``guardlog``: reads what hosts have recorded. Needs no host that runs, and disturbs none that does.

Exit codes are those of `guardian.cli.output`: 1 says that there is nothing that can be read, 2 a wrong call.
"""

from __future__ import annotations

import signal
import sys
from collections.abc import Iterable, Sequence

from guardian._version import __version__
from guardian.cli.output import FAILED, WRONG_CALL, OrderParser, ended, open_streams
from guardian.errors import ExpectedError

#: Each order: its module in `guardian.cli.log`, and what it does.
ORDERS = {
    "log": ("lines", "show what nodes and their code have said"),
    "events": ("events", "show what nodes did, and why"),
    "times": ("stays", "show how long nodes were in which state"),
    "audit": ("audit", "show who wrote what on the PVs of nodes"),
}
#: What is done where no order is given.
USUAL = "log"


def main(argv: Sequence[str] | None = None) -> int:
    """Do one order."""
    open_streams()
    return ended("guardlog", lambda: _main(argv))


def _main(argv: Sequence[str] | None) -> int:
    # Here, not above, as Ctrl-C may come while they are loaded.
    from guardian.cli.log import COMMAND, WrongCall, add_shared_options, allow_many_files, say
    from guardian.cli.orders import add_orders

    allow_many_files()
    parser = OrderParser(prog=COMMAND, description="Read what hosts have recorded.")
    parser.add_argument("--version", action="version", version=__version__)
    add_shared_options(parser)
    add_orders(parser, "guardian.cli.log", ORDERS)
    options = parser.parse_args(order_words(sys.argv[1:] if argv is None else list(argv), ORDERS))
    try:
        code: int = options.run(options)
        return code
    except ExpectedError as error:
        say(str(error))
        return WRONG_CALL if isinstance(error, WrongCall) else FAILED
    except KeyboardInterrupt:
        if not getattr(options, "follow", False):
            raise
        return 128 + signal.SIGINT


def order_words(argv: list[str], orders: Iterable[str]) -> list[str]:
    """The command line with its order: :data:`USUAL` where the first word is a node, or an option of that order."""
    at, known = 0, set(orders)
    while at < len(argv) and argv[at].startswith(("--site", "--state-dir")):
        at += 1 if "=" in argv[at] else 2
    if at < len(argv) and argv[at] not in known and argv[at] not in ("-h", "--help", "--version"):
        word = argv[at]
        if word.startswith("-") or word[:1].isupper() or any(letter in word for letter in "*?["):
            return [*argv[:at], USUAL, *argv[at:]]
    return argv


if __name__ == "__main__":
    raise SystemExit(main())
