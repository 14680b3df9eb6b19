"""Who is told of a write, and of which: masks, what is an event, filters; and channels whose writes cost little."""

from __future__ import annotations

import copy
import math
from typing import Any

import caproto as ca
import numpy as np
import pytest

from ioc.cas import audience as module
from ioc.cas import cheap
from ioc.cas.audience import NEW_VALUE, Audience
from ioc.cas.filters import dead_band_of, modifiers_of
from tests.ioc.cas.listener import MASKS, Listener

TYPES = ca.ChannelType
VALUE, LOG, ALARM, PROPERTY = MASKS.DBE_VALUE, MASKS.DBE_LOG, MASKS.DBE_ALARM, MASKS.DBE_PROPERTY
MAJOR = ca.AlarmSeverity.MAJOR_ALARM

#: Class, the type to listen as, and two values: of our channels, and of caproto's.
SCALARS = [
    pytest.param(getattr(house, name), kind, values, id=f"{house.__name__}.{name}")
    for house in (cheap, ca)
    for name, kind, values in (
        ("ChannelDouble", TYPES.TIME_DOUBLE, (1.5, 2.5)),
        ("ChannelFloat", TYPES.TIME_FLOAT, (1.5, 2.5)),
        ("ChannelInteger", TYPES.TIME_LONG, (1, 2)),
        ("ChannelShort", TYPES.TIME_INT, (1, 2)),
        ("ChannelString", TYPES.TIME_STRING, ("one", "two")),
        ("ChannelEnum", TYPES.TIME_STRING, ("OFF", "ON")),
    )
]
BOTH_DOUBLES = pytest.mark.parametrize("double", [cheap.ChannelDouble, ca.ChannelDouble], ids=["ours", "caproto's"])
BOTH_STRINGS = pytest.mark.parametrize("string", [cheap.ChannelString, ca.ChannelString], ids=["ours", "caproto's"])


def made(kind: Any, value: Any, **more: Any) -> Any:
    if issubclass(kind, ca.ChannelEnum):
        more["enum_strings"] = ["OFF", "ON", "TRIP"]
    return kind(value=value, **more)


def later(listener: Listener) -> list[Any]:
    """The first values of the updates after the first, which is the value that was there."""
    return [values[0].decode() if isinstance(values[0], bytes) else values[0] for values, _ in listener.got[1:]]


def severities(listener: Listener) -> list[int | None]:
    return [severity for _, severity in listener.got[1:]]


def audience_of(data: Any) -> Audience:
    """Where those who listen to a channel are, as it knows itself: one of ours, or one of caproto's."""
    if getattr(data, "audiences", ()):
        return data.audiences[0]
    return next(
        s.audience for syncs in data._queues.values() for kinds in syncs.values() for s in kinds["STSACK_STRING"]
    )


def filtered(data: Any, data_type: int, text: str) -> Listener:
    """A listener to ``NAME.{text}``."""
    listener = Listener(data, data_type)
    audience = audience_of(data)
    audience.remove(listener.subscription)
    listener.got.clear()
    listener.channel.filter, _ = modifiers_of(f"it.{text}")
    listener.subscription.band = dead_band_of(listener.channel.filter)
    audience.add(listener.subscription)
    return listener


# -- what is an event --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("kind", "data_type", "values"), SCALARS)
async def test_a_write_that_changes_nothing_is_no_event(kind: Any, data_type: int, values: tuple[Any, Any]) -> None:
    one, other = values
    data = made(kind, one)
    listener = Listener(data, data_type, VALUE | LOG | ALARM | PROPERTY)
    for value in (one, other, other, one, one):
        await data.write(value)
    assert later(listener) == [other, one]


@pytest.mark.parametrize("kind", [cheap.ChannelEnum, ca.ChannelEnum])
async def test_a_label_and_its_number_are_the_same_value(kind: Any) -> None:
    data = made(kind, "OFF")
    listener = Listener(data, TYPES.TIME_ENUM)
    for value in (0, "ON", 1, "ON"):
        await data.write(value)
    assert later(listener) == [1]


@BOTH_DOUBLES
async def test_nan_is_what_it_was(double: Any) -> None:
    data = double(value=math.nan)
    listener = Listener(data, TYPES.TIME_DOUBLE)
    for value in (math.nan, float("nan"), 1.0, math.nan, math.nan):
        await data.write(value)
    assert len(later(listener)) == 2
    assert later(listener)[0] == 1.0 and math.isnan(later(listener)[1])


@BOTH_DOUBLES
async def test_each_mask_is_told_of_its_events(double: Any) -> None:
    data = double(value=1.0)
    told = {mask: Listener(data, TYPES.TIME_DOUBLE, mask) for mask in (VALUE, LOG, ALARM, PROPERTY, VALUE | PROPERTY)}
    await data.write(2.0)  # VALUE and LOG
    await data.alarm.write(severity=MAJOR, status=ca.AlarmStatus.STATE)  # ALARM
    await data.alarm.write(severity=MAJOR, status=ca.AlarmStatus.STATE)  # nothing
    await data.write_metadata(units="mm")  # PROPERTY
    await data.write(3.0)  # takes the alarm away: all but PROPERTY
    await data.write(3.0)  # nothing
    assert later(told[VALUE]) == later(told[LOG]) == [2.0, 3.0]
    assert list(zip(later(told[ALARM]), severities(told[ALARM]), strict=True)) == [(2.0, 2), (3.0, 0)]
    assert list(zip(later(told[PROPERTY]), severities(told[PROPERTY]), strict=True)) == [(2.0, 2)]
    assert later(told[VALUE | PROPERTY]) == [2.0, 2.0, 3.0]


@BOTH_DOUBLES
async def test_a_write_that_brings_a_new_limit_is_a_property_event(double: Any) -> None:
    data = double(value=1.0)
    listener = Listener(data, TYPES.TIME_DOUBLE, PROPERTY)
    await data.write(1.0, units="mm")
    assert len(later(listener)) == 1


@BOTH_DOUBLES
async def test_an_acknowledged_alarm_is_an_alarm_event(double: Any) -> None:
    """rsrv posts DBE_ALARM for a put of ACKT or ACKS: other alarm handlers find out that somebody acknowledged."""
    data = double(value=1.0)
    await data.alarm.write(severity=MAJOR)
    handler, screen = Listener(data, TYPES.STSACK_STRING, ALARM), Listener(data, TYPES.TIME_DOUBLE, VALUE)
    await data.alarm.write(severity_to_acknowledge=MAJOR)
    assert len(later(handler)) == 1 and not later(screen)


@BOTH_DOUBLES
@pytest.mark.parametrize("value", [[1.0, 2.0], np.array([1.0, 2.0])], ids=["list", "numpy"])
async def test_each_write_of_an_array_is_an_event(double: Any, value: Any) -> None:
    data = double(value=value, max_length=3)
    listener = Listener(data, TYPES.TIME_DOUBLE)
    await data.write(value)
    await data.write([5.0])
    assert [values for values, _ in listener.got] == [[1.0, 2.0], [1.0, 2.0], [5.0]]


async def test_what_happens_while_events_are_off_is_noted_once() -> None:
    data = cheap.ChannelDouble(value=1.0)
    listener = Listener(data, TYPES.TIME_DOUBLE)
    listener.circuit.events_on = False
    for value in (2.0, 3.0):
        await data.write(value)
    assert later(listener) == [] and list(listener.circuit.missed) == [listener.subscription]


async def test_who_may_not_read_is_told_so_and_gets_nothing() -> None:
    data = cheap.ChannelDouble(value=1.0)
    listener = Listener(data, TYPES.DOUBLE)
    listener.channel.readable = False
    await data.write(2.0)
    data.audiences[0].show(listener.subscription)
    assert len(listener.got) == 2 and listener.statuses[1] == ca.CAStatus.ECA_NORDACCESS.value.code_with_severity


# -- what it costs -----------------------------------------------------------------------------------------------------


async def test_a_value_is_packed_once_for_all_who_want_it_alike(monkeypatch: pytest.MonkeyPatch) -> None:
    packed, pack = [], module.pack
    monkeypatch.setattr(module, "pack", lambda *args, **how: packed.append(args[1]) or pack(*args, **how))
    data = cheap.ChannelDouble(value=1.0)
    alike = [Listener(data, TYPES.TIME_DOUBLE) for _ in range(5)]
    texts = [Listener(data, TYPES.STRING, LOG) for _ in range(5)]
    alarms = [Listener(data, TYPES.LONG, ALARM) for _ in range(5)]
    packed.clear()
    await data.write(2.0)
    assert sorted(packed) == [TYPES.STRING, TYPES.TIME_DOUBLE]  # and none for those who are not told
    assert all(later(one) == [2.0] for one in alike)
    assert all(later(one) == ["2"] for one in texts) and not any(later(one) for one in alarms)


@BOTH_DOUBLES
async def test_nothing_is_left_of_those_who_went(double: Any) -> None:
    data = double(value=1.0)
    first = Listener(data, TYPES.TIME_DOUBLE)
    audience = audience_of(data)
    audience.remove(first.subscription)
    assert not dict(data._queues) and not getattr(data, "audiences", ())
    await data.write(2.0)
    audience.add(first.subscription)  # the first of a new life
    await data.write(3.0)
    await data.write(3.0)
    assert [values for values, _ in first.got] == [[1.0], [2.0], [3.0]]
    second = Listener(data, TYPES.STRING)
    audience.remove(first.subscription)
    await data.write(4.0)
    assert later(second) == ["4"] and len(first.got) == 3


async def test_limits_that_are_not_there_cost_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    async def verify(self: Any, value: Any) -> Any:
        raise AssertionError("limits were looked at")

    monkeypatch.setattr(ca.ChannelData, "write", verify)
    data = cheap.ChannelDouble(value=1.0, upper_disp_limit=1.0)  # what is displayed limits nothing
    await data.write(2.0)
    assert data.value == 2.0


async def test_control_limits_refuse() -> None:
    data = cheap.ChannelDouble(value=1.0, lower_ctrl_limit=-5.0, upper_ctrl_limit=5.0)
    listener = Listener(data, TYPES.TIME_DOUBLE)
    with pytest.raises(ca.CaprotoValueError, match="Limits are"):
        await data.write(6.0)
    assert data.value == 1.0
    await data.write(5.0)
    assert later(listener)[-1] == 5.0


async def test_alarm_limits_set_the_alarm_and_take_it_away() -> None:
    limits = {"lower_alarm_limit": -9, "lower_warning_limit": -8, "upper_warning_limit": 8, "upper_alarm_limit": 9}
    data = cheap.ChannelInteger(value=0, **limits)
    listener = Listener(data, TYPES.TIME_LONG)
    for value in (8, 9, 0, -8, -9, 1):
        await data.write(value)
    assert severities(listener) == [1, 2, 0, 1, 2, 0] and later(listener) == [8, 9, 0, -8, -9, 1]


async def test_an_alarm_is_taken_away_by_the_next_write_where_there_are_no_limits() -> None:
    data = cheap.ChannelDouble(value=0.0)
    await data.alarm.write(severity=MAJOR, status=ca.AlarmStatus.STATE)
    await data.write(1.0)
    assert data.alarm.severity == ca.AlarmSeverity.NO_ALARM


async def test_hooks_of_a_subclass_are_kept() -> None:
    class Even(cheap.ChannelInteger):
        async def verify_value(self, value: Any) -> Any:
            if value % 2:
                raise ValueError("odd")
            return value + 100

    class Skips(cheap.ChannelDouble):
        async def verify_value(self, value: Any) -> Any:
            raise ca.SkipWrite

    data, skips = Even(value=0), Skips(value=1.0)
    with pytest.raises(ValueError, match="odd"):
        await data.write(3)
    await data.write(4)
    await skips.write(2.0)
    assert (data.value, skips.value) == (104, 1.0)


async def test_a_copy_has_no_audience() -> None:
    data = cheap.ChannelDouble(value=1.0)
    listener = Listener(data, TYPES.TIME_DOUBLE)
    other = copy.deepcopy(data)
    assert other.audiences == () and other.value == 1.0 and len(data.audiences) == 1
    await data.write(3.0)
    assert later(listener) == [3.0] and other.value == 1.0


# -- filters -----------------------------------------------------------------------------------------------------------


async def test_a_dead_band_counts_from_what_was_sent_last() -> None:
    data = cheap.ChannelDouble(value=10.0)
    listener = filtered(data, TYPES.TIME_DOUBLE, '{"dbnd":{"abs":1.5}}')
    for value in (11.0, 11.5, 12.0, 13.0, 13.6, 10.0):  # 11.0: within the band round the first value, 10.0
        await data.write(value)
    assert [values[0] for values, _ in listener.got] == [10.0, 12.0, 13.6, 10.0]


async def test_a_relative_dead_band_is_in_percent() -> None:
    data = cheap.ChannelDouble(value=10.0)
    listener = filtered(data, TYPES.TIME_DOUBLE, '{"dbnd":{"rel":20}}')
    for value in (11.0, 13.0, 14.0, 16.0):
        await data.write(value)
    assert [values[0] for values, _ in listener.got] == [10.0, 13.0, 16.0]


@pytest.mark.parametrize(
    ("kind", "values"), [(cheap.ChannelString, ("a", "b", "c")), (cheap.ChannelEnum, ("ON", "OFF", "ON"))]
)
async def test_a_dead_band_on_a_text_does_not_stop_the_writer(kind: Any, values: tuple[str, ...]) -> None:
    """A client chooses the filter: what it chose must not come back as an error to whoever writes."""
    data = made(kind, "OFF" if kind is cheap.ChannelEnum else "z")
    listener, other = filtered(data, TYPES.STRING, '{"dbnd":{"abs":1.5}}'), Listener(data, TYPES.STRING)
    for value in values:
        await data.write(value)
    assert later(other) == later(listener) == list(values)  # a C IOC lets all pass, enums too


async def test_arrays_pass_a_dead_band() -> None:
    data = cheap.ChannelDouble(value=[1.0, 2.0], max_length=2)
    listener = filtered(data, TYPES.DOUBLE, '{"dbnd":{"abs":1.5}}')
    for value in ([1.0, 2.0], [1.1, 2.0], [9.0, 9.0]):
        await data.write(value)
    assert len(later(listener)) == 3


async def test_a_part_of_an_array_is_sent() -> None:
    data = cheap.ChannelDouble(value=[0.0, 1.0, 2.0, 3.0], max_length=4)
    listener = filtered(data, TYPES.DOUBLE, "[1:2]")
    await data.write([4.0, 5.0, 6.0, 7.0])
    assert [values for values, _ in listener.got] == [[1.0, 2.0], [5.0, 6.0]]


@BOTH_DOUBLES
async def test_a_synchronous_filter_sends_while_the_state_is_on(double: Any) -> None:
    data = double(value=1.0)
    listener = filtered(data, TYPES.DOUBLE, '{"while":"beam"}')
    await data.write(2.0)
    data.pre_state_change("beam", True)
    data.post_state_change("beam", True)
    await data.write(3.0)
    data.pre_state_change("beam", False)
    data.post_state_change("beam", False)
    await data.write(4.0)
    assert 3.0 in later(listener) and 2.0 not in later(listener) and 4.0 not in later(listener)


@BOTH_STRINGS
async def test_a_synchronous_filter_that_cannot_convert_does_not_stop_the_writer(string: Any) -> None:
    data = string(value="1")
    filtered(data, TYPES.DOUBLE, '{"while":"beam"}')
    data.pre_state_change("beam", True)
    data.post_state_change("beam", True)
    await data.write("no number")
    assert data.value == "no number"


def test_said_again_is_said_to_those_whose_mask_has_it() -> None:
    data = cheap.ChannelDouble(value=1.0)
    value, alarm = Listener(data, TYPES.DOUBLE, VALUE), Listener(data, TYPES.DOUBLE, ALARM)
    data.announce(NEW_VALUE)
    assert later(value) == [1.0] and later(alarm) == []
