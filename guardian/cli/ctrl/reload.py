"""``guardctrl reload``: a host on this machine reads its site file anew, and follows it. The difference comes first.

What is done is what was shown: if the file or the nodes have changed since, nothing is done.
"""

from __future__ import annotations

import argparse
import json
import sys
from typing import Any

from guardian.cli.ctrl import prepare, say
from guardian.cli.ctrl.find import said_yes
from guardian.cli.ctrl.places import ask_host
from guardian.cli.orders import Order
from guardian.cli.output import FAILED, OK
from guardian.errors import ExpectedError

_ABOUT = """\
Nodes are added and removed, policies and who may write are in force at once; workers go on. What needs a start of the
host is named, and left as it is. A file with a fault changes nothing. Which host: --state-dir or --site, else that of
--ifo or $IFO, else the only one."""
#: To read the file, behind somebody who has just begun to. And to do it: a worker that does not end is killed, and
#: waited for.
LOOK_S, DONE_S = 30.0, 120.0


def define(order: Order) -> None:
    """What it takes."""
    prepare(order, _reload, about=_ABOUT, nothing="{}")
    order.add_argument("--dry-run", action="store_true", help="show what is otherwise, and do nothing")
    order.add_argument("--yes", action="store_true", help="do not ask")


def _reload(options: argparse.Namespace) -> int:
    found = ask_host("", options, {"do": "reload", "step": "look"}, LOOK_S)
    told: dict[str, Any] = {"file": found["file"], "changes": found["changes"], "lines": found["lines"], "done": []}
    if not options.json:
        print(f"{found['file']}: {'nothing is otherwise' if not found['lines'] else 'is otherwise:'}")
        for line in found["lines"]:
            print(f"  {line}")
        sys.stdout.flush()
    if options.dry_run or not found["anything"]:
        return _end(told, options)
    if not options.yes and not said_yes("is this to be done?"):
        raise ExpectedError("nothing was done")
    answer = ask_host("", options, {"do": "reload", "step": "follow", "shown": found["shown"]}, DONE_S)
    told["done"] = answer["done"]
    for one in told["done"]:
        if not one["ok"]:
            say(one["text"])
        elif not options.json:
            print(one["text"])
    return _end(told, options)


def _end(told: dict[str, Any], options: argparse.Namespace) -> int:
    if options.json:
        print(json.dumps(told))
    return OK if all(one["ok"] for one in told["done"]) else FAILED
