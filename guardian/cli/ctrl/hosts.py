"""``guardctrl hosts``: the hosts that are found on the network, how each is called, and what is wrong with it.

A host is found as its nodes are, by the PV that every host serves. Its own PVs have its name in theirs, which one of
its nodes tells (HOST).
"""

from __future__ import annotations

import argparse
import asyncio
import json
from dataclasses import asdict, dataclass

from guardian.cli.ctrl import prepare, say
from guardian.cli.ctrl.find import find
from guardian.cli.ctrl.listing import nobody
from guardian.cli.ctrl.names import names_of
from guardian.cli.orders import Order
from guardian.cli.output import FAILED, OK
from guardian.client.names import Names
from guardian.core.names import HOST_PREFIX
from guardian.core.texts import printable
from guardian.errors import ExpectedError
from guardian.host.claim import Claim, parse

_ABOUT = """\
Shows what each is called in the names of its own PVs, where it serves, how many nodes it runs, and what is wrong with
it. Exit code 1: one is not OK, or does not say."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HostLine:
    """What is known of a host.

    Parameters
    ----------
    host : its name; "?": it has no node that tells it. where : address and port. who : process, user and machine.
    pv : of its own, that says whether it is OK. why : it is not.
    """

    host: str = "?"
    where: str
    nodes: int
    who: str = ""
    pv: str = ""
    ok: bool = False
    why: str = ""


def define(order: Order) -> None:
    """What it takes."""
    prepare(order, _hosts, about=_ABOUT)


def _hosts(options: argparse.Namespace) -> int:
    names = names_of(options)
    found = find(names)
    for trouble in found.troubles:
        say(trouble)
    if not found.hosts and not found.deaf:
        raise ExpectedError(nobody(names))
    lines = asyncio.run(_ask(found.hosts, names))
    if options.json:
        print(json.dumps([asdict(line) for line in lines]))
    elif lines:
        _print(lines)
    return OK if all(line.ok for line in lines) and not found.deaf else FAILED


async def _ask(hosts: dict[str, list[str]], names: Names) -> list[HostLine]:
    return sorted(
        await asyncio.gather(*(_line(where, nodes, names) for where, nodes in hosts.items())),
        key=lambda line: (line.host, line.where),
    )


async def _line(where: str, nodes: list[str], names: Names) -> HostLine:
    if not nodes:
        return HostLine(where=where, nodes=0, ok=True)
    ip, _, port = where.rpartition(":")
    try:
        claim, why = await look((ip, int(port)), nodes[0], names)
    except OSError as error:
        return HostLine(where=where, nodes=len(nodes), why=f"it does not answer ({error!r})")
    if claim is None or why is None:
        return HostLine(where=where, nodes=len(nodes), why="it does not say how it is: is it of another version?")
    pv = names.pv(HOST_PREFIX + claim.host, "OK")
    return HostLine(host=claim.host, where=where, nodes=len(nodes), who=str(claim), pv=pv, ok=not why, why=why)


async def look(address: tuple[str, int], node: str, names: Names) -> tuple[Claim | None, str | None]:
    """Who runs a node at this address, and what is wrong with that host: "" if nothing is, None if it does not say.

    Raises
    ------
    OSError
        It does not answer, or speaks no Channel Access.
    """
    from ioc.cas import ask
    from ioc.cas.wire import ProtocolError

    values: dict[str, str | None] = {}
    try:
        await ask.read(address, [names.pv(node, "HOST")], values)
        claim = parse(values.get(names.pv(node, "HOST")))
        if claim is None or not claim.host:
            return claim, None
        pv = names.pv(HOST_PREFIX + claim.host, "WHY")
        await ask.read(address, [pv], values)
    except ProtocolError as error:
        raise OSError(str(error)) from None
    why = values.get(pv)
    return claim, None if why is None else printable(why)


def _print(lines: list[HostLine]) -> None:
    width, wide = max(len(line.host) for line in lines), max(len(line.where) for line in lines)
    for line in lines:
        nodes = f"{line.nodes} node{'' if line.nodes == 1 else 's'}"
        print(f"{line.host:{width}}  {line.where:{wide}}  {nodes:>9}  {'OK' if line.ok else line.why}")
