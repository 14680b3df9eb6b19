"""What a client writes, and how it is told yes or no: as a C IOC does.

* **A put with callback** that is refused gets an error. It is sent as an error message, not as an answer with a bad
  status: libca takes both for the same, and other clients can show the sentence.
* **A plain put** that is refused gets an error message too, and what is really there is posted again, so a screen that
  shows the value that was written finds out. caproto does neither.
* Writes of one client are done in their order, and what it asks next sees them. caproto starts a task for each.
* **A write that takes long** (a coroutine of the channel that waits) holds the messages behind it for
  :data:`PATIENCE_S`, then they go on; a next write on the same channel waits for it. It is not undone nor stopped when
  the client leaves: ``caput`` sends and ends.

A channel may take writes itself, in a plain call: :class:`Taking`.
"""

from __future__ import annotations

import asyncio
import ctypes
import logging
from typing import TYPE_CHECKING, Any, Protocol

import caproto as ca
from caproto._dbr import DbrStringArray
from caproto._headers import ExtendedMessageHeader, MessageHeader

from ioc.cas import wire
from ioc.cas.packing import LAST_TYPE, PUT_ACKT, SIZES, STRING_BYTES, STS, STSACK_STRING, base_type, run_now

if TYPE_CHECKING:
    from ioc.cas.channel import Channel
    from ioc.cas.circuit import Circuit
    from ioc.cas.connection import Connection

log = logging.getLogger(__name__)

#: caproto's own figure, CAPROTO_SERVER_WRITE_LOCK_TIMEOUT_SEC.
PATIENCE_S = 0.001
#: Longest time that the confirmation of a put waits for what :meth:`Taking.take` returned.
CONFIRM_S = 1.0
#: Writes of one client that may be under way.
MAX_WRITES = 100
_STATUS = ca.CAStatus

#: Methods that decide whether a write or a read may wait; those of these modules do not.
_WRITES = ("auth_write", "write_from_dbr", "write", "verify_value", "update_fields", "write_metadata", "publish")
_READS = ("auth_read", "read")
_AT_ONCE = ("caproto._data", "ioc.cas.cheap")


class Refused(Exception):
    """A channel does not take a write; the text is for whoever wrote."""


class Taking(Protocol):
    """A channel that takes writes in a plain call; it is one if it has the method ``take``."""

    def rights_of(self, client: Connection) -> int:
        """What a client may do, as :class:`caproto.AccessRights`; it is told, and no more: ``take`` is to refuse."""

    def take(self, message: wire.Message, client: Connection) -> asyncio.Future[None] | None:
        """Take the write of a client, or refuse it, also one that was told it may not; :func:`values_of` reads it.

        Returns
        -------
        None, or what the confirmation waits for, up to :data:`CONFIRM_S`.

        Raises
        ------
        Refused
        """


class Puts:
    """The writes of one client."""

    def __init__(self, circuit: Circuit) -> None:
        self._circuit = circuit
        self._tasks: set[asyncio.Task[None]] = set()
        self._last: dict[Any, asyncio.Task[None]] = {}  # the write under way on a channel, or the last that waits

    def take(self, message: wire.Message, channel: Channel) -> None:
        """Do it, or say why not."""
        if message.data_type > LAST_TYPE:
            sentence = f"{channel.name}: there is no type {message.data_type}"
            self._circuit.object_to(message, channel, _STATUS.ECA_BADTYPE, sentence)
        elif hasattr(channel.data, "take"):
            self._hand_over(message, channel, channel.data)
        elif not channel.writable:
            sentence = f"{self._circuit.who} wrote on {channel.name}, which is read only"
            self._circuit.context.complaints.about(self._circuit.address[0], sentence)
            self._circuit.object_to(message, channel, _STATUS.ECA_NOWTACCESS, f"{channel.name}: it is read only")
        elif message.elements > channel.count:
            sentence = f"{channel.name}: {message.elements} values were written, at most {channel.count} fit"
            self._circuit.object_to(message, channel, _STATUS.ECA_BADCOUNT, sentence)
        else:
            self._write(message, channel)

    # -- to a channel that takes it ------------------------------------------------------------------------------------

    def _hand_over(self, message: wire.Message, channel: Channel, data: Taking) -> None:
        try:
            kept = data.take(message, self._circuit)
        except Refused as error:
            self._refuse(
                message, channel, str(error), _STATUS.ECA_PUTFAIL if channel.writable else _STATUS.ECA_NOWTACCESS
            )
            return
        if kept is None or message.command == wire.WRITE:
            self._confirm(message)
            return
        release = self._circuit.hold()
        confirmed = False

        def done(_: Any = None) -> None:
            nonlocal confirmed
            timer.cancel()
            if not confirmed:
                confirmed = True
                self._confirm(message)
            release(None)

        timer = self._circuit.loop.call_later(CONFIRM_S, done)
        kept.add_done_callback(done)

    # -- to a channel of caproto ---------------------------------------------------------------------------------------

    def _write(self, message: wire.Message, channel: Channel) -> None:
        circuit, data = self._circuit, channel.data
        try:
            values, data_type, metadata = written_by(message, data)
        except Exception as error:
            self._refuse(message, channel, f"{channel.name}: the write cannot be read ({error})")
            return
        writing = data.auth_write(
            circuit.client_hostname, circuit.client_username, values, data_type, metadata, user_address=circuit.address
        )
        before = self._last.get(data)
        if before is None and ends_at_once(data, writing=True):
            try:
                status = run_now(writing)
            except Exception as error:
                self._refuse(message, channel, f"{type(error).__name__}: {error}")
            else:
                self._confirm(message, status)
            return
        if len(self._tasks) >= MAX_WRITES:
            writing.close()
            self._refuse(message, channel, f"{channel.name}: {MAX_WRITES} writes of this client are under way")
            return
        task = circuit.in_task(self._write_later(message, channel, writing, before), self._tasks)
        circuit.context.keep(task)
        self._last[data] = task

    async def _write_later(
        self, message: wire.Message, channel: Channel, writing: Any, before: asyncio.Task[None] | None
    ) -> None:
        try:
            if before is not None:
                await asyncio.wait([before])
            status = await writing
        except Exception as error:
            log.info("%s: its put on %s was refused: %r", self._circuit.who, channel.name, error)
            self._refuse(message, channel, f"{type(error).__name__}: {error}")
        else:
            self._confirm(message, status)
        finally:
            writing.close()
            if self._last.get(channel.data) is asyncio.current_task():
                del self._last[channel.data]

    # -- what the client is told ---------------------------------------------------------------------------------------

    def _confirm(self, message: wire.Message, status: Any = None) -> None:
        if message.command == wire.WRITE_NOTIFY and message.one in self._circuit.channels:
            one = 1 if status is None else int(status)
            self._circuit.line.answer(
                wire.message(wire.WRITE_NOTIFY, message.data_type, message.elements, one, message.two)
            )

    def _refuse(
        self, message: wire.Message, channel: Channel, sentence: str, status: Any = _STATUS.ECA_PUTFAIL
    ) -> None:
        channel.audience.again(channel)
        if message.one in self._circuit.channels:
            self._circuit.object_to(message, channel, status, sentence)


def values_of(message: wire.Message) -> Any:
    """The values of a write, as caproto has them; strings are taken apart here.

    caproto's own way with strings is quadratic: 6 s for 100,000 of them.

    Raises
    ------
    Refused : the message has less than it says, or is of a type that carries no values. Exception : of many kinds.
    """
    base = base_type(message.data_type)
    # A single string may be sent up to its NUL only.
    short = base == 0 and message.elements == 1
    if message.data_type < PUT_ACKT and message.elements * SIZES[base] > len(message.payload) and not short:
        raise Refused(f"{message.elements} values were announced, {len(message.payload)} bytes came")
    if message.data_type >= PUT_ACKT:
        return _request_of(message).data
    if base != 0:
        values = _request_of(message).data
        if len(values) != message.elements:  # alarm, time or limits took their place
            raise Refused(f"{message.elements} values were announced, {len(values)} came")
        return values
    head = ctypes.sizeof(ca.DBR_TYPES[ca.ChannelType(message.data_type)]) if message.data_type >= STS else 0
    if head > len(message.payload):
        raise Refused(f"{head} bytes of alarm and time were announced, {len(message.payload)} bytes came")
    data = message.payload[head:]
    starts = range(0, message.elements * STRING_BYTES, STRING_BYTES)
    return DbrStringArray(data[at : at + STRING_BYTES].split(b"\0", 1)[0] for at in starts)


def _request_of(message: wire.Message) -> Any:
    """What caproto makes of the message: it reads numbers, and what acknowledges alarms."""
    if message.data_type >= STSACK_STRING:
        raise Refused(f"type {message.data_type} cannot be written; write a value")
    made = ca.WriteNotifyRequest if message.command == wire.WRITE_NOTIFY else ca.WriteRequest
    kind = MessageHeader if max(message.elements, len(message.payload)) < 2**16 else ExtendedMessageHeader
    header = kind(message.command, len(message.payload), message.data_type, message.elements, message.one, message.two)
    return made.from_wire(header, memoryview(bytearray(message.payload)))


def written_by(message: wire.Message, data: Any) -> tuple[Any, Any, Any]:
    """What :meth:`caproto.ChannelData.auth_write` of this channel is to be given: values, type and metadata.

    A status, a time or limits that came with the values are left out, as in a C IOC: they are the server's to tell.
    And caproto takes the number of an enum for no other kind of channel, so it is a number like others there.
    """
    if message.data_type >= PUT_ACKT:
        request = _request_of(message)
        return request.data, request.data_type, request.metadata
    base = ca.ChannelType(base_type(message.data_type))
    if base == ca.ChannelType.ENUM and data.data_type != ca.ChannelType.ENUM:
        base = ca.ChannelType.LONG
    return values_of(message), base, None


def ends_at_once(data: Any, *, writing: bool) -> bool:
    """Whether a write (or read) of this channel can be done in a plain call: no coroutine of its user's is in it."""
    kind = type(data)
    known = _known.get((kind, writing))
    if known is None:
        names = _WRITES if writing else _READS
        known = all(getattr(kind, name).__module__ in _AT_ONCE for name in names)
        _known[kind, writing] = known
    return known


_known: dict[tuple[type, bool], bool] = {}
