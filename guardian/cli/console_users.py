"""``guardian-console users ORDER``: who may log in to a console, and as what."""

from __future__ import annotations

import argparse
import json
from collections.abc import Container, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from guardian.cli.orders import Order, add_orders
from guardian.cli.output import FAILED, OK, OrderParser, complain
from guardian.errors import ExpectedError

if TYPE_CHECKING:
    from guardian.console.people import Role

COMMAND = "guardian-console users"
_HERE = "console_users"
ORDERS = {
    "add": (_HERE, "let somebody log in, and print the token to do so, once"),
    "remove": (_HERE, "let somebody log in no more; who is logged in is out at once"),
    "role": (_HERE, "give somebody another role; it counts at once"),
    "list": (_HERE, "list who may log in"),
}
_FILE = "the users file, as guardian-console --allow-write is given it; made where there is none"
_ROLE = "viewer: writes nothing; operator: asks nodes for what they do; expert: changes how they work too"


def main(argv: Sequence[str]) -> int:
    """Do one order."""
    parser = OrderParser(
        prog=COMMAND, description="Say who may log in to a console that is started with --allow-write."
    )
    add_orders(parser, "guardian.cli", ORDERS)
    options = parser.parse_args(argv)
    try:
        code: int = options.run(options)
        return code
    except ExpectedError as error:
        complain(COMMAND, str(error))
        return FAILED


def define(order: Order) -> None:
    """What each takes."""
    from guardian.console.people import ROLES

    if order.name != "list":
        order.add_argument("name", type=_name, metavar="NAME", help="who")
    if order.name in ("add", "role"):
        order.add_argument("--role", required=True, choices=ROLES, help=_ROLE)
    if order.name == "list":
        order.add_argument("--json", action="store_true", help="print names and roles as JSON")
    order.add_argument("--users", required=True, type=Path, metavar="FILE", help=_FILE)
    order.set_defaults(run={"add": _add, "remove": _remove, "role": _change, "list": _list}[order.name])


def _add(options: argparse.Namespace) -> int:
    from guardian.console.users import changing, invent

    with changing(options.users) as users:
        if options.name in users:
            raise ExpectedError(
                f"{options.name} is in {options.users} already; for another token: users remove {options.name}, then "
                "add again"
            )
        users[options.name], token = invent(options.name, _role(options))
    print(token)
    complain(COMMAND, f"this is the token of {options.name}; it is kept nowhere and not shown again")
    return OK


def _remove(options: argparse.Namespace) -> int:
    from guardian.console.users import changing

    with changing(options.users) as users:
        _known(options, users)
        del users[options.name]
    return OK


def _change(options: argparse.Namespace) -> int:
    from dataclasses import replace

    from guardian.console.users import changing

    with changing(options.users) as users:
        _known(options, users)
        users[options.name] = replace(users[options.name], role=_role(options))
    return OK


def _list(options: argparse.Namespace) -> int:
    from guardian.console.users import read

    try:
        users = read(options.users)
    except FileNotFoundError:
        raise ExpectedError(f"there is no file {options.users}") from None
    if options.json:
        print(json.dumps([{"name": user.name, "role": user.role.word} for user in users.values()]))
        return OK
    for user in users.values():
        print(f"{user.name:<32} {user.role.word}")
    return OK


def _known(options: argparse.Namespace, users: Container[str]) -> None:
    if options.name not in users:
        raise ExpectedError(f"there is no user {options.name} in {options.users}; see users list")


def _role(options: argparse.Namespace) -> Role:
    from guardian.console.people import ROLES

    return ROLES[options.role]


def _name(text: str) -> str:
    from guardian.console.people import why_not_name

    if why := why_not_name(text):
        raise argparse.ArgumentTypeError(why)
    return text
