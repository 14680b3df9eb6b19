"""Rows as channels, and what clients write as plain values: without a network."""

from __future__ import annotations

import math
from types import SimpleNamespace
from typing import Any

import caproto as ca
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from guardian.core.interface import BY_NAME, ROWS, Kind, Row
from guardian.core.security import Everybody
from guardian.core.who import Who
from guardian.enums import Severity
from guardian.errors import RefusedError
from guardian.host.face import Update
from ioc.cas.audience import NEW_VALUE
from ioc.cas.packing import run_now
from ioc.cas.wire import WRITE_NOTIFY, Message
from ioc.decode import decode
from ioc.node import Names, channel, text_for
from ioc.rights import Rights
from tests.ioc.cas.listener import Listener

TYPES = ca.ChannelType
MASKS = ca.SubscriptionType


def put(name: str, value: Any, who: Who) -> None:
    raise AssertionError("nothing is written here")


def made(name: str, value: Any, severity: Severity = Severity.NO_ALARM) -> Any:
    return channel(Update(BY_NAME[name], value, severity), 1_700_000_000.0, put, Rights(Everybody()))


# -- a row as a channel ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
def test_every_row_makes_a_channel_with_its_rights_and_texts(row: Row) -> None:
    empty: Any = {Kind.STRING: "", Kind.LONG: "", Kind.STRINGS: []}.get(row.kind, 0)
    one = channel(Update(row, empty, Severity.INVALID), 5.0, put, Rights(Everybody()))
    client: Any = SimpleNamespace(claims=("anybody", "anywhere"), address=("10.0.0.1", 5064))
    assert one.rights_of(client) == (
        ca.AccessRights.READ | ca.AccessRights.WRITE if row.writable else ca.AccessRights.READ
    )
    assert one.alarm.severity == Severity.INVALID  # type: ignore[attr-defined]
    metadata, _ = run_now(one._read(TYPES.CTRL_ENUM if row.labels else TYPES.STSACK_STRING))  # type: ignore[attr-defined]
    if row.labels:
        assert tuple(label.decode() for label in metadata.enum_strings) == row.labels


def test_a_post_is_handed_out_before_it_returns() -> None:
    state = made("STATE", "A")
    seen = Listener(state, TYPES.TIME_STRING)
    state.post("B", Severity.NO_ALARM, 5.0)
    state.post("B", Severity.INVALID, 1_700_000_001.5)
    assert seen.got == [([b"A"], 0), ([b"B"], 0), ([b"B"], 3)]
    assert state.timestamp == pytest.approx(1_700_000_001.5)


def test_masks_are_those_of_a_c_ioc() -> None:
    state = made("STATE", "A")
    value, alarm, log = (
        Listener(state, TYPES.TIME_STRING, mask) for mask in (MASKS.DBE_VALUE, MASKS.DBE_ALARM, MASKS.DBE_LOG)
    )
    state.post("B", Severity.NO_ALARM, 1.0)  # VALUE and LOG
    state.post("B", Severity.MAJOR, 2.0)  # ALARM
    state.post("C", Severity.MINOR, 3.0)  # all
    state.post("C", Severity.MINOR, 4.0)  # nothing is new: said again
    state.announce(NEW_VALUE)
    assert [got[0][0] for got in value.got[1:]] == [b"B", b"C", b"C", b"C"] == [got[0][0] for got in log.got[1:]]
    assert [got[1] for got in alarm.got[1:]] == [Severity.MAJOR, Severity.MINOR]


def test_alarms_are_not_shared() -> None:
    one, other = made("STATE", "A"), made("STATUS", 3)
    one.post("A", Severity.MAJOR, 1.0)
    assert other.alarm.severity == Severity.NO_ALARM


def test_who_asks_for_what_cannot_be_does_not_stop_the_step() -> None:
    state = made("STATE", "1")  # as a number it can be had, so the subscription is there
    seen, good = Listener(state, TYPES.TIME_DOUBLE), Listener(state, TYPES.TIME_STRING)
    state.post("DOWN", Severity.NO_ALARM, 1.0)
    assert seen.got == [([1.0], 0), ([], 0)]
    assert seen.statuses[0] == 1 and seen.statuses[1] != 1  # that it cannot be had
    assert good.got[-1][0] == [b"DOWN"]


def test_numbers_hold_at_the_ends_of_32_bits() -> None:
    kills = made("KILLS", 2**40)
    assert run_now(kills._read(TYPES.LONG))[1].tolist() == [2**31 - 1]


def test_units_and_precision() -> None:
    metadata, _ = run_now(made("EXECTIME", 1.25)._read(TYPES.CTRL_DOUBLE))
    assert (metadata.units, metadata.precision) == (b"s", 2)


@given(st.text(), st.integers(5, 60))
def test_any_text_can_be_sent(text: str, size: int) -> None:
    shown = text_for(text + "\udcff" * (len(text) % 2), size)
    assert len(shown.encode()) <= size
    assert "\0" not in shown
    if len(text.encode("utf-8", "replace")) <= size - 1 and "\0" not in text and text.isprintable():
        assert shown.startswith(text)


@pytest.mark.parametrize("text", ["", "short", "Grüße " * 400, "\0\udcff"])
def test_long_texts_end_with_one_nul(text: str) -> None:
    message = made("GRDMSG", text)
    data = run_now(message._read(TYPES.CHAR))[1].tobytes()
    assert data.endswith(b"\0") and data.count(b"\0") == 1
    assert len(data) <= message.max_length == BY_NAME["GRDMSG"].size + 1
    data.decode()


def test_arrays_of_strings_may_be_empty() -> None:
    states = made("STATES", [])
    seen = Listener(states, TYPES.TIME_STRING)
    states.post([f"S{n}" for n in range(1000)], Severity.NO_ALARM, 1.0)
    states.post([], Severity.NO_ALARM, 2.0)
    assert [len(got[0]) for got in seen.got] == [0, 1000, 0]


# -- names -----------------------------------------------------------------------------------------------------------


def test_names_know_val_and_desc_and_forget_them() -> None:
    names = Names({"A_OP": made("OP", 2)})
    assert names["A_OP.VAL"] is names["A_OP"]
    assert "A_OP.DESC" not in names  # made when asked for
    described = names["A_OP.DESC"]
    assert described is names["A_OP.DESC"]
    assert described.value == BY_NAME["OP"].text
    for missing in ("A", "A_OP.", "A_OP.HIHI", "A_OP.DESC.DESC", "A_OP.DESC.VAL", ".VAL", ""):
        with pytest.raises(KeyError):
            names[missing]
    assert set(names.known("A_OP")) == {"A_OP", "A_OP.DESC"}
    names.forget("A_OP")
    assert not names
    with pytest.raises(KeyError):
        names["A_OP.DESC"]


# -- what clients write ----------------------------------------------------------------------------------------------


def written(name: str, data: Any, data_type: Any, count: int = 1) -> Any:
    if isinstance(data, list) and not isinstance(data[0], bytes):
        data = np.asarray(data)
    payload = bytes(ca.WriteNotifyRequest(data, data_type, count, 1, 1))[16:]
    return decode(BY_NAME[name], Message(WRITE_NOTIFY, data_type, count, 1, 1, payload))


@pytest.mark.parametrize(
    ("name", "data", "data_type", "value"),
    [
        ("REQUEST", [b"ALIGNED"], TYPES.STRING, "ALIGNED"),
        ("REQUEST", [b"S" * 39], TYPES.STRING, "S" * 39),
        ("REQUEST", [b""], TYPES.STRING, ""),
        ("REQUEST", [5], TYPES.LONG, "5"),
        ("MANAGER", ["Gruß".encode()], TYPES.STRING, "Gruß"),
        ("REQUEST_N", [10], TYPES.LONG, 10),
        ("REQUEST_N", [-1], TYPES.INT, -1),
        ("REQUEST_N", [10.0], TYPES.DOUBLE, 10),
        ("REQUEST_N", [b" 10 "], TYPES.STRING, 10),
        ("REQUEST_N", [7], TYPES.ENUM, 7),
        ("OP", [b"EXEC"], TYPES.STRING, "EXEC"),
        ("OP", [b"nonsense"], TYPES.STRING, "nonsense"),  # the core says what is right
        ("OP", [99], TYPES.ENUM, 99),
        ("OP", [2.0], TYPES.FLOAT, 2),
        ("REENTER", [b"True"], TYPES.STRING, 1),
        ("REENTER", [b"0"], TYPES.STRING, 0),
        ("REENTER", [1], TYPES.LONG, 1),
        ("EXECTIME", [1.5], TYPES.DOUBLE, 1.5),
        ("EXECTIME", [b"1.5"], TYPES.STRING, 1.5),
    ],
)
def test_values_become_plain_python(name: str, data: Any, data_type: Any, value: Any) -> None:
    got = written(name, data, data_type)
    assert got == value and type(got) is type(value)


def test_text_in_a_char_array() -> None:
    text = "Grüße"
    data = text.encode() + b"\0\0"
    assert written("REQUEST", data, TYPES.CHAR, len(data)) == text
    assert written("GRDMSG", b"x" * 2000, TYPES.CHAR, 2000) == "x" * 2000
    assert written("GRDMSG", [b"short"], TYPES.STRING) == "short"


@pytest.mark.parametrize(
    ("name", "data", "data_type", "count", "why"),
    [
        ("REQUEST", [b"S" * 40], TYPES.STRING, 1, "at most 39"),
        ("REQUEST", [b"\xff"], TYPES.STRING, 1, "UTF-8"),
        ("REQUEST", [b"A", b"B"], TYPES.STRING, 2, "2 values"),
        ("REQUEST", b"a\0b", TYPES.CHAR, 3, "NUL"),
        ("GRDMSG", b"x" * 2001, TYPES.CHAR, 2001, "at most 2000"),
        ("REQUEST_N", [math.nan], TYPES.DOUBLE, 1, "nan"),
        ("REQUEST_N", [math.inf], TYPES.DOUBLE, 1, "inf"),
        ("REQUEST_N", [2.5], TYPES.DOUBLE, 1, "2.5"),
        ("REQUEST_N", [2.0**31], TYPES.DOUBLE, 1, "32 bits"),
        ("REQUEST_N", [b"99999999999"], TYPES.STRING, 1, "32 bits"),
        ("REQUEST_N", [b"1e3"], TYPES.STRING, 1, "'1e3'"),
        ("REQUEST_N", [b""], TYPES.STRING, 1, "''"),
        ("REQUEST_N", [1, 2], TYPES.LONG, 2, "2 values"),
        ("OP", [math.nan], TYPES.DOUBLE, 1, "STOP or PAUSE or EXEC"),
        ("REENTER", [2], TYPES.LONG, 1, "0 or 1"),
        ("REENTER", [b"yes"], TYPES.STRING, 1, "0 or 1"),
        ("EXECTIME", [math.nan], TYPES.DOUBLE, 1, "finite"),
        ("OP", [1], TYPES.PUT_ACKT, 1, "PUT_ACKT"),
    ],
)
def test_what_does_not_fit_is_refused_and_said(name: str, data: Any, data_type: Any, count: int, why: str) -> None:
    with pytest.raises(RefusedError, match=why) as refusal:
        written(name, data, data_type, count)
    assert str(refusal.value).startswith(f"{name}: ")


WRITABLE = [row for row in ROWS if row.writable]


@given(st.sampled_from(WRITABLE), st.binary(max_size=200), st.integers(0, 45), st.integers(0, 2**31))
def test_any_bytes_are_a_value_or_a_refusal(row: Row, data: bytes, data_type: int, count: int) -> None:
    try:
        value = decode(row, Message(WRITE_NOTIFY, data_type, count, 1, 1, data))
    except RefusedError:
        return
    assert isinstance(value, int | str)
    if isinstance(value, str):
        assert len(value.encode()) <= 39
