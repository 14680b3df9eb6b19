"""LOGLEVEL: what is the least that is written, by the site or by a person."""

from __future__ import annotations

import pytest

from guardian.core import commands
from guardian.core.events import SetLogLevel, Step, Verbosity
from guardian.core.settings import Limits, Start
from guardian.core.view import View
from guardian.enums import LogLevel, Op, Worker
from guardian.errors import RefusedError
from tests.core.driver import Node


def said(node: Node, level: LogLevel) -> None:
    node.feed(SetLogLevel(level=level, by="anna"))


def test_it_is_INFO_and_the_worker_hears_nothing_of_it() -> None:
    node = Node()
    assert node.view.log_level is LogLevel.INFO
    assert node.told(Verbosity) == []
    assert node.engine.start.log_level is None


def test_a_person_sets_it_and_the_worker_is_told_at_once_also_under_PAUSE() -> None:
    node = Node()
    said(node, LogLevel.DEBUG)
    assert node.told(Verbosity) == [Verbosity(level=LogLevel.DEBUG)]
    step = node.did(Step)[-1]
    assert isinstance(step, Step) and (step.kind, step.by, step.text) == ("log_level", "anna", "LOGLEVEL DEBUG by anna")
    assert step.view.log_level is LogLevel.DEBUG
    node.op(Op.PAUSE)
    said(node, LogLevel.ERROR)
    assert node.told(Verbosity) == [Verbosity(level=LogLevel.ERROR)]
    assert node.engine.start.log_level is LogLevel.ERROR


def test_it_stands_over_the_death_of_the_worker_and_counts_while_stopped() -> None:
    node = Node()
    node.op(Op.STOP)
    said(node, LogLevel.DEBUG)
    assert node.told(Verbosity) == []
    node.op(Op.EXEC)
    assert node.view.log_level is LogLevel.DEBUG
    node.dies()
    node.advance(1)
    assert node.view.worker is Worker.RUN and node.view.log_level is LogLevel.DEBUG


def test_what_a_person_said_is_restored_and_None_is_what_the_site_says() -> None:
    assert Node(start=Start(log_level=LogLevel.ERROR)).view.log_level is LogLevel.ERROR
    quiet = Limits(log_level=LogLevel.WARNING)
    assert Node(limits=quiet).view.log_level is LogLevel.WARNING
    assert Node(start=Start(log_level=LogLevel.DEBUG), limits=quiet).view.log_level is LogLevel.DEBUG


@pytest.mark.parametrize(("value", "level"), [("DEBUG", 0), (4, 4), ("2", 2), (1.0, 1)])
def test_what_may_be_written(value: object, level: int) -> None:
    assert commands.parse("LOGLEVEL", value, "anna", View()) == SetLogLevel(level=LogLevel(level), by="anna")


@pytest.mark.parametrize("value", ["LOUD", 5, -1, "debug"])
def test_what_may_not(value: object) -> None:
    with pytest.raises(RefusedError, match="DEBUG"):
        commands.parse("LOGLEVEL", value, "anna", View())
