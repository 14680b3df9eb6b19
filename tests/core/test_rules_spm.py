"""The switches of the set-point monitor: what the module says, and what a person has said."""

from __future__ import annotations

from dataclasses import replace

import pytest

from guardian.core.events import LoadAsked, SetSpm, Step, Watch
from guardian.core.graph import SystemFacts
from guardian.core.settings import Start
from guardian.enums import Op, Worker
from tests.core.driver import Node, system

ON = Watch(monitor=True, notify=True)


def facts(*, monitor: bool = True, notify: bool = False) -> SystemFacts:
    return replace(
        system("INIT>SAFE SAFE>ALIGNED", request="SAFE", nominal="ALIGNED"),
        ca_monitor=monitor,
        ca_monitor_notify=notify,
    )


def said(node: Node, *, monitor: bool | None = None, notify: bool | None = None) -> None:
    node.feed(SetSpm(monitor=monitor, notify=notify, by="anna"))


def switches(node: Node) -> tuple[bool, bool]:
    return node.view.spm_monitor, node.view.spm_notify


def test_it_is_off_unless_the_module_says_otherwise_and_then_the_worker_hears_nothing() -> None:
    node = Node()
    assert switches(node) == (False, False)
    assert node.worker is not None
    said(node, monitor=False)
    assert node.told(Watch) == []


def test_the_module_turns_it_on_and_the_worker_is_told_as_soon_as_it_has_loaded() -> None:
    node = Node(facts(), settle=False)
    assert switches(node) == (True, False)
    assert node.told(Watch) == [Watch(monitor=True, notify=False)]


def test_a_person_turns_it_on_and_off_at_once_also_under_PAUSE() -> None:
    node = Node()
    said(node, monitor=True)
    assert node.told(Watch) == [Watch(monitor=True, notify=False)]
    step = node.did(Step)[-1]
    assert isinstance(step, Step) and (step.kind, step.by) == ("spm", "anna")
    assert step.text == "SPM_MONITOR on by anna" and step.view.spm_monitor
    node.op(Op.PAUSE)
    said(node, notify=True)
    assert node.told(Watch) == [ON] and "SPM_NOTIFY on by anna" in node.text()
    said(node, notify=True)
    assert node.told(Watch) == []
    assert (node.engine.start.spm_monitor, node.engine.start.spm_notify) == (True, True)


def test_what_a_person_said_stands_over_the_death_of_the_worker() -> None:
    node = Node(facts(notify=True))
    said(node, notify=False)
    node.dies()
    assert switches(node) == (True, False)
    node.advance(1)
    assert node.view.worker is Worker.RUN
    assert switches(node) == (True, False)
    assert Watch(monitor=True, notify=True) not in node.told(Watch)


def test_what_a_person_said_stands_over_STOP_and_EXEC_and_counts_while_stopped() -> None:
    node = Node(facts())
    node.op(Op.STOP)
    said(node, notify=True)
    assert node.told(Watch) == [] and switches(node) == (True, True)
    node.op(Op.EXEC)
    assert node.told(Watch) == [ON]
    assert switches(node) == (True, True)


def test_what_a_person_said_is_restored_and_None_is_what_the_module_says() -> None:
    node = Node(facts(), Start(spm_monitor=False, spm_notify=None), settle=False)
    assert switches(node) == (False, False) and node.told(Watch) == []
    node = Node(facts(monitor=False), Start(spm_monitor=True), settle=False)
    assert node.told(Watch) == [Watch(monitor=True, notify=False)]
    assert (node.engine.start.spm_monitor, node.engine.start.spm_notify) == (True, None)


def test_LOAD_has_the_module_decide_again() -> None:
    node = Node(facts())
    node.returns(True)
    said(node, monitor=False, notify=True)
    assert switches(node) == (False, True)
    node.facts = facts(monitor=True, notify=False)
    node.load()
    assert switches(node) == (True, False)
    assert node.told(Watch) == [Watch(monitor=True, notify=False)]
    assert (node.engine.start.spm_monitor, node.engine.start.spm_notify) == (None, None)


def test_a_LOAD_that_fails_changes_no_switch() -> None:
    node = Node(facts())
    said(node, monitor=False)
    node.broken = "SyntaxError: TEST.py:3"
    node.load()
    assert switches(node) == (False, False)
    assert node.engine.start.spm_monitor is False


@pytest.mark.parametrize("op", [Op.STOP, Op.EXEC])
def test_LOAD_counts_also_without_a_worker(op: Op) -> None:
    node = Node(facts())
    said(node, monitor=False)
    if op is Op.STOP:
        node.op(Op.STOP)
    else:
        for _ in range(5):
            node.dies()
            node.advance(4)
            if node.worker is None:
                break
        assert node.view.worker is Worker.DEAD
    node.feed(LoadAsked(by="anna"))
    assert switches(node) == (True, False)
