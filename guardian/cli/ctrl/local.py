"""``guardctrl create|destroy|start|stop NODE...``: to a host on this machine, through its control socket.

Nodes come and go there while the others run and notice nothing. No Channel Access is needed, so these orders also work
where the host is deaf; and only the user who runs the host may give them.
"""

from __future__ import annotations

import argparse
import json

from guardian.cli.ctrl import Orders, add_nodes, add_order, say
from guardian.cli.ctrl.names import control_socket
from guardian.cli.output import FAILED, OK
from guardian.errors import ExpectedError
from guardian.host.control import ask

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


def add(orders: Orders) -> None:
    """Define the orders."""
    for do, text in _TEXT.items():
        about = "Which host: --state-dir or --site, else that of --ifo or $IFO."
        add_nodes(add_order(orders, do, _tell, text, about=about), text="name of the node")


def _tell(options: argparse.Namespace) -> int:
    socket = control_socket(options)
    code, told = OK, []
    for node in options.nodes:
        try:
            ask(socket, {"do": options.do, "node": node})
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
