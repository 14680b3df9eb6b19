"""``guardctrl acl [NODE]``: what a client may do with the PVs of a node, by which rule, and what would let it do more.

It is asked of the host on this machine that runs the node, or of files that are not in force yet.
"""

from __future__ import annotations

import argparse
import json
import socket
from pathlib import Path
from typing import Any

from guardian.cli.ctrl import WrongCall, prepare, say
from guardian.cli.ctrl.local import WHICH_HOST
from guardian.cli.ctrl.names import site_of
from guardian.cli.ctrl.places import ask_host
from guardian.cli.orders import Order
from guardian.cli.output import FAILED, OK
from guardian.core.interface import Asg
from guardian.core.judge import address_of
from guardian.core.security import Level, rights_facts
from guardian.core.who import Who
from guardian.errors import ExpectedError
from guardian.host.access import Access, read_rules
from guardian.host.asking import NoHost
from guardian.host.users import who_am_i

_ABOUT = f"""\
{WHICH_HOST} Where none runs, --site is judged as it stands in
the file. Exit code 0: all that can be written may be written; 1: something may not."""


def define(order: Order) -> None:
    """What it takes."""
    prepare(order, _acl, about=_ABOUT)
    order.add_argument("node", nargs="?", default="", metavar="NODE", help="name of the node (its host has one rule)")
    order.add_argument("--user", help="who the client says it is (default: you)")
    order.add_argument("--host", help="the machine that the client says it is on (default: this one)")
    order.add_argument("--address", help="where it connects from (default: the address of the host)")
    order.add_argument("--acf", type=Path, metavar="FILE", help="by this access security file, in force or not")
    order.add_argument("--load", action="store_true", help="have the host read anew who may write")


def _acl(options: argparse.Namespace) -> int:
    if options.load:
        if options.acf or options.user or options.host or options.address:
            raise WrongCall("--load stands alone; ask who may write afterwards")
        told = ask_host(options.node, options, {"do": "load rules"})
        print("[]" if options.json else f"in force for all clients: {told['from'] or 'this machine may write'}")
        return OK
    who = _who(options)
    groups = _groups(options, who)
    print(json.dumps(groups) if options.json else "\n".join([_named(who), *map(_shown, groups)]))
    return OK if all(group["may"] == "write" for group in groups if group["group"] != Asg.READ.value) else FAILED


def _who(options: argparse.Namespace) -> Who:
    """The client that is asked about."""
    for option in ("user", "host", "address"):
        if getattr(options, option) == "":
            raise WrongCall(f"--{option} is empty")
    me = who_am_i()
    host = options.host or me.host
    address = options.address or (me.address if host == me.host else _address(host))
    if address and address_of(address) is None:
        raise WrongCall(f"--address {address!r} is no address; write it as 10.1.2.3")
    return Who(options.user or me.user, host, address)


def _address(host: str) -> str:
    try:
        return str(socket.getaddrinfo(host, None, socket.AF_INET, socket.SOCK_STREAM)[0][4][0])
    except (OSError, UnicodeError):
        return ""


def _groups(options: argparse.Namespace, who: Who) -> list[dict[str, Any]]:
    """What it may do, from the host or from the files."""
    if options.acf:
        access = Access(acf=options.acf, check_addresses=bool(options.site and site_of(options).access.check_addresses))
    else:
        order = {"do": "rights", "node": options.node, "user": who.user, "host": who.host, "address": who.address}
        try:
            groups: list[dict[str, Any]] = ask_host(options.node, options, order)["groups"]
            return groups
        except NoHost:
            if not options.site:
                raise
        say(f"no host runs with {options.site}; this is what the file says")
        access = site_of(options).access
    try:
        rules = read_rules(access)
        judge = rules.judge()
    except ExpectedError as error:
        raise WrongCall(str(error)) from None
    for warning in rules.warnings:
        say(warning)
    return rights_facts(judge, who)


def _named(who: Who) -> str:
    return str(who) if who.address else f"{who.user}@{who.host} (the address of {who.host} is not known)"


def _shown(group: dict[str, Any]) -> str:
    may = "nothing" if group["may"] == Level.NONE.name.lower() else group["may"]
    lines = [f"{group['group']:<8} {may:<8} {group['rule']}"]
    if group["group"] != Asg.READ.value:
        if group["may"] != "write":
            lines.append(f"not written: {group['why']}")
        lines.append(", ".join(group["pvs"]))
    elif group["may"] != "read":
        lines.append(f"not read: {group['why']}")
    return f"\n{' ' * 18}".join(lines)
