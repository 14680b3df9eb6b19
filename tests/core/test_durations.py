"""How long states take: what counts, what does not, and what a way is going to take."""

from __future__ import annotations

import random

import pytest

from guardian.core import documents
from guardian.core.durations import RECENT, Expected, Spans, StateTimes, expected
from guardian.core.events import Begin, Now
from guardian.core.stopwatch import Stopwatch
from guardian.enums import Mode, Op
from tests.core.driver import Node, system

FACTS = system("INIT>SAFE SAFE>DAMPED DAMPED>ALIGNED", goto="SAFE", request="SAFE", states="ISLAND")


class Timed:
    """A node whose automaton is real, and a stopwatch that hears all that it answers, as in a host."""

    def __init__(self) -> None:
        self.watch = Stopwatch()
        self.node = Node(FACTS, begin=False, settle=False)
        feed = self.node.engine.feed

        def heard(event: object, now: Now) -> object:
            actions = feed(event, now)  # type: ignore[arg-type]
            self.watch.hear(actions, complete=self.node.engine.complete, now=now.mono)
            return actions

        self.node.engine.feed = heard  # type: ignore[method-assign,assignment]

    def started(self) -> Timed:
        self.node.feed(Begin())
        self.node.returns(True)  # INIT
        return self

    def done(self, state: str) -> list[float]:
        return list(self.watch.times.get(state, StateTimes()).done.recent)

    def stay(self, state: str) -> list[float]:
        return list(self.watch.times.get(state, StateTimes()).stay.recent)


def test_what_a_request_waits_for_is_timed_and_resting_there_for_days_is_not() -> None:
    timed = Timed().started()
    node = timed.node
    node.advance(2.0)
    node.returns(True)  # SAFE, where it rests
    node.advance(3 * 86400)
    node.request("ALIGNED")
    node.returns(True)  # SAFE once more
    node.advance(5.0)
    node.returns(True)  # DAMPED
    node.advance(7.0)
    node.returns(True)
    node.advance(1.0)
    assert node.view.state == "ALIGNED"
    assert (timed.done("SAFE"), timed.done("DAMPED"), timed.done("ALIGNED")) == ([2.0], [5.0], [7.0])
    assert timed.stay("SAFE") == [2.0 + 3 * 86400] and timed.stay("DAMPED") == [5.0] and timed.stay("ALIGNED") == []


@pytest.mark.parametrize("mode", [Mode.AUTO, Mode.MANUAL])
def test_a_state_that_completes_where_no_way_leads_on_has_completed_then_and_not_when_somebody_asks(mode: Mode) -> None:
    timed = Timed().started()
    node = timed.node
    node.returns(True)
    node.mode(Mode.MANUAL)
    node.request("ISLAND")
    while node.view.state != "ISLAND":
        node.returns(True)
    node.advance(4.0)
    node.returns(True)
    node.request("NONE")
    node.advance(86400.0)
    node.mode(mode)
    node.request("SAFE")
    assert timed.done("ISLAND") == [4.0] and max(timed.stay("ISLAND"), default=0.0) in (0.0, 86404.0)


def test_what_completes_after_a_pause_says_nothing() -> None:
    timed = Timed().started()
    node = timed.node
    node.advance(1.0)
    node.op(Op.PAUSE)
    node.advance(3600.0)
    node.op(Op.EXEC)
    node.returns(True)
    assert timed.done("SAFE") == []


def test_a_node_that_is_stopped_is_nowhere() -> None:
    timed = Timed().started()
    node = timed.node
    node.returns(True)
    node.advance(10.0)
    node.op(Op.STOP)
    node.advance(3600.0)
    assert timed.stay("SAFE") == [10.0]


def test_states_that_new_code_does_not_have_are_forgotten() -> None:
    timed = Timed().started()
    timed.node.returns(True)
    timed.watch.times["GONE"] = StateTimes(done=Spans().and_one(1.0))
    timed.node.load()
    assert "GONE" not in timed.watch.times and "SAFE" in timed.watch.times


def test_of_a_million_times_the_last_are_kept() -> None:
    spans, dice = Spans(), random.Random(1)
    for _ in range(2000):
        spans = spans.and_one(dice.uniform(100.0, 200.0))
    for number in range(RECENT):
        spans = spans.and_one(1.0 + number)
    assert (spans.count, len(spans.recent)) == (2000 + RECENT, RECENT)
    assert (spans.usual_s, spans.p90_s, spans.most_s, spans.last_s) == (25.5, 45.0, 50.0, 50.0)
    assert spans.total_s > 200_000
    assert (Spans().usual_s, Spans().p90_s, Spans().most_s, Spans().last_s) == (0.0, 0.0, 0.0, 0.0)


def test_one_night_that_took_hours_changes_nothing() -> None:
    spans = Spans()
    for seconds in (4.0, 4.1, 30_000.0, 4.2, 3.9):
        spans = spans.and_one(seconds)
    assert spans.usual_s == 4.1


def test_what_a_way_takes() -> None:
    known = {"A": (1.0, 2.0), "B": (60.0, 600.0)}
    assert expected(("A", "B"), known) == Expected(usual_s=61.0, most_s=602.0, timed=True)
    assert expected(("A", "C"), known) == Expected(usual_s=1.0, most_s=2.0, untimed=("C",), timed=True)
    assert expected(("C",), known) == Expected(untimed=("C",))


def test_the_document_is_read_back_and_fits_also_with_a_thousand_states() -> None:
    one = StateTimes(done=Spans().and_one(2.0).and_one(4.0), stay=Spans().and_one(100.0))
    text = documents.durations({"A": one, "B": StateTimes(stay=Spans().and_one(1.0))})
    assert documents.read_durations(text) == {"A": (3.0, 4.0)}
    many = documents.durations({f"{'X' * 35}{number:04}": one for number in range(2000)})
    assert len(many.encode()) <= documents.DURATIONS_BYTES and '"left_off":0' not in many
    for odd in ("", "[]", '{"states":[{"state":"A"}]}', '{"states":3}', "null"):
        with pytest.raises(ValueError):
            documents.read_durations(odd)
