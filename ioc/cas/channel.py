"""A client's hold on one PV: under which numbers, in which form, and with which rights."""

from __future__ import annotations

from typing import TYPE_CHECKING

import caproto as ca

from ioc.cas.filters import modifiers_of

if TYPE_CHECKING:
    from ioc.cas.audience import Audience, Subscription
    from ioc.cas.circuit import Circuit

_READ, _WRITE = int(ca.AccessRights.READ), int(ca.AccessRights.WRITE)


class Channel:
    """Made when the client connects it.

    Parameters
    ----------
    name : as the client wrote it, with what it asks for behind the name (:mod:`ioc.cas.filters`).
    cid, sid : the numbers of the client and the server for it. audience : of the PV.
    """

    __slots__ = (
        "audience",
        "cid",
        "circuit",
        "count",
        "data",
        "data_type",
        "filter",
        "long_string",
        "name",
        "rights",
        "sid",
        "subscriptions",
    )

    def __init__(self, circuit: Circuit, name: str, *, cid: int, sid: int, audience: Audience) -> None:
        self.circuit, self.name, self.cid, self.sid, self.audience = circuit, name, cid, sid, audience
        self.data = data = audience.data
        self.filter, self.long_string = modifiers_of(name)
        self.data_type, self.count = int(data.data_type), int(data.max_length)
        if self.long_string and self.data_type == ca.ChannelType.STRING:
            self.data_type, self.count = int(ca.ChannelType.CHAR), int(data.long_string_max_length)
        self.rights = self.judged()
        self.subscriptions: dict[Subscription, None] = {}

    @property
    def readable(self) -> bool:
        return bool(self.rights & _READ)

    @property
    def writable(self) -> bool:
        return bool(self.rights & _WRITE)

    def judged(self) -> int:
        """What the client may do, as the PV says now; nothing, where it fails to say."""
        try:
            if hasattr(self.data, "rights_of"):
                return int(self.data.rights_of(self.circuit))
            return int(self.data.check_access(self.circuit.client_hostname, self.circuit.client_username))
        except Exception as error:
            sentence = f"{self.name} cannot say what {self.circuit.who} may do, which is nothing then: {error!r}"
            self.circuit.context.complaints.about(self.circuit.address[0], sentence)
            return 0
