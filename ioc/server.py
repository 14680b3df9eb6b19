"""The Channel Access face of a host: one server with the PVs of all its nodes.

The host calls :meth:`Server.open`, :meth:`Server.post` and :meth:`Server.close`, which never wait: when they return,
what they published stands in the line to every client, all of it and in order. A client's write calls the node's
``put`` in the same way, so what it changed is on its way before the client hears that it was accepted.

The rest is in files of one idea each: ``node.py`` a row as a channel, ``decode.py`` what a client wrote, and ``cas/``
the server itself.

A host has one server, and a UDP port has one server, see ``cas/sockets.py``. No thread but the loop's may touch it.
"""

from __future__ import annotations

import asyncio
import logging
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence

import caproto as ca

from guardian.core.interface import Asg
from guardian.core.names import PV_TEMPLATE, pv_name
from guardian.core.security import Everybody, Security
from guardian.core.who import Who
from guardian.errors import ExpectedError, InternalError, RefusedError
from guardian.host.access import is_own
from guardian.host.face import Elsewhere, Load, Put, Update
from ioc.cas import ask
from ioc.cas.context import Context
from ioc.cas.line import STEPS
from ioc.cas.sockets import NoPort, bind
from ioc.cas.wire import ProtocolError
from ioc.node import Names, RowChannel, channel
from ioc.rights import Rights

log = logging.getLogger(__name__)

#: Nothing that clients may write is longer than some kB.
LONGEST_MESSAGE = 2**20
#: A node is searched for by two rows: one that every Guardian has, the original too, and one that tells who runs it,
#: which is all that a claim shows.
STATE, HOST = "STATE", "HOST"


class Server:
    """A :class:`guardian.host.face.Face` on Channel Access.

    Parameters
    ----------
    ifo : prefix of the site, may be empty.
    template : of PV names, see :func:`guardian.core.names.pv_name`.
    security : what clients are told they may do; None: everybody may write what can be written.
    on_reader : called for each channel of a client that may not write it, though others may.
    interfaces : addresses to serve on; None: EPICS_CAS_INTF_ADDR_LIST, else all. Only a server on 0.0.0.0 hears
        searches by broadcast.
    """

    def __init__(
        self,
        *,
        ifo: str,
        template: str = PV_TEMPLATE,
        interfaces: Sequence[str] | None = None,
        security: Security | None = None,
        on_reader: Callable[[Asg, Who], None] = lambda _asg, _who: None,
    ) -> None:
        self._ifo = ifo
        self._template = template
        self._rights = Rights(security or Everybody(), on_reader)
        self._interfaces = tuple(interfaces) if interfaces else None
        self._names = Names()
        self._nodes: dict[str, dict[str, RowChannel]] = {}
        self._context: Context | None = None
        self._told: set[str] = set()

    @property
    def port(self) -> int:
        """The port it serves on, of TCP and UDP; 0: it does not."""
        return self._context.port if self._context is not None else 0

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

    def claim(self, node: str, update: Update, stamp: float) -> None:
        """Show one row of a node that is about to come. :meth:`open` follows, or :meth:`close`."""
        if node in self._nodes:
            raise InternalError(f"{node}: claimed twice")
        self._add(node, [update], stamp, _no_put)

    def open(self, node: str, updates: Sequence[Update], stamp: float, put: Put) -> None:
        """Show a new node, with a first value for every row. Nodes that are there already notice nothing.

        The channel of a claim stays, so a client that watches it sees the claim come true.
        """
        claimed = self._nodes.get(node, {}).copy()
        if len(claimed) > 1:
            raise InternalError(f"{node}: opened twice")
        for one in claimed.values():
            one.put = put
        self._add(node, [update for update in updates if update.row.name not in claimed], stamp, put)
        self.post(node, [update for update in updates if update.row.name in claimed], stamp)

    def _add(self, node: str, updates: Sequence[Update], stamp: float, put: Put) -> None:
        channels = {update.row.name: channel(update, stamp, put, self._rights) for update in updates}
        names = {self._name(node, row_name): one for row_name, one in channels.items()}
        if taken := sorted(name for name in names if name in self._names):
            raise InternalError(
                f"{node}: {', '.join(taken[:3])} is served already; check the template {self._template}"
            )
        self._nodes.setdefault(node, {}).update(channels)
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

    def load(self) -> Load:
        """How much it has to do."""
        pvs, context = sum(map(len, self._nodes.values())), self._context
        if context is None:
            return Load(pvs=pvs)
        return Load(clients=len(context.circuits), channels=context.connected, pvs=pvs, turned_away=context.turned_away)

    def rights_changed(self) -> None:
        """Other rules are in force: clients are told what they may do now, where it differs."""
        if self._context is not None:
            self._context.rights_changed(one for channels in self._nodes.values() for one in channels.values())

    async def elsewhere(self, nodes: Sequence[str]) -> Mapping[str, Sequence[Elsewhere]]:
        """Where on the network these nodes are shown or claimed; here, too, if it is found.

        A server that answers for one of them is asked for all of them, over TCP: one that is busy, as when it starts
        hundreds of nodes, may not answer all searches in time.
        """
        names = {node: (self._name(node, STATE), self._name(node, HOST)) for node in nodes}
        every = [name for both in names.values() for name in both]
        found: defaultdict[str, list[Elsewhere]] = defaultdict(list)
        answers = await ask.search(every)
        for trouble in answers.troubles:
            self._tell(f"not everybody on the network could be asked who runs a node: {trouble}")

        async def visit(server: ask.Address, promised: set[str]) -> None:
            where, values, trouble = f"{server[0]}:{server[1]}", dict[str, str | None](), None
            try:
                if self._is_here(*server):  # it need not be asked, and its own rules may keep us from reading
                    values = {name: self._names[name].text for name in every if name in self._names}
                else:
                    await ask.read(server, every, values)
            except (OSError, ProtocolError) as error:
                trouble = error
            for node, (state, host) in names.items():
                if (says := values.get(host)) is not None or (trouble is None and (state in values or host in values)):
                    found[node].append(Elsewhere(where, says))
                elif trouble is not None and (owed := promised & {state, host}):
                    self._tell(f"{where} answers to {min(owed)}, and not when asked who it is: {trouble!r}")

        await asyncio.gather(*(visit(*one) for one in answers.servers.items()))
        return found

    def _is_here(self, ip: str, port: int) -> bool:
        """Whether that is this server."""
        if self._context is None or port != self.port:
            return False
        interfaces = self._context.interfaces
        return ip in interfaces or ("0.0.0.0" in interfaces and is_own(ip))

    def _tell(self, trouble: str) -> None:
        """Once; the network is asked again and again."""
        if trouble not in self._told:
            self._told.add(trouble)
            log.warning("%s", trouble)

    def _name(self, node: str, row_name: str) -> str:
        return pv_name(self._template, ifo=self._ifo, node=node, name=row_name)


def _no_put(_row: str, _value: object, _who: Who) -> None:
    raise RefusedError("the node is not there yet")
