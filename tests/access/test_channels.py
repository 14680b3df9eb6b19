"""`Channels` against a caproto server and a real EPICS IOC. The checks are functions of `tests.access.client`."""

from __future__ import annotations

import re
import signal
import subprocess
import sys
import time
from contextlib import contextmanager

import pytest

from guardian.errors import EzcaConnectError, EzcaError
from tests.access.asked import Client
from tests.access.records import ACF, DB
from tests.support.child import REPO, Child
from tests.support.net import ca_env, free_port, random_prefix
from tests.support.softioc import SoftIoc

EVERYWHERE = [
    "numbers",
    "enums",
    "strings",
    "long_strings",
    "arrays",
    "prefixes",
    "logs_changes",
    "refused_write",
    "lost_before_it_is_told",
    "slow_write",
    "interrupted_write",
    "interrupted_behind_each_call",
    "interrupted_anywhere",
    "sees_own_write",
    "cached_read",
    "field_order",
    "other_threads",
    "missing",
    "missing_ones_share_a_timeout",
    "connects_many_at_once",
    "foreseen",
    "ezca_ca_readonly",
    "ezca_ca_disable",
    "ezca_ca_nofail",
    "environment_that_is_not_understood",
    "nudges",
    "sees_what_the_code_has_written_through_another_object",
    "what_it_writes_through_another_object_wakes_nobody",
    "names_that_no_channel_has",
    "failures_leak_nothing",
]
IOC_ONLY = [
    "string_arrays",
    "empty_arrays",
    "no_read_access",
    "sees_own_write_without_event",
    "sees_it_without_event",
    "fresh_read",
]


@contextmanager
def caproto_server(prefix: str, port: int, group: str = "plant"):
    argv = [sys.executable, "-m", "tests.access.serve", prefix, group]
    with Child(argv, env=ca_env(port), cwd=REPO) as child:
        child.wait_for("SERVER READY", 60)
        yield child


@contextmanager
def client_of(prefix: str, port: int):
    argv = [sys.executable, "-m", "tests.access.client", prefix.rstrip(":")]
    with Child(argv, env=ca_env(port), cwd=REPO, stdin=True) as child:
        yield Client(child)


@pytest.fixture(scope="module")
def on_caproto():
    prefix, port = random_prefix(), free_port()
    with caproto_server(prefix, port), client_of(prefix, port) as client:
        yield client


@pytest.fixture(scope="module")
def on_ioc():
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


@pytest.mark.ca
def test_a_server_that_is_killed_and_comes_back_changed() -> None:
    prefix, port = random_prefix(), free_port()
    with client_of(prefix, port) as client:
        with caproto_server(prefix, port) as server:
            client.check("use_and_keep")
            writing = client.begin("lose_it_while_writing")
            server.wait_for("PUT BEGUN")
            server.kill9()
            client.end("lose_it_while_writing", writing)
        said = client.check("see_it_gone")
        assert float(re.search(r"lost after (\S+) s", said)[1]) < 1.0
        with caproto_server(prefix, port, "changed"):
            client.check("see_it_back")


@pytest.mark.ca
def test_a_write_has_its_whole_time_behind_a_connection_that_came_late() -> None:
    prefix, port = random_prefix(), free_port()
    with caproto_server(prefix, port) as server, client_of(prefix, port) as client:
        server.signal(signal.SIGSTOP)
        try:
            writing = client.begin("find_it_late_and_write")
            client.child.wait_for("SEARCHING")
            time.sleep(3)  # so late is the server
        finally:
            server.signal(signal.SIGCONT)
        said = client.end("find_it_late_and_write", writing)
        assert float(re.search(r"gave up after (\S+) s", said)[1]) > 3 + 9


def test_neither_error_of_channels_is_the_other_so_that_each_except_of_the_field_catches_its_own() -> None:
    assert not issubclass(EzcaConnectError, EzcaError) and not issubclass(EzcaError, EzcaConnectError)


def test_no_ca_context_before_the_first_use() -> None:
    script = (
        "import sys, epics, guardian.access.channels as channels\n"
        "ezca = channels.Channels('X1', 'SUS')\n"
        "assert ezca.count == 0 and ezca.lost(['X1:SUS-A']) == () and ezca.disconnected() == ()\n"
        "ezca.close()\n"
        "try: ezca['A']\n"
        "except Exception as error: assert 'closed' in str(error)\n"
        "else: raise AssertionError\n"
        "assert epics.ca.libca is None\n"
        "assert 'caproto' not in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", script], cwd=REPO, env=ca_env(free_port()), check=True, timeout=60)
