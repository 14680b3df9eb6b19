"""``guardian-console``: the operator screens, as pages for a browser. ``guardian-console users``: who may write."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from guardian._version import __version__
from guardian.cli.output import FAILED, OK, WRONG_CALL, OrderParser, WrongCall, complain, ended, open_streams
from guardian.core.names import check_name
from guardian.errors import ExpectedError

if TYPE_CHECKING:
    from guardian.console.serve import Wanted
    from guardian.console.users import Users

COMMAND = "guardian-console"
#: No node can be called so.
USERS = "users"
ADDRESS, PORT = "127.0.0.1", 8080
#: What the extra [web] brings.
NEEDS = ("starlette", "uvicorn", "websockets")
#: A server that hangs is noticed after so long (libca asks 30 s); operators look at a screen that must not lie.
SILENCE, SILENCE_S = "EPICS_CA_CONN_TMO", 5.0


def main(argv: Sequence[str] | None = None) -> int:
    """Serve pages until Ctrl-C."""
    open_streams()
    return ended(COMMAND, lambda: _main(sys.argv[1:] if argv is None else argv))


def _main(argv: Sequence[str]) -> int:
    if argv[:1] == [USERS]:
        from guardian.cli import console_users

        return console_users.main(argv[1:])
    options = _options(argv)
    missing = [name for name in NEEDS if find_spec(name) is None]
    if missing:
        complain(COMMAND, f"needs {', '.join(missing)}; install the extra: pip install 'epics-guardian[web]'")
        return FAILED
    try:
        wanted = _wanted(options)
    except ExpectedError as error:
        complain(COMMAND, str(error))
        return WRONG_CALL
    return _serve(wanted)


def _options(argv: Sequence[str]) -> argparse.Namespace:
    from guardian.cli.ctrl import add_naming

    parser = OrderParser(
        prog=COMMAND,
        description="Show all nodes of a site as pages for a browser.",
        epilog=f"{COMMAND} {USERS} --help: say who may write.",
    )
    parser.add_argument("nodes", nargs="*", metavar="NODE", help="nodes that hosts do not list: original Guardian's")
    parser.add_argument("--host", default=ADDRESS, metavar="ADDRESS", help=f"serve at this address ({ADDRESS})")
    parser.add_argument("--port", type=int, default=PORT, help=f"and port; 0: a free one ({PORT})")
    parser.add_argument("--allow-write", action="store_true", help="let those in the users file write (nobody may)")
    parser.add_argument("--users", type=Path, metavar="FILE", help=f"with --allow-write: see {COMMAND} {USERS}")
    parser.add_argument(
        "--origin", type=_origin, action="append", default=[], metavar="URL",
        help="an address of a proxy in front, https://control.lab.example; may be repeated",
    )  # fmt: skip
    parser.add_argument("--version", action="version", version=__version__)
    add_naming(parser)
    return parser.parse_args(argv)


def _wanted(options: argparse.Namespace) -> Wanted:
    from guardian.cli.ctrl.names import names_of, site_of
    from guardian.cli.state_dirs import state_dirs
    from guardian.client.names import Names
    from guardian.console.serve import Wanted
    from guardian.core.names import PV_TEMPLATE
    from guardian.host.asking import NoHost

    users = _users(options)
    try:
        names = names_of(options)
    except NoHost as error:  # the screens of a site are wanted most where its host is down
        if options.ifo is None:
            raise
        names = Names(ifo=options.ifo, template=options.pv or PV_TEMPLATE)
        complain(COMMAND, f"warning: {error} PVs are taken to be called {names}")
    nodes, title = list(options.nodes), names.ifo
    for node in nodes:
        check_name(node)
    folder: Path | None = options.state_dir
    if options.site:
        site = site_of(options)
        nodes, title, folder = [*site.nodes, *nodes], site.site or site.ifo, site.state_dir
    return Wanted(
        title=title,
        names=names,
        nodes=tuple(dict.fromkeys(nodes)),
        address=options.host,
        port=options.port,
        origins=options.origin,
        users=users,
        folders=state_dirs if folder is None else lambda: [folder],
    )


def _users(options: argparse.Namespace) -> Users | None:
    """Who may write."""
    from guardian.console.users import Users

    if not options.allow_write:
        if options.users:
            raise WrongCall("--users says who may write, and nobody may without --allow-write: give both, or none")
        return None
    if options.users is None:
        raise WrongCall(
            f"--allow-write needs --users FILE. Make one: {COMMAND} {USERS} add NAME --role operator --users FILE"
        )
    return Users(options.users)


def _origin(text: str) -> str:
    from guardian.console.addresses import origin

    try:
        return origin(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"{text!r} is no address of pages: {error}") from None


def _warn(wanted: Wanted, address: str) -> None:
    """What others can do from elsewhere."""
    from ipaddress import ip_address

    if not ip_address(address.partition("%")[0]).is_loopback:
        can = "see all nodes" if wanted.users is None else "see all nodes, and tokens go over the network in clear text"
        complain(
            COMMAND,
            f"warning: everybody who reaches {address} can {can}. Keep it at {ADDRESS} behind a proxy with https, or "
            "behind ssh, where that matters",
        )


def silence(exported: str) -> str:
    """How long a server may be silent: what a site has exported for all its clients, where that is less than ours."""
    try:
        seconds = float(exported)
    except ValueError:
        return f"{SILENCE_S:g}"
    return exported if 0 < seconds < SILENCE_S else f"{SILENCE_S:g}"


def _serve(wanted: Wanted) -> int:
    import asyncio
    import logging

    logging.basicConfig(level=logging.WARNING, format=f"{COMMAND}: %(message)s", stream=sys.stderr)
    logging.getLogger("guardian").setLevel(logging.INFO)
    # Of what it says only faults of ours: it has a line for whatever anybody sends.
    logging.getLogger("uvicorn.error").addFilter(lambda record: record.exc_info is not None)
    os.environ[SILENCE] = silence(os.environ.get(SILENCE, ""))
    from guardian.cli.log import allow_many_files
    from guardian.console.serve import listen, run

    allow_many_files()  # a page may look through the records of all nodes of all hosts of this machine
    try:
        sock = listen(wanted.address, wanted.port)
    except ExpectedError as error:
        complain(COMMAND, str(error))
        return FAILED
    host, port = sock.getsockname()[:2]
    shown = f"[{host}]" if ":" in host else host
    _warn(wanted, host)

    def ready() -> None:
        print(f"{COMMAND}: http://{shown}:{port}/", flush=True)

    asyncio.run(run(wanted, sock, ready))
    return OK


if __name__ == "__main__":
    raise SystemExit(main())
