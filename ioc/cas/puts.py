"""What a client wrote, and how it is told yes or no: as a C IOC does.

* **A put with callback** that is refused gets an error. It is sent as an error message, not as an answer with a bad
  status: libca takes both for the same, and other clients can show the sentence.
* **A plain put** that is refused gets an error message too, and what is really there is posted again, so a screen that
  shows the value that was written finds out. caproto does neither.
* Writes of one client are done in their order, and what it asks next sees them. caproto starts a task for each.
* **A write that takes long** (a coroutine of the channel that waits) holds the messages behind it for
  :data:`PATIENCE_S`, then they go on; a next write on the same channel waits for it.

A channel may take writes itself, in a plain call: :class:`Taking`.
"""

from __future__ import annotations

import asyncio
from typing import Any, Protocol

import caproto as ca
from caproto._headers import ExtendedMessageHeader, MessageHeader

from ioc.cas import wire
from ioc.cas.packing import SIZES, base_type

#: caproto's own figure, CAPROTO_SERVER_WRITE_LOCK_TIMEOUT_SEC.
PATIENCE_S = 0.001
#: Longest time that the confirmation of a put waits for what :meth:`Taking.take` returned.
CONFIRM_S = 1.0

#: Methods that decide whether a write or a read may wait; those of these modules do not.
_WRITES = ("auth_write", "write_from_dbr", "write", "verify_value", "update_fields", "write_metadata", "publish")
_READS = ("auth_read", "read")
_AT_ONCE = ("caproto._data", "ioc.cas.cheap")
_PUT_ACKT, _STSACK_STRING = 35, 37


class Refused(Exception):
    """A channel does not take a write; the text is for whoever wrote."""


class Taking(Protocol):
    """A channel that takes writes in a plain call; it is one if it has this method."""

    def take(self, message: wire.Message, by: str) -> asyncio.Future[None] | None:
        """Take the write of `by` ("user@host (address)"); :func:`request_of` reads it.

        Returns
        -------
        None, or what the confirmation waits for, up to :data:`CONFIRM_S`.

        Raises
        ------
        Refused
        """


def request_of(message: wire.Message) -> Any:
    """What caproto makes of the message: it reads the values.

    Raises
    ------
    Refused : the message has less than it says.
    """
    if message.data_type < _PUT_ACKT:
        size = message.elements * SIZES[base_type(message.data_type)]
        # A single string may be sent up to its NUL only.
        if size > len(message.payload) and not (message.elements == 1 and base_type(message.data_type) == 0):
            raise Refused(f"{message.elements} values were announced, {len(message.payload)} bytes came")
    elif message.data_type >= _STSACK_STRING:
        raise Refused(f"type {message.data_type} cannot be written; write a value")
    made = ca.WriteNotifyRequest if message.command == wire.WRITE_NOTIFY else ca.WriteRequest
    kind = MessageHeader if max(message.elements, len(message.payload)) < 2**16 else ExtendedMessageHeader
    header = kind(message.command, len(message.payload), message.data_type, message.elements, message.one, message.two)
    return made.from_wire(header, memoryview(bytearray(message.payload)))


def written_by(request: Any, data: Any) -> tuple[Any, Any, Any]:
    """What :meth:`caproto.ChannelData.auth_write` of this channel is to be given: values, type and metadata.

    A status, a time or limits that came with the values are left out, as in a C IOC: they are the server's to tell.
    And caproto takes the number of an enum for no other kind of channel, so it is a number like others there.
    """
    if request.data_type >= _PUT_ACKT:
        return request.data, request.data_type, request.metadata
    base = ca.ChannelType(base_type(request.data_type))
    if base == ca.ChannelType.ENUM and data.data_type != ca.ChannelType.ENUM:
        base = ca.ChannelType.LONG
    return request.data, base, None


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
