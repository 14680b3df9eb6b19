"""The rules of the automaton by their numbers (section 4 of the design), as short scripts on one node.

What a worker does by itself (R2's cycle, R14, R18) is tested with the worker.
"""

# mypy: disable-error-code="comparison-overlap"
# (a node changes between two looks at it)

from __future__ import annotations

import pytest

from guardian.core import explain, interface
from guardian.core.engine import Limits, Start
from guardian.core.events import (
    Began,
    Elapsed,
    Enter,
    Gone,
    Heard,
    Judge,
    Kill,
    Leave,
    Left,
    Loaded,
    LoadFailed,
    Pause,
    Policy,
    Reenter,
    Refused,
    Requested,
    Resume,
    Returned,
    SetMode,
    SetOp,
    Spawn,
    Step,
    Stop,
)
from guardian.enums import Call, Connect, ErrorKind, LoadStatus, Mode, OnComplete, Op, Severity, Status, Worker
from tests.core.driver import EPOCH, Node, kinds, system

WALK = "INIT>SAFE SAFE>DAMPED DAMPED>ALIGNED ALIGNED>DAMPED"


def suspension(**kwargs: object) -> Node:
    """INIT -> SAFE -> DAMPED <-> ALIGNED; SAFE is a goto state, TRIPPED may not be left before it completes."""
    facts = system(f"{WALK} TRIPPED>SAFE", goto="SAFE", stay="TRIPPED", request="ALIGNED", nominal="ALIGNED")
    return Node(facts, **kwargs)  # type: ignore[arg-type]


def aligned(**kwargs: object) -> Node:
    """A suspension at its request."""
    node = suspension(**kwargs)
    node.goes_to("DAMPED", "ALIGNED")
    node.returns(True)
    assert node.view.status is Status.DONE
    return node


# --- R1 start


def test_R1_a_node_starts_in_INIT_and_walks_to_the_modules_request() -> None:
    node = suspension(autoload=False, settle=False)
    assert (node.view.status, node.view.state, node.view.worker) == (Status.INIT, "INIT", Worker.INIT)
    assert node.view.request == "NONE" and not node.view.stalled
    node.loads()
    assert (node.view.state, node.view.target, node.view.request) == ("INIT", "SAFE", "ALIGNED")
    assert node.view.status is Status.MAIN and node.running == "INIT.main"
    node.returns(True)
    node.goes_to("DAMPED", "ALIGNED")
    node.returns(False, True)
    assert (node.view.state, node.view.target, node.view.status) == ("ALIGNED", "ALIGNED", Status.DONE)


def test_R1_defaults_are_EXEC_AUTO_no_manager_and_NONE_without_a_module_request() -> None:
    node = Node(system("INIT>SAFE"))
    v = node.view
    assert (v.op, v.mode, v.manager, v.request) == (Op.EXEC, Mode.AUTO, "", "NONE")
    assert (v.state, v.target, v.status) == ("INIT", "INIT", Status.RUN)


def test_R1_stored_STOP_loads_once_for_its_graph_and_ends_the_worker() -> None:
    node = suspension(start=Start(op=Op.STOP, request="SAFE"))
    assert node.view.graph is not None and node.calls == []
    assert node.worker is None and node.view.worker is Worker.STOP
    assert (node.view.load_status, node.view.request, node.view.known) == (LoadStatus.DONE, "SAFE", False)
    node.op(Op.EXEC)
    assert node.running == "INIT.main"


def test_R1_stored_STOP_and_EXEC_while_loading_is_an_ordinary_start() -> None:
    node = suspension(start=Start(op=Op.STOP), autoload=False)
    node.op(Op.EXEC)
    node.loads()
    assert node.running == "INIT.main" and len(node.workers) == 1


# --- R2, R3, R4, R5: the walk


def test_R2_STATUS_goes_ENTER_MAIN_RUN_and_STATE_changes_with_Enter() -> None:
    node = suspension()
    node.returns(True)
    enter = next(a for a in node.actions if isinstance(a, Step) and a.kind == "enter")
    assert (enter.view.state, enter.view.status, enter.via) == ("DAMPED", Status.ENTER, Status.EDGE)
    assert kinds(node.actions).index("Enter") < kinds(node.actions).index("step:enter")
    assert node.view.status is Status.MAIN
    node.returns(False)
    assert node.view.status is Status.RUN


def test_R2_completion_of_main_alone_is_enough() -> None:
    node = suspension()
    assert node.view.state == "SAFE"
    node.returns(True)
    assert node.view.state == "DAMPED" and node.calls == ["INIT.main", "SAFE.main", "DAMPED.main"]


def test_R3_an_outcome_that_cannot_be_judged_is_an_error_like_any_other() -> None:
    node = suspension()
    node.raises(TypeError("returned a numpy.ndarray that is neither true nor false"))
    assert node.view.error is ErrorKind.ERROR and "numpy.ndarray" in node.view.message


def test_R4_at_REQUEST_each_return_is_judged_anew() -> None:
    node = aligned()
    node.returns(True, True)
    assert node.actions == []  # no news
    node.returns(False)
    assert node.view.status is Status.RUN
    node.returns(True)
    assert node.view.status is Status.DONE and node.running == "" and node.worker and node.worker.may_call


def test_R5_TARGET_is_the_next_state_of_the_cheapest_path() -> None:
    node = Node(system("INIT>A A>B B>Z A>C:0.5 C>Z:0.4", request="Z"))
    assert (node.view.state, node.view.target) == ("A", "C")
    node.returns(True)
    assert (node.view.state, node.view.target) == ("C", "Z")


def test_R5_not_complete_means_staying() -> None:
    node = suspension()
    node.returns(False, False, False)
    assert (node.view.state, node.view.status) == ("SAFE", Status.RUN)


# --- R6 jumps and holding


def test_R6_auto_jump_enters_at_once_and_plans_again() -> None:
    node = Node(system("INIT>A A>B B>A LOSS>A", request="B"))
    node.goes_to("B")
    node.returns(True, "LOSS")
    step = next(s for s in node.steps if s.via is Status.JUMP)
    assert (step.view.state, step.view.target, node.view.request) == ("LOSS", "A", "B")
    assert not node.view.held and not node.view.stalled
    node.returns(True)
    assert node.view.state == "A"


def test_R6_its_own_name_is_a_reentry() -> None:
    node = aligned()
    entry = node.worker.entry if node.worker else 0
    node.returns("ALIGNED")
    assert node.view.state == "ALIGNED" and node.running == "ALIGNED.main"
    assert node.worker and node.worker.entry == entry + 1


def test_R6_unknown_name_is_an_ERROR_that_names_state_value_and_file() -> None:
    node = suspension()
    node.returns("NOWHERE")
    assert node.view.error is ErrorKind.ERROR and node.view.state == "SAFE"
    for part in ("SAFE.main()", "NOWHERE", "TEST.py:1"):
        assert part in node.view.message
    assert node.worker and not node.worker.may_call


def test_R6_managed_jump_holds() -> None:
    node = aligned()
    node.mode(Mode.MANAGED)
    node.returns("TRIPPED")
    assert (node.view.state, node.view.target, node.view.stalled) == ("TRIPPED", "TRIPPED", True)
    node.returns(False, True, True)  # run() goes on, no edge is taken
    assert node.view.state == "TRIPPED" and node.view.status is Status.RUN
    assert "ALIGNED" in node.view.message and "held" in node.view.message


def test_R6_a_held_state_may_jump_again_and_stays_held() -> None:
    node = aligned()
    node.mode(Mode.MANAGED)
    node.returns("TRIPPED", False, "DAMPED", True)
    assert (node.view.state, node.view.stalled) == ("DAMPED", True)


@pytest.mark.parametrize("wish", ["ALIGNED", "SAFE"])
def test_R6_any_REQUEST_ends_the_hold(wish: str) -> None:
    node = aligned()
    node.mode(Mode.MANAGED)
    node.returns("DAMPED", True)
    node.request(wish)
    assert not node.view.stalled and not node.view.held
    assert node.view.target == wish or node.view.state == wish


def test_R6_mode_AUTO_ends_the_hold() -> None:
    node = aligned()
    node.mode(Mode.MANAGED)
    node.returns("DAMPED", True)
    node.mode(Mode.AUTO)
    node.returns(True)
    assert node.view.state == "ALIGNED"


def test_R6_without_a_request_a_jump_holds_and_is_not_stalled() -> None:
    node = aligned()
    node.request("NONE")
    node.returns("DAMPED", True)
    assert node.view.held and not node.view.stalled and node.view.state == "DAMPED"
    node.request("ALIGNED")
    node.returns(True)
    assert node.view.state == "ALIGNED"


def test_R6_REENTER_keeps_the_hold() -> None:
    node = aligned()
    node.mode(Mode.MANAGED)
    node.returns("DAMPED", False)
    node.reenter()
    assert node.running == "DAMPED.main" and node.view.stalled
    node.returns(True, True)
    assert node.view.state == "DAMPED"


def test_R6_held_at_its_own_REQUEST_is_done_and_not_stalled() -> None:
    node = aligned()
    node.mode(Mode.MANAGED)
    node.returns("ALIGNED", True)
    assert node.view.status is Status.DONE and not node.view.stalled


# --- R7 a new request


def test_R7_a_request_shows_at_once_and_run_is_called_without_waiting() -> None:
    node = aligned()
    node.request("DAMPED")
    assert (node.view.request, node.view.target, node.view.status) == ("DAMPED", "DAMPED", Status.RUN)
    assert node.running == "ALIGNED.run"
    node.returns(True)
    assert node.view.state == "DAMPED"


def test_R7_the_present_state_goes_on_until_it_completes() -> None:
    node = aligned()
    node.request("DAMPED")
    node.returns(False, False)
    assert node.view.state == "ALIGNED"
    node.returns(True)
    assert node.view.state == "DAMPED"


def test_R7_a_request_while_a_method_blocks_shows_at_once() -> None:
    node = aligned()
    node.runs()
    node.request("DAMPED")
    assert (node.view.request, node.view.target) == ("DAMPED", "DAMPED")
    node.returns(False)  # what was running when the word came does not decide
    assert node.running == "ALIGNED.run"
    node.returns(True)
    assert node.view.state == "DAMPED"


def test_R7_a_completion_counts_whenever_its_call_began() -> None:
    node = aligned()
    node.returns(False)
    node.runs()
    node.request("DAMPED")
    node.returns(True)
    assert node.view.state == "DAMPED"


def test_R7_one_Judge_at_a_time() -> None:
    node = aligned()
    node.runs()
    node.request("DAMPED")
    assert len(node.told(Judge)) == 1
    node.request("ALIGNED")
    node.request("DAMPED")
    assert node.told(Judge) == [] and len(node.told(Policy)) == 1
    node.returns(False, False)
    node.request("ALIGNED")
    assert len(node.told(Judge)) == 1


def test_R7_back_to_the_present_state_is_done_again() -> None:
    node = aligned()
    node.runs()
    node.request("DAMPED")
    node.request("ALIGNED")
    assert (node.view.status, node.view.target) == (Status.DONE, "ALIGNED")


# --- R8 redirects


def test_R8_request_of_a_goto_state_interrupts_and_leaves() -> None:
    node = aligned()
    node.runs()
    node.request("SAFE")
    first = node.did(Step)[0]
    assert isinstance(first, Step) and first.view.status is Status.REDIRECT
    assert node.told(Leave) == [Leave(entry=4, interrupt=True)]
    assert node.view.state == "SAFE" and node.running == "SAFE.main"


def test_R8_redirect_False_must_complete_first() -> None:
    node = aligned()
    node.returns("TRIPPED")
    assert node.view.state == "TRIPPED" and node.running == "TRIPPED.main"  # nor on arrival
    node.request("SAFE")
    assert node.told(Leave) == [] and node.view.state == "TRIPPED"
    node.returns(False, False, True)
    assert node.view.state == "SAFE"


def test_R8_on_arrival_by_a_jump_even_before_main() -> None:
    node = Node(system("INIT>DOWN DOWN>UP", states="LOSS", goto="DOWN", request="UP"))
    node.goes_to("UP")
    node.returns(True, "LOSS")
    assert node.entered[-2:] == ["LOSS", "DOWN"] and "LOSS.main" not in node.calls
    assert node.running == "DOWN.main"


def test_R8_not_in_INIT() -> None:
    node = Node(system("A>B DOWN>Z INIT>A", goto="DOWN", request="Z"), settle=False)
    node.request("B")
    assert node.running == "INIT.main"
    node.request("Z")
    assert node.running == "INIT.main" and node.view.target == "DOWN"


def test_R8_not_on_arrival_by_an_edge_nor_by_REENTER() -> None:
    node = Node(system("INIT>A INIT>SAFE:50 SAFE>B", goto="SAFE", request="B"))
    assert (node.view.state, node.view.target, node.running) == ("A", "SAFE", "A.main")
    node.reenter()
    assert node.running == "A.main" and node.calls.count("A.main") == 2
    node.returns(False)
    node.request("SAFE")  # the plan changes: now it applies
    assert node.running == "SAFE.main"


def test_R8_not_by_a_MODE_that_changes_no_plan() -> None:
    node = Node(system("INIT>A INIT>SAFE:50 SAFE>B", goto="SAFE", request="B"))
    for mode in (Mode.AUTO, Mode.MANAGED, Mode.MANAGED):
        node.mode(mode)
        assert node.running == "A.main" and node.told(Leave) == []
    node.op(Op.PAUSE)
    node.mode(Mode.MANAGED)
    node.op(Op.EXEC)
    assert node.running == "A.main"
    node.mode(Mode.AUTO)  # R24: R8 applies
    assert node.running == "SAFE.main"


@pytest.mark.parametrize("outcome", [True, "DAMPED", ValueError("late")])
def test_R8_what_the_method_says_meanwhile_is_ignored(outcome: bool | str | Exception) -> None:
    node = aligned()
    node.stubborn = True
    node.runs()
    node.request("SAFE")
    assert node.view.status is Status.REDIRECT
    if isinstance(outcome, Exception):
        node.raises(outcome)
    else:
        node.returns(outcome)
    assert node.view.state == "SAFE" and node.view.error is ErrorKind.NONE and node.view.kills == 0


def test_R8_a_method_that_does_not_end_is_killed_and_a_new_worker_enters_TARGET() -> None:
    node = aligned()
    node.stubborn = True
    node.runs()
    node.request("SAFE")
    node.advance(1.99)
    assert node.did(Kill) == [] and node.view.state == "ALIGNED"
    node.advance(0.02)
    assert len(node.did(Kill)) == 1 and node.view.kills == 1 and "ALIGNED" in node.text()
    assert node.view.state == "SAFE" and node.running == "SAFE.main" and len(node.workers) == 2
    assert "INIT.main" not in node.calls[1:] and node.view.load_status is LoadStatus.DONE


def test_R8_the_TARGET_of_that_moment() -> None:
    node = Node(system("INIT>A A>B", goto="SAFE DOWN", request="A"))
    node.returns(True)
    node.stubborn = True
    node.runs()
    node.request("SAFE")
    node.request("DOWN")
    node.advance(2.1)
    assert node.entered[-1] == "DOWN" and "SAFE.main" not in node.calls


@pytest.mark.parametrize(("module", "site", "seconds"), [(None, 2.0, 2.0), (None, 0.5, 0.5), (7.0, 0.5, 7.0)])
def test_R8_redirect_timeout_is_set_per_site_and_system(module: float | None, site: float, seconds: float) -> None:
    facts = system("INIT>A", goto="SAFE", request="A", redirect_timeout_s=module)
    node = Node(facts, limits=Limits(redirect_timeout_s=site))
    node.returns(False)
    node.stubborn = True
    node.runs()
    node.request("SAFE")
    node.advance(seconds - 0.01)
    assert node.view.kills == 0
    node.advance(0.02)
    assert node.view.kills == 1


def test_R8_mode_AUTO_on_a_held_state_redirects() -> None:
    node = Node(system("INIT>A SAFE>A", goto="SAFE", states="LOSS", request="A"))
    node.mode(Mode.MANAGED)
    node.returns("LOSS", False)
    assert node.view.held and node.view.state == "LOSS"
    node.runs()
    node.mode(Mode.AUTO)
    assert node.view.state == "SAFE"


# --- R9 manual


def manual(state: str = "SAFE") -> Node:
    node = suspension(start=Start(mode=Mode.MANUAL, request="NONE"))
    node.request(state)
    node.returns(True, False)
    assert node.view.state == state
    return node


def test_R9_a_request_enters_directly_and_nothing_moves_by_edges() -> None:
    node = manual()
    node.runs()
    node.request("ALIGNED")
    assert node.view.state == node.view.target == "ALIGNED" and node.running == "ALIGNED.main"
    node.returns(True, True)
    assert node.view.state == "ALIGNED" and node.view.status is Status.DONE


def test_R9_the_same_value_enters_again() -> None:
    node = manual()
    node.request("SAFE")
    assert node.running == "SAFE.main" and node.calls.count("SAFE.main") == 2


def test_R9_redirect_False_waits_for_completion() -> None:
    node = manual("TRIPPED")
    node.request("ALIGNED")
    assert node.view.state == "TRIPPED" and node.running == "TRIPPED.run"
    node.returns(False, True)
    assert node.view.state == "ALIGNED"


def test_R9_a_jump_moves_and_holds() -> None:
    node = manual("ALIGNED")
    node.returns("DAMPED", True, True)
    assert node.view.state == "DAMPED" and node.view.held and node.view.stalled


def test_R9_a_request_while_the_code_loads_is_carried_out() -> None:
    node = suspension(start=Start(mode=Mode.MANUAL, request="NONE"))
    node.autoload = False
    node.op(Op.STOP, Op.EXEC)
    node.request("ALIGNED")
    node.loads()
    assert node.running == "INIT.main"
    node.returns(True)
    assert node.view.state == "ALIGNED"


def test_R9_a_request_outlives_a_REENTER_of_a_state_that_may_not_be_left() -> None:
    node = manual("TRIPPED")
    node.runs()
    node.reenter()
    node.request("ALIGNED")
    node.returns(True)
    assert node.running == "TRIPPED.main"
    node.returns(True)
    assert node.view.state == "ALIGNED"


def test_R9_writing_MANUAL_again_withdraws_nothing() -> None:
    node = manual("TRIPPED")
    node.request("ALIGNED")
    node.mode(Mode.MANUAL)
    node.returns(True)
    assert node.view.state == "ALIGNED"


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


# --- R12 errors and deaths


@pytest.mark.parametrize("error", [ValueError("oops"), SystemExit(1), KeyboardInterrupt()])
def test_R12_an_exception_stops_user_code(error: BaseException) -> None:
    node = aligned()
    node.raises(error)
    assert node.view.error is ErrorKind.ERROR and type(error).__name__ in node.view.message
    assert node.worker and not node.worker.may_call and len(node.workers) == 1
    assert not explain.is_ok(node.view) and explain.severity(node.view) is Severity.MAJOR
    node.request("DAMPED")  # no redirect
    node.mode(Mode.MANAGED)
    node.mode(Mode.AUTO)
    assert node.view.error is ErrorKind.ERROR and not node.worker.may_call
    assert (node.view.request, node.view.target) == ("DAMPED", "DAMPED")
    assert node.view.status is not Status.DONE


def test_R12_REENTER_runs_the_state_again() -> None:
    node = aligned()
    node.raises()
    node.reenter()
    assert node.running == "ALIGNED.main" and node.view.error is ErrorKind.NONE and not node.view.message


def test_R12_STOP_EXEC_clears_it() -> None:
    node = aligned()
    node.raises()
    node.op(Op.STOP, Op.EXEC)
    assert node.running == "INIT.main" and node.view.error is ErrorKind.NONE


def test_R12_a_request_whose_first_step_is_a_redirect() -> None:
    node = aligned()
    node.raises()
    node.request("SAFE")
    assert node.running == "SAFE.main" and node.view.error is ErrorKind.NONE


def test_R12_the_same_request_too_but_not_one_that_leads_over_an_edge() -> None:
    node = Node(system("INIT>A INIT>SAFE:50 SAFE>B", goto="SAFE", request="B"))
    assert node.view.state == "A"
    node.raises()
    node.request("B")
    assert node.running == "SAFE.main"
    node.raises()
    node.request("B")
    assert node.view.error is ErrorKind.ERROR and node.view.state == "SAFE"


def test_R12_in_MANUAL_any_request() -> None:
    node = manual("TRIPPED")
    node.raises()
    node.request("TRIPPED")
    assert node.running == "TRIPPED.main"
    node.raises()
    node.request("ALIGNED")
    assert node.running == "ALIGNED.main"


def test_R12_late_words_do_not_move_a_node_in_ERROR() -> None:
    node = suspension()
    entry = node.worker.entry if node.worker else 0
    node.raises()
    node.hears(Returned(entry=entry, call=Call.RUN, outcome=True))
    assert (node.view.state, node.view.error) == ("SAFE", ErrorKind.ERROR)


def test_R12_a_dead_worker_is_said_at_once_and_comes_back_in_INIT() -> None:
    node = aligned()
    node.dies()
    v = node.view
    assert v.worker is Worker.DEAD and not v.known and not v.failed and "SEGV" in v.message
    assert explain.severity(v) is Severity.MAJOR and v.state == "ALIGNED" and v.request == "ALIGNED"
    node.advance(1)
    assert node.running == "INIT.main" and node.view.request == "ALIGNED" and "SEGV" not in node.view.message


def test_R12_four_deaths_in_a_minute_are_too_many() -> None:
    node = aligned()
    for _ in range(3):
        node.dies()
        node.advance(1)
        assert node.worker is not None
    node.dies()
    node.advance(100)
    assert node.worker is None and node.view.failed and "OP=EXEC" in node.view.message
    node.op(Op.EXEC)
    assert node.running == "INIT.main" and not node.view.failed
    for _ in range(3):  # pardoned
        node.dies()
        node.advance(1)
    assert node.worker is not None


def test_R12_STOP_and_EXEC_pardon_earlier_deaths() -> None:
    node = aligned()
    for _ in range(3):
        node.dies()
        node.advance(1)
    node.op(Op.STOP, Op.EXEC)
    node.dies()
    assert not node.view.failed
    node.advance(1)
    assert node.running == "INIT.main"


def test_R12_deaths_further_apart_go_on_for_ever() -> None:
    node = aligned()
    for _ in range(10):
        node.dies()
        node.advance(21)
        assert node.worker is not None


def test_R12_REENTER_of_a_failed_node_starts_it() -> None:
    node = Node(limits=Limits(restarts=0))
    node.dies()
    assert node.view.failed
    node.reenter()
    assert node.running == "INIT.main"


def test_R12_a_kill_that_was_asked_for_is_no_death() -> None:
    node = suspension(limits=Limits(restarts=0))
    node.stubborn = True
    node.goes_to("DAMPED")
    node.request("SAFE")
    node.advance(2.1)
    node.op(Op.STOP)
    node.advance(1.1)
    node.op(Op.EXEC)
    assert not node.view.failed and node.running == "INIT.main" and node.view.kills == 2


def test_R12_code_that_does_not_load() -> None:
    node = suspension(autoload=False)
    node.load_fails()
    v = node.view
    assert (v.load_status, v.worker, node.worker) == (LoadStatus.ERROR, Worker.STOP, None)
    assert "SyntaxError" in v.message and explain.severity(v) is Severity.MAJOR
    node.advance(100)
    assert node.worker is None
    node.op(Op.EXEC)
    node.loads()
    assert node.running == "INIT.main" and node.view.error is ErrorKind.NONE and not node.view.message


def test_R12_EXEC_while_a_failed_load_ends_tries_again() -> None:
    node = suspension(autoload=False)
    node.feed(Heard(gen=1, report=LoadFailed(reason="SyntaxError")), SetOp(op=Op.EXEC, by="x"))
    assert len(node.workers) == 2
    node.op(Op.EXEC)  # while it loads: it is what is being done
    node.load_fails()
    assert len(node.workers) == 2 and node.view.worker is Worker.STOP


def test_R12_a_graph_with_faults_does_not_load_and_names_them() -> None:
    node = suspension(autoload=False)
    node.loads(system("INIT>A:-1 A>B:0"))
    assert node.view.load_status is LoadStatus.ERROR
    assert "INIT -> A" in node.view.message and "A -> B" in node.view.message


# --- R13 lost channels


def test_R13_a_lost_channel_is_named_and_the_method_is_called_again() -> None:
    node = aligned()
    node.raises(ConnectionError("X1:A", "X1:B"))
    v = node.view
    assert (v.error, v.connect) == (ErrorKind.CONNECT, ("X1:A", "X1:B")) and "X1:A" in v.message
    assert interface.BY_NAME["CONNECT"].value(v) is Connect.LOST
    node.returns(True)
    assert node.view.error is ErrorKind.NONE and not node.view.connect and not node.view.message
    assert interface.BY_NAME["CONNECT"].value(node.view) is Connect.OK


def test_R13_main_that_lost_a_channel_is_called_again() -> None:
    node = suspension()
    node.raises(ConnectionError("X1:A"))
    assert node.running == "SAFE.main" and node.calls[-2:] == ["SAFE.main", "SAFE.main"]
    assert node.view.error is ErrorKind.CONNECT
    node.returns(True)
    assert node.view.state == "DAMPED" and node.view.error is ErrorKind.NONE


def test_R13_alarms_after_ten_seconds() -> None:
    node = aligned()
    node.raises(ConnectionError("X1:A"))
    node.advance(9.9)
    assert explain.severity(node.view) is Severity.NO_ALARM
    node.raises(ConnectionError("X1:A"))
    node.advance(0.2)
    assert explain.severity(node.view) is Severity.MAJOR and node.view.overdue
    node.returns(True)
    assert explain.severity(node.view) is Severity.NO_ALARM and node.engine.deadline is None


def test_R13_the_node_stays_commandable() -> None:
    node = aligned()
    node.raises(ConnectionError("X1:A"))
    node.request("SAFE")
    assert node.running == "SAFE.main" and node.view.error is ErrorKind.NONE


def test_R13_a_Judge_that_met_a_lost_channel_is_over() -> None:
    node = aligned()
    node.request("DAMPED")
    node.raises(ConnectionError("X1:A"))
    node.request("ALIGNED")
    assert len(node.told(Judge)) == 1


def test_R13_a_stopped_node_waits_for_no_channel() -> None:
    node = aligned()
    node.raises(ConnectionError("X1:A"))
    node.advance(11)
    node.op(Op.STOP)
    alarm = interface.BY_NAME["CONNECT"].alarm
    assert alarm and alarm(node.view) is Severity.NO_ALARM


# --- R14 notifications


def test_R14_notifications_are_shown_as_they_are() -> None:
    node = aligned()
    node.notifies("watch out", "and more")
    assert interface.BY_NAME["USERMSG"].value(node.view) == "watch out; and more"
    assert interface.BY_NAME["USERMSG1"].value(node.view) == "and more"
    assert explain.severity(node.view) is Severity.MINOR and explain.is_ok(node.view)
    node.notifies("watch out", "and more")
    assert node.actions == []
    node.notifies()
    assert explain.severity(node.view) is Severity.NO_ALARM


@pytest.mark.parametrize("how", ["dies", "stop"])
def test_R14_nobody_notifies_when_no_worker_is_there(how: str) -> None:
    node = aligned()
    node.notifies("watch out")
    node.dies() if how == "dies" else node.op(Op.STOP)
    assert node.view.notifications == ()


# --- R15: the rest is in test_explain.py


def test_R15_OK_and_ACTIVE_follow_the_node() -> None:
    node = suspension()
    assert explain.is_active(node.view) and not explain.is_ok(node.view)
    node.goes_to("DAMPED", "ALIGNED")
    node.returns(True)
    assert explain.is_ok(node.view) and explain.why_not_ok(node.view) == ""
    node.op(Op.PAUSE)
    assert not explain.is_ok(node.view) and not explain.is_active(node.view)


# --- R16 no path


def test_R16_no_path_stays_and_says_so() -> None:
    node = Node(system("INIT>A A>B C>A", request="A"))
    node.returns(True)
    node.request("C")
    assert (node.view.state, node.view.target, node.view.stalled) == ("A", "A", True)
    for part in ("A -> C", "no edge leads into C", "A reaches B"):
        assert part in node.view.message
    node.returns(True, True)
    assert node.view.state == "A" and node.view.status is Status.RUN and node.worker and node.worker.may_call
    node.request("C")  # the same value, but the node is stalled
    assert "nothing to do" not in node.text() and node.view.stalled
    node.request("B")
    assert not node.view.message


# --- R17 requests


def test_R17_the_same_request_does_nothing_and_names_REENTER() -> None:
    node = aligned()
    node.request("ALIGNED", by="berta")
    assert kinds(node.actions) == ["step:request"] and "REENTER" in node.text()
    assert node.view.status is Status.DONE and (node.view.request_id, node.view.request_by) == (1, "berta")


def test_R17_REQUEST_ID_counts_every_accepted_put() -> None:
    node = aligned()
    for n, wish in enumerate(["DAMPED", "DAMPED", "NONE", "SAFE"], 1):
        node.request(wish)
        assert node.view.request_id == n
    node.op(Op.PAUSE)
    node.request("SAFE")
    node.op(Op.STOP)
    node.request("SAFE")
    assert node.view.request_id == 6


def test_R17_NONE_withdraws_and_is_never_done() -> None:
    node = aligned()
    node.request("NONE")
    v = node.view
    assert (v.target, v.status, v.stalled, v.index(v.request)) == ("ALIGNED", Status.RUN, False, -1)
    node.returns(True, False, True)
    assert node.view.state == "ALIGNED" and node.view.status is Status.RUN
    node.returns("DAMPED")
    assert node.view.state == "DAMPED"


def test_R17_a_state_that_is_not_on_the_menu_may_be_requested() -> None:
    node = suspension()
    node.request("TRIPPED")
    assert node.view.request == "TRIPPED"


def test_R17_REENTER_runs_main_again() -> None:
    node = aligned()
    node.runs()
    node.reenter()
    assert node.running == "ALIGNED.main" and node.told(Leave) == [Leave(entry=4, interrupt=True)]


def test_R17_REENTER_does_not_interrupt_what_may_not_be_left() -> None:
    node = manual("TRIPPED")
    node.runs()
    node.reenter()
    assert node.running == "TRIPPED.run"
    node.returns(False)
    assert node.running == "TRIPPED.main"


def test_R17_a_refusal_stands_in_GRDMSG_until_something_is_accepted() -> None:
    node = aligned()
    node.feed(Refused(pv="REQUEST", value="ALIGND", by="anna", reason="no such state"))
    assert all(part in node.view.message for part in ("REQUEST=ALIGND", "anna", "no such state"))
    assert node.view.request_id == 0 and node.view.request == "ALIGNED"
    node.request("DAMPED")
    assert not node.view.message


# --- R21, R25: what survives


def test_R21_settings_survive_the_worker_and_are_what_is_stored() -> None:
    node = aligned()
    node.mode(Mode.MANAGED)
    node.manager("IMC")
    node.request("DAMPED", by="IMC")
    node.dies()
    node.advance(1)
    start = node.engine.start
    assert (start.op, start.mode, start.manager, start.request) == (Op.EXEC, Mode.MANAGED, "IMC", "DAMPED")
    assert (start.request_by, start.request_id, start.event_id) == ("IMC", 1, node.view.event_id)
    again = suspension(start=start)
    assert again.steps[0].view.event_id == start.event_id + 1
    v = again.view
    assert (v.request, v.mode, v.manager, v.request_by, v.request_id) == ("DAMPED", Mode.MANAGED, "IMC", "IMC", 1)


def test_R21_a_restored_MANUAL_enters_nothing() -> None:
    node = suspension(start=Start(mode=Mode.MANUAL, request="ALIGNED"))
    node.returns(True)
    assert node.view.state == "INIT" and node.view.target == "INIT" and node.view.request == "ALIGNED"


def test_R21_a_restored_request_that_is_gone_becomes_NONE() -> None:
    node = suspension(start=Start(request="GONE"))
    assert node.view.request == "NONE" and node.view.state == "INIT"
    assert any("GONE" in s.text for s in node.steps)


def test_R21_without_a_stored_request_the_modules() -> None:
    assert suspension(start=Start(mode=Mode.MANAGED)).view.request == "ALIGNED"


def test_R21_a_load_that_fails_first_does_not_lose_the_modules_request() -> None:
    node = suspension(autoload=False)
    node.load_fails()
    assert node.engine.start.request is None
    node.op(Op.EXEC)
    node.loads()
    assert node.view.request == "ALIGNED"


@pytest.mark.parametrize("how", ["dies", "stop", "reenter kill"])
def test_R25_a_new_worker_starts_in_INIT(how: str) -> None:
    node = aligned()
    if how == "dies":
        node.dies()
        node.advance(1)
    elif how == "stop":
        node.op(Op.STOP, Op.EXEC)
    else:
        node.stubborn = True
        node.runs()
        node.reenter()
        node.advance(2.1)
        assert node.view.kills == 1
    assert node.running == "INIT.main"


def test_R25_a_death_while_the_redirects_new_worker_loads_starts_in_INIT() -> None:
    node = aligned()
    node.stubborn, node.autoload = True, False
    node.runs()
    node.request("SAFE")
    node.advance(2.1)
    assert node.view.worker is Worker.INIT
    node.dies()
    node.autoload = True
    node.advance(1)
    assert node.running == "INIT.main"


def test_R25_a_redirects_kill_does_not_carry_a_lost_channel_into_the_new_worker() -> None:
    node = aligned()
    node.raises(ConnectionError("X1:A"))
    node.stubborn, node.autoload = True, False
    node.runs()
    node.request("SAFE")
    node.advance(2.1)
    assert node.view.worker is Worker.INIT and node.view.error is ErrorKind.NONE


# --- R22 pacing


def jumpers() -> Node:
    return Node(system("INIT>A A>B B>A", goto="DOWN:50", request="A", states="Z"))


def test_R22_two_states_that_jump_at_each_other_are_paced() -> None:
    node = jumpers()
    node.mode(Mode.MANAGED)
    for _ in range(60):
        if node.running:
            node.returns("B" if node.view.state == "A" else "A")
    assert 48 <= len(node.entered) <= 50 and "too fast" in node.view.message
    entered = len(node.entered)
    for _ in range(160):
        node.advance(1 / 16)
        if node.running:
            node.returns("B" if node.view.state == "A" else "A")
    assert 155 <= len(node.entered) - entered <= 161


def test_R22_short_chains_run_at_full_speed_and_the_pace_is_forgotten() -> None:
    names = [f"S{n}" for n in range(49)]
    node = Node(system(" ".join(f"{a}>{b}" for a, b in zip(["INIT", *names], names, strict=False)), request="S48"))
    while node.view.state != "S48":
        node.returns(True)
    assert node.view.state == "S48" and not node.view.message
    node.mode(Mode.MANAGED)
    for _ in range(5):
        if node.running:
            node.returns("S48")
    node.advance(10)
    node.returns("S1")
    assert node.view.state == "S1" and "too fast" not in node.view.message


def test_R22_fifty_changes_in_more_than_a_second_are_not_too_many() -> None:
    node = jumpers()
    node.mode(Mode.MANAGED)
    for _ in range(120):
        node.advance(0.021)
        node.returns("B" if node.view.state == "A" else "A")
    assert len(node.entered) >= 120 and "too fast" not in node.view.message


def test_R22_a_paced_node_obeys() -> None:
    node = jumpers()
    node.mode(Mode.MANAGED)
    while node.running:
        node.returns("B" if node.view.state == "A" else "A")
    node.request("DOWN")
    assert node.view.request == "DOWN"
    node.advance(1)
    node.op(Op.PAUSE)
    node.op(Op.STOP)
    assert node.worker is None and node.engine.deadline is None


def test_R22_an_edge_that_is_no_longer_wanted_when_its_turn_comes_is_not_taken() -> None:
    node = Node(system("INIT>A A>B B>A", request="A"))
    while node.engine.deadline is None:
        node.request("B" if node.view.state == "A" else "A")
        node.returns(*([True] if node.running else []))
    stands = node.view.state
    assert node.engine.deadline is not None and node.view.target != stands
    node.op(Op.PAUSE)
    node.request(stands)
    node.advance(1)
    assert node.told(Judge) == []
    mains = node.calls.count(f"{stands}.main")
    node.op(Op.EXEC)
    assert node.view.state == stands and node.calls.count(f"{stands}.main") == mains
    node.returns(True)
    assert node.view.status is Status.DONE


# --- R23 steps


def test_R23_one_step_one_event_one_stamp() -> None:
    node = aligned()
    node.advance(5)
    node.request("DAMPED")
    steps = node.steps
    assert [s.view.event_id for s in steps] == list(range(1, len(steps) + 1))
    assert steps[-1].view.stamp == EPOCH + node.mono
    assert interface.summary(steps[-1].view)["id"] == steps[-1].view.event_id


# --- R24 modes


@pytest.mark.parametrize("mode", list(Mode))
def test_R24_any_mode_to_AUTO_clears_hold_and_manager(mode: Mode) -> None:
    node = aligned()
    node.manager("IMC")
    node.mode(mode)
    if mode is not Mode.AUTO:
        node.returns("DAMPED", False)
        assert node.view.held and node.view.manager == "IMC"
    node.mode(Mode.AUTO)
    assert not node.view.held and node.view.manager == "" and node.view.target == "ALIGNED"


def test_R24_MANAGED_to_MANUAL_keeps_MANAGER_and_MANUAL_to_MANAGED_keeps_a_hold() -> None:
    node = aligned()
    node.manager("IMC")
    node.mode(Mode.MANAGED)
    node.mode(Mode.MANUAL)
    assert node.view.manager == "IMC"
    node.returns("DAMPED", True)
    node.mode(Mode.MANAGED)
    assert node.view.held and node.view.stalled and node.view.target == "DAMPED"


def test_R24_MANUAL_to_MANAGED_without_a_hold_plans() -> None:
    node = manual("DAMPED")
    node.request("DAMPED")
    node.returns(False)
    node.mode(Mode.MANAGED)
    node.request("ALIGNED")
    node.returns(True)
    assert node.view.state == "ALIGNED"


def test_R24_a_persons_request_to_a_managed_node_is_accepted_and_named() -> None:
    node = aligned()
    node.manager("IMC")
    node.mode(Mode.MANAGED)
    node.request("DAMPED", by="anna@desk")
    summary = interface.summary(node.view)
    assert (summary["by"], summary["request"], summary["manager"]) == ("anna@desk", "DAMPED", "IMC")


# --- words that are stale or come twice


def test_words_of_a_dead_generation_or_another_entry_are_dropped() -> None:
    node = aligned()
    entry = node.worker.entry if node.worker else 0
    for gen, e in ((0, entry), (2, entry), (1, entry - 1), (1, entry + 1)):
        for report in (
            Returned(entry=e, call=Call.RUN, outcome="SAFE"),
            Left(entry=e),
            Began(entry=e),
        ):
            node.hears(report, gen=gen)
            assert node.actions == []
    node.feed(Gone(gen=7, reason="?"))
    assert node.actions == []
    node.feed(Elapsed())
    assert node.actions == []


def test_a_second_Loaded_of_one_worker_restarts_nothing() -> None:
    node = aligned()
    node.hears(Loaded(facts=node.facts))
    assert node.view.state == "ALIGNED" and node.actions == []


def test_commands_name_the_present_entry_and_policy() -> None:
    node = aligned()
    node.request("DAMPED")
    assert node.told(Policy) == [Policy(entry=4, on_complete=OnComplete.WAIT)]
    node.returns(True)
    assert node.told(Enter) == [Enter(entry=5, state="DAMPED", on_complete=OnComplete.KEEP)]
    assert node.did(Spawn) == []
    node.feed(SetMode(mode=Mode.MANUAL, by="x"))
    assert node.told(Policy) == [Policy(entry=5, on_complete=OnComplete.KEEP)]
