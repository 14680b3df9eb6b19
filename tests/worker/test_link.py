"""The codec of the link: what goes in comes out, and damage is named, never guessed at."""

from __future__ import annotations

from typing import Any, get_args

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from guardian.core import events
from guardian.core.graph import Edge, StateInfo, SystemFacts
from guardian.core.peer import BondFacts
from guardian.core.setpoints import Difference, Listed, Setpoint
from guardian.core.sources import SourceFile
from guardian.core.threads import Watched
from guardian.core.view import Subnode
from guardian.enums import Call, ErrorKind, LogLevel, OnComplete, ProcessState, Recovery
from guardian.errors import LinkError
from guardian.worker import link

text = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
number = st.integers(-(2**63), 2**63 - 1)
weight = st.floats(allow_nan=False, allow_infinity=False) | st.integers(-(2**53), 2**53)
texts = st.lists(text, max_size=3).map(tuple)
info = st.builds(
    StateInfo,
    name=text,
    index=st.none() | number,
    goto=st.none() | weight,
    doc=text,
    source=text,
    request=st.booleans(),
)
facts = st.builds(
    SystemFacts,
    states=st.lists(info, max_size=3).map(tuple),
    edges=st.lists(st.builds(Edge, start=text, end=text, weight=weight), max_size=3).map(tuple),
    request=st.none() | text,
    nominal=st.none() | text,
    redirect_timeout_s=st.none() | weight,
    reactive=st.none() | st.booleans(),
    module=text,
    usercode=texts,
    ca_monitor=st.booleans(),
    ca_channels=st.lists(st.builds(Listed, name=text, value=text), max_size=3).map(tuple),
    warnings=texts,
)
subnode = st.builds(Subnode, node=text, there=st.booleans(), ok=st.booleans(), mine=st.booleans(), why=text)
bonds = st.lists(st.builds(BondFacts, key=text, state=text, cmd=text, managed=st.booleans()), max_size=3).map(tuple)
point = st.builds(
    Setpoint,
    channel=text,
    name=text,
    value=text,
    label=text,
    mask=number,
    at=weight,
    since=weight,
    module=st.booleans(),
)
points = st.lists(point, max_size=3).map(tuple)
shown = number | st.floats(allow_nan=False, allow_infinity=False) | text
difference = st.builds(Difference, channel=text, set=shown, now=shown, at=weight, since=weight)
watched = st.builds(
    Watched,
    slot=number,
    serial=number,
    name=text,
    period_s=weight,
    recovery=st.sampled_from(Recovery),
    restarts=number,
)
on_complete, call, kind = st.sampled_from(OnComplete), st.sampled_from(Call), st.sampled_from(ErrorKind)
#: How to make each message: nothing is inferred, so that a new one is noticed here.
source_file = st.builds(
    SourceFile,
    path=text,
    place=number,
    name=text,
    blob=text,
    size=number,
    packed=st.none() | st.binary(max_size=100),
)
MESSAGES: dict[type, st.SearchStrategy[Any]] = {
    link.Load: st.builds(
        link.Load,
        node=text,
        ifo=text,
        paths=texts,
        indices=st.dictionaries(text, number, max_size=3),
        pv=text,
        bonds=bonds,
        channels=texts,
        setpoints=points,
        check=st.booleans(),
    ),
    events.Enter: st.builds(events.Enter, entry=number, state=text, on_complete=on_complete),
    events.Policy: st.builds(events.Policy, entry=number, on_complete=on_complete),
    events.Judge: st.builds(events.Judge, entry=number, seq=number),
    events.Leave: st.builds(events.Leave, entry=number, interrupt=st.booleans()),
    events.Pause: st.builds(events.Pause),
    events.Resume: st.builds(events.Resume),
    events.Reload: st.builds(events.Reload),
    events.GiveUp: st.builds(events.GiveUp),
    events.Stop: st.builds(events.Stop),
    events.Watch: st.builds(events.Watch, monitor=st.booleans(), notify=st.booleans()),
    events.Verbosity: st.builds(events.Verbosity, level=st.sampled_from(LogLevel)),
    events.Sources: st.builds(
        events.Sources,
        files=st.lists(source_file, max_size=3).map(tuple),
        more=st.booleans(),
        late=st.booleans(),
    ),
    events.Setpoints: st.builds(events.Setpoints, points=points, gone=texts),
    events.Differences: st.builds(events.Differences, count=number, first=st.lists(difference, max_size=3).map(tuple)),
    events.Loaded: st.builds(events.Loaded, facts=facts),
    events.LoadFailed: st.builds(events.LoadFailed, reason=text),
    events.Reloading: st.builds(events.Reloading),
    events.Reloaded: st.builds(events.Reloaded, facts=facts, left=texts),
    events.ReloadFailed: st.builds(events.ReloadFailed, reason=text),
    events.Began: st.builds(events.Began, entry=number),
    events.Returned: st.builds(events.Returned, entry=number, call=call, outcome=st.booleans() | text, seq=number),
    events.Raised: st.builds(events.Raised, entry=number, call=call, kind=kind, message=text, channels=texts),
    events.Connected: st.builds(events.Connected, entry=number),
    events.Left: st.builds(events.Left, entry=number),
    events.Notifications: st.builds(events.Notifications, entry=number, texts=texts),
    events.Channels: st.builds(events.Channels, total=number, met=texts),
    events.Lost: st.builds(events.Lost, channels=texts),
    events.Subnodes: st.builds(events.Subnodes, subnodes=st.lists(subnode, max_size=3).map(tuple)),
    events.Bonds: st.builds(events.Bonds, bonds=bonds),
    events.Hung: st.builds(events.Hung, why=st.text(max_size=200)),
    events.Reached: st.builds(events.Reached, state=st.sampled_from(ProcessState)),
    events.ThreadsWatched: st.builds(events.ThreadsWatched, threads=st.lists(watched, max_size=3).map(tuple)),
}
message = st.one_of(*MESSAGES.values())
quick = settings(max_examples=200, suppress_health_check=[HealthCheck.too_slow])


def test_every_message_is_tested_here() -> None:
    assert set(MESSAGES) == {link.Load, *get_args(events.Command), *get_args(events.Report)}


@quick
@given(number, message)
def test_what_goes_in_comes_out_in_one_line(gen: int, sent: Any) -> None:
    line = link.encode(gen, sent)
    assert line.endswith(b"\n") and line.count(b"\n") == 1
    assert link.decode(line) == (gen, sent)


@quick
@given(st.lists(message, max_size=5), st.lists(st.integers(1, 40), min_size=1, max_size=10))
def test_a_stream_cut_anywhere_gives_the_same_lines(sent: list[Any], sizes: list[int]) -> None:
    data = b"".join(link.encode(1, one) for one in sent)
    lines, heard, at, turn = link.Lines(), [], 0, 0
    while at < len(data):
        size = sizes[turn % len(sizes)]
        heard += [link.decode(line)[1] for line in lines.feed(data[at : at + size])]
        at, turn = at + size, turn + 1
    assert heard == sent


@quick
@given(message, st.data())
def test_damage_is_an_error_of_the_link_and_never_another(sent: Any, data: st.DataObject) -> None:
    line = bytearray(link.encode(1, sent)[:-1])
    for _ in range(data.draw(st.integers(1, 3))):
        line[data.draw(st.integers(0, len(line) - 1))] = data.draw(st.integers(0, 255))
    try:
        link.decode(bytes(line))  # a changed letter inside a text is no damage that anybody could see
    except LinkError as error:
        assert "please report it" in str(error)


@quick
@given(st.binary(max_size=60))
def test_bytes_that_are_no_message(data: bytes) -> None:
    with pytest.raises(LinkError):
        link.decode(data)


@pytest.mark.parametrize(
    "line",
    [
        b"",
        b"{}",
        b"null",
        b'{"t":"Stop","g":1}',
        b'{"t":"Stop","g":"1","m":{}}',
        b'{"t":"Halt","g":1,"m":{}}',
        b'{"t":"_Envelope","g":1,"m":{}}',
        b'{"t":"Left","g":1,"m":{}}',
        b'{"t":"Left","g":1,"m":{"entry":true}}',
        b'{"t":"Left","g":1,"m":{"entry":1}',
        b'{"t":"Enter","g":1,"m":{"entry":1,"state":"A","on_complete":"maybe"}}',
        b'{"t":"Left","g":1,"m":' + b"[" * 100_000,
    ],
    ids=lambda line: line[:40].decode(),
)
def test_what_is_nearly_a_message(line: bytes) -> None:
    with pytest.raises(LinkError, match="please report it"):
        link.decode(line)


def test_a_line_without_end_is_damage() -> None:
    lines = link.Lines()
    chunk = b"x" * (1 << 20)
    with pytest.raises(LinkError, match="more than"):
        for _ in range(link.LINE_BYTES // len(chunk) + 1):
            assert list(lines.feed(chunk)) == []


def test_characters_that_are_none_travel_as_question_marks() -> None:
    sent = events.Raised(entry=1, call=Call.RUN, kind=ErrorKind.ERROR, message="no \udc80 file", channels=("\ud800",))
    _, heard = link.decode(link.encode(1, sent))
    assert heard == events.Raised(entry=1, call=Call.RUN, kind=ErrorKind.ERROR, message="no ? file", channels=("?",))
    _, load = link.decode(link.encode(1, link.Load(node="A", indices={"\udc80": -2})))
    assert load.indices == {"?": -2}
