"""Where the records of a node are that are not read here: each host keeps its own, on its machine."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Iterable
from pathlib import Path

import psutil

from guardian.console.console import Console
from guardian.errors import ExpectedError
from guardian.host.claim import Claim, parse

#: Nodes that are asked for one answer.
MOST_ASKED = 8


async def claim_of(console: Console, node: str) -> Claim | None:
    """Which host runs a node, as its PV HOST says; None: it does not say."""
    cell = console.board.cells.get(node)
    if cell is None or not cell.facts.there:
        return None
    try:
        return parse(await console.watch.read(console.names.pv(node, "HOST")))
    except ExpectedError:
        return None


async def why_not_here(console: Console, nodes: Iterable[str], found: Iterable[str]) -> list[str]:
    """A sentence for each of these nodes whose host keeps its records elsewhere.

    Parameters
    ----------
    nodes : by names, not patterns. found : those of which there are records here. They may be old: a node that has
        moved is told, too.
    """
    here, folders = _addresses(), await asyncio.to_thread(console.folders)
    found = frozenset(found)
    where = {node: cell.facts.where for node, cell in console.board.cells.items()}
    asked = [node for node in nodes if node not in found or not _is_here(where.get(node, ""), here)][:MOST_ASKED]
    return [text for text in await asyncio.gather(*(_why(console, node, folders) for node in asked)) if text]


async def _why(console: Console, node: str, folders: list[Path]) -> str:
    cell = console.board.cells.get(node)
    if cell is None:
        return f"nothing of {node} is on this machine, and no host lists such a node"
    if not cell.facts.there:
        return f"nothing of {node} is on this machine; it does not answer, so nobody can say where its host is"
    claim = await claim_of(console, node)
    where = cell.facts.where.rpartition(":")[0]
    if claim is None:
        return f"{node} does not say which host runs it, at {where}: what it has recorded is there"
    return told(claim, node, where, folders)


def told(claim: Claim, node: str, where: str, folders: list[Path]) -> str:
    """Why the records of that host are not read; "" if they are."""
    if claim.machine != socket.gethostname():
        return (
            f"the records of {node} are on another machine: its host runs at {where} ({claim.machine}, in "
            f"{claim.dir}); look there, or start a console there"
        )
    if Path(claim.dir) not in folders:
        return (
            f"the records of {node} are in {claim.dir} on this machine, which this console does not read: start it "
            "with --state-dir of that folder, or as a user who may read it"
        )
    return ""


def _is_here(where: str, here: frozenset[str]) -> bool:
    """Whether an address with port is one of this machine; "" is nowhere, so nothing better is known."""
    return not where or where.rpartition(":")[0] in here


def _addresses() -> frozenset[str]:
    return frozenset(one.address for all in psutil.net_if_addrs().values() for one in all)
