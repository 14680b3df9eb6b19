"""The rules of the automaton by their numbers (section 4 of the design), as short scripts on one node.

R10, what OP does.
"""

# mypy: disable-error-code="comparison-overlap"
# (a node changes between two looks at it)

from __future__ import annotations

import pytest

from guardian.core import interface
from guardian.core.events import (
    Judge,
    Kill,
    Leave,
    Pause,
    Reenter,
    Requested,
    Resume,
    Returned,
    SetMode,
    SetOp,
    Stop,
)
from guardian.enums import Call, ErrorKind, Mode, Op, Severity, Status, Worker
from tests.core.driver import aligned, kinds, manual, suspension

# --- R10 PAUSE


def test_R10_PAUSE_keeps_the_result_and_judges_it_at_EXEC() -> None:
    node = suspension()
    node.op(Op.PAUSE)
    assert node.view.worker is Worker.PAUSE and len(node.told(Pause)) == 1
    node.returns(True)
    assert node.view.state == "SAFE"
    node.advance(100)
    assert node.view.state == "SAFE"
    node.op(Op.EXEC)
    assert node.view.state == "DAMPED" and len(node.told(Resume)) == 1


@pytest.mark.parametrize(("outcome", "state"), [("DAMPED", "DAMPED"), (False, "SAFE")])
def test_R10_a_kept_jump_or_not_yet(outcome: bool | str, state: str) -> None:
    node = suspension()
    node.op(Op.PAUSE)
    node.returns(outcome)
    assert node.entered[-1] == "SAFE"
    node.op(Op.EXEC)
    assert node.view.state == state


def test_R10_a_kept_error() -> None:
    node = suspension()
    node.op(Op.PAUSE)
    node.raises()
    assert node.view.error is ErrorKind.NONE
    node.op(Op.EXEC)
    assert node.view.error is ErrorKind.ERROR


def test_R10_no_news_is_no_news() -> None:
    node = aligned()
    node.runs()
    node.op(Op.PAUSE)
    node.returns(True)
    node.op(Op.EXEC)
    assert node.view.status is Status.DONE and node.running == ""


def test_R10_a_completion_under_PAUSE_moves_on_at_EXEC_without_one_more_call() -> None:
    node = aligned()
    node.returns(False)
    node.runs()
    node.op(Op.PAUSE)
    node.request("DAMPED")
    node.returns(True)
    runs = node.calls.count("ALIGNED.run")
    node.op(Op.EXEC)
    assert node.view.state == "DAMPED" and node.calls.count("ALIGNED.run") == runs
    assert kinds(node.actions).index("Enter") < kinds(node.actions).index("Resume")


def test_R10_REQUEST_under_PAUSE_changes_REQUEST_and_TARGET_only() -> None:
    node = aligned()
    node.op(Op.PAUSE)
    before = node.view
    node.request("DAMPED")
    v = node.view
    assert (v.request, v.target) == ("DAMPED", "DAMPED")
    assert (v.state, v.status, v.worker) == (before.state, before.status, before.worker)
    assert node.told(Judge) == [] and node.worker and not node.worker.may_call
    node.op(Op.EXEC)
    assert node.running == "ALIGNED.run"  # the same instance
    node.returns(True)
    assert node.view.state == "DAMPED"


def test_R10_a_redirect_asked_for_under_PAUSE_happens_at_EXEC() -> None:
    node = aligned()
    node.op(Op.PAUSE)
    node.request("SAFE")
    assert node.view.state == "ALIGNED" and node.told(Leave) == []
    node.op(Op.EXEC)
    assert node.view.state == "SAFE"


def test_R10_the_answer_to_a_Judge_given_under_PAUSE_ends_that_Judge() -> None:
    node = aligned()
    node.runs()
    node.request("DAMPED")
    node.returns(True)
    assert node.running == "ALIGNED.run"
    entry, seq = (node.worker.entry, node.worker.judge) if node.worker else (0, 0)
    node.op(Op.PAUSE)
    node.hears(Returned(entry=entry, call=Call.RUN, outcome=False, seq=seq))
    node.hears(Returned(entry=entry, call=Call.RUN, outcome=False))
    node.op(Op.EXEC)
    node.request("ALIGNED")
    assert len(node.told(Judge)) == 1


def test_R10_PAUSE_while_the_code_loads() -> None:
    node = suspension(autoload=False)
    node.op(Op.PAUSE)
    node.loads()
    assert node.view.worker is Worker.PAUSE and node.calls == []
    node.op(Op.EXEC)
    assert node.running == "INIT.main"


def test_R10_a_manual_request_in_ERROR_under_PAUSE_counts_at_EXEC() -> None:
    node = manual("SAFE")
    node.raises()
    node.op(Op.PAUSE)
    node.request("ALIGNED")
    assert node.view.error is ErrorKind.ERROR
    node.op(Op.EXEC)
    assert node.view.state == "ALIGNED" and node.view.error is ErrorKind.NONE


def test_R10_a_redirect_asked_for_under_PAUSE_is_stronger_than_REENTER() -> None:
    node = aligned()
    node.op(Op.PAUSE)
    node.reenter()
    node.request("SAFE")
    node.op(Op.EXEC)
    assert node.view.state == "SAFE"


# --- R10 STOP


def test_R10_STOP_interrupts_and_the_worker_ends() -> None:
    node = aligned()
    node.runs()
    before = node.view
    node.op(Op.STOP)
    v = node.view
    assert len(node.told(Stop)) == 1 and node.worker is None and v.worker is Worker.STOP
    assert (v.state, v.target, v.status) == (before.state, before.target, before.status)
    assert not v.known
    for name in ("STATE", "TARGET", "STATUS"):
        alarm = interface.BY_NAME[name].alarm
        assert alarm and alarm(v) is Severity.INVALID


def test_R10_STOP_kills_after_a_second() -> None:
    node = aligned()
    node.stubborn = True
    node.runs()
    node.op(Op.STOP)
    node.advance(0.99)
    assert node.worker is not None and node.did(Kill) == []
    node.advance(0.02)
    assert node.worker is None and node.view.worker is Worker.STOP and node.view.kills == 1
    assert node.engine.deadline is None


def test_R10_EXEC_after_STOP_is_a_new_worker_in_INIT() -> None:
    node = aligned()
    node.op(Op.STOP)
    node.op(Op.EXEC)
    assert len(node.workers) == 2 and node.running == "INIT.main" and node.view.request == "ALIGNED"
    assert node.view.known and node.view.status is Status.MAIN


def test_R10_STOP_then_EXEC_back_to_back_is_not_merged() -> None:
    node = aligned()
    node.op(Op.STOP, Op.EXEC)
    assert len(node.workers) == 2 and node.running == "INIT.main"
    node.op(*[Op.STOP, Op.EXEC] * 5)
    assert node.running == "INIT.main" and node.view.worker is Worker.RUN


def test_R10_settings_stay_writable_under_STOP() -> None:
    node = aligned()
    node.op(Op.STOP)
    node.request("DAMPED")
    node.mode(Mode.MANAGED)
    node.manager("IMC")
    assert (node.view.request, node.view.mode, node.view.manager) == ("DAMPED", Mode.MANAGED, "IMC")
    node.op(Op.EXEC)
    node.returns(True)
    node.goes_to("DAMPED")
    assert node.view.request == "DAMPED"


def test_R10_a_manual_request_written_under_STOP_is_judged_at_EXEC() -> None:
    node = manual()
    node.op(Op.STOP)
    node.request("ALIGNED")
    node.op(Op.EXEC)
    assert node.running == "INIT.main"
    node.returns(True)
    assert node.view.state == "ALIGNED"


def test_R10_a_stopping_worker_hears_nothing_more() -> None:
    node = aligned()
    node.stubborn = True
    node.runs()
    node.op(Op.STOP, Op.EXEC)
    for event in (
        Requested(state="SAFE", by="x"),
        SetMode(mode=Mode.MANUAL, by="x"),
        Reenter(by="x"),
        SetOp(op=Op.PAUSE, by="x"),
    ):
        node.feed(event)
        assert [k for k in kinds(node.actions) if not k.startswith("step:")] == []
    node.op(Op.EXEC)
    node.advance(1.1)
    assert node.running == "INIT.main"


def test_R10_nothing_is_entered_by_a_worker_that_stops() -> None:
    node = manual()
    node.raises()
    node.undead = True
    node.feed(SetOp(op=Op.STOP, by="x"), SetOp(op=Op.EXEC, by="x"), Requested(state="ALIGNED", by="x"))
    assert "ALIGNED" not in node.entered
    node.returns(True)
    assert node.view.state == "ALIGNED"
