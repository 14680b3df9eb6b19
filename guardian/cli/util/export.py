"""``guardutil export``: the PVs of a site, for archivers, alarm servers, the DAQ, and lists; and operator screens.

What there is follows from the site file and the tables of PVs, so no node need run, and no channel is touched. With
``-o`` the file is exchanged as a whole, also for somebody who reads it at that moment; it is generated, so an old one
is written over. Screens are made in a file of their own, `screens`.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from guardian.cli.orders import Order
from guardian.cli.output import FAILED, OK
from guardian.cli.util import say
from guardian.cli.util.chosen import nodes_of, site_of, write
from guardian.core.alarm_tree import ALARM_ROW, alarm_tree
from guardian.core.exports import Pv, archiver, daq_ini, pvlist, pvlist_json, pvs_of
from guardian.core.names import why_not_host
from guardian.errors import ExpectedError
from guardian.host.site import Site

#: Name of an alarm configuration of a site that has none.
CONFIG = "guardian"


def define(order: Order) -> None:
    """What it takes."""
    order.add_argument("nodes", nargs="*", metavar="NODE", help="names of nodes (default: all of the site file)")
    what = order.add_mutually_exclusive_group(required=True)
    what.add_argument("--pvlist", action="store_true", help="a name a line")
    what.add_argument("--archiver", action="store_true", help="JSON for the EPICS Archiver Appliance (archivePV)")
    what.add_argument("--alarms", action="store_true", help="XML for the alarm server of Phoebus")
    what.add_argument("--daq-ini", action="store_true", help="channel list of LIGO's EDCU")
    what.add_argument("--adl", action="store_true", help="operator screens for MEDM")
    what.add_argument("--bob", action="store_true", help="operator screens for Phoebus")
    what.add_argument("--pydm", action="store_true", help="operator screens for PyDM")
    order.add_argument(
        "-o",
        "--output",
        type=Path,
        metavar="FILE",
        help="write there (default: standard output); for screens a folder, which is made",
    )
    order.add_argument("--site", type=Path, metavar="FILE", help="the site file: nodes, host, and how PVs are named")
    order.add_argument("--ifo", help="first part of every PV name (default: the site's, else $IFO)")
    order.add_argument("--host", help="the PVs of this host, too (default: the one that the site file names)")
    order.add_argument("--rows", metavar="ROW,...", help="only these, for instance OK,STATE_N")
    order.add_argument("--writable", action="store_true", help="only what can be written")
    order.add_argument("--config", metavar="NAME", help="name of the alarm configuration (default: the site's)")
    order.add_argument("--json", action="store_true", help="with --pvlist: all that is known of each PV")
    order.add_argument(
        "--path", action="append", default=[], metavar="DIR", help="for screens: folder with modules; may be repeated"
    )
    order.set_defaults(run=_export)


def _export(options: argparse.Namespace) -> int:
    screens = options.adl or options.bob or options.pydm
    _make_sure_they_go_together(options, screens=screens)
    if screens:
        from guardian.cli.util.screens import export

        return export(options)
    site = site_of(options)
    nodes = nodes_of(options.nodes, site, options.site)
    host = _host(options, site)
    rows = tuple(filter(None, map(str.strip, (options.rows or "").split(","))))
    pvs = pvs_of(nodes, template=site.pv, ifo=site.ifo, host=host, rows=rows, writable=options.writable)
    text = _text(options, site, pvs)
    if options.output is None:
        sys.stdout.write(text)
        return OK
    try:
        write(options.output, text.encode())
    except OSError as error:
        say(f"{options.output} cannot be written: {error.strerror}; give another FILE, or make its folder")
        return FAILED
    print(f"{options.output} is written: {_count(nodes, 'node')}{f' and the host {host}' if host else ''}")
    return OK


def _text(options: argparse.Namespace, site: Site, pvs: list[Pv]) -> str:
    if options.archiver:
        return archiver(pvs)
    if options.alarms:
        return alarm_tree(pvs, config=options.config or site.site or site.ifo or CONFIG)
    if options.daq_ini:
        return daq_ini(pvs)
    return pvlist_json(pvs) if options.json else pvlist(pvs)


def _make_sure_they_go_together(options: argparse.Namespace, *, screens: bool) -> None:
    if screens and (odd := [f"--{name}" for name in ("host", "rows", "writable") if getattr(options, name)]):
        raise ExpectedError(f"a screen shows a node as it is; leave out {' and '.join(odd)}")
    if options.path and not screens:
        raise ExpectedError("--path says where modules are, of which lists of PVs need none; use it with screens")
    if options.alarms and (options.rows or options.writable):
        raise ExpectedError(f"an alarm is raised on {ALARM_ROW} of each node; leave out --rows and --writable")
    if options.config and not options.alarms:
        raise ExpectedError("--config names an alarm configuration; use it with --alarms")
    if options.json and not options.pvlist:
        raise ExpectedError("--json is for --pvlist; the others have a format of their own")


def _host(options: argparse.Namespace, site: Site) -> str:
    """The host whose PVs belong to it. Who asks for single nodes gets those only.

    A site file need not name its host: then that is called as the machine is where it runs, which is perhaps not here.
    """
    if options.host is not None:
        if why := why_not_host(options.host):
            raise ExpectedError(f"--host: {why}")
        return str(options.host)
    if options.nodes:
        return ""
    if not site.host:
        say(f"the host itself is left out: {options.site} does not name it; name it there (host), or with --host NAME")
    return site.host


def _count(names: tuple[str, ...], what: str) -> str:
    return f"{len(set(names))} {what}{'' if len(set(names)) == 1 else 's'}"
