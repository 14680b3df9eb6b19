"""Channel Access messages as bytes: taken apart and put together with :mod:`struct`, and no state.

caproto makes an object of each message, with a ctypes header, and runs it through two state machines: 20 to 60 us for
each. A server hears a handful of kinds and trusts none of them, so it needs the six numbers of a header and the
payload, and that costs 1 us. What a put carries is still read by caproto, see :mod:`ioc.cas.puts`.

Layout (CA protocol specification, "Message structure"; big endian): command, payload size, data type, data count, two
parameters. Sizes of 0xFFFF with a count of 0 mean that the real ones follow in two more words.

A message that announces more than is taken is an error before a byte of it is kept.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    import caproto as ca

#: Longest message that a client may send, unless a server says otherwise. Writes to large arrays are the longest there
#: are; libca's own limit is 16 kB unless EPICS_CA_MAX_ARRAY_BYTES says more.
MAX_PAYLOAD_BYTES = 2**24
#: The version of the protocol that is spoken, 4.13, as caproto does.
MINOR_VERSION = 13

VERSION, EVENT_ADD, EVENT_CANCEL, READ, WRITE = 0, 1, 2, 3, 4
SEARCH, EVENTS_OFF, EVENTS_ON, READ_SYNC, ERROR, CLEAR_CHANNEL = 6, 8, 9, 10, 11, 12
RSRV_IS_UP, NOT_FOUND, READ_NOTIFY, CREATE_CHAN, WRITE_NOTIFY = 13, 14, 15, 18, 19
CLIENT_NAME, HOST_NAME, ACCESS_RIGHTS, ECHO, CREATE_CH_FAIL, SERVER_DISCONN = 20, 21, 22, 23, 26, 27

DO_REPLY = 10

HEAD = struct.Struct(">HHHHII")
_LONG_HEAD = struct.Struct(">HHHHIIII")
_LONG_MARK = 0xFFFF
_PADDING = tuple(b"\0" * (-n % 8) for n in range(8))


class ProtocolError(Exception):
    """What came is not Channel Access; the text says what came."""


class Message(NamedTuple):
    """A message as it came. What `one` and `two` mean depends on the command (cid, sid, ioid, subscription ...)."""

    command: int
    data_type: int
    elements: int
    one: int
    two: int
    payload: bytes

    @property
    def text(self) -> str:
        """The payload as a name, up to its NUL; Latin-1, which takes any byte, as caproto does."""
        return self.payload.split(b"\0", 1)[0].decode("latin-1")


class Parser:
    """Finds the messages in a stream; keeps what is not whole yet, and joins it when it is.

    Parameters
    ----------
    longest : bytes of payload that a message may have.
    """

    def __init__(self, longest: int = MAX_PAYLOAD_BYTES) -> None:
        self._longest = longest
        self._parts: list[bytes] = []
        self._missing = 0

    def feed(self, data: bytes) -> Iterator[Message]:
        """The messages that are whole now.

        Raises
        ------
        ProtocolError : a message is announced that is too long.
        """
        if self._parts:
            self._parts.append(data)
            self._missing -= len(data)
            if self._missing > 0:
                return
            data = b"".join(self._parts)
            self._parts.clear()
        at, end = 0, len(data)
        while (missing := at + HEAD.size - end) <= 0:
            command, size, data_type, count, one, two = HEAD.unpack_from(data, at)
            body = at + HEAD.size
            if size == _LONG_MARK and count == 0:
                body = at + _LONG_HEAD.size
                if (missing := body - end) > 0:
                    break
                size, count = _LONG_HEAD.unpack_from(data, at)[6:]
            if size > self._longest:
                raise ProtocolError(f"a message of {size} bytes is announced, at most {self._longest} are taken")
            if (missing := body + size - end) > 0:
                break
            yield Message(command, data_type, count, one, two, data[body : body + size])
            at = body + size
        if at < end:
            self._parts.append(data[at:])
            self._missing = missing


def head(command: int, size: int, data_type: int, count: int, one: int, two: int) -> bytes:  # noqa: PLR0917
    """The header of a message with a payload of `size` bytes, a multiple of 8."""
    if size < _LONG_MARK and count < _LONG_MARK:
        return HEAD.pack(command, size, data_type, count, one, two)
    return _LONG_HEAD.pack(command, _LONG_MARK, data_type, 0, one, two, size, count)


def padded(payload: bytes) -> bytes:
    """With NULs up to a multiple of 8 bytes."""
    return payload + _PADDING[len(payload) % 8] if len(payload) % 8 else payload


def message(  # noqa: PLR0917  # the numbers of a header in their order
    command: int, data_type: int = 0, count: int = 0, one: int = 0, two: int = 0, payload: bytes = b""
) -> bytes:
    """A whole message."""
    payload = padded(payload)
    return head(command, len(payload), data_type, count, one, two) + payload


def error(request: Message, cid: int, status: ca.CAStatus, sentence: str) -> bytes:
    """The server's objection to a request; carries the request's header, by which the client knows what failed."""
    text = sentence.encode("utf-8", "replace")[:500].decode(errors="ignore").encode()
    command, data_type, elements, one, two, payload = request
    original = head(command, len(payload), data_type, elements, one, two)
    return message(ERROR, 0, 0, cid, code(status), original + text + b"\0")


def code(status: ca.CAStatus) -> int:
    """A status as the number that is sent."""
    return int(status.value.code_with_severity)
