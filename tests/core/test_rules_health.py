"""What a worker that has hung, and a call that takes long, mean for a node: short scripts on one node."""

# mypy: disable-error-code="comparison-overlap"
# (a node changes between two looks at it)

from __future__ import annotations

from dataclasses import replace

import pytest

from guardian.core import explain, interface
from guardian.core.engine import Limits
from guardian.core.events import Enter, Gone, Kill, Pause, Returned, Slow, Step, Stuck
from guardian.core.interface import Vitals
from guardian.core.when import clock
from guardian.enums import Call, ErrorKind, Mode, Op, Severity, Status, Worker
from tests.core.driver import EPOCH, Node, aligned, manual, suspension, system

HUNG = "thread camera has not beaten for 2.6 s, promised every 2 s"


def stuck(node: Node, gen: int | None = None, why: str = HUNG) -> None:
    node.feed(Stuck(gen=node.engine.gen if gen is None else gen, why=why))


def slow(node: Node, seconds: float, call: Call | None = Call.RUN, *, entry: int = 0, gen: int = 0) -> None:
    """The host says so. `entry` and `gen` are relative to the present ones."""
    engine = node.engine
    node.feed(Slow(gen=engine.gen + gen, entry=engine.entry + entry, call=call, seconds=seconds))


# --- a worker that has hung


def test_a_hung_worker_is_killed_and_that_is_a_death() -> None:
    node = aligned()
    stuck(node)
    v = node.view
    assert len(node.did(Kill)) == 1 and v.worker is Worker.DEAD and v.kills == 1 and not v.known
    assert f"worker died: {HUNG}" in v.message and HUNG in explain.why_not_ok(v)
    assert explain.severity(v) is Severity.MAJOR
    node.advance(1)
    assert node.running == "INIT.main" and node.view.restarts == 1 and HUNG not in node.view.message


def test_deaths_of_hung_workers_count_like_any_other() -> None:
    node = aligned()
    for _ in range(node.engine.limits.restarts):
        stuck(node)
        node.advance(2)
    stuck(node)
    node.advance(1)
    assert node.view.failed and HUNG in node.view.message


@pytest.mark.parametrize("gen", [-1, 1])
def test_a_word_about_another_worker_does_not_count(gen: int) -> None:
    node = aligned()
    stuck(node, node.engine.gen + gen)
    assert not node.actions and node.view.kills == 0


def test_while_it_loads_too() -> None:
    node = Node(suspension().facts, autoload=False)
    stuck(node)
    assert node.view.worker is Worker.DEAD and HUNG in node.view.message


def test_who_is_stopped_already_is_not_killed_twice() -> None:
    node = aligned()
    node.stubborn = True
    node.runs()
    node.op(Op.STOP)
    stuck(node)
    assert not node.did(Kill)
    node.advance(2)
    assert node.view.kills == 1 and node.view.worker is Worker.STOP and HUNG not in node.view.message


def test_a_redirect_under_way_has_its_own_deadline() -> None:
    node = aligned()
    node.stubborn = True
    node.runs()
    node.request("SAFE")
    stuck(node)
    assert not node.did(Kill)
    node.advance(2.1)
    assert node.view.kills == 1 and node.running == "SAFE.main"  # R8: straight into TARGET, and no death


def test_a_REENTER_that_waits_for_a_state_without_redirect_does_not_keep_the_watch_off() -> None:
    node = Node(system("INIT>A", stay="A", request="A"))
    node.returns(False)
    node.runs()
    node.reenter()
    stuck(node)
    assert node.view.worker is Worker.DEAD


def test_what_a_worker_says_while_it_is_being_killed_moves_nothing() -> None:
    node = aligned()
    node.undead = True
    entry, gen = node.engine.entry, node.engine.gen
    stuck(node)
    node.hears(Returned(entry=entry, call=Call.RUN, outcome="SAFE"))
    assert not node.told(Enter) and node.view.state == "ALIGNED"
    node.op(Op.STOP)  # asked for now: no death
    node.advance(10)
    assert node.view.kills == 1
    node.feed(Gone(gen=gen, reason="killed by SIGKILL"))
    assert node.view.worker is Worker.STOP and "worker died" not in node.view.message


def test_PAUSE_is_no_reason_to_hang() -> None:
    node = aligned()
    node.op(Op.PAUSE)
    stuck(node)
    assert node.view.worker is Worker.DEAD
    node.advance(1)
    assert node.view.worker is Worker.PAUSE and node.told(Pause)


@pytest.mark.parametrize(
    ("site", "module", "state", "seconds"),
    [(0.0, None, None, 0.0), (9.0, None, None, 9.0), (9.0, 5.0, None, 5.0), (9.0, 5.0, 3.0, 3.0), (9.0, 5.0, 0.0, 0.0)],
)
def test_watchdog_is_set_per_state_module_and_site(
    site: float, module: float | None, state: float | None, seconds: float
) -> None:
    facts = system("INIT>A", request="A")
    states = tuple(replace(s, watchdog_s=state if s.name == "A" else None) for s in facts.states)
    node = Node(replace(facts, states=states, watchdog_s=module), limits=Limits(watchdog_s=site))
    assert node.view.state == "A" and node.engine.watchdog_s == seconds


def test_new_code_may_say_another_watchdog() -> None:
    node = aligned()
    assert node.engine.watchdog_s == 0
    node.facts = replace(node.facts, watchdog_s=7.0)
    node.load()
    assert node.engine.watchdog_s == 7.0
    node.returns(True)
    node.facts = replace(node.facts, watchdog_s=None)
    node.load()
    assert node.engine.watchdog_s == 0


# --- a call that takes long


def test_a_long_call_is_a_named_condition_and_no_death() -> None:
    node = aligned()
    node.runs()
    slow(node, 312.4)
    v = node.view
    (step,) = node.did(Step)
    assert isinstance(step, Step) and step.kind == "slow"
    assert (
        step.text
        == v.message
        == "in ALIGNED.run() for more than 312 s; it waits or is busy, and REQUEST=SAFE interrupts it"
    )
    began = clock(EPOCH + node.mono - 312.4)
    assert explain.why_not_ok(v) == f"{v.message} (since {began})"
    assert (v.status, v.worker, v.kills, v.error) == (Status.DONE, Worker.RUN, 0, ErrorKind.NONE)
    assert explain.severity(v) is Severity.MINOR and not explain.is_ok(v) and explain.is_active(v)


def test_EXECTIME_alarms_meanwhile() -> None:
    node, row = aligned(), interface.BY_NAME["EXECTIME"]
    assert row.alarm is not None and row.alarm(node.view) is Severity.NO_ALARM
    slow(node, 312)
    assert row.alarm(node.view) is Severity.MINOR and row.value(Vitals(exectime_s=313.0)) == 313.0


def test_it_is_told_again_with_the_time_at_which_it_began() -> None:
    node = aligned()
    slow(node, 300)
    since = node.view.slow.since if node.view.slow else 0
    node.advance(301)
    slow(node, 601)
    assert node.view.slow and (node.view.slow.since, node.view.slow.seconds) == (since, 601)
    assert "for more than 601 s" in node.view.message


def test_what_would_end_it_is_true() -> None:
    node = Node(system("INIT>A A>B", stay="B", goto="SAFE", request="A"))
    slow(node, 300)
    assert node.view.message.endswith("REQUEST=SAFE interrupts it")
    node.request("B")
    node.returns(True)
    slow(node, 300, Call.MAIN)
    assert node.view.message.endswith("OP=STOP ends it")  # it has redirect = False
    node = Node(system("INIT>A", request="A"))
    slow(node, 300)
    assert node.view.message.endswith("OP=STOP ends it")  # there is no goto state
    node = manual("DAMPED")
    slow(node, 300)
    assert node.view.message.endswith("any other REQUEST interrupts it")


def test_it_is_over_when_the_host_says_so() -> None:
    node = aligned()
    slow(node, 312)
    slow(node, 345.2, None)
    assert node.text() == "ALIGNED.run() has ended after 345.2 s"
    assert node.view.slow is None and not node.view.message and explain.is_ok(node.view)
    slow(node, 345.2, None)
    assert not node.actions


def test_it_is_over_when_the_method_returns() -> None:
    node = aligned()
    slow(node, 312)
    node.returns(False)
    assert node.view.slow is None and not node.view.message
    node.returns(True)
    slow(node, 312)
    node.hears(Returned(entry=node.engine.entry, call=Call.RUN, outcome=True))
    assert node.view.slow is None and explain.is_ok(node.view)


@pytest.mark.parametrize("how", ["error", "jump", "redirect", "stop", "death", "reenter"])
def test_it_is_over_when_the_state_is_left(how: str) -> None:
    node = aligned()
    node.runs()
    slow(node, 312)
    {
        "error": node.raises,
        "jump": lambda: node.returns("SAFE"),
        "redirect": lambda: node.request("SAFE"),
        "stop": lambda: node.op(Op.STOP),
        "death": node.dies,
        "reenter": node.reenter,
    }[how]()
    assert node.view.slow is None and "more than 312 s" not in node.view.message + node.view.reason


@pytest.mark.parametrize(("gen", "entry"), [(-1, 0), (0, -1), (0, 1), (1, 0)])
def test_calls_of_another_worker_or_entry_are_not_meant(gen: int, entry: int) -> None:
    node = aligned()
    slow(node, 312, gen=gen, entry=entry)
    assert not node.actions and node.view.slow is None


def test_a_stalled_node_still_says_why_it_is_stalled() -> None:
    node = aligned()
    node.mode(Mode.MANAGED)
    node.returns("TRIPPED")
    node.returns(False)
    slow(node, 312)
    assert "held in TRIPPED" in node.view.reason and "in TRIPPED.run()" in node.view.message
    assert explain.why_not_ok(node.view).startswith("in TRIPPED.run() for more than 312 s")
