"""``guardctrl``: add, remove, start and stop single nodes of a running host; the others notice nothing."""

from __future__ import annotations

import argparse
import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from guardian._version import __version__
from guardian.cli.output import FAILED, OK, WRONG_CALL, complain
from guardian.errors import ExpectedError
from guardian.host.control import ask
from guardian.host.site import CONTROL_SOCKET, default_state_dir, read_site

_DONE = {
    "create": "{node} is added and starts",
    "destroy": "{node} is removed; its settings are kept",
    "start": "{node}: OP=EXEC",
    "stop": "{node}: OP=STOP",
}


def main(argv: Sequence[str] | None = None) -> int:
    """Send an order to a host on this machine. Exit code 1: the host refuses, or none answers; 2: a bad site file."""
    parser = argparse.ArgumentParser(prog="guardctrl", description="Orders for a host that runs on this machine.")
    parser.add_argument("--version", action="version", version=__version__)
    where = parser.add_mutually_exclusive_group()
    where.add_argument("--site", type=Path, metavar="FILE", help="the site file the host runs")
    where.add_argument("--state-dir", type=Path, metavar="DIR", help="the state directory of the host")
    parser.add_argument("--json", action="store_true", help="print facts as JSON")
    orders = parser.add_subparsers(dest="do", required=True, metavar="ORDER")
    for do, text in (
        ("create", "add a node to the running host"),
        ("destroy", "remove a node from the running host"),
        ("start", "write OP=EXEC"),
        ("stop", "write OP=STOP"),
    ):
        orders.add_parser(do, help=text).add_argument("nodes", nargs="+", metavar="NODE")
    orders.add_parser("list", help="list the nodes of the host")
    options = parser.parse_args(argv)
    try:
        socket = _socket(options)
    except ExpectedError as error:
        complain("guardctrl", str(error))
        return WRONG_CALL
    try:
        if options.do == "list":
            _show(ask(socket, {"do": "list"})["nodes"], as_json=options.json)
            return OK
    except ExpectedError as error:
        complain("guardctrl", str(error))
        return FAILED
    code = OK
    for node in options.nodes:
        try:
            answer = ask(socket, {"do": options.do, "node": node})
            print(json.dumps(answer) if options.json else _DONE[options.do].format(node=node))
        except ExpectedError as error:
            complain("guardctrl", str(error))
            code = FAILED
    return code


def _socket(options: argparse.Namespace) -> Path:
    if options.site:
        return read_site(options.site).control_socket
    directory: Path = options.state_dir or default_state_dir(os.environ.get("IFO", ""))
    return directory / CONTROL_SOCKET


def _show(nodes: list[dict[str, Any]], *, as_json: bool) -> None:
    if as_json:
        print(json.dumps(nodes))
        return
    width = max((len(n["node"]) for n in nodes), default=4)
    for n in nodes:
        why = "OK" if n["ok"] else n["why"]
        print(f"{n['node']:{width}}  {n['op']:5}  {n['mode']:7}  {n['state']} -> {n['request']}  {n['status']}  {why}")


if __name__ == "__main__":
    raise SystemExit(main())
