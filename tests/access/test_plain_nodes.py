"""Nodes without SUMMARY and REQUEST_CMD, as an original Guardian serves them, are managed too (section 7).

On a caproto server and on a real EPICS IOC. The checks are functions of `tests.access.managing`.
"""

from __future__ import annotations

import signal
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import psutil
import pytest

from tests.access.asked import Client
from tests.access.original import database
from tests.support.child import REPO, Child
from tests.support.net import ca_env, free_port, random_prefix
from tests.support.softioc import SoftIoc
from tests.support.waiting import eventually

pytestmark = [pytest.mark.ca, pytest.mark.proc]

CHECKS = [
    "take_and_release",
    "request_and_arrive",
    "a_b_a",
    "asks_once",
    "stall_and_revive",
    "every_fault",
    "missing_rows",
    "refused",
    "a_new_worker",
    "what_the_host_is_told",
]
Server = Callable[[str, int, str], AbstractContextManager[Child]]


@contextmanager
def caproto_server(prefix: str, port: int, name: str) -> Iterator[Child]:
    argv = [sys.executable, "-m", "tests.access.original", prefix, name]
    with Child(argv, env=ca_env(port), cwd=REPO) as child:
        child.wait_for("SERVER READY", 60)
        yield child


@contextmanager
def real_ioc(prefix: str, port: int, name: str) -> Iterator[Child]:
    with SoftIoc(database(prefix, name), port) as ioc:
        yield ioc.child


@contextmanager
def manager_of(prefix: str, port: int) -> Iterator[Client]:
    argv = [sys.executable, "-m", "tests.access.managing", prefix.rstrip(":")]
    with Child(argv, env=ca_env(port), cwd=REPO, stdin=True) as child:
        yield Client(child)


def stop(child: Child) -> None:
    """It hangs when this returns."""
    child.signal(signal.SIGSTOP)
    threads = [Path(f"/proc/{child.pid}/task/{thread.id}/stat") for thread in psutil.Process(child.pid).threads()]
    eventually(lambda: all(thread.read_text().rpartition(")")[2].split()[0] == "T" for thread in threads))


SERVERS = pytest.mark.parametrize("server", [caproto_server, real_ioc], ids=["caproto", "ioc"])


@pytest.fixture(scope="module", params=[caproto_server, real_ioc], ids=["caproto", "ioc"])
def manager(request: pytest.FixtureRequest) -> Iterator[Client]:
    prefix, port = random_prefix(), free_port()
    with request.param(prefix, port, "plain"), manager_of(prefix, port) as client:
        yield client


@pytest.mark.parametrize("check", CHECKS)
def test_a_plain_node(manager: Client, check: str) -> None:
    manager.check(check)


@SERVERS
def test_a_plain_node_that_hangs_is_known_again_when_it_answers(server: Server) -> None:
    prefix, port = random_prefix(), free_port()
    with server(prefix, port, "plain") as child, manager_of(prefix, port) as client:
        client.check("use")
        stop(child)
        try:
            client.check("ask_while_it_hangs")
        finally:
            child.signal(signal.SIGCONT)
        client.check("see_it_awake")


@SERVERS
def test_plain_nodes_that_go_and_come_and_come_late(server: Server) -> None:
    prefix, port = random_prefix(), free_port()
    with manager_of(prefix, port) as client:
        with server(prefix, port, "plain") as child:
            client.check("use")
            stop(child)
            asking = client.begin("ask_and_be_lost")
            child.kill9()
            client.end("ask_and_be_lost", asking)
        client.check("see_it_gone")
        with server(prefix, port, "plain"):
            client.check("see_it_back")
        with server(prefix, port, "late"):
            client.check("see_late_ones")


def test_a_node_of_ours_that_starts_while_it_is_looked_for_is_never_taken_for_a_plain_one() -> None:
    prefix, port = random_prefix(), free_port()
    with manager_of(prefix, port) as client:
        for pause_s in (0.0, 0.1, 0.2, 0.3, 0.4, 0.5):
            looking = client.begin("see_ours_come")
            client.child.wait_for("LOOKING", 60, start=looking)
            time.sleep(pause_s)  # the search goes on meanwhile, at another pace each time
            with caproto_server(prefix, port, "ours"):
                client.end("see_ours_come", looking)


@SERVERS
def test_a_node_that_cannot_be_taken_is_asked_as_quickly_as_any(server: Server) -> None:
    prefix, port = random_prefix(), free_port()
    with server(prefix, port, "ours"), manager_of(prefix, port) as client:
        client.check("ask_what_it_cannot_take")


@SERVERS
def test_a_node_that_gets_a_SUMMARY_and_loses_it_again(server: Server) -> None:
    prefix, port = random_prefix(), free_port()
    with manager_of(prefix, port) as client:
        with server(prefix, port, "plain"):
            client.check("use")
        with server(prefix, port, "ours"):
            client.check("see_it_as_ours")
        client.check("see_it_gone")
        with server(prefix, port, "plain"):
            client.check("see_it_plain_again")
