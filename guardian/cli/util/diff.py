"""``guardutil diff NODE``: what a node has loaded, beside the files as they are now; or two of its loads.

Exit codes as those of ``diff``: 0, the same; 1, something is otherwise; 2, trouble. A node that runs is asked which
code that is (ARCHIVE_ID), over Channel Access; the archive is read here, so it must be on this machine, or on a disk
that this machine sees, too.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from guardian.cli.ctrl import add_shared_options
from guardian.cli.orders import Order
from guardian.cli.output import FAILED, OK
from guardian.cli.util import say
from guardian.cli.util.archived import archive_of
from guardian.client.records.archived import Archive, Commit
from guardian.client.records.differences import Difference, beside_disk, between, text_of
from guardian.core.texts import printable
from guardian.errors import ExpectedError
from guardian.host.claim import parse
from guardian.host.places import ARCHIVE

if TYPE_CHECKING:
    from guardian.client.remote import Remote

_ROWS = ("ARCHIVE_ID", "HOST")


def define(order: Order) -> None:
    """What it takes."""
    order.tell("Exit code 1: they differ. With --site or --state-dir the node is not asked: its last load is compared.")
    order.add_argument("node", metavar="NODE", help="name of the node")
    order.add_argument("ids", nargs="*", metavar="ID", help="an earlier load, see `guardutil log`; two: between them")
    order.add_argument("--stat", action="store_true", help="only which files, and how many lines")
    add_shared_options(order)
    order.set_defaults(run=_diff)


def _diff(options: argparse.Namespace) -> int:
    if len(options.ids) > 2:
        raise ExpectedError("more than two IDs; give none, one, or two")
    archive, running = (archive_of(options), "") if options.ids else _loaded(options)
    commits = [archive.commit(id_) for id_ in options.ids or [running]]
    found = between(archive, *commits) if len(commits) > 1 else beside_disk(archive, commits[0])
    labels = [commits[0].short, commits[1].short if len(commits) > 1 else "now"]
    if options.json:
        print(json.dumps(_facts(options.node, commits, found, labels)))
    elif not found:
        what = f"as in {commits[1]}" if len(commits) > 1 else "as they were loaded"
        print(f"{options.node}: the files of {commits[0]}, are {what}")
    else:
        print(f"{options.node}: {commits[0]}; beside {commits[1] if len(commits) > 1 else 'the files as they are now'}")
        for one in found:
            print(f"{one.how:8} {printable(one.path)}{' (its lines are not kept)' if one.unknown else ''}")
        print(text_of(found, labels, stat=options.stat, color=sys.stdout.isatty()), end="")
    return FAILED if found else OK


def _loaded(options: argparse.Namespace) -> tuple[Archive, str]:
    """The archive, and the ARCHIVE_ID of what the node runs; "" for the last one that it has."""
    if options.site or options.state_dir:
        return archive_of(options), ""
    from guardian.cli.ctrl.names import names_of
    from guardian.cli.ctrl.remote import connect
    from guardian.client.ca import Session

    names = names_of(options)
    (remote,) = connect(Session(), [options.node], names, _ROWS, searched=True)
    if not remote.there:
        archive = archive_of(options)
        say(f"{options.node} does not answer as {names.pv(options.node, 'STATE')}; this is what it has loaded last")
        return archive, ""
    if missing := [row for row in _ROWS if not remote.has(row)]:
        raise ExpectedError(f"{options.node} has no PV {names.pv(options.node, missing[0])}: it is of another program")
    return _of_running(options.node, remote)


def _of_running(node: str, remote: Remote) -> tuple[Archive, str]:
    id_, claim = remote.text("ARCHIVE_ID"), parse(remote.text("HOST"))
    if claim is None:
        raise ExpectedError(f"{node} does not say which host runs it; give --site or --state-dir")
    if not id_:
        raise ExpectedError(
            f"the code that {node} runs is not archived: not yet, or its host cannot (`guardctrl hosts` says what is "
            "wrong), or may not ([archive] in its site file)"
        )
    archive = Archive(Path(claim.dir) / ARCHIVE, node)
    try:
        if archive.has_node():
            archive.commit(id_)
            return archive, id_
    except ExpectedError:
        pass
    raise ExpectedError(
        f"{id_} of {node} is in {claim.dir}/{ARCHIVE} on {claim.machine}, and not to be read here. On that machine "
        f"type `guardutil diff {node} --state-dir {claim.dir}`"
    )


def _facts(node: str, commits: list[Commit], found: list[Difference], labels: list[str]) -> dict[str, object]:
    return {
        "node": node,
        "same": not found,
        "loads": [commit.facts() for commit in commits],
        "files": [{"name": one.name, "path": one.path, "how": one.how} for one in found],
        "diff": text_of(found, labels) if found else "",
    }
