"""The site that a command line means: what is known of it otherwise, with the options of the call on top."""

from __future__ import annotations

import argparse
import os
from dataclasses import replace

from guardian.host.access import Access
from guardian.host.site import Site
from guardian.worker.finding import search_paths


def with_options(site: Site, options: argparse.Namespace) -> Site:
    """The site with what the command line says on top."""
    ifo = site.ifo if options.ifo is None else options.ifo
    changes = {
        "ifo": ifo,
        "site": site.site or os.environ.get("SITE", ""),
        "paths": search_paths([*options.path, *site.paths], ifo=ifo) or (os.getcwd(),),
        "fresh": options.fresh,
        "port": site.port if options.port is None else options.port,
        "state_dir": options.state_dir or site.state_dir,
        "log": options.log or site.log,
        "access": Access(acf=options.acf, check_addresses=site.access.check_addresses) if options.acf else site.access,
    }
    return replace(site, **changes)
