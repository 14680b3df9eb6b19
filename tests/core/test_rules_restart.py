"""What the death of a worker means under each restart policy, and what brings back a node that was given up (R12)."""

from __future__ import annotations

import pytest

from guardian.core import explain
from guardian.core.engine import Limits
from guardian.core.events import Gone, ResetFailed, Spawn, Step, Stuck
from guardian.enums import Op, Restart, Severity, Worker
from tests.core.driver import Node, aligned

NEVER = Limits(restart=Restart.NEVER)
ALWAYS = Limits(restart=Restart.ALWAYS, restarts=0, restart_delay_max_s=8)


def dies_until_given_up(node: Node) -> None:
    for _ in range(10):
        node.dies()
        if node.view.failed:
            return
        node.advance(10)
    raise AssertionError(f"it is not given up: {node.view}")


def test_never_is_FAIL_at_the_first_death() -> None:
    node = aligned(limits=NEVER)
    node.dies()
    assert node.view.failed and explain.severity(node.view) is Severity.MAJOR
    node.advance(1000)
    assert node.worker is None
    assert explain.why_not_ok(node.view).startswith(
        'worker died: signal SEGV; not started again (restart = "never"). See the log for the cause, then '
        "`guardctrl reset-failed TEST` starts it (since "
    )


def test_FAIL_says_what_died_how_often_why_and_what_to_do() -> None:
    node = aligned()
    dies_until_given_up(node)
    assert explain.why_not_ok(node.view).startswith(
        "worker died: signal SEGV; 4 times in 60 s; not started again. See the log for the cause, then "
        "`guardctrl reset-failed TEST` starts it (since "
    )
    assert node.view.message in explain.why_not_ok(node.view)


def test_always_is_never_given_up_waits_longer_each_time_and_is_MAJOR_meanwhile() -> None:
    node = aligned(limits=ALWAYS)
    waits = []
    for _ in range(8):
        node.dies()
        assert node.view.worker is Worker.DEAD and not node.view.failed
        assert explain.severity(node.view) is Severity.MAJOR
        assert node.engine.deadline is not None
        waits.append(node.engine.deadline - node.mono)
        node.advance(waits[-1])
        assert node.view.worker is Worker.RUN
    assert waits == pytest.approx([0.5, 1, 2, 4, 8, 8, 8, 8])
    assert node.view.restarts == 8


def test_a_worker_that_lived_for_a_whole_window_starts_from_the_first_delay() -> None:
    node = aligned(limits=ALWAYS)
    for _ in range(5):
        node.dies()
        node.advance(10)
    node.advance(60)
    node.dies()
    assert node.engine.deadline == pytest.approx(node.mono + 0.5)


def test_a_person_need_not_wait() -> None:
    node = aligned(limits=ALWAYS)
    for _ in range(6):
        node.dies()
        node.advance(8)
    for cut in (node.reenter, node.load, lambda: node.op(Op.EXEC), lambda: node.op(Op.STOP, Op.EXEC)):
        node.dies()
        assert node.worker is None
        cut()
        assert node.worker is not None


def test_bad_luck_does_not_count() -> None:
    node = aligned(limits=NEVER)
    for _ in range(20):
        node.worker = None
        node.feed(Gone(gen=node.engine.gen, reason="the forkserver died", innocent=True))
        assert not node.view.failed
        node.advance(30)
        assert node.view.worker is Worker.RUN


def test_each_death_is_acted_on_once() -> None:
    node = aligned(limits=ALWAYS)
    gen = node.engine.gen
    node.dies()
    steps = len(node.steps)
    for event in (Gone(gen=gen, reason="again"), Gone(gen=gen - 1, reason="old"), Stuck(gen=gen, why="late")):
        assert node.feed(event) == []
    node.advance(0.5)
    assert node.engine.gen == gen + 1
    for event in (Gone(gen=gen, reason="again"), Stuck(gen=gen, why="late")):
        assert node.feed(event) == []
    assert len([s for s in node.steps[steps - 1 :] if "died" in s.text]) == 1
    assert node.view.restarts == 1


def test_a_worker_that_hung_says_why_and_how_it_ended() -> None:
    node = aligned()
    node.feed(Stuck(gen=node.engine.gen, why="thread camera has not beaten for 2.6 s"))
    assert explain.why_not_ok(node.view).startswith(
        "worker died: thread camera has not beaten for 2.6 s; killed; it is"
    )


@pytest.mark.parametrize("limits", [ALWAYS, NEVER], ids=["that waits for its next worker", "that was given up"])
def test_one_that_is_stopped_after_a_death_promises_no_start_any_more(limits: Limits) -> None:
    node = aligned(limits=limits)
    node.dies()
    assert "started again" in node.view.message
    node.op(Op.STOP)
    assert node.view.message == "" and explain.why_not_ok(node.view).startswith("stopped by ")
    node.advance(1000)
    assert node.worker is None and node.view.message == ""


# --- reset-failed


@pytest.mark.parametrize("op", [Op.EXEC, Op.PAUSE])
def test_RESET_FAILED_starts_what_was_given_up_and_touches_nothing_else(op: Op) -> None:
    node = aligned()
    node.request("SAFE")
    node.op(op)
    dies_until_given_up(node)
    before = node.view
    node.feed(ResetFailed(by="anna"))
    assert node.worker is not None and not node.view.failed
    assert (node.view.op, node.view.op_by, node.view.request) == (op, before.op_by, "SAFE")
    texts = [(a.text, a.by) for a in node.actions if isinstance(a, Step)]
    assert texts[0] == ("RESET_FAILED by anna: a new worker starts", "anna")
    node.dies()
    assert not node.view.failed, "its past is forgotten"


def test_RESET_FAILED_of_a_node_that_has_not_failed_is_nothing() -> None:
    node = aligned()
    assert node.feed(ResetFailed(by="anna")) == []
    node.dies()
    assert node.feed(ResetFailed(by="anna")) == []
    node.advance(1)
    assert len(node.workers) == 2


def test_RESET_FAILED_twice_starts_one_worker() -> None:
    node = aligned(limits=NEVER)
    node.autoload = False
    node.dies()
    node.feed(ResetFailed(by="anna"), ResetFailed(by="bert"))
    assert len(node.did(Spawn)) == 1
