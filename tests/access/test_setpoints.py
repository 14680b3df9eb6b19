"""Set points and their monitor against a caproto server and a real EPICS IOC; see `tests.access.setting`."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial

import pytest

from guardian.access.setpoints import Memory
from guardian.core.setpoints import Setpoint
from guardian.errors import EzcaError
from tests.access.asked import Client
from tests.access.interrupting import interrupted
from tests.access.records import ACF, DB
from tests.access.test_channels import caproto_server
from tests.support.child import REPO, Child
from tests.support.net import ca_env, free_port, random_prefix
from tests.support.softioc import SoftIoc

EVERYWHERE = [
    "every_kind_is_remembered_as_the_channel_holds_it",
    "what_is_no_set_point",
    "another_set_point_than_what_is_written",
    "an_interrupted_write_is_a_set_point",
    "interrupts_anywhere_leave_what_is_there",
    "the_table_is_bounded_and_says_so",
    "tables_as_in_the_field",
    "they_are_looked_at_whatever_code_calls_them_now",
    "where_the_environment_switches_channels_off",
    "what_others_change_is_told_and_what_comes_back_too",
    "a_channel_that_keeps_moving_is_no_flood_of_notifications",
    "a_channel_that_code_reads_and_writes_in_every_cycle",
    "what_an_earlier_worker_has_set_is_watched_on_channels_of_its_own",
    "what_was_dead_for_the_last_worker_is_so_for_the_next_one",
    "the_list_of_the_module",
    "nobody_works_while_there_is_nothing_to_do",
    "a_child_that_user_code_forks_tells_nobody",
    "many_writes_are_told_in_few_messages_and_flushed_at_the_end",
]
IOC_ONLY = [
    "own_writes_that_nobody_waits_for",
    "a_write_that_takes_long_is_no_change_while_it_does",
    "an_own_write_below_the_dead_band_is_no_change",
    "what_does_not_stay_is_told_once_however_often_it_is_set",
    "so_it_is_of_what_code_sets_through_an_ezca_of_its_own",
]


@contextmanager
def client_of(prefix: str, port: int) -> Iterator[Client]:
    argv = [sys.executable, "-m", "tests.access.setting", prefix.rstrip(":")]
    with Child(argv, env=ca_env(port), cwd=REPO, stdin=True) as child:
        yield Client(child)


@pytest.fixture(scope="module")
def on_caproto() -> Iterator[Client]:
    prefix, port = random_prefix(), free_port()
    with caproto_server(prefix, port), client_of(prefix, port) as client:
        yield client


@pytest.fixture(scope="module")
def on_ioc() -> Iterator[Client]:
    prefix, port = random_prefix(), free_port()
    with SoftIoc(DB, port, acf=ACF, macros=f"P={prefix}"), client_of(prefix, port) as client:
        yield client


@pytest.mark.ca
@pytest.mark.parametrize("check", EVERYWHERE)
def test_on_a_caproto_server(on_caproto: Client, check: str) -> None:
    on_caproto.check(check)


@pytest.mark.ca
@pytest.mark.parametrize("check", EVERYWHERE + IOC_ONLY)
def test_on_a_real_ioc(on_ioc: Client, check: str) -> None:
    on_ioc.check(check)


def test_an_interrupt_anywhere_in_a_write_leaves_a_table_that_is_whole() -> None:
    """At each point where Python looks for signals: nothing is busy for ever, and a write that was made is told."""
    point = Setpoint(channel="X1:A", name="A", value="3.0", at=1.0)
    where, at = "begin", 0
    while where:
        memory, told, made = Memory(None), [], []
        memory.changed = lambda told=told: told.append(1)
        where = interrupted(at, partial(memory.written, "X1:A", point, partial(made.append, 1)))
        assert memory.busy == set(), where
        if made:
            assert memory.points == {"X1:A": point} and told, where
        at += 1
    assert at > 5


def test_a_write_that_fails_is_no_set_point() -> None:
    memory = Memory(None)

    def refuse() -> None:
        raise EzcaError("refused")

    with pytest.raises(EzcaError):
        memory.written("X1:A", Setpoint(channel="X1:A", name="A", value="3.0"), refuse)
    assert memory.points == {} and memory.busy == set()
