"""How the PVs of the nodes are called: what the command line says, else the site file or the host, else $IFO."""

from __future__ import annotations

import argparse
import os
from pathlib import Path
from typing import TYPE_CHECKING

from guardian.cli.ctrl import WrongCall
from guardian.client.names import Names
from guardian.core.names import PV_TEMPLATE, why_not_ifo
from guardian.errors import ExpectedError
from guardian.host.asking import ask
from guardian.host.places import CONTROL_SOCKET, default_state_dir

if TYPE_CHECKING:
    from guardian.host.site import Site


def names_of(options: argparse.Namespace) -> Names:
    """The names that the command line means.

    Raises
    ------
    WrongCall
        A bad site file or $IFO.
    ExpectedError
        No host answers behind --state-dir.
    """
    if options.site:
        site = site_of(options)
        ifo, template = site.ifo, site.pv
    elif options.state_dir:
        told = ask(options.state_dir / CONTROL_SOCKET, {"do": "about"})
        ifo, template = str(told["ifo"]), str(told["pv"])
    else:
        ifo, template = os.environ.get("IFO", ""), PV_TEMPLATE
    ifo, template = options.ifo if options.ifo is not None else ifo, options.pv or template
    if why := why_not_ifo(ifo):
        raise WrongCall(f"$IFO: {why}")
    return Names(ifo=ifo, template=template)


def site_of(options: argparse.Namespace) -> Site:
    """The site file that the command line names.

    Raises
    ------
    WrongCall
    """
    from guardian.host.site import read_site  # heavy, and most calls name no site file

    try:
        return read_site(options.site)
    except ExpectedError as error:
        raise WrongCall(str(error)) from None


def control_socket(options: argparse.Namespace) -> Path:
    """Of the host on this machine that the command line means.

    Raises
    ------
    WrongCall
    """
    if options.site:
        try:
            return site_of(options).control_socket
        except WrongCall as error:
            raise WrongCall(
                f"{error}. A host that runs is reached without its site file, too: --state-dir DIR"
            ) from None
    ifo: str = os.environ.get("IFO", "") if options.ifo is None else options.ifo
    directory: Path = options.state_dir or default_state_dir(ifo)
    return directory / CONTROL_SOCKET
