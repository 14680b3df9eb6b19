"""One client's connection, as caproto's with these differences.

* **Order.** What a client sends is worked off one by one, where caproto starts a task for each write: OP=STOP directly
  followed by OP=EXEC reach the node in this order, and a read behind a write sees what the write did. What goes back
  stands in one line (``outbox.py``).
* **Refusals** are those of a C IOC. The client gets an error message with the sentence, which a put with callback takes
  as its failure; and what is really there is posted again, for whoever shows the value that was written.
* **Bad bytes close this circuit**, with one line in the log. caproto leaves it half open with its tasks, and collects a
  message that announces 2 GB.
* **Channels can be taken away** while the client goes on with the others. What it still sends for a channel that is
  gone, because it had not heard yet, is passed over.
* Nagle's algorithm is off: it holds each second small message for 40 ms.

There is one task for what comes and one for what goes; both end with the connection.
"""

from __future__ import annotations

import asyncio
import logging
import socket
from collections.abc import Sequence
from typing import Any

import caproto as ca
from caproto.asyncio.server import VirtualCircuit
from caproto.server.common import DisconnectedCircuit
from caproto.server.common import VirtualCircuit as CommonCircuit

from guardian.errors import RefusedError
from guardian.host.face import KEPT_S, Unreadable
from ioc.decode import decode
from ioc.node import RowChannel, run_now
from ioc.outbox import Outbox

log = logging.getLogger(__name__)

#: Nothing that clients may send is longer than some kB.
MAX_MESSAGE_BYTES = 2**20
READ_BYTES = 4096
#: Channels of one client. caproto numbers them from 0 to 65535, and where none is free it looks for one for ever.
MAX_CHANNELS = 65_000
#: After so many messages of one client others get their turn.
FAIR_SHARE = 16
#: Bytes of a name that a client claims, and of the sentence of a refusal.
NAME_BYTES = 60
SENTENCE_BYTES = 500


class _Updates:
    """Where caproto puts updates for this circuit: straight into the line."""

    def __init__(self, outbox: Outbox) -> None:
        self._outbox = outbox

    async def put(self, reference: Any) -> None:
        command = reference()
        self._outbox.put([memoryview(command.header), *command.buffers])


class _NoWrite:
    """caproto lets reads wait for the task of a write. There are no such tasks here."""

    def is_set(self) -> bool:
        return True

    async def wait(self, **_timeout: float) -> bool:
        return True


class Circuit(VirtualCircuit):
    """One client. caproto's Context makes it, calls :meth:`run` and then :meth:`recv` until the end."""

    def __init__(self, circuit: Any, client: Any, context: Any) -> None:
        super().__init__(circuit, client, context)
        connection = client.writer.get_extra_info("socket")
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)  # as rsrv: a machine that was switched off
        self.outbox = Outbox(self._overflow)
        self.subscription_queue = _Updates(self.outbox)
        self.write_event = _NoWrite()
        self.events_on.set()
        self._gone: set[int] = set()
        self._full = False
        self._sender: asyncio.Task[None] | None = None

    def __repr__(self) -> str:
        return f"the client {self.who}"

    @property
    def who(self) -> str:
        """The client as it claims to be, and where it really is: "user@host (address)"."""
        user, host = (
            "".join(c for c in str(name or "?")[:NAME_BYTES] if c.isprintable())
            for name in (self.client_username, self.client_hostname)
        )
        return f"{user}@{host} ({self.circuit.address[0]})"

    async def run(self) -> None:
        """Begin to send."""
        self._sender = asyncio.create_task(self._send_all())

    async def recv(self) -> None:
        """Work off one block of what the client has sent.

        Raises
        ------
        DisconnectedCircuit : the client is gone. Anything else: it broke the protocol.
        """
        try:
            data = await self.client.recv(READ_BYTES)
        except OSError:
            data = b""
        if not data:
            raise DisconnectedCircuit
        commands, needed = self.circuit.recv(data)
        if needed > MAX_MESSAGE_BYTES:
            raise ca.RemoteProtocolError(f"a message of {needed} bytes is announced, at most {MAX_MESSAGE_BYTES} fit")
        for number, command in enumerate(commands, start=1):
            await self._handle(command)
            await self.outbox.room()
            if number % FAIR_SHARE == 0:
                await asyncio.sleep(0)
        await asyncio.sleep(0)

    async def send(self, *commands: Any) -> None:
        """Put answers in the line."""
        for command in commands:
            self.outbox.put(self.circuit.send(command))

    async def end(self) -> None:
        """Drop the subscriptions and the connection, whatever became of it."""
        specs = list(self.subscriptions)
        await CommonCircuit._on_disconnect(self)
        self._forget(specs)
        self.abort()
        if self._sender is not None:
            self._sender.cancel()
            await asyncio.wait([self._sender])

    def abort(self) -> None:
        """Close the connection; what waits to be sent is dropped."""
        self.outbox.close()
        self.client.writer.transport.abort()

    def take_away(self, channels: set[Any]) -> None:
        """Disconnect the client from these channels; it keeps the others, and may search for these again."""
        gone = [
            one for one in self.circuit.channels.values() if one.sid is not None and self._channel_of(one) in channels
        ]
        self._drop_subscriptions({one.sid for one in gone})
        for one in gone:
            self._gone.add(one.sid)
            run_now(self.send(one.disconnect()))

    # -- what comes ------------------------------------------------------------------------------------------------

    async def _handle(self, command: Any) -> None:
        if getattr(command, "sid", None) in self._gone:
            return
        self.circuit.process_command(command)
        try:
            answers = await self._process_command(command)
        except Exception as error:
            cid, _sid = self._get_ids_from_command(command)
            if cid is None:
                raise
            log.info("%s: its %s cannot be answered: %r", self.who, type(command).__name__, error)
            answers = [self._error(command, cid, ca.CAStatus.ECA_GETFAIL, str(error))]
        await self.send(*answers)
        if isinstance(command, ca.CreateChanRequest):
            for answer in answers:
                if isinstance(answer, ca.CreateChanResponse):
                    self._gone.discard(answer.sid)  # numbers come again after 65536 channels
                elif isinstance(answer, ca.CreateChFailResponse):
                    self.circuit.channels.pop(command.cid, None)  # so that the client may try this number again

    async def _process_command(self, command: Any) -> Sequence[Any]:
        if isinstance(command, ca.WriteRequest | ca.WriteNotifyRequest):
            return await self._write(command)
        if isinstance(command, ca.CreateChanRequest) and len(self.circuit.channels_sid) >= MAX_CHANNELS:
            if not self._full:
                self._full = True
                log.warning("%s has %d channels; %s and more are not given to it", self.who, MAX_CHANNELS, command.name)
            return [ca.CreateChFailResponse(command.cid)]
        if isinstance(command, ca.ClearChannelRequest):
            self._drop_subscriptions({command.sid})
            return [self.circuit.channels_sid[command.sid].clear()]
        if isinstance(command, ca.EventAddRequest | ca.ReadNotifyRequest | ca.ReadRequest):
            one, channel = self._get_db_entry_from_command(command)
            most = max(channel.max_length, channel.long_string_max_length if one.name.endswith("$") else 0)
            if command.data_count > most:
                sentence = f"{one.name}: {command.data_count} elements, there are at most {most}"
                return [self._error(command, one.cid, ca.CAStatus.ECA_BADCOUNT, sentence)]
        answers: Sequence[Any] = await super()._process_command(command)
        return answers

    async def _write(self, command: Any) -> Sequence[Any]:
        """A put. It is accepted and published, or refused, before this waits for anything.

        A put with callback is answered once what it set is safe from kill -9; until then this client's next message
        waits, and nobody else's.
        """
        one, channel = self._get_db_entry_from_command(command)
        if ca.AccessRights.WRITE not in channel.check_access(self.client_hostname, self.client_username):
            log.info("%s wrote on %s, which is read only", self.who, one.name)
            sentence = f"{one.name}: it is read only"
            return [self._error(command, one.cid, ca.CAStatus.ECA_NOWTACCESS, sentence)]
        assert isinstance(channel, RowChannel)
        value: Any
        try:
            value = decode(channel.row, command)
        except RefusedError as error:
            value = Unreadable(str(error))  # the node refuses it, and tells its operator
        try:
            kept = channel.put(channel.row.name, value, self.who)
        except RefusedError as error:
            return self._refused(command, one, channel, str(error))
        except Exception:
            log.exception("%s: %r by %s was not taken; please report this", one.name, value, self.who)
            return self._refused(command, one, channel, "an error inside the guardian; its log says more")
        if isinstance(command, ca.WriteRequest):
            return []
        if kept is not None:
            await asyncio.wait({kept}, timeout=KEPT_S)
        if one.sid in self._gone:
            return []
        return [one.write(command.ioid, data_type=command.data_type, data_count=command.data_count)]

    def _refused(self, command: Any, one: Any, channel: RowChannel, sentence: str) -> Sequence[Any]:
        if one.sid in self._gone:
            return []
        channel.repeat()
        return [self._error(command, one.cid, ca.CAStatus.ECA_PUTFAIL, sentence)]

    def _error(self, command: Any, cid: int, status: Any, sentence: str) -> Any:
        self.circuit._ioids.pop(getattr(command, "ioid", None), None)  # an error answers it, no other answer comes
        text = sentence.encode("utf-8", "replace")[:SENTENCE_BYTES].decode(errors="ignore")
        return ca.ErrorResponse(command, cid, status=status, error_message=text)

    # -- subscriptions and channels --------------------------------------------------------------------------------

    def _channel_of(self, one: Any) -> Any:
        try:
            return self.context[one.name]
        except KeyError:
            return None

    def _drop_subscriptions(self, sids: set[int]) -> None:
        run_now(self._cull_subscriptions(None, lambda sub: sub.channel.sid in sids))
        events = self.circuit.event_add_commands
        for number in [number for number, event in events.items() if event.sid in sids]:
            del events[number]
            self.unexpired_updates.pop(number, None)
        unused = [spec for spec, subs in self.subscriptions.items() if not subs]
        for spec in unused:
            del self.subscriptions[spec]
            self.subscriptions_to_resend.pop(spec, None)
        self._forget(unused)

    def _forget(self, specs: Sequence[Any]) -> None:
        """Drop the empty lists that caproto leaves behind; they hold the channels of nodes that are gone."""
        for spec in specs:
            if not self.context.subscriptions[spec]:
                del self.context.subscriptions[spec]

    # -- what goes -------------------------------------------------------------------------------------------------

    async def _send_all(self) -> None:
        try:
            while True:
                await self.client.send(await self.outbox.take())
        except OSError as error:
            log.debug("%s cannot be reached: %s", self.who, error)
            self.abort()

    def _overflow(self, waiting: str) -> None:
        log.warning("%s does not read what it asked for: %s; it is disconnected", self.who, waiting)
        self.abort()
