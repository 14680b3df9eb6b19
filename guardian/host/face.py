"""The seam between the host and whatever shows its nodes to the world.

The host thinks in nodes, steps and rows of the interface table; a face turns them into something people can read and
write. There is one face today, ``ioc/server.py`` (Channel Access on caproto); tests use one made of dicts. The host
never imports a face: whoever starts a host hands it one.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from guardian.core.interface import Row
from guardian.core.who import Who
from guardian.enums import Severity

#: ``put(row_name, value, who)`` takes a client's write; returns when it is accepted and published, or raises
#: :class:`guardian.errors.RefusedError`. ``value`` is plain Python: int for ENUM, BOOL and INT (or the label a client
#: wrote, as str), str for STRING and LONG, :class:`Unreadable` for bytes that are neither. What is returned, if not
#: None, is done once the setting is safe from kill -9 (R21): a write to be confirmed is confirmed then, or after
#: a second where the disk is slow. It comes for every row and client: ``put`` judges who may write.
Put = Callable[[str, Any, Who], "asyncio.Future[None] | None"]


@dataclass(frozen=True, slots=True)
class Unreadable:
    """In the place of a value: what a client wrote is none of this PV's kind. ``put`` refuses it with this reason."""

    reason: str


@dataclass(frozen=True, slots=True)
class Update:
    """A new value of one PV. For STRINGS the value is a list of str, for LONG a str, for ENUM and BOOL an int."""

    row: Row
    value: Any
    severity: Severity


@dataclass(frozen=True, slots=True)
class Elsewhere:
    """Where else a node is shown, for people; and what its row HOST says there, None if it has none."""

    where: str
    host: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Load:
    """What a face has to do.

    Parameters
    ----------
    clients : that are connected. channels : that they have, all together. pvs : that are served.
    turned_away : clients, since the start, for want of descriptors.
    """

    clients: int = 0
    channels: int = 0
    pvs: int = 0
    turned_away: int = 0


class Face(Protocol):
    """What a host needs of a face. All calls come from the event loop's thread and, but for `elsewhere`, never wait."""

    @property
    def port(self) -> int:
        """The port it is reached at."""

    def claim(self, node: str, update: Update, stamp: float) -> None:
        """Show one row of a node, HOST, and that it is about to come. `open` follows, or `close`."""

    async def elsewhere(self, nodes: Sequence[str]) -> Mapping[str, Sequence[Elsewhere]]:
        """Where on the network these nodes are shown or claimed; here, too, if it is found.

        Nothing that happens on the network is an error, and it takes less than a second if nobody answers.
        """

    def open(self, node: str, updates: Sequence[Update], stamp: float, put: Put) -> None:
        """Show a new node, with a first value for every row. Nodes that are there already notice nothing.

        The node HOST is any host, which claims nothing, and has the rows HOST_ROWS; HOST_... is this one, with the rows
        of :mod:`guardian.core.host_rows`.
        """

    def post(self, node: str, updates: Sequence[Update], stamp: float) -> None:
        """Publish these values in this order, with this epoch stamp, before anything else is served."""

    def close(self, node: str) -> None:
        """The node is gone, or its claim: its PVs disconnect. Others notice nothing."""

    def load(self) -> Load:
        """How much it has to do at present."""
