"""Which archive of code (`guardian.host.archive`) a command line means."""

from __future__ import annotations

import argparse
from pathlib import Path

from guardian.cli.state_dirs import looked_in, state_dirs
from guardian.cli.times import shown
from guardian.client.records.archived import Archive, Commit
from guardian.errors import ExpectedError
from guardian.host.places import ARCHIVE


def add_archive_options(parser: argparse.ArgumentParser) -> None:
    """Where the archive is."""
    where = parser.add_mutually_exclusive_group()
    where.add_argument("--site", type=Path, metavar="FILE", help="the site file of the host: its archive is read")
    where.add_argument(
        "--state-dir", type=Path, metavar="DIR", help="its state directory (default: all hosts of this machine)"
    )


def archive_of(options: argparse.Namespace) -> Archive:
    """The archive that the command line means: of those that know the node, the one that has heard of it last.

    Raises
    ------
    ExpectedError
        None of them knows it.
    """
    return max(_archives(options), key=lambda archive: archive.commit().at)


def ran_at(options: argparse.Namespace, epoch: float) -> tuple[Archive, Commit]:
    """What the node ran at that time, and the archive that knows it: a node may have moved to another host since.

    Raises
    ------
    ExpectedError
        None of them knows it, or none of that time.
    """
    archives = _archives(options)
    known = [(archive, commit) for archive in archives if (commit := archive.at(epoch)) is not None]
    if not known:
        first = min((archive.first() for archive in archives), key=lambda commit: commit.at)
        raise ExpectedError(
            f"{first.node} was first archived {shown(first.at, False)} ({first.short}): what ran at "
            f"{shown(epoch, False)} is not known"
        )
    return max(known, key=lambda one: one[1].at)


def _archives(options: argparse.Namespace) -> list[Archive]:
    """Those that the command line means, and that know the node.

    Raises
    ------
    ExpectedError
        None does.
    """
    if options.site:
        from guardian.host.site import read_site

        paths = [read_site(options.site).archive_dir]
    elif options.state_dir:
        paths = [options.state_dir / ARCHIVE]
    else:
        paths = [path / ARCHIVE for path in state_dirs(ARCHIVE)]
    found, damaged = [], []
    for archive in (Archive(path, options.node) for path in paths):
        try:
            found += [archive] if archive.has_node() else []
        except ExpectedError as error:
            damaged.append(error)
    if damaged and not found:
        raise damaged[0]
    if not found:
        looked = ", ".join(map(str, paths)) or looked_in()
        raise ExpectedError(
            f"{options.node}: nothing of it is archived in {looked}. Give --site or --state-dir of its host, on the "
            "machine of that host"
        )
    return found
