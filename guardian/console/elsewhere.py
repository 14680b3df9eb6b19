"""Where the records of a node are that are not read here: each host keeps its own, on its machine."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import psutil

from guardian.console.console import Console
from guardian.errors import ExpectedError
from guardian.host.claim import Claim, parse
from guardian.host.logfolder import log_path
from guardian.host.places import LOGS

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


@dataclass(frozen=True, slots=True, kw_only=True)
class Here:
    """What is on this machine.

    Parameters
    ----------
    folders : state directories that are read, by all that they may be called. nodes : those of whom there is something.
    """

    folders: Mapping[Path, Path]
    nodes: frozenset[str] = frozenset()


def here(console: Console, nodes: Iterable[str], found: Iterable[str] = ()) -> Here:
    """Which of some nodes are known to hosts of this machine. For a thread, as it looks at files.

    Parameters
    ----------
    nodes : by names, not patterns. found : those of whom there is something, that is known already.
    """
    folders = console.folders()
    known = {node for node in nodes for folder in folders if _has(folder, node)}
    called = {name: folder for folder in folders for name in (folder, folder.absolute(), folder.resolve())}
    return Here(folders=called, nodes=frozenset({*known, *found}))


def _has(folder: Path, node: str) -> bool:
    return (folder / f"{node}.json").exists() or log_path(folder / LOGS, node).exists()


async def why_not_here(console: Console, nodes: Iterable[str], found: Here) -> list[str]:
    """A sentence for each of these nodes whose host keeps its records elsewhere, also if there are old ones here."""
    addresses = _addresses()
    where = {node: cell.facts.where for node, cell in console.board.cells.items()}
    asked = [one for one in nodes if one not in found.nodes or not _is_here(where.get(one, ""), addresses)]
    texts = await asyncio.gather(*(_why(console, node, found.folders) for node in asked[:MOST_ASKED]))
    return [text for text in texts if text]


async def _why(console: Console, node: str, folders: Collection[Path]) -> str:
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


def told(claim: Claim, node: str, where: str, folders: Collection[Path]) -> str:
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
