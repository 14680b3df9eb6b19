"""Every type of every PV, as a real IOC answers it: values, alarms, units, limits, labels; and what it refuses.

Padding is compared as a length only, as a C IOC leaves in it what was there. Both servers are asked by the same client.
"""

from __future__ import annotations

import ctypes
import math
from collections.abc import Iterator
from typing import Any

import caproto as ca
import pytest
from caproto._commands import extract_data, from_buffer
from hypothesis import example, given
from hypothesis import strategies as st

from ioc.cas import cheap, wire
from ioc.cas.packing import pack
from tests.ioc.cas.raw import Raw, Serving
from tests.support import SoftIoc, free_port

pytestmark = pytest.mark.ca

TYPES = ca.ChannelType
_DISPLAY = {"upper_disp_limit": 10, "lower_disp_limit": -10}
_CONTROL = {"upper_ctrl_limit": 5, "lower_ctrl_limit": -5}
_ALARM = {"upper_alarm_limit": 9, "upper_warning_limit": 8, "lower_warning_limit": -8, "lower_alarm_limit": -9}
_AS_DISPLAY = {"upper_ctrl_limit": 10, "lower_ctrl_limit": -10}  # a record without drive limits has these
_OF_ARRAY = {"max_length": 5}
_UDF = ca.ChannelAlarm(status=ca.AlarmStatus.UDF, severity=3, severity_to_acknowledge=3)  # a NaN in a record is
#: Limits that a record has only where its severities are set (HHSV ...): a C IOC sends NaN for them, or 0 in integers.
#: caproto has 0 for limits that are not set, as everywhere in CA before 3.16. So they are compared where they are set.
UNSET = frozenset(_ALARM)

_HOPR = 'field(HOPR,"10")field(LOPR,"-10")'
_DRVH = 'field(DRVH,"5")field(DRVL,"-5")'
_HIHI = 'field(HIHI,"9")field(HIGH,"8")field(LOW,"-8")field(LOLO,"-9")'
_HHSV = 'field(HHSV,"MAJOR")field(HSV,"MINOR")field(LSV,"MINOR")field(LLSV,"MAJOR")'
_LABELS = 'field(ZRST,"OFF")field(ONST,"ON")field(TWST,"TRIP")field(ZRVL,"0")field(ONVL,"1")field(TWVL,"2")'


def _wave(kind: str, values: str, count: int = 5) -> tuple[str, str]:
    return "waveform", f'field(FTVL,"{kind}")field(NELM,"{count}")field(INP,[{values}])'


def _text(value: str) -> tuple[str, str]:
    return "stringout", f'field(VAL,"{value}")'


#: Name: record type and its fields; the same as a channel.
PVS: dict[str, tuple[tuple[str, str], Any]] = {
    "D": (
        ("ao", f'field(VAL,"3.14159")field(PREC,"2")field(EGU,"mm"){_HOPR}{_DRVH}{_HIHI}{_HHSV}'),
        cheap.ChannelDouble(value=3.14159, precision=2, units="mm", **_DISPLAY, **_CONTROL, **_ALARM),
    ),
    "BIG": (("ao", 'field(VAL,"70000.9")field(PREC,"3")'), cheap.ChannelDouble(value=70000.9, precision=3)),
    "NEG": (("ao", 'field(VAL,"-1.5")field(PREC,"0")'), cheap.ChannelDouble(value=-1.5, precision=0)),
    "HUGE": (("ao", 'field(VAL,"1e20")field(PREC,"3")'), cheap.ChannelDouble(value=1e20, precision=3)),
    "TINY": (("ao", 'field(VAL,"-1e-20")field(PREC,"3")'), cheap.ChannelDouble(value=-1e-20, precision=3)),
    "LIMIT": (("ao", 'field(VAL,"2147483647.5")field(PREC,"1")'), cheap.ChannelDouble(value=2147483647.5, precision=1)),
    "NAN": (("ao", 'field(VAL,"NAN")field(PREC,"3")'), cheap.ChannelDouble(value=math.nan, precision=3, alarm=_UDF)),
    "INF": (("ao", 'field(VAL,"-INF")field(PREC,"3")'), cheap.ChannelDouble(value=-math.inf, precision=3)),
    "P0": (("ao", 'field(VAL,"2.5")'), cheap.ChannelDouble(value=2.5)),
    "P12": (("ao", 'field(VAL,"2.5")field(PREC,"12")'), cheap.ChannelDouble(value=2.5, precision=12)),
    "L": (
        ("longout", f'field(VAL,"-70000")field(EGU,"cts"){_HOPR}'),
        cheap.ChannelInteger(value=-70000, units="cts", **_DISPLAY, **_AS_DISPLAY),
    ),
    "LA": (
        ("longout", f'field(VAL,"3"){_DRVH}{_HIHI}{_HHSV}'),
        cheap.ChannelInteger(value=3, **_CONTROL, **_ALARM),
    ),
    "E": (
        ("mbbo", f'{_LABELS}field(VAL,"2")'),
        cheap.ChannelEnum(value="TRIP", enum_strings=["OFF", "ON", "TRIP"]),
    ),
    "S": (_text("hello"), cheap.ChannelString(value="hello")),
    "S39": (_text("x" * 39), cheap.ChannelString(value="x" * 39)),
    "SN": (_text("12"), cheap.ChannelString(value="12")),
    "SF": (_text("12.75"), cheap.ChannelString(value="12.75")),
    "SX": (_text("0x1F"), cheap.ChannelString(value="0x1F")),
    "S0": (_text(""), cheap.ChannelString(value="")),
    "WD": (_wave("DOUBLE", "1.25,2.5,-3"), ca.ChannelDouble(value=[1.25, 2.5, -3], precision=0, **_OF_ARRAY)),
    "WF": (_wave("FLOAT", "1.25,2.5,-3"), ca.ChannelFloat(value=[1.25, 2.5, -3], precision=0, **_OF_ARRAY)),
    "WL": (_wave("LONG", "1,70000,-3"), ca.ChannelInteger(value=[1, 70000, -3], **_OF_ARRAY)),
    "WH": (_wave("SHORT", "1,300,-3"), ca.ChannelShort(value=[1, 300, -3], **_OF_ARRAY)),
    "WC": (_wave("UCHAR", "65,66,200"), ca.ChannelByte(value=bytes([65, 66, 200]), **_OF_ARRAY)),
    "WS": (_wave("STRING", '"ab","cd","7"', 4), ca.ChannelString(value=["ab", "cd", "7"], max_length=4)),
    "WS1": (_wave("STRING", '"1","2","7"', 4), ca.ChannelString(value=["1", "2", "7"], max_length=4)),
}


@pytest.fixture(scope="module")
def ports() -> Iterator[tuple[int, int]]:
    """Of a C IOC and of ours, which have the same PVs."""
    port = free_port()
    db = "\n".join(f'record({kind},"{name}"){{{fields}field(PINI,"YES")}}' for name, ((kind, fields), _) in PVS.items())
    ours = {name: channel for name, (_, channel) in PVS.items()}
    with SoftIoc(db, port), Serving(ours) as serving:
        yield port, serving.port


@pytest.fixture
def both(ports: tuple[int, int]) -> Iterator[tuple[Raw, Raw]]:
    """A client of each."""
    with Raw(ports[0]) as theirs, Raw(ports[1]) as mine:
        yield theirs, mine


def content(message: wire.Message) -> Any:
    """What an answer says, as plain values with a comparable NaN."""
    if message.command == wire.ERROR:
        return {"an error": message.two}
    said: dict[str, Any] = {"status": message.one, "elements": message.elements}
    if message.one != wire.code(ca.CAStatus.ECA_NORMAL):
        return said  # and zeros
    said["bytes"] = len(message.payload)
    # As db_access.h has it; caproto takes these for structures of their own.
    kind = {21: TYPES.STS_STRING, 28: TYPES.STS_STRING}.get(message.data_type, TYPES(message.data_type))
    payload = bytearray(message.payload)
    if kind == TYPES.STSACK_STRING:
        metadata = ca.DBR_TYPES[kind].from_buffer(payload)
        values = strings(message.payload[8:], message.elements)
    else:
        metadata, data = from_buffer(kind, message.elements, payload)
        values = list(extract_data(data, kind, message.elements))
    for field in ("status", "severity", "ackt", "acks", "precision", "units", *_DISPLAY, *_CONTROL, *_ALARM):
        if hasattr(metadata, field):
            said[f"its {field}"] = plain(getattr(metadata, field))
    if hasattr(metadata, "enum_strings"):
        said["labels"] = [plain(label) for label in metadata.enum_strings]
    said["values"] = [plain(one) for one in values]
    return said


def strings(data: bytes, count: int) -> list[bytes]:
    return [data[at : at + 40] for at in range(0, 40 * count, 40)]


def plain(value: Any) -> bytes | str:
    """A text up to its NUL, behind which a C IOC has what was there; a number so that NaN is NaN."""
    return value.split(b"\0")[0] if isinstance(value, bytes) else repr(float(value))


def difference(theirs: dict[str, Any], mine: dict[str, Any], name: str) -> str:
    """What differs; nothing is good."""
    set_here = "field(HHSV" in PVS[name][0][1]
    fields = [field for field in {**theirs, **mine} if set_here or field.removeprefix("its ") not in UNSET]
    differing = [field for field in fields if theirs.get(field) != mine.get(field)]
    return ", ".join(f"{field}: C IOC {theirs.get(field)}, ours {mine.get(field)}" for field in differing)


@pytest.mark.parametrize("name", PVS)
def test_every_type_is_read_as_a_c_ioc_has_it(both: tuple[Raw, Raw], name: str) -> None:
    theirs, mine = both
    (their_sid, *their_kind), (my_sid, *my_kind) = theirs.channel(name), mine.channel(name)
    assert my_kind == their_kind
    differ = {}
    for data_type in (*range(35), 37):
        for count in sorted({0, 1, my_kind[1]}):
            answers = theirs.read(their_sid, data_type, count), mine.read(my_sid, data_type, count)
            if said := difference(*map(content, answers), name):
                differ[f"{TYPES(data_type).name} {count}"] = said
    assert not differ, "\n".join(f"{name} as {how}: {said}" for how, said in differ.items())


@pytest.mark.parametrize("name", ["D", "E", "S", "WD", "WS"])
@pytest.mark.parametrize("data_type", [TYPES.PUT_ACKT, TYPES.PUT_ACKS])
@pytest.mark.parametrize("count", [0, 1])
def test_what_can_only_be_written_is_not_read(both: tuple[Raw, Raw], name: str, data_type: TYPES, count: int) -> None:
    """A C IOC answers that it could not get it, ours objects to the type: for libca both are a bad status."""
    for raw in both:
        sid, _, _ = raw.channel(name)
        answer = raw.read(sid, data_type, count)
        assert answer.command == wire.ERROR or answer.one != wire.code(ca.CAStatus.ECA_NORMAL)
        assert raw.read(sid, TYPES.STRING).command == wire.READ_NOTIFY  # it goes on


@pytest.mark.parametrize(("name", "count"), [("D", 0), ("D", 1), ("E", 1), ("S", 1), ("WD", 1)])
def test_class_name_is_one_string_of_40_bytes(both: tuple[Raw, Raw], name: str, count: int) -> None:
    said = []
    for raw, text in zip(both, (PVS[name][0][0].encode(), b"caproto"), strict=True):
        sid, _, _ = raw.channel(name)
        answer = raw.read(sid, TYPES.CLASS_NAME, count)
        assert answer.payload == text.ljust(40, b"\0")
        said.append((answer.command, answer.data_type, answer.elements, answer.one))
    assert said[0] == said[1]


@pytest.mark.parametrize("name", ["S", "S39", "S0"])
def test_a_text_is_had_as_characters_by_its_name_and_a_dollar(both: tuple[Raw, Raw], name: str) -> None:
    (their_sid, their_kind, _), (my_sid, my_kind, longest) = (raw.channel(f"{name}.$") for raw in both)
    assert their_kind == my_kind == TYPES.CHAR and longest >= 40
    differ = {}
    for kind in (TYPES.CHAR, TYPES.STS_CHAR, TYPES.TIME_CHAR, TYPES.GR_CHAR, TYPES.CTRL_CHAR):
        for count in (0, 40):
            theirs, mine = content(both[0].read(their_sid, kind, count)), content(both[1].read(my_sid, kind, count))
            if count == 0:  # as many as there are: in some types a C IOC takes the NULs behind the text for some
                for one in (theirs, mine):
                    one.update(values=one["values"][: one["values"].index("0.0")], elements="", bytes="")
            if said := difference(theirs, mine, name):
                differ[f"{kind.name} {count}"] = said
    assert not differ, "\n".join(f"{name}.$ as {how}: {said}" for how, said in differ.items())


@pytest.mark.parametrize("count", [1, 3, 6])
def test_characters_of_a_text_that_is_cut_end_with_a_nul(both: tuple[Raw, Raw], count: int) -> None:
    said = []
    for raw in both:
        sid, _, _ = raw.channel("S.$")
        said.append(raw.read(sid, TYPES.CHAR, count).payload[:count])
    theirs, mine = said
    assert mine == theirs and theirs[-1:] == b"\0"


# -- numbers as text: with the functions that a C IOC has for it -------------------------------------------------------


def in_c(number: Any, precision: int, function: str = "cvtDoubleToString") -> bytes:
    from epicscorelibs import path

    text = ctypes.create_string_buffer(400)
    ctypes.CDLL(path.get_lib("Com"))[function](number, text, ctypes.c_ushort(precision))
    return text.value[:39]


@given(st.floats() | st.floats(-2e7, 2e7) | st.floats(-1e17, 1e17), st.integers(0, 20))
@example(1e7, 1)
@example(1e7 + 1, 5)
@example(123456789.125, 2)
@example(1e16, 2)
@example(1.1e16, 2)
@example(0.5, 0)
@example(0.005, 2)
@example(-0.0001, 2)
@example(9.9999, 3)
@example(math.inf, 3)
@example(math.nan, 12)
@example(-math.nan, 0)
@example(-math.nan, 12)
def test_a_double_as_text_is_what_a_c_ioc_makes_of_it(number: float, precision: int) -> None:
    data = cheap.ChannelDouble(value=number, precision=precision)
    assert pack(data, TYPES.STRING).payload.rstrip(b"\0") == in_c(ctypes.c_double(number), precision)


@pytest.mark.parametrize("number", [1.25, 2.5, -0.0001, 2e7, 123456789.0, -1e20, math.inf])
def test_a_float_as_text_is_what_a_c_ioc_makes_of_it(number: float) -> None:
    for precision in (0, 1, 3, 5, 9, 15):
        data = cheap.ChannelFloat(value=number, precision=precision)
        expected = in_c(ctypes.c_float(number), precision, "cvtFloatToString")
        assert pack(data, TYPES.STRING).payload.rstrip(b"\0") == expected, precision
