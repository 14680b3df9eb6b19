"""``guardian NODE``: run one node in the foreground, the quickest way to try a module."""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from guardian._version import __version__
from guardian.cli.output import WRONG_CALL, complain, open_streams
from guardian.cli.run import add_host_options, ifo_of, run, with_options
from guardian.errors import ExpectedError
from guardian.host.site import Site, default_state_dir
from guardian.worker.system import find


def main(argv: Sequence[str] | None = None) -> int:
    """Run one node. Exit code 2: there is no such module, or it does not load."""
    open_streams()
    parser = argparse.ArgumentParser(prog="guardian", description="Run one node in the foreground; Ctrl-C ends it.")
    parser.add_argument("node", metavar="NODE", help="name of the system module: NODE.py")
    parser.add_argument("--version", action="version", version=__version__)
    add_host_options(parser)
    options = parser.parse_args(argv)
    try:
        ifo = ifo_of(options)
        name = "-".join(filter(None, (ifo, options.node)))
        site = with_options(Site(ifo=ifo, nodes=(options.node,), state_dir=default_state_dir(name)), options)
        find(options.node, site.paths)
    except ExpectedError as error:
        complain("guardian", str(error))
        return WRONG_CALL
    return run("guardian", site, first_load_must_work=True)


if __name__ == "__main__":
    raise SystemExit(main())
