"""What an export is about: the site, and which of its nodes."""

from __future__ import annotations

import argparse
import difflib
import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from guardian.core.names import check_name, why_not_ifo
from guardian.errors import ExpectedError
from guardian.host.files import write_atomic
from guardian.host.site import Site, read_site


def site_of(options: argparse.Namespace) -> Site:
    """What the site file says, or just the IFO.

    Raises
    ------
    ExpectedError
    """
    site = read_site(options.site) if options.site else Site(ifo=os.environ.get("IFO", ""))
    site = site if options.ifo is None else replace(site, ifo=options.ifo)
    if why := why_not_ifo(site.ifo):
        raise ExpectedError(f"--ifo: {why}" if options.ifo is not None else f"$IFO: {why}")
    return site


def nodes_of(named: Sequence[str], site: Site, file: Path | None) -> tuple[str, ...]:
    """Those that were named, else all of the site file.

    Raises
    ------
    ExpectedError
        There is no such node, or nothing says which.
    """
    if not named:
        if not file:
            raise ExpectedError("of which nodes? Name them, or give the site file that lists them, with --site FILE")
        return site.nodes
    for node in named:
        check_name(node)
        if file and node not in site.nodes:
            near = difflib.get_close_matches(node, site.nodes, 3, 0.5) or site.nodes[:10]
            raise ExpectedError(
                f"{node} is no node of {file}, did you mean one of {', '.join(near)}? Add it to nodes there, "
                "or correct the name"
            )
    return tuple(dict.fromkeys(named))


def write(path: Path, data: bytes) -> None:
    """Exchange the file, if it is one: a link leads there as before, and a pipe or a device (/dev/null) stays one."""
    if path.exists() and not path.is_file():
        with open(path, "wb") as file:
            file.write(data)
    else:
        write_atomic(Path(os.path.realpath(path)), data, durable=False)
