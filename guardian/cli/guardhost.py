"""``guardhost NODE...`` or ``guardhost --site FILE``: run many nodes in one process."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from guardian._version import __version__
from guardian.cli.keeper import become
from guardian.cli.kept import kept
from guardian.cli.output import WRONG_CALL, complain, open_streams
from guardian.cli.run import add_host_options, ifo_of, run, with_options
from guardian.core.names import check_name
from guardian.enums import Restart
from guardian.errors import ExpectedError
from guardian.host.places import default_state_dir
from guardian.host.site import Site, read_site
from guardian.host.site_file import File


def main(argv: Sequence[str] | None = None) -> int:
    """Run the nodes of a site. A node whose module does not load is up all the same, and says why."""
    open_streams()
    mine = kept()
    parser = argparse.ArgumentParser(prog="guardhost", description="Run nodes until SIGTERM or Ctrl-C.")
    parser.add_argument("nodes", nargs="*", metavar="NODE", help="names of system modules")
    parser.add_argument("--site", type=Path, metavar="FILE", help="site file (TOML) with nodes, port, policies")
    parser.add_argument("--version", action="version", version=__version__)
    add_host_options(parser, ifo="the site file's, else $IFO")
    options = parser.parse_args(argv)
    if bool(options.nodes) == bool(options.site):
        parser.error("give the names of nodes, or --site FILE")
    try:
        if options.site:
            site = read_site(options.site)
        else:
            ifo = ifo_of(options)
            site = Site(ifo=ifo, nodes=tuple(dict.fromkeys(options.nodes)), state_dir=default_state_dir(ifo))
        for name in site.nodes:
            check_name(name)
    except ExpectedError as error:
        complain("guardhost", str(error))
        return WRONG_CALL
    keeping = site.keeping
    if mine is None and keeping.restarting.restart is not Restart.NEVER:
        words = sys.argv[1:] if argv is None else argv
        become("guardhost", words, keeping.restarting, keeping.hang_after_s)
    if mine is not None and mine.last:
        options.fresh = False  # that was said of the first one
    return run("guardhost", with_options(site, options), kept=mine, file=_file(options))


def _file(options: argparse.Namespace) -> File | None:
    """How the site file is read anew, if there is one."""
    if options.site is None:
        return None
    path = options.site.absolute()
    anew = argparse.Namespace(**{**vars(options), "fresh": False})
    return File(path=path, read=lambda: with_options(read_site(path), anew))


if __name__ == "__main__":
    raise SystemExit(main())
