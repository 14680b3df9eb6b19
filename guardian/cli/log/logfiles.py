"""Where the hosts keep their logs that a command line means."""

from __future__ import annotations

import argparse
from pathlib import Path

from guardian.cli.log import WrongCall
from guardian.cli.state_dirs import looked_in, state_dirs
from guardian.client.records.logfiles import Place
from guardian.errors import ExpectedError
from guardian.host.places import LOGS

_UNIT = "journalctl -u 'guardhost@*'"


def places(options: argparse.Namespace) -> list[Place]:
    """Where the hosts keep their logs that the command line means.

    Raises
    ------
    WrongCall
        There is no such site file.
    ExpectedError
        There is no log; what to do instead.
    """
    if options.site:
        return [_of_site(options.site)]
    if options.state_dir:
        folders = [options.state_dir / LOGS]
    else:
        folders = [path / LOGS for path in state_dirs(LOGS)]
        if not folders:
            raise ExpectedError(
                f"no host has log files here (in {looked_in()}); give --site or --state-dir, or see {_UNIT}"
            )
    if missing := [folder for folder in folders if not folder.is_dir()]:
        raise ExpectedError(
            f"there is no {missing[0]}: no host has run there, or with files = false under [logs]. Give --site: then "
            f"its log = FILE is read; or see {_UNIT}"
        )
    return [Place(folder=folder) for folder in folders]


def _of_site(path: Path) -> Place:
    from guardian.host.site import read_site

    try:
        site = read_site(path)
    except ExpectedError as error:
        raise WrongCall(str(error)) from None
    if site.logs.files and (site.log_folder.is_dir() or site.log is None):
        if site.log_folder.is_dir():
            return Place(folder=site.log_folder)
        raise ExpectedError(f"there is no {site.log_folder}: has this host run on this machine?")
    if site.log is None:
        raise ExpectedError(
            f"{path} keeps no log in files: it says files = false under [logs], and no log = FILE. See {_UNIT}, or the "
            "terminal of the host; or change one of them"
        )
    if not site.log.is_file():
        raise ExpectedError(f"there is no {site.log}, the log of {path}: has this host run on this machine?")
    return Place(stream=site.log)
