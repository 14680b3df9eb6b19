"""``guardctrl create|destroy|start|stop NODE...``: to a host on this machine, through its control socket.

Nodes come and go there while the others run and notice nothing. No Channel Access is needed, so these orders also work
where the host is deaf; and only the user who runs the host may give them. Where the command line does not say which
host, and there is none in the usual place, the node itself is asked who runs it.
"""

from __future__ import annotations

import argparse
import json
import socket
from pathlib import Path
from typing import Any

from guardian.cli.ctrl import Orders, add_nodes, add_order, say
from guardian.cli.ctrl.names import Names, control_socket, names_of
from guardian.cli.output import FAILED, OK
from guardian.errors import ExpectedError
from guardian.host.claim import parse
from guardian.host.control import NoHost, ask
from guardian.host.site import CONTROL_SOCKET

_TEXT = {
    "create": "add a node to a host on this machine",
    "destroy": "remove a node from a host on this machine",
    "start": "write OP=EXEC, through a host on this machine",
    "stop": "write OP=STOP, through a host on this machine",
}
_DONE = {
    "create": "{node} is added and starts",
    "destroy": "{node} is removed; its settings are kept",
    "start": "{node}: OP=EXEC",
    "stop": "{node}: OP=STOP",
}


WHICH_HOST = "Which host: --state-dir or --site, else that of --ifo or $IFO, else the one that runs the node."


def add(orders: Orders) -> None:
    """Define the orders."""
    for do, text in _TEXT.items():
        about = WHICH_HOST if do != "create" else "Which host: --state-dir or --site, else that of --ifo or $IFO."
        add_nodes(add_order(orders, do, _tell, text, about=about), text="name of the node")


def _tell(options: argparse.Namespace) -> int:
    code, told = OK, []
    for node in options.nodes:
        try:
            ask_host("" if options.do == "create" else node, options, {"do": options.do, "node": node})
            told.append({"node": node, "ok": True, "text": _DONE[options.do].format(node=node)})
            if not options.json:
                print(told[-1]["text"])
        except ExpectedError as error:
            say(str(error))
            told.append({"node": node, "ok": False, "text": str(error)})
            code = FAILED
    if options.json:
        print(json.dumps(told))
    return code


def ask_host(node: str, options: argparse.Namespace, order: dict[str, Any]) -> dict[str, Any]:
    """The answer of the host on this machine that the command line means, or else of the one that runs `node`.

    Parameters
    ----------
    node : "" for any.

    Raises
    ------
    NoHost, WrongCall
    ExpectedError
        The node runs on another machine, or the host says no.
    """
    try:
        return ask(control_socket(options), order)
    except NoHost:
        if not node or options.site or options.state_dir or (place := _place_of(node, names_of(options))) is None:
            raise
        return ask(place / CONTROL_SOCKET, order)


def _place_of(node: str, names: Names) -> Path | None:
    """The state directory of the host that runs a node, as the node says; None: it does not say."""
    from guardian.cli.caclient import Session
    from guardian.cli.ctrl.remote import connect

    (remote,) = connect(Session(), (node,), names, ("HOST",))
    claim = parse(remote.text("HOST")) if remote.there and remote.ours else None
    if claim is None:
        return None
    if claim.machine != socket.gethostname():
        raise ExpectedError(f"{node} is run by {claim}; on that machine: guardctrl --state-dir {claim.dir} ...")
    return Path(claim.dir)
