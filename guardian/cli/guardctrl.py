"""``guardctrl``: looks at nodes wherever they run, asks them for states, and tells why nothing answers.

Exit codes are those of `guardian.cli.output`: 1 says that something failed or was refused, 2 a wrong call; who waits
for nodes (``request --wait``, ``load --wait``) also gets 3, not in time, and 4, stalled. With ``--json`` there is one
JSON value on stdout however an order ends; only a call that is no order has none.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence

from guardian._version import __version__
from guardian.cli.output import FAILED, WRONG_CALL, OrderParser, complain, not_taken, open_streams
from guardian.errors import ExpectedError

COMMAND = "guardctrl"


def main(argv: Sequence[str] | None = None) -> int:
    """Do one order."""
    open_streams()
    try:
        code = _main(argv)
        sys.stdout.flush()
        return code
    except KeyboardInterrupt:
        return FAILED
    except RuntimeError as error:  # before Python 3.12, while a module makes a class, Ctrl-C comes in such a wrapping
        if not isinstance(error.__cause__, KeyboardInterrupt):
            raise
        return FAILED
    except OSError as error:
        return not_taken(COMMAND, error)


def _main(argv: Sequence[str] | None) -> int:
    # Here, not above, as Ctrl-C may come while they are loaded.
    from guardian.cli.ctrl import (
        WrongCall,
        acl,
        add_shared_options,
        doctor,
        failed,
        hosts,
        install,
        listing,
        local,
        orders,
        request,
        status,
        tree,
    )

    parser = OrderParser(prog=COMMAND, description="Look at nodes wherever they run, and give them orders.")
    parser.add_argument("--version", action="version", version=__version__)
    add_shared_options(parser)
    known = parser.add_subparsers(dest="do", required=True, metavar="ORDER")
    for part in (listing, hosts, status, tree, request, orders, failed, local, acl, doctor, install):
        part.add(known)
    options = parser.parse_args(argv)
    try:
        code: int = options.run(options)
        return code
    except ExpectedError as error:  # nothing has been printed on stdout, or nothing that --json prints
        complain(COMMAND, str(error))
        if options.json:
            print(options.nothing)
        return WRONG_CALL if isinstance(error, WrongCall) else FAILED


if __name__ == "__main__":
    raise SystemExit(main())
