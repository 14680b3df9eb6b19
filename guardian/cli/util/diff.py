"""``guardutil diff NODE``: what a node has loaded, beside the files as they are now; or two of its loads.

Exit codes as those of ``diff``: 0, the same; 1, something is otherwise; 2, trouble. A node that runs is asked which
code that is (ARCHIVE_ID), over Channel Access; the archive is read here, so it must be on this machine, or on a disk
that this machine sees, too.
"""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from guardian.cli.ctrl import add_shared_options
from guardian.cli.orders import Order
from guardian.cli.output import FAILED, OK
from guardian.cli.util import say
from guardian.cli.util.archived import Archive, Commit, archive_of
from guardian.core.sources import blob_id
from guardian.core.texts import printable
from guardian.errors import ExpectedError
from guardian.host.claim import parse
from guardian.host.places import ARCHIVE
from guardian.host.repository import GitError, compare

if TYPE_CHECKING:
    from guardian.client.remote import Remote

_ROWS = ("ARCHIVE_ID", "HOST")


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """A file that is otherwise. ``before``, ``after``: its content; None: it is not there. Both: it is not known."""

    name: str
    path: str
    before: bytes | None
    after: bytes | None

    @property
    def unknown(self) -> bool:
        """Its content was not kept, but its name, which tells that it is another one."""
        return self.before is None and self.after is None

    @property
    def how(self) -> str:
        """In a word."""
        if self.unknown:
            return "changed"
        return "new" if self.before is None else "gone" if self.after is None else "changed"


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
    before, unkept = archive.files(commits[0]), archive.unkept(commits[0])
    if len(commits) > 1:
        after, unkept_after = archive.files(commits[1]), archive.unkept(commits[1])
    else:
        after = _on_disk({name: path for name, (path, _) in before.items()})
        unkept_after = {path: blob_id(data) for path, data in _on_disk({path: path for path in unkept}).values()}
    found = _differences(before, after) + _of_unkept(unkept, unkept_after)
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
        print(_text(found, labels, stat=options.stat, color=sys.stdout.isatty()), end="")
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


def _on_disk(paths: dict[str, str]) -> dict[str, tuple[str, bytes]]:
    found = {}
    for name, path in paths.items():
        try:
            if Path(path).is_file():
                found[name] = path, Path(path).read_bytes()
        except FileNotFoundError:  # gone this moment
            continue
        except OSError as error:
            raise ExpectedError(
                f"{path}: {error.strerror}; are you on the machine of the node, and may you read it?"
            ) from None
    return found


def _differences(before: dict[str, tuple[str, bytes]], after: dict[str, tuple[str, bytes]]) -> list[Difference]:
    found = []
    for name in sorted(before.keys() | after.keys()):
        old, new = before.get(name), after.get(name)
        path = (new or old or ("",))[0]
        if (old and old[1]) != (new and new[1]):
            found.append(Difference(name=name, path=path, before=old and old[1], after=new and new[1]))
    return found


def _of_unkept(before: dict[str, str], after: dict[str, str]) -> list[Difference]:
    """That files are otherwise whose content is known by name only."""
    paths = sorted(path for path in before.keys() | after.keys() if before.get(path) != after.get(path))
    return [Difference(name=path, path=path, before=None, after=None) for path in paths]


def _text(found: list[Difference], labels: list[str], *, stat: bool = False, color: bool = False) -> str:
    """As git shows it."""
    contents = (
        {one.name: one.before for one in found if one.before is not None},
        {one.name: one.after for one in found if one.after is not None},
    )
    try:
        return compare(labels, contents, stat=stat, color=color).decode(errors="backslashreplace")
    except GitError as error:
        raise ExpectedError(error.strerror) from None


def _facts(node: str, commits: list[Commit], found: list[Difference], labels: list[str]) -> dict[str, object]:
    return {
        "node": node,
        "same": not found,
        "loads": [commit.facts() for commit in commits],
        "files": [{"name": one.name, "path": one.path, "how": one.how} for one in found],
        "diff": _text(found, labels) if found else "",
    }
