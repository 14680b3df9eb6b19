"""Which nodes there are on the network.

Channel Access has no wildcards. So each host serves one PV of the same name, HOST_NODES, that lists its nodes: all
servers that answer for it are found, and each is asked.
"""

from __future__ import annotations

import asyncio
import json
import os
from dataclasses import dataclass, field
from typing import Any

from guardian.client.names import Names
from guardian.core.names import is_node
from ioc.cas import ask
from ioc.cas.wire import ProtocolError

#: Of one host; nobody runs so many.
MOST_NODES = 10_000


@dataclass(slots=True)
class Found:
    """Where hosts answer, with their nodes; and a sentence for each that could not be asked.

    Attributes
    ----------
    deaf : hosts that answer, and do not say which nodes they run.
    """

    hosts: dict[str, list[str]] = field(default_factory=dict)
    deaf: list[str] = field(default_factory=list)
    troubles: list[str] = field(default_factory=list)

    @property
    def nodes(self) -> dict[str, list[str]]:
        """Each node, by name, with the hosts that run it."""
        found: dict[str, list[str]] = {}
        for where, nodes in self.hosts.items():
            for node in nodes:
                found.setdefault(node, []).append(where)
        return dict(sorted(found.items()))


async def find_nodes(names: Names, for_s: float) -> Found:
    """Ask the network for so many seconds."""
    pv = names.hosts
    answers = ask.Answers()
    try:
        answers = await ask.search([pv], for_s)
    except* OSError as errors:  # no descriptor, no network
        answers.troubles += [f"the network cannot be asked: {error}" for error in errors.exceptions]
    found = Found(troubles=list(answers.troubles))

    async def visit(server: ask.Address) -> None:
        where, values = f"{server[0]}:{server[1]}", dict[str, str | None]()
        try:
            await ask.read(server, [pv], values)
            found.hosts[where] = _names(json.loads(values.get(pv) or ""))
        except (OSError, ProtocolError, ValueError, RecursionError) as error:
            found.deaf.append(where)
            why = os.strerror(error.errno) if isinstance(error, OSError) and error.errno else str(error)
            found.troubles.append(
                f"{where} answers to {pv}, and does not say which nodes it runs "
                f"({why or type(error).__name__}): it has just ended, or hangs"
            )

    await asyncio.gather(*(visit(server) for server in answers.servers))
    found.hosts = dict(sorted(found.hosts.items()))
    return found


def _names(listed: Any) -> list[str]:
    """Of nodes, as a host lists them; anybody may serve such a PV."""
    if not isinstance(listed, list):
        raise ValueError("it lists none")
    return [name for name in listed if isinstance(name, str) and is_node(name)][:MOST_NODES]
