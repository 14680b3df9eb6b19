"""``guardian-console``: the operator screens, as pages for a browser."""

from __future__ import annotations

import argparse
import asyncio
import logging
import os
import sys
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from guardian._version import __version__
from guardian.cli.output import FAILED, OK, WRONG_CALL, complain, ended, open_streams
from guardian.core.names import check_name
from guardian.errors import ExpectedError

if TYPE_CHECKING:
    from guardian.console.serve import Wanted

COMMAND = "guardian-console"
ADDRESS, PORT = "127.0.0.1", 8080
#: What the extra [web] brings.
NEEDS = ("starlette", "uvicorn", "websockets")
#: A server that hangs is noticed after so long (libca asks 30 s); operators look at a screen that must not lie.
SILENCE_S = "5"


def main(argv: Sequence[str] | None = None) -> int:
    """Serve pages until Ctrl-C."""
    open_streams()
    return ended(COMMAND, lambda: _main(argv))


def _main(argv: Sequence[str] | None) -> int:
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


def _options(argv: Sequence[str] | None) -> argparse.Namespace:
    from guardian.cli.ctrl import add_shared_options

    parser = argparse.ArgumentParser(prog=COMMAND, description="Show all nodes of a site as pages for a browser.")
    parser.add_argument("nodes", nargs="*", metavar="NODE", help="nodes that hosts do not list: original Guardian's")
    parser.add_argument("--host", default=ADDRESS, metavar="ADDRESS", help=f"serve at this address ({ADDRESS})")
    parser.add_argument("--port", type=int, default=PORT, help=f"and port; 0: a free one ({PORT})")
    parser.add_argument("--version", action="version", version=__version__)
    add_shared_options(parser)
    return parser.parse_args(argv)


def _wanted(options: argparse.Namespace) -> Wanted:
    from guardian.cli.ctrl.names import names_of, site_of
    from guardian.cli.state_dirs import state_dirs
    from guardian.console.serve import Wanted

    names = names_of(options)
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
        folders=state_dirs if folder is None else lambda: [folder],
    )


def _serve(wanted: Wanted) -> int:
    logging.basicConfig(level=logging.WARNING, format=f"{COMMAND}: %(message)s", stream=sys.stderr)
    os.environ.setdefault("EPICS_CA_CONN_TMO", SILENCE_S)
    from guardian.console.serve import listen, run

    try:
        sock = listen(wanted.address, wanted.port)
    except ExpectedError as error:
        complain(COMMAND, str(error))
        return FAILED
    host, port = sock.getsockname()[:2]
    shown = f"[{host}]" if ":" in host else host

    def ready() -> None:
        print(f"{COMMAND}: http://{shown}:{port}/", flush=True)

    asyncio.run(run(wanted, sock, ready))
    return OK


if __name__ == "__main__":
    raise SystemExit(main())
