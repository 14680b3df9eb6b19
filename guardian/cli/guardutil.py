"""``guardutil``: looks at system modules without running them: prints, checks and draws them, and makes new ones.

And it writes the PVs of a site as other programs take them (``export``).

No channel is touched and no host is needed, but by ``setpoints`` and ``diff``, which ask a node that runs. ``diff``,
``log`` and ``states --at`` read the archive of a host. Exit codes are those of `guardian.cli.output`: 1 says that there
is no such path, that the check found something, or that something differs; 2, a wrong call or a module that does not
load.
"""

from __future__ import annotations

from collections.abc import Sequence

from guardian._version import __version__
from guardian.cli.output import FAILED, WRONG_CALL, OrderParser, ended, open_streams
from guardian.errors import ExpectedError, GuardianError

#: Each order: its module in `guardian.cli.util`, and what it does.
ORDERS = {
    "print": ("facts", "print what a system is"),
    "states": ("facts", "list the states of a system"),
    "edges": ("facts", "list the edges of a system, those of goto states too"),
    "path": ("facts", "print the way a node takes from one state to another"),
    "check": ("check", "load a module in a process of its own and say all that looks wrong"),
    "graph": ("graph", "draw the states of a system and the edges between them"),
    "new": ("new", "write a module to begin with"),
    "setpoints": ("setpoints", "show what a running node has set, and what is there now"),
    "diff": ("diff", "show what a node has loaded beside the files as they are now"),
    "log": ("history", "list what a node has loaded, when, and who asked for it"),
    "export": ("export", "write the PVs of a site, or operator screens, as other programs take them"),
}


def main(argv: Sequence[str] | None = None) -> int:
    """Do one order."""
    open_streams()
    return ended("guardutil", lambda: _main(argv))


def _main(argv: Sequence[str] | None) -> int:
    # Here, not above, as Ctrl-C may come while they are loaded.
    from guardian.cli.orders import add_orders
    from guardian.cli.util import COMMAND, say

    parser = OrderParser(
        prog=COMMAND,
        description="Look at system modules without running them, and write what other programs need to know.",
    )
    parser.add_argument("--version", action="version", version=__version__)
    add_orders(parser, "guardian.cli.util", ORDERS)
    options = parser.parse_args(argv)
    try:
        code: int = options.run(options)
        return code
    except ExpectedError as error:
        say(str(error))
        return WRONG_CALL
    except GuardianError as error:
        say(str(error))
        return FAILED


if __name__ == "__main__":
    raise SystemExit(main())
