"""What a host finds out by looking at its workers: late threads, hung calls, long calls. Time is what the test says."""

from __future__ import annotations

import asyncio
import json
import math
import os
from collections.abc import AsyncIterator, Sequence
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from guardian.core import explain
from guardian.core.engine import Limits
from guardian.core.events import Input, Reload, Requested, SetOp, ThreadsWatched
from guardian.core.graph import SystemFacts
from guardian.core.threads import Watched
from guardian.enums import Call, Op, Recovery, Severity, Worker
from guardian.host.vigil import Vigil
from guardian.worker.beat import Beat, BeatReader, BeatWriter, create_page
from guardian.worker.interrupt import DUMP_SIGNAL
from tests.core.driver import Node, system
from tests.host.house import LIMITS, House, house

FACTS = system("INIT>SAFE SAFE>ALIGNED", goto="SAFE", request="ALIGNED", nominal="ALIGNED")


class Watch:
    """A node at rest in ALIGNED, the page of its worker, and who watches it. No call is made unless `calls` says so."""

    def __init__(self, facts: SystemFacts = FACTS, limits: Limits | None = None) -> None:
        self.node = Node(facts, limits=limits)
        with ExitStack() as fds:
            fd = create_page()
            fds.callback(os.close, fd)
            self.worker = BeatWriter(fd, clock=lambda: self.node.mono)
            self._reader = BeatReader(fd)
        self.said: list[str] = []
        self.fed: list[Input] = []
        self.shown: list[dict[str, Any]] = []
        self.vigil = Vigil(
            self.node.engine,
            feed=self._feed,
            say=self.said.append,
            show=lambda: self.shown.append(self.threads),
        )
        self.vigil.begin(self)
        if self.node.view.state != "ALIGNED":
            self.node.returns(True, True)
        assert self.node.view.state == "ALIGNED"

    @property
    def gen(self) -> int:
        return self.node.engine.gen

    @property
    def counters(self) -> Sequence[int]:
        return self._reader.counters

    @property
    def threads(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.vigil.threads)
        return found

    def beat(self) -> Beat:
        return self._reader.read()

    def _feed(self, event: Input) -> None:
        self.fed.append(event)
        self.node.feed(event)
        self.vigil.settle()

    def register(self, *threads: Watched) -> None:
        self.vigil.hear(ThreadsWatched(threads=threads))

    def calls(self, method: Call = Call.RUN) -> None:
        """The worker begins a call of the present state."""
        self.worker.begin(method, self.node.engine.entry)

    def passes(self, seconds: float, *beating: int, turning: bool = False, ticks: bool = False) -> float:
        """Time passes in looks, until the worker is killed; the time it took. Meanwhile these counters move.

        ``turning``: the worker's loop does. ``ticks``: seconds pass, and the host ticks.
        """
        began = self.node.mono
        while self.node.mono < began + seconds - 1e-9 and not self.kills:
            self.node.mono += 1.0 if ticks else self.vigil.pause_s or 0.25
            for slot in beating:
                self.worker.counters[slot] += 1
            if turning:
                self.worker.cycle()
            if ticks:
                self.vigil.tick(self.beat(), self.node.mono)
            else:
                self.vigil.look(self.node.mono)
        return self.node.mono - began

    @property
    def kills(self) -> int:
        return self.node.view.kills

    @property
    def told(self) -> list[str]:
        return [step.text for step in self.node.steps if step.kind == "slow"]

    def close(self) -> None:
        self.vigil.end()
        self.worker.close()
        self._reader.close()


@pytest.fixture
async def watching() -> AsyncIterator[Any]:
    """``watching(facts, limits)``: a :class:`Watch`. The loop does not turn: nothing happens behind the test's back."""
    made: list[Watch] = []

    def make(*args: Any) -> Watch:
        made.append(Watch(*args))
        return made[-1]

    yield make
    for watch in made:
        watch.close()


def thread(slot: int = 0, period_s: float = 2.0, recovery: Recovery = Recovery.PROCESS, name: str = "") -> Watched:
    return Watched(slot=slot, serial=slot + 1, name=name or f"camera{slot}", period_s=period_s, recovery=recovery)


def with_watchdog(*, module: float | None = None, state: float | None = None) -> SystemFacts:
    states = tuple(replace(s, watchdog_s=state if s.name == "ALIGNED" else None) for s in FACTS.states)
    return replace(FACTS, states=states, watchdog_s=module)


# --- threads


@pytest.mark.parametrize("period_s", [0.1, 2.0, 60.0])
async def test_a_thread_that_stands_still_is_found_within_one_and_a_half_periods(
    watching: Any, period_s: float
) -> None:
    watch = watching()
    watch.register(thread(0, period_s), thread(1, period_s))
    watch.passes(10 * period_s, 0, 1)
    assert watch.kills == 0
    took_s = watch.passes(10 * period_s, 1)
    assert watch.kills == 1 and 1.25 * period_s <= took_s <= 1.5 * period_s + 1e-6
    v = watch.node.view
    assert v.worker is Worker.DEAD and explain.severity(v) is Severity.MAJOR
    assert "worker died: thread camera0 has not beaten for " in v.message
    assert f"promised every {period_s:g} s" in v.message


async def test_one_that_beats_just_in_time_is_never_taken_for_hung(watching: Any) -> None:
    watch = watching()
    watch.register(thread(0, 2.0))
    for _ in range(50):
        watch.passes(2.0)
        watch.worker.counters[0] += 1
    assert watch.kills == 0


async def test_a_host_that_was_stopped_finds_nobody_late(watching: Any) -> None:
    watch = watching(with_watchdog(module=1.0))
    watch.register(thread(0, 1.0))
    watch.calls()
    watch.passes(0.5, 0)
    for _ in range(5):  # it wakes, looks once, and is stopped again
        watch.node.mono += 10.0
        watch.vigil.look(watch.node.mono)
        watch.worker.counters[0] += 1
        watch.worker.end()
        watch.calls()
        watch.vigil.look(watch.node.mono)
    assert watch.kills == 0 and all(one["state"] == "ALIVE" for one in watch.threads["threads"])


async def test_a_process_whose_thread_is_made_anew_is_given_three_periods(watching: Any) -> None:
    watch = watching()
    watch.register(thread(0, 2.0, Recovery.THREAD))
    watch.passes(1.0, 0)
    assert 6.0 <= watch.passes(20.0) <= 6.5 and watch.kills == 1


async def test_a_thread_that_is_made_anew_in_time_is_no_death(watching: Any) -> None:
    watch = watching()
    watch.register(thread(0, 2.0, Recovery.THREAD))
    for serial in range(2, 6):
        watch.passes(4.0)
        watch.register(replace(thread(0, 2.0, Recovery.THREAD), serial=serial, restarts=serial - 1))
    assert watch.kills == 0 and watch.threads["threads"][0]["restarts"] == 4


async def test_a_thread_that_is_only_reported_is_told_once_and_once_when_it_is_back(watching: Any) -> None:
    watch = watching()
    watch.register(thread(0, 2.0, Recovery.REPORT), thread(1, 2.0))
    watch.passes(20.0, 1)
    assert [line.split(" for ")[0] for line in watch.said] == ["thread camera0 has not beaten"]
    assert [one["state"] for one in watch.shown[-1]["threads"]] == ["LATE", "ALIVE"]  # at once, the late one first
    watch.passes(1.0, 0, 1)
    assert len(watch.said) == 2 and "thread camera0 beats again, after 2" in watch.said[1]
    assert [one["state"] for one in watch.shown[-1]["threads"]] == ["ALIVE", "ALIVE"]
    assert watch.kills == 0 and len(watch.shown) == 3


async def test_a_thread_that_is_watched_no_more_is_late_no_more(watching: Any) -> None:
    watch = watching()
    watch.register(thread(0, 2.0), thread(1, 2.0, Recovery.REPORT))
    watch.passes(3.0, 0)
    watch.register()
    assert watch.vigil.pause_s is None
    watch.passes(60.0)
    assert watch.kills == 0 and watch.threads == {"threads": [], "left_off": 0} and len(watch.said) == 1


async def test_several_late_threads_are_one_death(watching: Any) -> None:
    watch = watching()
    watch.register(*(thread(slot, 2.0) for slot in range(3)))
    watch.passes(20.0)
    assert watch.kills == 1 and "camera0" in watch.node.view.message and ", and 2 more" in watch.node.view.message


async def test_a_pool_is_called_a_pool(watching: Any) -> None:
    watch = watching()
    watch.register(replace(thread(0, 2.0, name="pumps"), kind="pool"))
    watch.passes(20.0)
    assert "worker died: pool pumps has not beaten for" in watch.node.view.message
    assert watch.threads["threads"][0]["kind"] == "pool"


async def test_a_list_that_changes_all_the_time_is_shown_once_a_second(watching: Any) -> None:
    watch = watching()
    for number in range(100):
        watch.register(thread(number % 2))
    assert len(watch.shown) == 1


async def test_a_list_that_makes_no_sense_harms_nobody(watching: Any) -> None:
    watch = watching()
    watch.register(thread(-1), thread(512), thread(0, math.nan), thread(0, 0.0), thread(0, -1.0), thread(3, 0.1))
    watch.passes(1.0, 3)
    assert [one["name"] for one in watch.threads["threads"]] == ["camera3"]


async def test_a_new_worker_starts_with_no_threads(watching: Any) -> None:
    watch = watching()
    watch.register(thread(0, 2.0))
    watch.passes(20.0)
    watch.vigil.end()
    assert watch.vigil.pause_s is None and watch.threads["threads"] == []
    watch.node.advance(1)
    watch.vigil.begin(watch)
    assert watch.vigil.pause_s is None and watch.threads["threads"] == []


# --- the watchdog


@pytest.mark.parametrize("method", [Call.MAIN, Call.RUN])
async def test_a_call_that_outlasts_its_watchdog_has_hung(watching: Any, method: Call) -> None:
    watch = watching(with_watchdog(module=4.0))
    watch.passes(20.0, turning=True)
    watch.calls(method)
    took_s = watch.passes(60.0)
    assert watch.kills == 1 and 4.0 <= took_s <= 5.5
    assert f"watchdog: ALIGNED.{method.value}() has lasted 4.5 s, 4 s are allowed" in watch.node.view.message
    assert watch.node.view.worker is Worker.DEAD and watch.vigil.pause_s is None


async def test_many_short_calls_are_not_one_long_one(watching: Any) -> None:
    watch = watching(with_watchdog(module=4.0))
    for _ in range(20):
        watch.calls()
        watch.passes(3.0)
        watch.worker.end()
    assert watch.kills == 0


@pytest.mark.parametrize(
    ("site", "module", "state", "allowed"),
    [
        (0.0, None, None, 0.0),
        (8.0, None, None, 8.0),
        (8.0, 4.0, None, 4.0),
        (0.0, 8.0, 4.0, 4.0),
        (8.0, 0.0, None, 0.0),
        (8.0, 4.0, 0.0, 0.0),
        (0.0, None, 4.0, 4.0),
        (math.inf, None, None, 0.0),
    ],
)
async def test_the_state_says_else_the_module_else_the_site(
    watching: Any, site: float, module: float | None, state: float | None, allowed: float
) -> None:
    watch = watching(with_watchdog(module=module, state=state), Limits(watchdog_s=site))
    watch.calls()
    took_s = watch.passes(60.0)
    assert watch.kills == bool(allowed)
    assert (watch.vigil.pause_s is None) == (allowed == 0 or watch.kills)
    if allowed:
        assert allowed <= took_s <= 1.5 * allowed


async def test_a_loop_that_owes_a_call_and_makes_none_has_hung_too(watching: Any) -> None:
    """Its process is stopped, or another of its threads keeps the interpreter."""
    watch = watching(with_watchdog(module=4.0))
    watch.passes(60.0)
    assert watch.kills == 1
    assert "watchdog: its loop has made no call in ALIGNED for 4.0 s, 4 s are allowed" in watch.node.view.message


async def test_a_loop_may_be_late_with_its_next_call_however_short_that_has_to_be(watching: Any) -> None:
    watch = watching(with_watchdog(module=0.1))
    for _ in range(10):
        watch.passes(0.9)
        watch.worker.cycle()
    assert watch.kills == 0
    watch.calls()
    assert watch.passes(1.0) <= 0.25 and watch.kills == 1


async def test_a_loop_that_owes_none_may_stand_still(watching: Any) -> None:
    watch = watching(with_watchdog(module=4.0))
    watch.node.op(Op.PAUSE)
    watch.passes(60.0)
    watch.node.op(Op.EXEC)
    watch.passes(3.0)
    watch.node.raises()
    watch.passes(60.0)
    assert watch.kills == 0


async def test_a_loop_that_reads_new_code_may_stand_still(watching: Any) -> None:
    watch = watching(with_watchdog(module=4.0))
    watch.node.exchanges = False
    watch.node.load()
    assert watch.node.told(Reload)
    watch.passes(30.0)
    assert watch.kills == 0


async def test_a_call_that_hangs_under_PAUSE_has_hung(watching: Any) -> None:
    watch = watching(with_watchdog(module=4.0))
    watch.node.runs()
    watch.calls()
    watch.node.op(Op.PAUSE)
    watch.passes(60.0)
    assert watch.kills == 1


@pytest.mark.parametrize("event", [SetOp(op=Op.STOP, by="anna"), Requested(state="SAFE", by="anna")])
async def test_who_is_being_ended_already_is_killed_once(watching: Any, event: Input) -> None:
    """STOP and a redirect have deadlines of their own; what follows them is no death."""
    watch = watching(with_watchdog(module=0.4), Limits(redirect_timeout_s=2.0, stop_timeout_s=1.0))
    watch.node.stubborn = True
    watch.node.runs()
    watch.calls()
    watch.register(thread(0, 0.4))
    watch.node.feed(event)
    watch.passes(1.5)
    assert watch.kills == 0 and watch.fed == []
    watch.node.advance(2.0)
    assert watch.kills == 1
    assert not any("worker died" in step.text for step in watch.node.steps)


async def test_a_worker_that_does_not_die_at_once_is_killed_and_counted_once(watching: Any) -> None:
    watch = watching(with_watchdog(module=4.0))
    watch.node.undead = True
    watch.node.runs()
    watch.calls()
    watch.passes(60.0)
    assert watch.kills == 1 and watch.vigil.pause_s is None
    watch.node.returns(True)  # a last word
    watch.node.request("SAFE")
    watch.node.op(Op.STOP)
    watch.node.advance(30.0)
    watch.vigil.look(watch.node.mono)
    assert watch.kills == 1 and len([s for s in watch.node.steps if "killed" in s.text]) == 1


async def test_a_node_with_neither_costs_no_timer(watching: Any) -> None:
    watch = watching()
    watch.calls()
    watch.vigil.settle()
    assert watch.vigil.pause_s is None and watch.vigil._timer is None


@pytest.mark.parametrize(("watchdog_s", "pause_s"), [(0.1, 0.05), (2.0, 0.25), (300.0, 1.0)])
async def test_how_often_is_looked(watching: Any, watchdog_s: float, pause_s: float) -> None:
    watch = watching(with_watchdog(state=watchdog_s))
    assert watch.vigil.pause_s == pause_s
    watch.register(thread(0, 0.8))
    assert watch.vigil.pause_s == min(0.1, pause_s)


async def test_states_that_change_all_the_time_do_not_put_off_the_look(watching: Any) -> None:
    watch = watching(with_watchdog(module=0.4, state=1.0))
    due = watch.vigil._timer.when()
    for _ in range(10):
        watch.node.request("SAFE")
        watch.node.request("ALIGNED")
        watch.vigil.settle()
    assert watch.vigil._timer.when() <= due


# --- calls that take long


async def test_a_long_call_is_told_and_told_again_when_it_has_lasted_twice_as_long(watching: Any) -> None:
    watch = watching()
    watch.calls()
    watch.passes(299.0, ticks=True)
    assert watch.told == [] and watch.node.view.slow is None
    watch.passes(3600.0 - 299.0, ticks=True)
    assert [text.split(";")[0] for text in watch.told] == [
        f"in ALIGNED.run() for more than {seconds} s" for seconds in (300, 600, 1200, 2400)
    ]
    assert watch.kills == 0


async def test_a_call_that_is_met_late_is_told_once(watching: Any) -> None:
    """The host was stopped for an hour."""
    watch = watching()
    watch.calls()
    watch.node.mono += 4000
    watch.passes(2.0, ticks=True)
    assert len(watch.told) == 1 and "for more than 4001 s" in watch.told[0]


async def test_what_took_long_and_has_ended_is_told(watching: Any) -> None:
    watch = watching()
    watch.calls()
    watch.passes(400.0, ticks=True)
    watch.worker.end()
    watch.passes(5.0, ticks=True)
    assert watch.told[1:] == ["ALIGNED.run() has ended after 400.0 s"]
    assert watch.node.view.slow is None and not watch.node.view.message


async def test_the_next_call_is_another_one(watching: Any) -> None:
    watch = watching()
    watch.calls()
    watch.passes(400.0, ticks=True)
    watch.worker.end()
    watch.calls()
    watch.passes(299.0, ticks=True)
    assert len(watch.told) == 2 and watch.node.view.slow is None
    watch.passes(2.0, ticks=True)
    assert len(watch.told) == 3 and watch.node.view.slow is not None


@pytest.mark.parametrize("after_s", [0.0, math.inf])
async def test_a_site_that_does_not_want_to_know_is_not_told(watching: Any, after_s: float) -> None:
    watch = watching(FACTS, Limits(slow_after_s=after_s))
    watch.calls()
    watch.passes(5000.0, ticks=True)
    assert watch.told == [] and watch.fed == []


async def test_a_call_of_an_earlier_entry_is_not_told(watching: Any) -> None:
    watch = watching()
    watch.worker.begin(Call.RUN, watch.node.engine.entry - 1)
    watch.passes(1000.0, ticks=True)
    assert watch.fed == []


# --- in a host


@pytest.fixture
async def home(tmp_path: Path) -> AsyncIterator[House]:
    async with house(tmp_path, limits=replace(LIMITS, slow_after_s=0.01)) as made:
        yield made


@pytest.fixture
async def page(home: House) -> AsyncIterator[BeatWriter]:
    """The beat of the worker of SUS, which is at rest in ALIGNED."""
    await home.aligned()
    writer = BeatWriter(home.worker.beat_fd)
    yield writer
    writer.close()


async def test_a_late_thread_is_a_death_with_a_sentence(home: House, page: BeatWriter) -> None:
    node = home.host["SUS"]
    home.worker.say(ThreadsWatched(threads=(thread(0, 0.4),)))
    await home.until(lambda: "camera0" in home.face["SUS"]["THREADS"], "THREADS, without waiting for the next second")
    gen = home.worker.gen
    await home.reached(node, lambda v: v.worker is Worker.DEAD)
    pv = home.face["SUS"]
    assert pv["GRDMSG"].startswith("worker died: thread camera0 has not beaten for 0.") and pv["KILLS"] == 1
    signals = [sig for key, sig in home.spawner.kills if key == f"SUS#{gen}"]
    assert signals[0] == DUMP_SIGNAL  # it is to say where it stands
    await home.reached(node, lambda v: v.worker is Worker.RUN and v.restarts == 1)
    node.tick(1e9)
    assert json.loads(home.face["SUS"]["THREADS"])["threads"] == []
    await home.logged("ERROR", "thread camera0 has not beaten")


async def test_words_of_an_old_worker_do_not_count(home: House, page: BeatWriter) -> None:
    home.worker.say(ThreadsWatched(threads=(thread(0, 0.1),)), gen=home.worker.gen - 1)
    home.worker.say(ThreadsWatched(threads=(thread(1, 30.0),)))
    await home.until(lambda: "camera1" in home.face["SUS"]["THREADS"])
    assert "camera0" not in home.face["SUS"]["THREADS"]


async def test_a_reported_thread_is_a_warning_of_one_line(home: House, page: BeatWriter) -> None:
    lost = thread(0, 0.1, Recovery.REPORT, name="x\n2026-11-29 SUS all is well")
    home.worker.say(ThreadsWatched(threads=(lost,)))
    line = await home.logged("WARNING", "has not beaten")
    assert "x\\n2026" in line
    page.counters[0] += 1
    await home.logged("WARNING", "beats again")
    assert home.host["SUS"].view.kills == 0


async def test_a_long_call_is_shown(home: House, page: BeatWriter) -> None:
    """MINOR on OK and EXECTIME, a sentence in WHY and GRDMSG, one record of each telling; and then it is over."""
    node = home.host["SUS"]
    page.begin(Call.RUN, home.worker.entry)
    await asyncio.sleep(0.02)
    node.tick(1e9)
    pv, severity = home.face["SUS"], home.face.severities["SUS"]
    assert pv["WHY"].startswith(
        "in ALIGNED.run() for more than 0.0 s; it waits or is busy, and REQUEST=SAFE interrupts it"
    )
    assert pv["GRDMSG"] and pv["OK"] == 0 and pv["ACTIVE"] == 1
    assert (severity["OK"], severity["EXECTIME"]) == (Severity.MINOR, Severity.MINOR)
    await home.logged("WARNING", "in ALIGNED.run() for more than")
    page.end()
    node.tick(1e9 + 1)
    assert (pv["WHY"], pv["GRDMSG"], pv["OK"], severity["OK"], severity["EXECTIME"]) == ("", "", 1, 0, 0)
    assert len(await home.journal(kind="slow", least=2)) == 2


async def test_a_node_that_leaves_is_watched_no_more(home: House, page: BeatWriter) -> None:
    node = home.host["SUS"]
    home.worker.say(ThreadsWatched(threads=(thread(0, 0.1, Recovery.REPORT),)))
    await home.until(lambda: "camera0" in home.face["SUS"]["THREADS"])
    await home.host.remove("SUS")
    assert node._vigil._timer is None
