"""The Channel Access face of a host: one server with the PVs of all its nodes.

The host calls :meth:`Server.open`, :meth:`Server.post` and :meth:`Server.close`, which never wait: when they return,
what they published stands in the line to every client, all of it and in order. A client's write calls the node's
``put`` in the same way, so what it changed is on its way before the client hears that it was accepted.

The rest is in files of one idea each: ``node.py`` a row as a channel, ``decode.py`` what a client wrote, and ``cas/``
the server itself.

A host has one server, and a UDP port has one server, see ``cas/sockets.py``. No thread but the loop's may touch it.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence

import caproto as ca

from guardian.core.interface import PV_TEMPLATE, pv_name
from guardian.errors import ExpectedError, InternalError
from guardian.host.face import Put, Update
from ioc.cas import Context, bind
from ioc.cas.line import STEPS
from ioc.cas.sockets import NoPort
from ioc.node import Names, RowChannel, channel

log = logging.getLogger(__name__)

#: Nothing that clients may write is longer than some kB.
LONGEST_MESSAGE = 2**20


class Server:
    """A :class:`guardian.host.face.Face` on Channel Access.

    Parameters
    ----------
    ifo : prefix of the site, may be empty.
    template : of PV names, see :func:`guardian.core.interface.pv_name`.
    interfaces : addresses to serve on; None: EPICS_CAS_INTF_ADDR_LIST, else all. Only a server on 0.0.0.0 hears
        searches by broadcast.
    """

    def __init__(self, *, ifo: str, template: str = PV_TEMPLATE, interfaces: Sequence[str] | None = None) -> None:
        self._ifo = ifo
        self._template = template
        self._interfaces = tuple(interfaces) if interfaces else None
        self._names = Names()
        self._nodes: dict[str, dict[str, RowChannel]] = {}
        self._context: Context | None = None

    async def start(self, port: int | None = None) -> int:
        """Serve on this port (0: any; None: the usual one, or any if that is taken); returns the port, of TCP and UDP.

        Raises
        ------
        ExpectedError
            The port that was asked for is taken.
        """
        if self._context is not None:
            raise InternalError("the server was started twice")
        interfaces = self._interfaces or tuple(ca.get_server_address_list())
        try:
            bound = bind(interfaces, port)
        except NoPort as error:
            raise ExpectedError(str(error)) from None
        self._context = Context(self._names, interfaces, bound=bound, longest_message=LONGEST_MESSAGE)
        await self._context.start()
        log.info("serving Channel Access on %s, port %d", ", ".join(interfaces), bound.port)
        return bound.port

    async def stop(self) -> None:
        """Close all connections and the port. Nodes stay; the server can be started again."""
        if self._context is not None:
            context, self._context = self._context, None
            await context.stop()

    def open(self, node: str, updates: Sequence[Update], stamp: float, put: Put) -> None:
        """Show a new node, with a first value for every row. Nodes that are there already notice nothing."""
        if node in self._nodes:
            raise InternalError(f"{node}: opened twice")
        channels = {update.row.name: channel(update, stamp, put) for update in updates}
        names = {self._name(node, row_name): one for row_name, one in channels.items()}
        if taken := sorted(name for name in names if name in self._names):
            raise InternalError(
                f"{node}: {', '.join(taken[:3])} is served already; check the template {self._template}"
            )
        self._nodes[node] = channels
        self._names.update(names)

    def post(self, node: str, updates: Sequence[Update], stamp: float) -> None:
        """Publish these values in this order, with this epoch stamp, before anything else is served."""
        channels = self._nodes[node]
        with STEPS.one():
            for update in updates:
                channels[update.row.name].post(update.value, update.severity, stamp)

    def close(self, node: str) -> None:
        """The node is gone: its PVs disconnect. Others notice nothing."""
        names = [self._name(node, row_name) for row_name in self._nodes.pop(node)]
        if self._context is not None:
            self._context.take_away({self._names[known] for name in names for known in self._names.known(name)})
        for name in names:
            self._names.forget(name)

    def _name(self, node: str, row_name: str) -> str:
        return pv_name(self._template, ifo=self._ifo, node=node, name=row_name)
