"""``guardctrl doctor [PV]``: why does nothing answer? What is in force, who answers, and the line that mends it.

A host that the environment of this shell does not lead to is looked for by other ways: its lock files say on which port
it serves. The line that is proposed has been tried.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field

from guardian.cli.ctrl import answer_s, prepare
from guardian.cli.ctrl.environment import address_list, export_line, in_force, oddities, server_port
from guardian.cli.ctrl.find import search_s
from guardian.cli.ctrl.hosts import look
from guardian.cli.ctrl.machine import candidates, claims, listeners, local_addresses
from guardian.cli.ctrl.names import names_of
from guardian.cli.orders import Order
from guardian.cli.output import FAILED, OK
from guardian.client.names import Names
from guardian.core.names import NODE

_ABOUT = """\
Shows which variables of Channel Access are in force, who answers for the PV, a second server on the port, and the line
to type where a host on this machine is not found. Without PV: for the one that every host serves. Exit code 1: nobody
answers, or something is wrong."""


@dataclass(slots=True, kw_only=True)
class Server:
    """Who answers for the PV.

    Parameters
    ----------
    nodes : None if it is no host. host : who runs the node of the PV, or one of them. called : the name of that host.
    why : what is wrong with it. hangs : it says nothing at all.
    """

    where: str
    nodes: list[str] | None = None
    host: str = ""
    called: str = ""
    why: str = ""
    hangs: bool = False


@dataclass(slots=True, kw_only=True)
class Findings:
    """All that was found.

    Parameters
    ----------
    hidden : servers of the PV that this environment does not lead to. line : what does.
    hanging : a sentence for each host on this machine that hangs. others : PVs of hosts that do not have this one.
    """

    pv: str
    asked: list[str] = field(default_factory=list)
    servers: list[Server] = field(default_factory=list)
    hidden: list[Server] = field(default_factory=list)
    hanging: list[str] = field(default_factory=list)
    line: str = ""
    ports: dict[int, list[str]] = field(default_factory=dict)
    others: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)


def define(order: Order) -> None:
    """What it takes."""
    prepare(order, _doctor, about=_ABOUT, nothing="{}")
    order.add_argument("pv_asked", nargs="?", metavar="PV", help="the PV that is missed, or a node")


def _doctor(options: argparse.Namespace) -> int:
    names = names_of(options)
    pv = _pv(options.pv_asked, names) if options.pv_asked else names.hosts
    found = asyncio.run(examine(pv, names))
    if options.json:
        values = {name: {"value": value, "default": default} for name, (value, default) in in_force().items()}
        print(json.dumps({"environment": values, **asdict(found)}))
    else:
        for line in _report(found, names):
            print(line)
    return OK if found.servers and not found.warnings else FAILED


def _pv(word: str, names: Names) -> str:
    """What is missed: a PV, or the one that every node has."""
    head = names.pv("\0", "").partition("\0")[0]
    return names.pv(word, "STATE") if NODE.fullmatch(word) and not word.startswith(head) else word


def hint(pv: str, names: Names) -> str:
    """The end of a sentence that says that nobody answers for a PV: the line to type, if that is known."""
    found = asyncio.run(examine(pv, names))
    if found.servers:
        return f"it has just answered, so try again; EPICS_CLI_TIMEOUT gives it more time than {answer_s():g} s"
    if found.line:
        return f"it is served on this machine; type: {found.line}"
    if found.hanging:
        return found.hanging[0]
    if ifos := _other_ifos(found.others, names):
        return f"hosts on this machine run {found.others[0]} and the like; type: export IFO={ifos[0]}"
    return f"is it running, is the prefix right (--ifo, $IFO, --site)? guardctrl doctor {pv} looks closer"


async def examine(pv: str, names: Names) -> Findings:
    """Look for the PV, by the environment and by other ways."""
    from ioc.cas import ask

    answers = await ask.search([pv], search_s())
    found = Findings(pv=pv, warnings=[*oddities(), *answers.troubles])
    found.asked = [f"{ip}:{port}" for ip, port in answers.asked]
    found.servers = [await _look(server, pv, names) for server in sorted(answers.servers)]
    await _look_around(found, {port for _, port in answers.servers}, names)
    for port in sorted({server_port()} | {int(s.where.rpartition(":")[2]) for s in (*found.servers, *found.hidden)}):
        who = [str(one) for one in listeners(port)]
        found.ports[port] = who
        if len(who) > 1:
            found.warnings.append(
                f"{len(who)} processes share UDP port {port} on this machine, {'; '.join(who)}: a search that is sent "
                "to this machine alone reaches only one of them. Give each a port of its own (--port)"
            )
    found.warnings += [
        f"host {server.called} at {server.where} is not OK: {server.why}" for server in found.servers if server.why
    ]
    if len(found.servers) > 1 and pv != names.hosts:
        found.warnings.append(
            f"{' and '.join(s.where for s in found.servers)} all answer for {pv}: which one a client gets is left to "
            "chance. Stop all but one"
        )
    return found


async def _look_around(found: Findings, known: set[int], names: Names) -> None:
    """Hosts on this machine that the search has not reached."""
    from ioc.cas import ask

    told = claims()
    ports = sorted(({claim.port for claim in told.values()} | candidates()) - known)
    places = [(ip, port) for port in ports for ip in local_addresses(port)]
    looks = await asyncio.gather(*(_look(place, found.pv, names) for place in places))
    seen = {port: server for (_, port), server in reversed([*zip(places, looks, strict=True)]) if server.where}
    there = [seen[port] for port in sorted(seen)]
    found.servers += [server for server in there if server.where in found.asked]  # they were slow to answer the search
    found.hidden = [server for server in there if server.where not in found.asked]
    hanging = {port for (_, port), server in zip(places, looks, strict=True) if server.hangs} - set(seen)
    for port in sorted(hanging):
        who = "; ".join(map(str, listeners(port))) or "a process that has just ended"
        found.hanging.append(f"port {port} on this machine is that of {who}, which does not answer: is it stopped?")
    found.warnings += found.hanging
    strangers = {port for _, port in places} - set(seen) - hanging
    found.others = sorted(pv for pv, claim in told.items() if claim.port in strangers)
    if not found.hidden:
        return
    where = [server.where for server in found.hidden]
    before = os.environ.get("EPICS_CA_ADDR_LIST")
    os.environ["EPICS_CA_ADDR_LIST"] = address_list(where)
    try:
        answers = await ask.search([found.pv], search_s())
    finally:
        if before is None:
            del os.environ["EPICS_CA_ADDR_LIST"]
        else:
            os.environ["EPICS_CA_ADDR_LIST"] = before
    if set(where) <= {f"{ip}:{port}" for ip, port in answers.servers}:
        found.line = export_line(where)


async def _look(address: tuple[str, int], pv: str, names: Names) -> Server:
    """Ask a server itself; `where` is empty if it does not have the PV after all."""
    from ioc.cas import ask
    from ioc.cas.wire import ProtocolError

    where, values = f"{address[0]}:{address[1]}", dict[str, str | None]()
    try:
        await ask.read(address, [pv, names.hosts], values)
        nodes = _list(values.get(names.hosts))
        node = max((n for n in nodes or () if pv.startswith(names.pv(n, ""))), key=len, default=(nodes or [""])[0])
        claim, why = await look(address, node, names) if node else (None, None)
    except (OSError, ProtocolError) as error:
        hangs = not values and isinstance(error, TimeoutError)
        return Server(where=where if pv in values else "", host=f"does not say who it is: {error!r}", hangs=hangs)
    return Server(
        where=where if pv in values else "",
        nodes=nodes,
        host=str(claim) if claim else "",
        called=claim.host if claim else "",
        why=why or "",
    )


def _list(text: str | None) -> list[str] | None:
    try:
        said = json.loads(text or "")
    except ValueError:
        return None
    return [str(one) for one in said] if isinstance(said, list) else None


def _report(found: Findings, names: Names) -> Iterator[str]:
    width = max(map(len, in_force()))
    yield "Channel Access in this shell"
    for name, (value, default) in in_force().items():
        yield f"  {name:{width}}  {value or '(empty)'}{'  (default)' if default else ''}"
    yield f"  searches go to {', '.join(found.asked) or 'nobody'}"
    yield ""
    yield f"Who answers for {found.pv}"
    yield from _servers(found.servers) if found.servers else iter(["  nobody"])
    for port, who in found.ports.items():
        yield ""
        yield f"UDP port {port} on this machine"
        yield from (f"  {one}" for one in who or ["nobody"])
    if found.hidden:
        yield ""
        yield "Not found from this shell, but it runs on this machine"
        yield from _servers(found.hidden)
        if found.line:
            yield ""
            yield "Type this, then it is found (tried):"
            yield f"  {found.line}"
    elif not found.servers and not found.hanging:
        yield ""
        yield from _advice(found.others, names)
    for warning in found.warnings:
        yield ""
        yield f"WARNING: {warning}"


def _servers(servers: Sequence[Server]) -> Iterator[str]:
    for server in servers:
        nodes = "" if server.nodes is None else f"{len(server.nodes)} nodes: {', '.join(server.nodes[:6])}"
        more = ", ..." if server.nodes and len(server.nodes) > 6 else ""
        yield f"  {server.where}  {server.host}".rstrip()
        if nodes:
            yield f"    {nodes}{more}"
        if server.called:
            yield f"    host {server.called}: {server.why or 'OK'}"


def _advice(others: Sequence[str], names: Names) -> Iterator[str]:
    if others:
        yield "Hosts on this machine run other nodes; PVs of theirs are"
        yield from (f"  {pv}" for pv in others[:6])
        yield f"Is the prefix right? It is {names} here; see --ifo, $IFO, --pv, --site."
        yield from (f"  export IFO={ifo}" for ifo in _other_ifos(others, names)[:3])
        return
    yield "No host on this machine runs it. Where it runs on another machine, name that in EPICS_CA_ADDR_LIST:"
    yield f"  export EPICS_CA_ADDR_LIST={address_list(['MACHINE'])!r}"


def _other_ifos(pvs: Sequence[str], names: Names) -> list[str]:
    return sorted({_ifo(pv) for pv in pvs} - {names.ifo, ""})


def _ifo(pv: str) -> str:
    """By the usual template."""
    head, there, _ = pv.partition(":GRD-")
    return head if there else ""
