"""What no script may break: random systems, people, worker, deaths and timers (`world.py`)."""

from __future__ import annotations

import json
from dataclasses import replace

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from guardian.core import documents, explain, interface
from guardian.core.engine import Engine, Start
from guardian.core.events import (
    Began,
    Begin,
    Elapsed,
    Gone,
    Heard,
    Input,
    Kill,
    Left,
    Loaded,
    LoadFailed,
    Lost,
    Now,
    Raised,
    Reenter,
    Report,
    Requested,
    ResetFailed,
    RestartAsked,
    Returned,
    SetMode,
    SetOp,
    SetSpm,
    Slow,
    Spawn,
    Step,
    Stuck,
    Tell,
)
from guardian.core.graph import Graph
from guardian.core.view import View
from guardian.enums import NONE_STATE, Call, Connect, ErrorKind, Mode, Op, Status
from tests.core.driver import EPOCH, sentences
from tests.core.world import LIMITS, Script, World, check, random_system

SEEDS = st.integers(0, 10_000)
SCRIPTS = st.binary(min_size=40, max_size=400)
STARTS = st.none() | st.builds(
    Start, op=st.sampled_from(Op), mode=st.sampled_from(Mode), request=st.sampled_from([None, "A", "GONE", NONE_STATE])
)
BOUNDED = settings(suppress_health_check=list(HealthCheck))


def played(seed: int, script: Script, start: Start | None = None) -> World:
    world = World(random_system(seed), start)
    world.play(script)
    return world


def agrees(view: View) -> None:
    """SUMMARY and the rows tell the same."""
    rows = {r.name: r.value(view) for r in interface.ROWS if r.source is interface.Source.VIEW}
    told = json.loads(rows["SUMMARY"])
    for key in ("request", "state", "target", "manager"):
        assert told[key] == rows[key.upper()]
        if key != "manager":
            assert rows[f"{key.upper()}_N"] == view.index(told[key])
    for key in ("status", "op", "mode", "worker"):
        assert told[key] == rows[key.upper()].name
    assert told["error"] == rows["ERROR"].name and told["stalled"] == rows["STALLED"]
    assert bool(told["connect"]) <= (rows["CONNECT"] is Connect.LOST)
    assert (told["request_id"], told["by"]) == (rows["REQUEST_ID"], rows["REQUEST_BY"])
    assert (told["notification"], told["ok"]) == (rows["NOTIFICATION"], rows["OK"])
    assert (rows["WHY"] == "") == rows["OK"] == explain.is_ok(view)
    assert (told["id"], told["stamp"]) == (view.event_id, round(view.stamp, 6))


@settings(BOUNDED, max_examples=150)
@given(SEEDS, SCRIPTS, STARTS)
def test_no_script_breaks_what_always_holds(seed: int, script: Script, start: Start | None) -> None:
    world = played(seed, script, start)  # checks as it goes
    agrees(world.engine.view)


@settings(BOUNDED, max_examples=80)
@given(SEEDS, SCRIPTS, st.sampled_from(["STOP EXEC", "REENTER"]))
def test_any_node_can_be_brought_back(seed: int, script: Script, way: str) -> None:
    world = played(seed, script)
    if way == "STOP EXEC":
        world.feed(SetOp(op=Op.STOP, by="anna"))
    world.feed(SetOp(op=Op.EXEC, by="anna"))
    world.feed(SetMode(mode=Mode.AUTO, by="anna"))
    world.settle()
    if world.engine.view.error is ErrorKind.ERROR or world.worker is None:
        world.feed(Reenter(by="anna"))
        world.settle()
    view = world.engine.view
    assert view.worker.name == "RUN" and view.error is ErrorKind.NONE, sentences(world.steps[-10:])
    if view.request == NONE_STATE:
        assert view.status is not Status.DONE
    elif view.state == view.request:
        assert view.status is Status.DONE, sentences(world.steps[-10:])
    else:
        assert view.stalled and world.graph.path(view.state, view.request) is None, sentences(world.steps[-10:])
        assert f"{view.state} -> {view.request}" in view.message


@settings(BOUNDED, max_examples=40)
@given(SEEDS)
def test_states_that_complete_reach_every_request_that_has_a_path(seed: int) -> None:
    world = World(random_system(seed))
    world.settle()
    for wish in world.names:
        path = world.graph.path(world.engine.view.state, wish)
        entered = len([s for s in world.steps if s.kind == "enter"])
        world.feed(Requested(state=wish, by="anna"))
        world.settle()
        view = world.engine.view
        walked = [s.view.state for s in world.steps if s.kind == "enter"][entered:]
        if path is None:
            assert view.stalled and not walked
        else:
            assert (view.state, view.status) == (wish, Status.DONE), sentences(world.steps[-10:])
            assert tuple(walked) == path[1:]  # no way round, nothing twice


@settings(BOUNDED, max_examples=50)
@given(SEEDS, SCRIPTS)
def test_the_worker_is_gone_in_time_under_STOP(seed: int, script: Script) -> None:
    world = played(seed, script)
    world.feed(SetOp(op=Op.STOP, by="anna"))
    if world.worker is not None and not world.doomed:  # it hears nothing and does nothing
        assert world.engine.deadline is not None and world.engine.deadline <= world.mono + LIMITS.stop_timeout_s
        world.mono += LIMITS.stop_timeout_s
        world.feed(Elapsed())
        assert any(isinstance(a, Kill) for *_, actions in world.history for a in actions)
    if world.worker is not None:
        world.doomed = True
        world.death(1)
    while world.checking:  # LOAD goes on
        world.check_ends(0)
    view = world.engine.view
    assert (view.worker.name, world.worker, world.engine.deadline) == ("STOP", None, None)


@settings(BOUNDED, max_examples=50)
@given(SEEDS, SCRIPTS, STARTS)
def test_a_journal_replayed_gives_the_same_states(seed: int, script: Script, start: Start | None) -> None:
    world = played(seed, script, start)
    again = Engine("TEST", start, LIMITS)
    for event, now, actions in world.history:  # the inputs, to a fresh automaton
        assert again.feed(event, now) == actions
    lines = [  # the steps, through a file
        json.dumps({"kind": s.kind, "via": s.via and s.via.name, "text": s.text, **documents.summary(s.view)})
        for s in world.steps
    ]
    state, seen = "INIT", []
    for record in map(json.loads, lines):
        if record["kind"] == "enter":
            state = record["state"]
        elif record["kind"] in ("worker", "load") and record["status"] == "INIT":
            state = "INIT"
        seen.append((record["id"], state, record["status"], record["target"]))
    assert seen == [(v.event_id, v.state, v.status.name, v.target) for v in (s.view for s in world.steps)]


# --- words that no real worker says

NAMES = ["INIT", "A", "B", "C", "NOWHERE"]
ENTRIES = st.integers(-2, 1)


def reports(entry: int) -> st.SearchStrategy[Report]:
    return st.one_of(
        st.builds(Began, entry=st.just(entry)),
        st.builds(Left, entry=st.just(entry)),
        st.builds(
            Returned,
            entry=st.just(entry),
            call=st.sampled_from(Call),
            outcome=st.booleans() | st.sampled_from(NAMES),
            seq=st.integers(0, 3),
        ),
        st.builds(
            Raised,
            entry=st.just(entry),
            call=st.sampled_from(Call),
            kind=st.sampled_from([ErrorKind.ERROR, ErrorKind.CONNECT]),
            message=st.just("x"),
            channels=st.just(("X:C",)),
        ),
        st.builds(Loaded, facts=SEEDS.map(random_system)),
        st.just(LoadFailed(reason="x")),
        st.builds(Lost, channels=st.sampled_from([(), ("X:C",), ("X:C", "X:D")])),
    )


WORDS: st.SearchStrategy[Input] = st.one_of(
    st.builds(SetOp, op=st.sampled_from(Op), by=st.just("x")),
    st.builds(SetMode, mode=st.sampled_from(Mode), by=st.just("x")),
    st.builds(SetSpm, monitor=st.none() | st.booleans(), notify=st.none() | st.booleans(), by=st.just("x")),
    st.builds(Requested, state=st.sampled_from(["INIT", "A", NONE_STATE]), by=st.just("x")),
    st.just(Reenter(by="x")),
    st.just(ResetFailed(by="x")),
    st.just(RestartAsked(by="x")),
    st.just(Elapsed()),
    st.builds(Gone, gen=ENTRIES, reason=st.just("x")),
    st.builds(Stuck, gen=ENTRIES, why=st.just("x")),
    st.builds(
        Slow, gen=ENTRIES, entry=ENTRIES, call=st.none() | st.sampled_from(Call), seconds=st.sampled_from([0.0, 312.0])
    ),
    *(st.builds(Heard, gen=st.sampled_from([0, 0, 0, -1, 1]), report=reports(e)) for e in (0, 0, 0, -1, 1)),
)


@settings(BOUNDED, max_examples=80)
@given(SEEDS, st.lists(WORDS, max_size=50))
def test_no_words_confuse_the_automaton(seed: int, words: list[Input]) -> None:
    """Generations and entries are meant relative to the present ones: stale, present, or not there yet."""
    engine, mono, alive = Engine("TEST", None, LIMITS), 0.0, set[int]()
    before, entry = engine.view, 0
    for word in [Begin(), Heard(gen=1, report=Loaded(facts=random_system(seed))), *words]:
        event = word
        if isinstance(word, Gone):
            event = Gone(gen=engine.gen + word.gen, reason="x")
            alive.discard(event.gen)
        elif isinstance(word, Stuck):
            event = replace(word, gen=engine.gen + word.gen)
        elif isinstance(word, Slow):
            event = replace(word, gen=engine.gen + word.gen, entry=entry + word.entry)
        elif isinstance(word, Heard):
            report = word.report
            if hasattr(report, "entry"):
                report = type(report)(
                    **{n: getattr(report, n) for n in report.__slots__} | {"entry": entry + report.entry}
                )
            event = Heard(gen=engine.gen + (word.gen if word.gen < 1 or engine.view.event_id > 2 else 0), report=report)
        mono += 0.3
        for action in engine.feed(event, Now(mono, EPOCH + mono)):
            match action:
                case Spawn():
                    assert not alive
                    alive.add(action.gen)
                case Tell() | Kill():
                    assert action.gen in alive
                    entry = getattr(getattr(action, "command", None), "entry", entry)
                case Step():
                    graph = action.view.graph
                    assert isinstance(graph, Graph | None)
                    check(before, action.view, {(e.start, e.end) for e in graph.edges} if graph else set())
                    before = action.view
    agrees(engine.view)
