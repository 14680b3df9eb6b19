"""R11: LOAD, as the automaton sees it: the check, the exchange, what stays and what is refused."""

from __future__ import annotations

from dataclasses import replace

import pytest

from guardian.core import explain
from guardian.core.engine import Start
from guardian.core.events import (
    Begin,
    Check,
    CheckBegan,
    Checked,
    EndCheck,
    Enter,
    GiveUp,
    GiveUpCheck,
    Kill,
    LoadAsked,
    Loaded,
    Reload,
    Reloaded,
    ReloadFailed,
    SetOp,
    Spawn,
    Stop,
)
from guardian.enums import ErrorKind, LoadStatus, Mode, Op, Status, Worker
from tests.core.driver import Node, system

EDGES = "INIT>SAFE SAFE>ALIGNED ALIGNED>SAFE"
OLD = system(EDGES, request="ALIGNED", nominal="ALIGNED")
#: As the old one, with a state between SAFE and ALIGNED, and no direct way.
NEW = system("INIT>SAFE SAFE>DAMPED DAMPED>ALIGNED ALIGNED>SAFE", request="ALIGNED", nominal="ALIGNED")


def aligned(**options: object) -> Node:
    node = Node(OLD, **options)  # type: ignore[arg-type]
    node.returns(True, True)
    assert (node.view.state, node.view.request) == ("ALIGNED", "ALIGNED")
    node.returns(True)
    assert node.view.status is Status.DONE
    return node


def statuses(node: Node) -> list[LoadStatus]:
    """The values LOAD_STATUS went through, since the node was made."""
    seen = [s.view.load_status for s in node.steps]
    return [now for before, now in zip([None, *seen], seen, strict=False) if now is not before]


def test_R11_a_load_checks_in_a_process_of_its_own_then_exchanges_between_two_methods() -> None:
    node = aligned()
    node.facts, node.steps = NEW, []
    node.load()
    assert statuses(node) == [LoadStatus.REQUEST, LoadStatus.INPROGRESS, LoadStatus.SET, LoadStatus.DONE]
    assert "DAMPED" in node.view.graph and node.view.load_time == node.now.epoch  # type: ignore[operator]
    assert len(node.workers) == 1 and not node.told(Enter)  # the instance goes on
    assert node.view.status is Status.DONE and explain.is_ok(node.view)
    node.request("SAFE")
    node.returns(True, True)
    node.request("ALIGNED")
    assert node.view.target == "DAMPED"


def test_R11_the_old_code_runs_on_while_the_new_code_is_checked() -> None:
    node = aligned(autoload=True)
    node.autocheck = False
    node.load()
    assert node.view.load_status is LoadStatus.INPROGRESS and node.view.status is Status.DONE
    assert not node.told(Reload)
    node.request("SAFE")
    node.returns(True)
    assert node.view.state == "SAFE"
    node.checks()
    assert node.told(Reload)
    node.returns(True)
    assert node.view.load_status is LoadStatus.DONE


def test_R11_a_method_that_runs_is_not_cut_off_and_GRDMSG_says_what_is_waited_for() -> None:
    node = aligned()
    node.request("SAFE")
    node.returns(True)
    assert node.running == "SAFE.main"
    node.load()
    assert node.view.load_status is LoadStatus.SET and "SAFE" in node.view.message
    assert node.running == "SAFE.main" and not explain.is_active(node.view)
    node.returns(True)
    assert node.view.load_status is LoadStatus.DONE and not node.view.message


def test_R11_loads_that_come_meanwhile_count_as_one() -> None:
    node = aligned()
    node.autocheck = False
    node.load()
    node.steps = []
    for _ in range(10):
        node.load()
    node.autocheck = True
    node.checks()
    node.returns(True)  # run(), as the exchange wants it judged again
    assert [s.view.load_status for s in node.steps].count(LoadStatus.SET) == 2
    assert node.view.load_status is LoadStatus.DONE and not node.checking


@pytest.mark.parametrize("when", ["check", "exchange"])
def test_R11_bad_code_is_refused_and_the_old_code_runs_on(when: str) -> None:
    node = aligned()
    if when == "check":
        node.broken = "SyntaxError (SUS.py:3)"
        node.load()
    else:
        node.autocheck = False
        node.load()
        number, node.checking = node.checking, 0
        node.broken = "SyntaxError (SUS.py:3)"
        node.feed(Checked(number=number, report=Loaded(facts=NEW)))
    view = node.view
    assert (view.load_status, view.load_error) == (LoadStatus.ERROR, "SyntaxError (SUS.py:3)")
    assert "DAMPED" not in view.graph and view.worker is Worker.RUN and view.error is ErrorKind.NONE  # type: ignore[operator]
    assert "SyntaxError (SUS.py:3)" in view.message and "old code runs on" in view.message
    assert explain.is_ok(view) and not explain.is_active(view) and "SyntaxError" in explain.why_not_ok(view)
    node.broken, node.facts, node.autocheck = "", NEW, True
    node.load()
    view = node.view
    assert (view.load_status, view.load_error, view.message) == (LoadStatus.DONE, "", "")


@pytest.mark.parametrize(("request_", "gone"), [("ALIGNED", "STATE"), ("SAFE", "REQUEST")])
def test_R11_code_without_the_present_state_or_request_is_refused(request_: str, gone: str) -> None:
    node = aligned()
    without = "ALIGNED" if gone == "STATE" else "SAFE"
    if gone == "REQUEST":
        node.request("SAFE")  # and still in ALIGNED
    node.facts = system("INIT>OTHER OTHER>SAFE" if without == "ALIGNED" else "INIT>OTHER OTHER>ALIGNED")
    node.load()
    view = node.view
    assert view.load_status is LoadStatus.ERROR
    assert f"{gone} is {without}" in view.message and "Request another state first" in view.message
    assert "OTHER" not in view.graph and view.worker is Worker.RUN  # type: ignore[operator]


def test_R11_REQUEST_NONE_needs_no_state() -> None:
    node = aligned()
    node.request("NONE")
    node.returns(True)
    node.facts = NEW
    node.load()
    assert node.view.load_status is LoadStatus.DONE and node.view.request == "NONE"


def test_R11_a_graph_that_cannot_be_is_refused() -> None:
    node = aligned()
    node.facts = replace(NEW, edges=(*NEW.edges, replace(NEW.edges[0], end="NOWHERE")))
    node.load()
    assert node.view.load_status is LoadStatus.ERROR and "NOWHERE" in node.view.message


def test_R11_a_check_that_does_not_end_is_ended() -> None:
    node = aligned()
    node.autocheck = False
    node.load()
    node.advance(node.engine.limits.load_timeout_s - 1)
    assert node.view.load_status is LoadStatus.INPROGRESS
    node.advance(1)
    assert node.did(GiveUpCheck) and node.view.load_status is LoadStatus.INPROGRESS
    node.advance(1)  # it cannot be interrupted
    assert node.view.load_status is LoadStatus.ERROR and "takes too long" in node.view.message
    assert node.did(EndCheck) and not node.checking


def test_R11_an_exchange_that_does_not_end_is_interrupted_and_the_old_code_runs_on() -> None:
    node = aligned()
    node.exchanges = False
    node.load()
    assert node.view.load_status is LoadStatus.SET
    node.advance(node.engine.limits.load_timeout_s)
    assert node.told(GiveUp) and node.view.load_status is LoadStatus.SET
    node.hears(ReloadFailed(reason="SUS: its import takes too long and was interrupted (SUS.py:3)"))
    assert node.view.load_status is LoadStatus.ERROR and "SUS.py:3" in node.view.message
    node.advance(1000)
    assert not node.did(Kill) and node.view.worker is Worker.RUN and node.view.kills == 0


def test_R11_the_time_of_an_exchange_counts_from_the_end_of_the_method_before_it() -> None:
    node = aligned()
    node.exchanges = False
    node.runs()
    node.load()
    node.advance(1000)
    assert node.view.load_status is LoadStatus.SET and not node.told(GiveUp)
    node.returns(True)
    node.advance(node.engine.limits.load_timeout_s)
    assert node.told(GiveUp)


def test_R11_an_exchange_that_cannot_even_be_interrupted_is_killed_and_a_new_worker_reads_the_code() -> None:
    node = aligned()
    node.exchanges = False
    node.load()
    node.facts = NEW
    node.advance(node.engine.limits.load_timeout_s)
    node.advance(node.engine.limits.stop_timeout_s)
    assert node.did(Kill) and "takes too long" in node.text()
    node.advance(node.engine.limits.restart_delay_s)
    assert node.view.load_status is LoadStatus.DONE and "DAMPED" in node.view.graph  # type: ignore[operator]


@pytest.mark.parametrize("heeds", [True, False])
def test_R1_an_import_that_does_not_end_when_a_worker_starts_is_told_and_LOAD_tries_again(heeds: bool) -> None:
    node = Node(OLD, autoload=False)
    node.advance(node.engine.limits.start_timeout_s - 1)
    assert node.view.load_status is LoadStatus.INPROGRESS and not node.told(GiveUp)
    node.advance(1)
    assert node.told(GiveUp)
    if heeds:
        node.load_fails("SUS: its import takes too long and was interrupted (SUS.py:3)")
    else:
        node.advance(node.engine.limits.stop_timeout_s)
    assert node.view.load_status is LoadStatus.ERROR and "takes too long" in node.view.message
    node.autoload = True
    node.load()
    assert node.view.load_status is LoadStatus.DONE and node.view.worker is Worker.RUN


@pytest.mark.parametrize("op", [Op.STOP, Op.PAUSE])
def test_R10_who_stops_a_node_whose_code_is_being_exchanged_hears_of_no_overdue_import(op: Op) -> None:
    node = aligned()
    node.exchanges = False
    node.load()
    node.op(op)
    node.advance(1000)
    assert bool(node.told(GiveUp)) == (op is Op.PAUSE)


def test_R11_the_time_of_a_check_counts_from_its_turn() -> None:
    node = aligned()
    node.autocheck = node.autobegin = False
    node.load()
    assert node.view.load_status is LoadStatus.REQUEST
    node.advance(1000)
    assert node.view.load_status is LoadStatus.REQUEST
    node.feed(CheckBegan(number=node.checking))
    assert node.view.load_status is LoadStatus.INPROGRESS
    node.checks()
    assert node.view.load_status is LoadStatus.DONE


def test_R11_the_plan_is_that_of_the_new_graph() -> None:
    node = aligned()
    node.request("SAFE")
    node.returns(True, True)
    node.request("ALIGNED")
    assert (node.running, node.view.target) == ("SAFE.run", "ALIGNED")
    node.facts = NEW
    node.load()
    node.returns(False)
    assert node.view.load_status is LoadStatus.DONE and node.view.target == "DAMPED"
    node.returns(True)
    assert node.view.state == "DAMPED"


def test_R8_R11_a_redirect_is_judged_when_the_load_changes_the_plan() -> None:
    node = Node(system("INIT>SAFE SAFE>UP UP>TOP", request="TOP", nominal="TOP"))
    node.returns(False)
    assert (node.view.state, node.view.target) == ("SAFE", "UP")
    node.returns(False)
    node.facts = system("INIT>SAFE SAFE>UP UP>TOP", goto="TOP", request="TOP", nominal="TOP")
    node.load()
    assert node.view.state == "TOP"


def test_R6_R11_a_load_keeps_the_hold() -> None:
    node = aligned()
    node.mode(Mode.MANAGED)
    node.returns("SAFE")
    node.returns(True)
    assert node.view.held
    node.load()
    assert node.view.load_status is LoadStatus.DONE and node.view.held and node.view.target == "SAFE"
    node.returns(True)
    assert node.view.state == "SAFE"


def test_R11_R12_after_an_error_the_state_is_entered_again() -> None:
    node = aligned()
    node.raises()
    assert node.view.error is ErrorKind.ERROR
    node.load()
    assert node.view.error is ErrorKind.NONE and [c.state for c in node.told(Enter)] == ["ALIGNED"]  # type: ignore[attr-defined]
    assert node.running == "ALIGNED.main"


def test_R12_a_load_that_fails_leaves_the_error_as_it_is() -> None:
    node = aligned()
    node.raises(ValueError("oops"))
    node.broken = "SyntaxError"
    node.load()
    assert node.view.error is ErrorKind.ERROR and not node.told(Enter)
    assert "oops" in node.view.message and "SyntaxError" in node.view.message


def test_R10_R11_under_PAUSE_the_code_is_exchanged_and_nothing_is_executed() -> None:
    node = aligned()
    node.op(Op.PAUSE)
    node.facts = NEW
    calls = len(node.calls)
    node.load()
    assert node.view.load_status is LoadStatus.DONE and len(node.calls) == calls
    node.op(Op.EXEC)
    assert node.view.state == "ALIGNED" and not node.told(Enter)


def test_R11_a_stopped_node_shows_the_graph_of_the_new_code_and_starts_nothing() -> None:
    node = aligned()
    node.op(Op.STOP)
    assert node.worker is None
    node.facts = NEW
    node.load()
    assert "DAMPED" in node.view.graph and node.view.load_status is LoadStatus.DONE  # type: ignore[operator]
    assert node.worker is None and node.view.worker is Worker.STOP


def test_R11_STOP_during_the_exchange_still_shows_the_new_graph() -> None:
    node = aligned()
    node.request("SAFE")
    node.returns(True)
    node.facts = NEW
    node.load()
    assert node.view.load_status is LoadStatus.SET
    node.op(Op.STOP)
    assert node.view.load_status is LoadStatus.DONE and "DAMPED" in node.view.graph  # type: ignore[operator]


def test_R11_STOP_during_the_check_lets_the_check_go_on() -> None:
    node = aligned()
    node.autocheck = False
    node.facts = NEW
    node.load()
    node.op(Op.STOP)
    node.checks()
    assert "DAMPED" in node.view.graph and node.view.load_status is LoadStatus.DONE  # type: ignore[operator]


def test_R11_EXEC_reads_the_code_anyway_and_ends_the_check() -> None:
    node = aligned()
    node.op(Op.STOP)
    node.autocheck = False
    node.load()
    node.op(Op.EXEC)
    assert node.did(EndCheck) and node.did(Spawn) and not node.checking
    assert node.view.load_status is LoadStatus.DONE


def test_R25_a_load_starts_a_worker_where_there_is_none_for_bad_code() -> None:
    node = Node(OLD, begin=False)
    node.broken = "SyntaxError"
    node.feed(Begin())
    assert node.view.worker is Worker.STOP and node.view.load_status is LoadStatus.ERROR
    assert "LOAD=1" in explain.why_not_ok(node.view)
    node.broken = ""
    node.load()
    assert node.running == "INIT.main" and node.view.load_status is LoadStatus.DONE and not node.did(Check)


def test_R12_R25_a_load_starts_a_worker_that_was_given_up() -> None:
    node = aligned()
    for _ in range(4):
        node.dies()
        node.advance(2)
    assert node.view.failed and node.worker is None
    node.load()
    assert node.running == "INIT.main" and not node.view.failed


def test_R11_a_load_while_a_worker_loads_reads_the_code_once_more() -> None:
    node = Node(OLD, autoload=False, settle=False)
    node.load()
    assert not node.did(Check)
    node.loads()
    assert node.did(Check)


def test_R1_R11_a_load_while_a_stopped_node_loads_for_its_graph_reads_the_code_once_more() -> None:
    node = Node(OLD, Start(op=Op.STOP), autoload=False, settle=False)
    node.load()
    assert not node.did(Check)
    node.facts = NEW
    node.loads(OLD)
    assert node.view.load_status is LoadStatus.DONE and "DAMPED" in node.view.graph  # type: ignore[operator]
    assert node.worker is None


def test_R11_a_load_while_a_worker_fails_to_load_starts_another() -> None:
    node = Node(OLD, autoload=False, settle=False)
    node.load()
    node.load_fails()
    assert len(node.workers) == 2 and node.view.worker is Worker.INIT


def test_R11_a_worker_that_dies_meanwhile_reads_the_new_code() -> None:
    node = aligned()
    node.request("SAFE")
    node.returns(True)
    node.facts = NEW
    node.load()
    assert node.view.load_status is LoadStatus.SET
    node.dies()
    assert node.view.load_status is not LoadStatus.SET
    node.advance(2)
    assert node.view.load_status is LoadStatus.DONE and "DAMPED" in node.view.graph  # type: ignore[operator]
    assert not node.told(Reload)


def test_R11_a_state_that_went_while_the_code_was_exchanged_leads_to_INIT() -> None:
    node = aligned()
    node.request("SAFE")
    assert node.running == "ALIGNED.run"
    node.load()
    assert node.view.load_status is LoadStatus.SET
    node.facts = system("INIT>ALIGNED", request="ALIGNED")  # after the check: SAFE is the REQUEST, and soon the STATE
    node.returns(True)
    assert node.view.state == "INIT"
    node.returns(True)  # what the worker made of SAFE
    assert node.running == "INIT.main" and node.view.request == "NONE"
    assert "SAFE" in "".join(s.text for s in node.steps)


def test_R10_R11_under_PAUSE_the_way_to_INIT_waits_for_EXEC() -> None:
    node = aligned()
    node.request("SAFE")
    assert node.running == "ALIGNED.run"
    node.load()
    node.op(Op.PAUSE)
    node.facts = system("INIT>SAFE", request="SAFE")  # after the check: ALIGNED, where it is, has gone
    node.returns(True)
    assert node.view.state == "INIT" and not node.running and not node.told(Enter)
    node.op(Op.EXEC)
    assert node.running == "INIT.main"


def test_R11_what_the_old_code_leaves_behind_is_named() -> None:
    node = aligned()
    node.left = ("thread 'poller' (SUS.py:12)", "open file /data/trend.txt")
    node.load()
    assert "thread 'poller' (SUS.py:12), open file /data/trend.txt" in node.text()


def test_R11_answers_that_nobody_waits_for_change_nothing() -> None:
    node = aligned()
    before = node.view
    node.hears(Reloaded(facts=NEW), ReloadFailed(reason="old"))
    assert node.view == before


def test_R11_a_load_is_refused_nowhere_and_told_with_its_author() -> None:
    node = aligned()
    node.autocheck = False
    node.load(by="vera@ops")
    assert "LOAD by vera@ops" in node.text()
    node.feed(LoadAsked(by="emil@ops"))
    assert "emil@ops" in node.text() and "once more" in node.text()


def test_R1_R11_a_node_stored_as_STOP_can_be_loaded() -> None:
    node = Node(OLD, Start(op=Op.STOP))
    assert node.worker is None
    node.facts = NEW
    node.load()
    assert "DAMPED" in node.view.graph  # type: ignore[operator]
    node.feed(SetOp(op=Op.EXEC, by="anna"))
    assert node.running == "INIT.main"


def test_R11_a_load_while_the_worker_ends_is_answered_by_the_next() -> None:
    node = aligned()
    node.stubborn = True
    node.runs()
    node.op(Op.STOP, Op.EXEC)
    node.load()
    assert not node.did(Check) and "new worker" in node.text()
    node.stubborn = False
    node._run_worker()
    node.feed()
    assert len(node.workers) == 2 and not node.told(Stop)
