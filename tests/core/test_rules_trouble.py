"""The rules of the automaton by their numbers (section 4 of the design), as short scripts on one node.

R12 to R25, errors, lost channels, requests, restarts and pace.
"""

# mypy: disable-error-code="comparison-overlap"
# (a node changes between two looks at it)

from __future__ import annotations

import pytest

from guardian.core import documents, explain, interface
from guardian.core.engine import Limits, Start
from guardian.core.events import (
    Began,
    Connected,
    Elapsed,
    Enter,
    Gone,
    Heard,
    Judge,
    Leave,
    Left,
    Loaded,
    LoadFailed,
    Lost,
    Policy,
    Refused,
    Returned,
    SetMode,
    SetOp,
    Spawn,
)
from guardian.core.when import clock
from guardian.enums import Call, Connect, ErrorKind, LoadStatus, Mode, OnComplete, Op, Severity, Status, Worker
from tests.core.driver import EPOCH, Node, aligned, kinds, manual, suspension, system

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
        node.advance(2)
        assert node.worker is not None
    node.dies()
    node.advance(100)
    assert node.worker is None and node.view.failed and "reset-failed TEST" in node.view.message
    node.op(Op.EXEC)
    assert node.running == "INIT.main" and not node.view.failed
    for _ in range(3):  # pardoned
        node.dies()
        node.advance(2)
    assert node.worker is not None


def test_R12_STOP_and_EXEC_pardon_earlier_deaths() -> None:
    node = aligned()
    for _ in range(3):
        node.dies()
        node.advance(2)
    node.op(Op.STOP, Op.EXEC)
    node.dies()
    assert not node.view.failed
    node.advance(1)
    assert node.running == "INIT.main"


def test_R12_deaths_further_apart_go_on_for_ever() -> None:
    node = aligned()
    for _ in range(10):
        node.dies()
        node.advance(23)
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


def test_R13_channels_that_are_back_are_told_before_a_long_method_ends() -> None:
    node = aligned()
    node.raises(ConnectionError("X:C"))
    assert (node.view.error, node.view.status) == (ErrorKind.CONNECT, Status.RUN)
    node.advance(11)
    assert node.view.overdue
    node.hears(Connected(entry=node.engine._entry))
    assert (node.view.error, node.view.connect, node.view.overdue) == (ErrorKind.NONE, (), False)


def test_R13_a_channel_that_no_call_needs_now_is_told_and_the_code_goes_on() -> None:
    node = aligned()
    node.hears(Lost(channels=("X1:A", "X1:B")))
    v = node.view
    assert (v.error, v.status) == (ErrorKind.NONE, Status.DONE) and v.missing == ("X1:A", "X1:B")
    assert interface.BY_NAME["CONNECT"].value(v) is Connect.LOST and not explain.is_ok(v)
    assert interface.BY_NAME["CONNECT_S"].value(v) == "X1:A, X1:B"
    node.hears(Lost(channels=()))
    assert interface.BY_NAME["CONNECT"].value(node.view) is Connect.OK and explain.is_ok(node.view)


def test_R13_what_a_call_waits_for_and_what_is_lost_besides_are_told_together() -> None:
    node = aligned()
    node.raises(ConnectionError("X1:B"))
    node.hears(Lost(channels=("X1:A", "X1:B")))
    assert node.view.missing == ("X1:B", "X1:A")
    node.returns(True)
    assert node.view.error is ErrorKind.NONE and node.view.missing == ("X1:A", "X1:B")


def test_R13_a_loss_alarms_after_ten_seconds_of_it_whatever_the_node_does_meanwhile() -> None:
    node = aligned()
    node.hears(Lost(channels=("X1:A",)))
    node.advance(6)
    node.request("SAFE")
    assert node.running == "SAFE.main"
    node.advance(3.9)
    assert not node.view.overdue
    node.advance(0.2)
    assert node.view.overdue and "X1:A" in node.steps[-1].text
    node.request("ALIGNED")
    assert node.view.overdue, "a transition finds no channel"
    node.hears(Lost(channels=()))
    assert not node.view.overdue and node.engine.deadline is None


def test_R13_a_new_worker_has_lost_nothing_yet() -> None:
    node = aligned()
    node.hears(Lost(channels=("X1:A",)))
    node.advance(11)
    node.op(Op.STOP)
    assert not node.view.missing and not node.view.overdue


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


def test_R15_WHY_speaks_of_the_node_and_not_of_a_refused_write() -> None:
    refused = Refused(pv="MODE", value="auto", by="anna", reason="it is none of them")
    node = aligned()
    node.raises(ValueError("oops"))
    node.feed(refused)
    assert "it is none of them" in node.view.message
    why = explain.why_not_ok(node.view)
    assert "oops" in why and "it is none of them" not in why
    node.dies("signal SEGV")
    node.feed(refused)
    why = explain.why_not_ok(node.view)
    assert "signal SEGV" in why and "oops" not in why and "it is none of them" not in why


def test_R15_WHY_dates_the_request_and_not_the_state() -> None:
    node = aligned()
    node.advance(60)
    node.request("DAMPED")
    asked = clock(node.view.stamp)
    node.advance(60)
    node.request("DAMPED")  # the same again
    node.returns(True)
    assert (
        f"REQUEST is DAMPED by anna, nominal is ALIGNED; write REQUEST=ALIGNED (since {asked})"
        == explain.why_not_ok(node.view)
    )


def test_R6_R15_an_unknown_state_is_told_with_one_piece_of_advice() -> None:
    node = aligned()
    node.returns("NOWHERE")
    assert "returned 'NOWHERE', which is no state of" in node.view.message
    assert explain.why_not_ok(node.view).count("LOAD=1") == 1


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
    assert documents.summary(steps[-1].view)["id"] == steps[-1].view.event_id


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
    summary = documents.summary(node.view)
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
