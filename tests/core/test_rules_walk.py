"""The rules of the automaton by their numbers (section 4 of the design), as short scripts on one node.

R1 to R9, how a node walks.

What a worker does by itself (R2's cycle, R14, R18) is tested with the worker.
"""

# mypy: disable-error-code="comparison-overlap"
# (a node changes between two looks at it)

from __future__ import annotations

import pytest

from guardian.core.engine import Limits, Start
from guardian.core.events import (
    Judge,
    Kill,
    Leave,
    Policy,
    Requested,
    Step,
)
from guardian.enums import ErrorKind, LoadStatus, Mode, Op, Status, Worker
from tests.core.driver import Node, aligned, kinds, manual, suspension, system

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


def test_R8_a_redirect_that_is_none_any_more_enters_the_interrupted_state_anew() -> None:
    """SAFE was asked for by mistake and taken back: DAMPED was interrupted, so its edge to ALIGNED may not be taken."""
    node = suspension()
    node.goes_to("DAMPED")
    node.feed(Requested(state="SAFE", by="anna"), Requested(state="ALIGNED", by="anna"))
    assert (node.view.state, node.entered[-1]) == ("DAMPED", "DAMPED")
    node.returns(True)
    assert node.view.state == "ALIGNED"


# --- R9 manual


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
