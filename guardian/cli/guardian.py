"""``guardian NODE``: run a node in the foreground, the quickest way to try a module; or a part of it, or its shell."""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from guardian._version import __version__
from guardian.cli.options import add_host_options, ifo_of
from guardian.cli.output import FAILED, WRONG_CALL, complain, is_interrupt, open_streams
from guardian.errors import ExpectedError

_ABOUT = """\
guardian NODE                  runs the node, with its PVs, until Ctrl-C
guardian NODE STATE            runs this one state, without PVs
guardian NODE STATE REQUEST    runs STATE, and then each state of the cheapest path to REQUEST, without PVs
guardian -i [NODE]             opens a shell with ezca, log, notify, SYSTEM, IFO and the names of the module

A state or a path ends with exit code 0 when it completes; with 1, and a line that says why, when the code raises an
error, when it jumps, and at Ctrl-C; with 2 when there is no such state or path, or the module does not load. log and
print write to standard output, and breakpoint() works. The shell ends at Ctrl-D; it also takes commands from a pipe."""
#: They mean nothing where there are no PVs.
_SERVED = ("port", "state_dir", "log", "acf", "fresh")


def main(argv: Sequence[str] | None = None) -> int:
    """Do what the words say. Exit code 2: there is no such module, or it does not load."""
    open_streams()
    options = _options(argv)
    try:
        return _run(options)
    except (KeyboardInterrupt, RuntimeError) as error:
        if not is_interrupt(error):
            raise
        return FAILED


def _options(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="guardian",
        usage="guardian [options] NODE [STATE [REQUEST]]\n       guardian [options] -i [NODE]",
        description=_ABOUT,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("node", metavar="NODE", nargs="?", help="name of the system module: NODE.py")
    parser.add_argument("state", metavar="STATE", nargs="?", help="run this state and end")
    parser.add_argument("request", metavar="REQUEST", nargs="?", help="go on to this state, and end there")
    parser.add_argument("-i", "--interactive", action="store_true", help="open a shell")
    parser.add_argument("--version", action="version", version=__version__)
    add_host_options(parser)
    options = parser.parse_intermixed_args(argv)  # SUS_MC1 --ifo X1 ALIGNED
    if not (options.node or options.interactive):
        parser.error("give the NODE to run, or -i")
    if options.state and options.interactive:
        parser.error("-i runs no state; try it in the shell")
    if options.state or options.interactive:
        for name in _SERVED:
            if getattr(options, name) != parser.get_default(name):
                parser.error(f"--{name.replace('_', '-')} is for a node with PVs: guardian NODE")
    return options


def _run(options: argparse.Namespace) -> int:
    # Here, not above: --help needs none of them, and Ctrl-C may come while they are loaded.
    from guardian.cli.called import with_options
    from guardian.host.places import default_state_dir
    from guardian.host.site import Site
    from guardian.worker.finding import find
    from guardian.worker.link import Load

    try:
        ifo = ifo_of(options)
        name = "-".join(filter(None, (ifo, options.node)))
        site = with_options(Site(ifo=ifo, nodes=(options.node,), state_dir=default_state_dir(name)), options)
        if options.node:
            find(options.node, site.paths)
    except ExpectedError as error:
        complain("guardian", str(error))
        return WRONG_CALL
    load = Load(node=options.node or "", ifo=site.ifo, site=site.site, paths=site.paths)
    if options.interactive:
        from guardian.cli.interactive import interact

        interact(load)
    if options.state:
        from guardian.cli.once import run_once

        return run_once(load, options.state, options.request or options.state)
    from guardian.cli.run import run

    return run("guardian", site, first_load_must_work=True)


if __name__ == "__main__":
    raise SystemExit(main())
