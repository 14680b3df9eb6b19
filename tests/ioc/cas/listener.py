"""One who listens to a channel without a network: what would go into the line of a client is kept, decoded."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import caproto as ca
from caproto._commands import extract_data, from_buffer

from ioc.cas.audience import Audience, Bell, Subscription
from ioc.cas.filters import NO_FILTER
from ioc.cas.wire import Parser

MASKS = ca.SubscriptionType


class _Circuit:
    """What an audience looks at of a client."""

    events_on, who = True, "the listener"

    def __init__(self, line: Listener) -> None:
        self.line = line
        self.missed: dict[Any, None] = {}


class Listener:
    """A subscription to `data` of one client of its own.

    ``got`` has for each update the values and the severity (None for types that have none); ``statuses`` the status.
    """

    def __init__(
        self, data: ca.ChannelData, data_type: int, mask: int = MASKS.DBE_VALUE | MASKS.DBE_ALARM, *, count: int = 0
    ) -> None:
        self.got: list[tuple[list[Any], int | None]] = []
        self.statuses: list[int] = []
        self.circuit: Any = _Circuit(self)
        audience = next((one for one in getattr(data, "audiences", ()) if one.data is data), None)
        audience = audience or Audience(data, Bell())
        self.channel: Any = SimpleNamespace(
            circuit=self.circuit,
            name="it",
            filter=NO_FILTER,
            long_string=False,
            readable=True,
            data=data,
            count=data.max_length,
        )
        self.subscription = Subscription(self.channel, 1, data_type=int(data_type), count=count, mask=int(mask))
        audience.add(self.subscription)

    def update(self, _to: Any, header: bytes, payload: bytes) -> None:
        """Where a circuit has its line."""
        (message,) = Parser().feed(header + payload)
        kind = ca.ChannelType(message.data_type)
        metadata, data = from_buffer(kind, message.elements, bytearray(message.payload))
        if kind == ca.ChannelType.STSACK_STRING:
            self.statuses.append(message.one)
            self.got.append(([metadata.value], metadata.severity))
            return
        values = extract_data(data, kind, message.elements)
        self.statuses.append(message.one)
        self.got.append((list(values), getattr(metadata, "severity", None)))
