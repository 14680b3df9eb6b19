"""``guardhost NODE...`` or ``guardhost --site FILE``: run many nodes in one process."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from guardian._version import __version__
from guardian.cli.options import add_host_options, ifo_of
from guardian.cli.output import FAILED, WRONG_CALL, complain, is_interrupt, open_streams
from guardian.core.names import check_name
from guardian.enums import Restart
from guardian.errors import ExpectedError

if TYPE_CHECKING:
    from guardian.host.site import Site
    from guardian.host.site_file import File


def main(argv: Sequence[str] | None = None) -> int:
    """Run the nodes of a site. A node whose module does not load is up all the same, and says why."""
    open_streams()
    words = sys.argv[1:] if argv is None else argv
    options = _options(words)
    try:
        return _run(options, words)
    except (KeyboardInterrupt, RuntimeError) as error:
        if not is_interrupt(error):
            raise
        return FAILED


def _options(words: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="guardhost", description="Run nodes until SIGTERM or Ctrl-C.")
    parser.add_argument("nodes", nargs="*", metavar="NODE", help="names of system modules")
    parser.add_argument("--site", type=Path, metavar="FILE", help="site file (TOML) with nodes, port, policies")
    parser.add_argument("--version", action="version", version=__version__)
    add_host_options(parser, ifo="the site file's, else $IFO")
    options = parser.parse_args(words)
    if bool(options.nodes) == bool(options.site):
        parser.error("give the names of nodes, or --site FILE")
    return options


def _run(options: argparse.Namespace, words: Sequence[str]) -> int:
    # Here, not above: --help needs none of what is imported from now on, and Ctrl-C may come while it is loaded.
    from guardian.cli.kept import kept

    mine = kept()
    try:
        site = _site(options)
        for name in site.nodes:
            check_name(name)
    except ExpectedError as error:
        complain("guardhost", str(error))
        return WRONG_CALL
    keeping = site.keeping
    if mine is None and keeping.restarting.restart is not Restart.NEVER:
        from guardian.cli.keeper import become

        become("guardhost", words, keeping.restarting, keeping.hang_after_s)
    if mine is not None and mine.last:
        options.fresh = False  # that was said of the first one
    from guardian.cli.called import with_options
    from guardian.cli.run import run

    return run("guardhost", with_options(site, options), kept=mine, file=_file(options))


def _site(options: argparse.Namespace) -> Site:
    from guardian.host.places import default_state_dir
    from guardian.host.site import Site, read_site

    if options.site:
        return read_site(options.site)
    ifo = ifo_of(options)
    return Site(ifo=ifo, nodes=tuple(dict.fromkeys(options.nodes)), state_dir=default_state_dir(ifo))


def _file(options: argparse.Namespace) -> File | None:
    """How the site file is read anew, if there is one."""
    if options.site is None:
        return None
    from guardian.cli.called import with_options
    from guardian.host.site import read_site
    from guardian.host.site_file import File

    path = options.site.absolute()
    anew = argparse.Namespace(**{**vars(options), "fresh": False})
    return File(path=path, read=lambda: with_options(read_site(path), anew))


if __name__ == "__main__":
    raise SystemExit(main())
