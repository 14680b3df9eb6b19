"""From steps to PVs: only what changed, in the order of the table, and texts that fit."""

from __future__ import annotations

import json

import pytest
from msgspec.structs import replace

from guardian.core.events import Step
from guardian.core.graph import Graph
from guardian.core.interface import EVENT, ROWS, Source, Vitals
from guardian.core.view import View
from guardian.enums import Severity, Status, Worker
from guardian.host.publish import Publisher, event_record
from tests.host.fake_worker import FACTS

GRAPH = Graph.build(FACTS.states, FACTS.edges)
VIEW = View(graph=GRAPH, state="SAFE", target="SAFE", request="SAFE", status=Status.RUN, worker=Worker.RUN, event_id=5)


@pytest.fixture
def publisher() -> Publisher:
    made = Publisher()
    made.first(VIEW, Vitals())
    return made


def step(view: View, *, text: str = "a step", by: str = "", via: Status | None = None) -> Step:
    return Step(view=view, kind="status", text=text, by=by, via=via)


def test_the_first_has_a_value_for_every_row() -> None:
    updates = Publisher().first(VIEW, Vitals())
    assert sorted(u.row.name for u in updates) == sorted(row.name for row in (*ROWS, EVENT))


def test_only_what_changed_goes_out(publisher: Publisher) -> None:
    same = publisher.step(step(VIEW))
    assert [u.row.name for u in same] == ["EVENT", "SUMMARY"]
    done = publisher.step(step(replace(VIEW, status=Status.DONE)))
    assert [u.row.name for u in done] == ["STATUS", "EVENT", "SUMMARY"]


def test_the_order_is_that_of_the_table(publisher: Publisher) -> None:
    after = replace(
        VIEW, state="DAMPED", target="ALIGNED", request="ALIGNED", status=Status.ENTER, graph=None, message="x"
    )
    names = [u.row.name for u in publisher.step(step(after, via=Status.EDGE))]
    assert names[:2] == ["STATUS", "STATUS"]
    table = [row.name for row in ROWS if row.source is Source.VIEW and row.name in names and row.name != "SUMMARY"]
    assert [name for name in names[1:] if name in table] == table
    assert set(names) - set(table) == {"STATES", "STATES_N", "REQUESTS", "GRAPH", "EVENT", "SUMMARY"}
    assert names[-2:] == ["EVENT", "SUMMARY"]


def test_how_a_state_was_left_never_stays_on_status(publisher: Publisher) -> None:
    publisher.step(step(replace(VIEW, status=Status.ENTER)))
    again = publisher.step(step(replace(VIEW, status=Status.ENTER, state="DAMPED"), via=Status.REDIRECT))
    assert [u.value for u in again if u.row.name == "STATUS"] == [Status.REDIRECT, Status.ENTER]


def test_a_change_of_severity_alone_goes_out(publisher: Publisher) -> None:
    lost = {u.row.name: u for u in publisher.step(step(replace(VIEW, known=False)))}
    assert (lost["STATE"].value, lost["STATE"].severity) == ("SAFE", Severity.INVALID)


def test_vitals_go_out_when_they_change(publisher: Publisher) -> None:
    assert publisher.vitals(Vitals(), VIEW) == []
    (beat,) = publisher.vitals(Vitals(heartbeat=17.0), VIEW)
    assert (beat.row.name, beat.value) == ("HEARTBEAT", 17.0)


@pytest.mark.parametrize("text", ["x" * 100_000, "\n" * 5000, "\u00b5\U0001f600" * 3000, '"' * 3999, "short"])
@pytest.mark.parametrize("by", ["anna@control", "b" * 10_000])
def test_event_is_whole_json_that_fits_however_long_the_sentence(publisher: Publisher, text: str, by: str) -> None:
    one = step(VIEW, text=text, by=by)
    shown = publisher.step(one)[-2].value
    assert len(shown.encode()) <= EVENT.size
    event, record = json.loads(shown), event_record(one)
    assert (record["text"], record["by"]) == (text, by)  # the journal has it whole
    assert event.keys() == record.keys()
    assert event["text"][:20] == text[:20] and event["by"][:20] == by[:20]
    if len(text) < 100 and len(by) < 100:
        assert event == record
