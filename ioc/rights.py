"""What a client may do with a PV, as Channel Access tells it: asked of the host's security, and no more than told.

A client that is told it may not write shows that to its user, and libca does not even send the put. Whoever sends one
all the same is refused by the node, which asks again.
"""

from __future__ import annotations

from collections.abc import Callable

import caproto as ca

from guardian.core.interface import Asg
from guardian.core.security import Level, Security
from guardian.core.who import Who
from ioc.cas.connection import Connection

READ = ca.AccessRights.READ
_RIGHTS = {
    Level.NONE: int(ca.AccessRights.NO_ACCESS),
    Level.READ: int(READ),
    Level.WRITE: int(ca.AccessRights.READ | ca.AccessRights.WRITE),
}


class Rights:
    """Of all clients of a server.

    Parameters
    ----------
    security : judges. on_reader : called for each channel of a client that may not write it, though others may.
    """

    def __init__(self, security: Security, on_reader: Callable[[Asg, Who], None] = lambda _asg, _who: None) -> None:
        self._security = security
        self._on_reader = on_reader

    def of(self, asg: Asg, client: Connection) -> int:
        """What a client may do with the PVs of a group, as :class:`caproto.AccessRights`."""
        who = who_is(client)
        level = self._security.judge(asg, who).level
        if level < Level.WRITE and asg is not Asg.READ:
            self._on_reader(asg, who)
        return _RIGHTS[level]


def who_is(client: Connection) -> Who:
    """The client, as the host knows it."""
    return Who(*client.claims, client.address[0])
