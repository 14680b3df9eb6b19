"""``guardctrl``: looks at nodes wherever they run, asks them for states, and tells why nothing answers.

Exit codes are those of `guardian.cli.output`: 1 says that something failed or was refused, 2 a wrong call; who waits
for nodes (``request --wait``, ``load --wait``) also gets 3, not in time, and 4, stalled. With ``--json`` there is one
JSON value on stdout however an order ends; only a call that is no order has none.
"""

from __future__ import annotations

from collections.abc import Sequence

from guardian._version import __version__
from guardian.cli.output import FAILED, WRONG_CALL, OrderParser, ended, open_streams
from guardian.errors import ExpectedError

#: Each order: its module in `guardian.cli.ctrl`, and what it does.
ORDERS = {
    "list": ("listing", "list the nodes on the network"),
    "hosts": ("hosts", "list the hosts on the network, and what is wrong with them"),
    "status": ("status", "show all of a node, or a host with its nodes"),
    "why": ("status", "say why nodes are not OK"),
    "tree": ("tree", "draw who manages whom"),
    "request": ("request", "ask nodes for a state"),
    "mode": ("orders", "say who decides where nodes go"),
    "op": ("orders", "stop, pause or run nodes"),
    "load": ("orders", "have nodes read their code anew"),
    "reenter": ("orders", "have nodes run their present state again, from main()"),
    "reset-failed": ("failed", "start nodes that were given up"),
    "create": ("local", "add a node to a host on this machine"),
    "destroy": ("local", "remove a node from a host on this machine"),
    "start": ("local", "write OP=EXEC, through a host on this machine"),
    "stop": ("local", "write OP=STOP, through a host on this machine"),
    "restart": ("local", "give a node a new worker with new code, through a host on this machine"),
    "reload": ("reload", "have a host follow its site file as it is now"),
    "acl": ("acl", "say who may write, and by which rule"),
    "doctor": ("doctor", "say why nothing answers, and what to do"),
    "install": ("install", "make hosts services of systemd"),
}


def main(argv: Sequence[str] | None = None) -> int:
    """Do one order."""
    open_streams()
    return ended("guardctrl", lambda: _main(argv))


def _main(argv: Sequence[str] | None) -> int:
    # Here, not above, as Ctrl-C may come while they are loaded.
    from guardian.cli.ctrl import COMMAND, WrongCall, add_shared_options, say
    from guardian.cli.orders import add_orders

    parser = OrderParser(prog=COMMAND, description="Look at nodes wherever they run, and give them orders.")
    parser.add_argument("--version", action="version", version=__version__)
    add_shared_options(parser)
    add_orders(parser, "guardian.cli.ctrl", ORDERS)
    options = parser.parse_args(argv)
    try:
        code: int = options.run(options)
        return code
    except ExpectedError as error:  # nothing has been printed on stdout, or nothing that --json prints
        say(str(error))
        if options.json:
            print(options.nothing)
        return WRONG_CALL if isinstance(error, WrongCall) else FAILED


if __name__ == "__main__":
    raise SystemExit(main())
