"""``guardmedm NODE``: opens the screen of a node in MEDM, where that is installed.

The screens are those of ``guardutil export --adl``, made anew from the module of the node and kept in the cache of the
user (``$XDG_CACHE_HOME/guardian``). They take the place of this program: MEDM ends when it is closed.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Sequence
from pathlib import Path

from guardian._version import __version__
from guardian.cli.output import FAILED, WRONG_CALL, OrderParser, complain, ended, open_streams
from guardian.errors import ExpectedError, GuardianError

COMMAND = "guardmedm"


def main(argv: Sequence[str] | None = None) -> int:
    """Open the screen."""
    open_streams()
    return ended(COMMAND, lambda: _main(argv))


def _main(argv: Sequence[str] | None) -> int:
    parser = OrderParser(prog=COMMAND, description="Open the screen of a node in MEDM.")
    parser.add_argument("--version", action="version", version=__version__)
    parser.add_argument("node", metavar="NODE", help="name of the node")
    parser.add_argument("--states", action="store_true", help="the screen of all its states")
    parser.add_argument("--site", type=Path, metavar="FILE", help="the site file: how PVs are named, where modules are")
    parser.add_argument("--ifo", help="first part of every PV name (default: the site's, else $IFO)")
    parser.add_argument(
        "--path", action="append", default=[], metavar="DIR", help="folder with modules; may be repeated"
    )
    options = parser.parse_args(argv)
    medm = shutil.which("medm")
    if medm is None:
        complain(
            COMMAND,
            "there is no medm on PATH; install MEDM (of the EPICS extensions), or have screens for another program: "
            f"guardutil export {options.node} --bob -o DIR for Phoebus, --pydm for PyDM",
        )
        return FAILED
    # Here, not above, as Ctrl-C may come while they are loaded.
    from guardian.cli.util.chosen import nodes_of, site_of
    from guardian.cli.util.screens import look_at, save, screens_of
    from guardian.core.screens.adl import SUFFIX
    from guardian.core.screens.naming import Names

    try:
        site = site_of(options)
        found, faults = look_at(nodes_of([options.node], site, options.site), site, options.path)
        if faults:
            raise ExpectedError(faults[0])
        folder = _cache() / "guardian" / "screens"
        save(screens_of(found, site), "adl", folder)
    except OSError as error:
        complain(COMMAND, f"{error.filename} cannot be written: {error.strerror}; set XDG_CACHE_HOME to another folder")
        return FAILED
    except ExpectedError as error:
        complain(COMMAND, str(error))
        return WRONG_CALL
    except GuardianError as error:
        complain(COMMAND, str(error))
        return FAILED
    names = Names(template=site.pv, ifo=site.ifo, node=options.node)
    file = folder / f"{names.states if options.states else names.screen}{SUFFIX}"
    others = os.environ.get("EPICS_DISPLAY_PATH", "")
    environ = {**os.environ, "EPICS_DISPLAY_PATH": f"{folder}:{others}".rstrip(":")}
    os.execve(medm, ["medm", "-x", "-macro", f"IFO={site.ifo},SYSTEM={options.node}", str(file)], environ)


def _cache() -> Path:
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")


if __name__ == "__main__":
    raise SystemExit(main())
