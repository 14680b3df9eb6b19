"""Messages as bytes, taken apart and put together: any of them, in any pieces, and those that are none."""

from __future__ import annotations

import struct
from itertools import pairwise

import caproto as ca
import pytest
from caproto._headers import ExtendedMessageHeader, MessageHeader
from hypothesis import example, given
from hypothesis import strategies as st

from ioc.cas import wire
from ioc.cas.wire import Message, Parser, ProtocolError, message

U16, U32 = st.integers(0, 2**16 - 1), st.integers(0, 2**32 - 1)
#: As they are sent: the payload is a multiple of 8.
MESSAGES = st.builds(Message, U16, U16, U32, U32, U32, st.binary(max_size=60).map(wire.padded))


def sent(one: Message) -> bytes:
    """Its bytes."""
    return message(*one)


def in_pieces(stream: bytes, cuts: list[int]) -> list[bytes]:
    """Cut at these places."""
    places = [0, *sorted(min(cut, len(stream)) for cut in cuts), len(stream)]
    return [stream[start:end] for start, end in pairwise(places)]


class Joins(list[bytes]):
    """What a parser keeps; counts how often it is joined."""

    count = 0

    def clear(self) -> None:
        self.count += 1
        super().clear()


# -- there and back ----------------------------------------------------------------------------------------------------


@given(MESSAGES)
@example(Message(1, 2, 0xFFFF, 3, 4, b""))
@example(Message(1, 2, 0xFFFE, 3, 4, bytes(8)))
@example(Message(1, 2, 2**32 - 1, 3, 4, b""))
def test_what_is_packed_is_what_is_parsed(one: Message) -> None:
    assert list(Parser().feed(sent(one))) == [one]


@given(MESSAGES)
def test_caproto_reads_the_same_header(one: Message) -> None:
    data = sent(one)
    kind = MessageHeader if one.elements < 0xFFFF else ExtendedMessageHeader
    header = kind.from_buffer_copy(data)
    assert (header.command, header.data_type, header.data_count) == (one.command, one.data_type, one.elements)
    assert (header.payload_size, header.parameter1, header.parameter2) == (len(one.payload), one.one, one.two)
    assert len(data) == len(bytes(header)) + len(one.payload)


@given(st.lists(MESSAGES, max_size=6), st.lists(st.integers(0, 600), max_size=20))
def test_any_split_of_a_stream_gives_the_same_messages(several: list[Message], cuts: list[int]) -> None:
    parser = Parser()
    pieces = in_pieces(b"".join(map(sent, several)), cuts)
    assert [found for piece in pieces for found in parser.feed(piece)] == several


@given(st.lists(MESSAGES, min_size=1, max_size=3))
def test_a_message_is_there_with_its_last_byte_and_not_before(several: list[Message]) -> None:
    parser, ends, end = Parser(), {}, 0
    for one in several:
        end += len(sent(one))
        ends[end] = one
    for at, byte in enumerate(b"".join(map(sent, several)), 1):
        assert list(parser.feed(bytes((byte,)))) == ([ends[at]] if at in ends else [])


def test_what_came_before_a_bad_message_is_still_found() -> None:
    found = []
    with pytest.raises(ProtocolError):
        found.extend(Parser().feed(message(wire.ECHO) + wire.head(wire.WRITE, 2**25, 6, 1, 1, 1)))
    assert [one.command for one in found] == [wire.ECHO]


@given(st.binary(max_size=200))
def test_payloads_are_filled_up_with_nuls(payload: bytes) -> None:
    filled = wire.padded(payload)
    assert len(filled) % 8 == 0 and len(filled) - len(payload) < 8
    assert filled.rstrip(b"\0") == payload.rstrip(b"\0") and filled.startswith(payload)


@pytest.mark.parametrize(
    ("payload", "text"),
    [(b"A:B\0\0\0\0\0", "A:B"), (b"A:B\0junk", "A:B"), (b"no NUL..", "no NUL.."), (b"\xfc\0", "ü"), (b"", "")],
)
def test_a_name_ends_at_its_nul_and_may_have_any_byte(payload: bytes, text: str) -> None:
    assert Message(wire.SEARCH, 0, 0, 0, 0, payload).text == text


# -- large ones --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("size", "elements", "long"),
    [
        (0xFFF8, 0xFFFE, False),
        (0x10000, 1, True),
        (0xFFFF, 1, True),  # would be the mark
        (0, 0xFFFF, True),
        (0x10000, 0x10000, True),
    ],
)
def test_from_65535_bytes_or_elements_on_headers_are_long(size: int, elements: int, long: bool) -> None:
    head = wire.head(wire.WRITE, size, 4, elements, 7, 8)
    assert len(head) == (24 if long else 16)
    if long:
        assert struct.unpack(">HHHHIIII", head) == (wire.WRITE, 0xFFFF, 4, 0, 7, 8, size, elements)
    (found,) = Parser().feed(head + bytes(size))
    assert found == Message(wire.WRITE, 4, elements, 7, 8, bytes(size))


def test_a_short_header_may_announce_65535_bytes_if_it_counts_elements() -> None:
    head = struct.pack(">HHHHII", wire.WRITE, 0xFFFF, 4, 5, 7, 8)
    assert list(Parser().feed(head + bytes(0xFFFF))) == [Message(wire.WRITE, 4, 5, 7, 8, bytes(0xFFFF))]


@pytest.mark.parametrize("size", [2**31, 2**32 - 1, wire.MAX_PAYLOAD_BYTES + 1])
@pytest.mark.parametrize("block", [1, 5, 24, 100])
def test_an_announcement_of_too_much_is_an_error_before_anything_is_kept(size: int, block: int) -> None:
    parser = Parser()
    stream = wire.head(wire.WRITE_NOTIFY, size, 6, 2, 1, 1) + bytes(100)
    with pytest.raises(ProtocolError, match=f"{size} bytes is announced"):
        for at in range(0, len(stream), block):
            assert not list(parser.feed(stream[at : at + block]))
            assert at + block < 24, "the header was whole, and taken"
    assert not parser._parts


def test_the_longest_message_is_taken() -> None:
    (found,) = Parser().feed(wire.head(wire.WRITE, wire.MAX_PAYLOAD_BYTES, 4, 1, 1, 1) + bytes(wire.MAX_PAYLOAD_BYTES))
    assert len(found.payload) == wire.MAX_PAYLOAD_BYTES


@pytest.mark.parametrize("block", [1, 7, 1448])
def test_a_large_message_in_small_blocks_is_joined_when_it_is_whole(block: int) -> None:
    """Joining with each block would copy a message of n blocks n times; it is joined for its header, and at its end."""
    parser = Parser()
    parser._parts = joins = Joins()
    large = Message(wire.WRITE, 4, 80_000, 1, 2, bytes(range(250)) * 320)
    stream = sent(large) + sent(Message(wire.ECHO, 0, 0, 0, 0, b""))
    found, kept = [], 0
    for at in range(0, len(stream), block):
        piece = stream[at : at + block]
        found.extend(parser.feed(piece))
        if not found and at > 24 + block:
            assert joins[-1] is piece, "it was copied"
            assert len(joins) == kept + 1
        kept = len(joins)
    assert [one.command for one in found] == [wire.WRITE, wire.ECHO] and found[0] == large
    assert joins.count <= 4  # short header, long header, the whole; and the header of what follows


# -- objections --------------------------------------------------------------------------------------------------------


def objection(request: Message, sentence: str) -> tuple[Message, bytes]:
    """The error as the client gets it, and the sentence in it."""
    (found,) = Parser().feed(wire.error(request, 77, ca.CAStatus.ECA_PUTFAIL, sentence))
    original = wire.head(request.command, len(request.payload), request.data_type, request.elements, *request[3:5])
    assert found.payload.startswith(original)
    return found, found.payload[len(original) :]


@given(MESSAGES, st.text(max_size=700))
@example(Message(wire.WRITE, 4, 0x20000, 1, 2, b""), "long header")
def test_an_objection_carries_the_request_and_a_sentence(request: Message, sentence: str) -> None:
    found, rest = objection(request, sentence)
    assert (found.command, found.one, found.two) == (wire.ERROR, 77, wire.code(ca.CAStatus.ECA_PUTFAIL))
    text = rest.rstrip(b"\0")
    assert len(rest) > len(text), "the sentence ends with no NUL"
    assert sentence.encode("utf-8", "replace").startswith(text)
    assert len(text) == len(sentence.encode("utf-8", "replace").rstrip(b"\0")) or 497 <= len(text) <= 500


@pytest.mark.parametrize("letter", ["a", "ü", "€", "🙂"])
@pytest.mark.parametrize("before", ["", "x", "xy", "xyz"])
def test_a_sentence_is_cut_between_letters(letter: str, before: str) -> None:
    _, rest = objection(Message(wire.WRITE, 0, 1, 5, 6, bytes(40)), before + letter * 600)
    text = rest.rstrip(b"\0").decode()  # raises if a letter was cut in two
    assert text == before + letter * ((500 - len(before)) // len(letter.encode()))


def test_a_sentence_with_half_a_surrogate_is_sent() -> None:
    _, rest = objection(Message(wire.WRITE, 0, 1, 5, 6, b""), "bad \udcff byte")
    assert rest.rstrip(b"\0") == b"bad ? byte"


def test_caproto_reads_an_objection() -> None:
    request = Message(wire.WRITE_NOTIFY, 6, 1, 5, 9, bytes(8))
    raw = wire.error(request, 77, ca.CAStatus.ECA_PUTFAIL, "no")
    header = MessageHeader.from_buffer_copy(raw)
    found = ca.ErrorResponse.from_wire(header, memoryview(bytearray(raw[16:])))
    assert found.cid == 77 and found.error_message.rstrip(b"\0") == b"no"
    assert (found.original_request.command, found.original_request.parameter2) == (wire.WRITE_NOTIFY, 9)


def test_the_version_is_that_of_caproto() -> None:
    assert wire.MINOR_VERSION == ca.DEFAULT_PROTOCOL_VERSION
