"""``guardutil export --adl|--bob|--pydm``: the operator screens of nodes, as files of a folder.

The states of a node, and which nodes it manages, are what its module says, so that is loaded as ``guardutil check``
does, in a process of its own. No node need run, and no channel is touched. A file is exchanged as a whole, also for a
program that shows it at that moment.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from guardian.cli.output import FAILED, OK
from guardian.cli.util import say
from guardian.cli.util.chosen import nodes_of, site_of, write
from guardian.core.graph import Graph
from guardian.core.screens import adl, bob, pydm
from guardian.core.screens.model import Screen
from guardian.core.screens.naming import Names
from guardian.core.screens.node import node as node_screen
from guardian.core.screens.states import states as states_screen
from guardian.core.screens.strip import strip
from guardian.core.screens.wall import wall
from guardian.errors import ExpectedError, SystemLoadError
from guardian.host.site import Site
from guardian.worker.examine import Examined, examine
from guardian.worker.finding import search_paths

#: The formats, by the option that asks for each: the ending of its files, and what writes them.
WRITERS: Mapping[str, tuple[str, Callable[[Screen], str]]] = {
    "adl": (adl.SUFFIX, adl.adl),
    "bob": (bob.SUFFIX, bob.bob),
    "pydm": (pydm.SUFFIX, pydm.pydm),
}


def export(options: argparse.Namespace) -> int:
    """Write the screens that were asked for; the exit code."""
    if options.output is None:
        raise ExpectedError("screens are files of a folder; say which, with -o DIR")
    site = site_of(options)
    nodes = nodes_of(options.nodes, site, options.site)
    found, faults = look_at(nodes, site, options.path)
    how = next(name for name in WRITERS if getattr(options, name))
    try:
        names = save(screens_of(found, site), how, options.output)
    except OSError as error:
        say(f"{options.output} cannot be written: {error.strerror}; give another DIR")
        return FAILED
    if names:
        print(f"{options.output} has {', '.join(names)}")
    for fault in faults:
        say(f"{fault}; it has no screens")
    return FAILED if faults else OK


def look_at(nodes: Sequence[str], site: Site, paths: Sequence[str]) -> tuple[dict[str, Examined], list[str]]:
    """What the modules of these nodes are, of those that load, and what is wrong with the others.

    Parameters
    ----------
    paths : folders with modules, besides those of the site.
    """
    folders = search_paths([*paths, *site.paths], ifo=site.ifo) or (os.getcwd(),)

    def look(node: str) -> Examined | str:
        try:
            return examine(node, folders, ifo=site.ifo, site=site.site or os.environ.get("SITE", ""))
        except SystemLoadError as error:
            return str(error)

    with ThreadPoolExecutor(os.cpu_count()) as pool:
        seen = dict(zip(nodes, pool.map(look, nodes), strict=True))
    good = {node: one for node, one in seen.items() if isinstance(one, Examined)}
    return good, [one for one in seen.values() if isinstance(one, str)]


def screens_of(found: Mapping[str, Examined], site: Site) -> Iterator[Screen]:
    """Of each node two, the strip, and of several nodes the wall."""
    for node, examined in found.items():
        names = Names(template=site.pv, ifo=site.ifo, node=node)
        graph = Graph.build(examined.facts.states, examined.facts.edges)
        yield node_screen(names, graph)
        yield states_screen(names, graph)
    if found:
        yield strip(site.pv, site.ifo)
    if len(found) > 1:
        yield wall(tuple(found), {node: one.source.managed for node, one in found.items()}, ifo=site.ifo)


def save(screens: Iterator[Screen], how: str, folder: Path) -> list[str]:
    """Write the files, and name them. All texts are made before the first is written."""
    suffix, writer = WRITERS[how]
    texts = {f"{screen.file}{suffix}": writer(screen) for screen in screens}
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in texts.items():
        write(folder / name, text.encode())
    return list(texts)
