"""The ground the other tests stand on: if this holds, a failure elsewhere means what it says."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import sys
import threading
from pathlib import Path

import pytest

from tests.support import (
    CaClient,
    Child,
    NotConnectedError,
    PutRefusedError,
    SoftIoc,
    alive,
    ca_env,
    descendants,
    eventually,
    eventually_async,
    free_port,
    processes_named,
    procs,
    random_prefix,
)

pytest_plugins = ["pytester"]
PYTHON = sys.executable
SERVER = Path(__file__).parent / "support" / "ca_server.py"

# -- ports and environment --------------------------------------------------------------------------------------------


def test_free_ports_differ_and_are_free():
    ports = [free_port() for _ in range(20)]
    assert len(set(ports)) == 20
    for port in ports:
        with socket.socket() as sock:
            sock.bind(("127.0.0.1", port))


def test_prefixes_differ():
    assert len({random_prefix() for _ in range(100)}) == 100


def test_environment_stays_on_loopback(monkeypatch):
    monkeypatch.setenv("EPICS_CA_ADDR_LIST", "10.0.0.255")
    monkeypatch.setenv("PYEPICS_LIBCA", "/nowhere.so")
    env = ca_env(5, MORE="x")
    addresses = {name: value for name, value in env.items() if name.startswith("EPICS_") and name.endswith("ADDR_LIST")}
    assert {"127.0.0.1", "NO"} == set(addresses.values())
    assert env["EPICS_CA_SERVER_PORT"] == env["EPICS_CAS_SERVER_PORT"] == "5"
    assert "PYEPICS_LIBCA" not in env and env["MORE"] == "x" and env["PATH"]


def test_the_repeater_port_is_held():
    port = int(ca_env(5)["EPICS_CA_REPEATER_PORT"])
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock, pytest.raises(OSError):
        sock.bind(("", port))


# -- waiting ----------------------------------------------------------------------------------------------------------


def test_eventually_returns_the_value_and_forgives_exceptions():
    looks = iter([ValueError("not yet"), 0, "there"])

    def look():
        value = next(looks)
        if isinstance(value, Exception):
            raise value
        return value

    assert eventually(look, period_s=0) == "there"


def test_eventually_says_what_it_saw():
    with pytest.raises(AssertionError, match=r"waited 0 s for the light, but it was 'red'"):
        eventually(lambda: ("red" and "red" == "green") or _false("red"), 0, "the light")
    with pytest.raises(AssertionError, match=r"KeyError"):
        eventually(lambda: {}["x"], 0)


def _false(text: str):
    class False_(str):
        def __bool__(self):
            return False

    return False_(text)


async def test_eventually_async_takes_both_kinds_of_predicate():
    flag = asyncio.Event()
    asyncio.get_running_loop().call_soon(flag.set)
    assert await eventually_async(flag.is_set)

    async def true():
        return 7

    assert await eventually_async(true) == 7
    with pytest.raises(AssertionError, match="the flag, but it was False"):
        await eventually_async(lambda: False, 0, "the flag")
    with pytest.raises(AssertionError, match="TimeoutError"):
        await eventually_async(asyncio.Event().wait, 0.05)


# -- children ---------------------------------------------------------------------------------------------------------


@pytest.mark.proc
def test_child_is_heard_and_waited_for(child):
    talker = child([PYTHON, "-u", "-c", "import sys; print('one', 1); print('two', file=sys.stderr); sys.exit(3)"])
    assert talker.wait_for(r"^one (\d)$").group(1) == "1"
    assert talker.wait() == 3
    assert "two" in talker.output
    with pytest.raises(AssertionError, match=r"(?s)ended without 'never'.*exit code 3.*one 1"):
        talker.wait_for("never")


@pytest.mark.proc
def test_child_deadline_prints_what_it_said(child):
    silent = child([PYTHON, "-u", "-c", "print('here'); import time; time.sleep(600)"])
    silent.wait_for("here")
    with pytest.raises(AssertionError, match=r"(?s)0.05 s passed.*still running.*here"):
        silent.wait_for("never", 0.05)
    assert silent.stop() == -signal.SIGTERM


@pytest.mark.proc
def test_nothing_of_the_session_survives():
    code = (
        "import subprocess, sys, time\n"
        "sleeper = [sys.executable, '-c', 'import time; time.sleep(600)']\n"
        "a = subprocess.Popen(sleeper); b = subprocess.Popen(sleeper, process_group=0)\n"
        "print('pids', a.pid, b.pid, flush=True); time.sleep(600)\n"
    )
    with Child([PYTHON, "-c", code]) as parent:
        pids = [int(pid) for pid in parent.wait_for(r"pids (\d+) (\d+)").groups()]
        assert {proc.pid for proc in descendants(parent.pid)} == set(pids)
        parent.kill9()
        assert all(alive(pid) for pid in pids), "kill9 is for the process alone"
    eventually(lambda: not any(alive(pid) for pid in pids), what="the orphans to be gone")


@pytest.mark.proc
def test_a_deaf_child_is_killed():
    code = "import signal, time; signal.signal(15, signal.SIG_IGN); print('deaf', flush=True); time.sleep(600)"
    with Child([PYTHON, "-c", code]) as deaf:
        deaf.wait_for("deaf")
        assert processes_named(code)
        assert deaf.stop(0.05) == -signal.SIGKILL
    assert not processes_named(code)


@pytest.mark.proc
def test_child_reads_what_is_sent(child):
    echo = child([PYTHON, "-c", "print('got', input())"], stdin=True)
    echo.send("word\n")
    echo.wait_for("got word")


@pytest.mark.proc
def test_failure_carries_the_output():
    with pytest.raises(RuntimeError) as caught, Child([PYTHON, "-c", "print('last words')"]) as talker:
        talker.wait()
        raise RuntimeError("boom")
    assert "last words" in "".join(caught.value.__notes__)


# -- leaks ------------------------------------------------------------------------------------------------------------


@pytest.mark.proc
def test_what_a_test_leaves_behind_fails_it(pytester):
    """The fixture of conftest.py in a pytest of its own, with tests that misbehave."""
    repo = Path(__file__).parents[1]
    pytester.makeconftest(
        "from tests import conftest as ours\n"
        "ours._GRACE_S = 0.2\n"
        "from tests.conftest import _leaves_nothing, _leaves_no_tasks\n"
        "from tests.conftest import pytest_fixture_setup, pytest_sessionstart, pytest_sessionfinish\n"
    )
    pytester.makepyfile(
        """
        import asyncio, subprocess, sys, threading, time
        import pytest

        def test_process():
            subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])

        def test_orphan():
            code = ("import subprocess, sys;"
                    "subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(601)'], start_new_session=True)")
            subprocess.run([sys.executable, "-c", code])

        def test_thread():
            threading.Thread(target=time.sleep, args=(2,), name="straggler").start()

        async def test_task():
            asyncio.create_task(asyncio.sleep(600), name="forgotten")

        @pytest.fixture(scope="module")
        def server():
            with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as running:
                yield running
                running.stdin.close()

        def test_of_a_server_for_all(request):
            assert request.getfixturevalue("server").poll() is None

        def test_of_the_same_server(server):
            assert server.poll() is None

        def test_clean():
            subprocess.run([sys.executable, "-c", ""])

        async def test_clean_async():
            await asyncio.create_task(asyncio.sleep(0))
        """
    )
    path = os.pathsep.join([str(repo), *filter(None, [os.environ.get("PYTHONPATH")])])
    pytester.makeini("[pytest]\nasyncio_mode = auto\n")
    with Child(
        [PYTHON, "-m", "pytest", "-p", "no:cacheprovider"], env=ca_env(5, PYTHONPATH=path), cwd=pytester.path
    ) as run:
        run.wait(90)
    said = run.output
    for line in (
        r"process \d+: .*sleep\(600\)",
        r"process \d+: .*sleep\(601\)",
        "thread straggler",
        "name='forgotten'",
    ):
        run.wait_for(line)
    assert "8 passed, 4 errors" in said, said


def test_children_are_seen_cheaply():
    assert isinstance(procs.children_now(), set)
    assert procs.stray_threads(threading.enumerate()) == []
    assert not alive(2**22 + 1)


# -- clients and servers ----------------------------------------------------------------------------------------------


def _server(child, ca_port, prefix):
    server = child([PYTHON, SERVER, prefix], env=ca_env(ca_port))
    server.wait_for("CA SERVER READY", 60)
    return server


@pytest.mark.ca
@pytest.mark.proc
def test_clients_agree_on_a_caproto_server(child, ca_port, prefix, each_ca: CaClient):
    _server(child, ca_port, prefix)
    assert each_ca.get(prefix + "X").value == 1.5
    assert each_ca.get(prefix + "OP").value == 2
    assert each_ca.get(prefix + "OP", as_string=True).value == "EXEC"
    assert each_ca.get(prefix + "TXT", as_string=True).value == "hallo µ"
    assert each_ca.get(prefix + "ARR").value == [1, 2, 3]

    info = each_ca.info(prefix + "X")
    assert (info.kind, info.count, info.units, info.readable, info.writable) == ("DOUBLE", 1, "mm", True, True)
    assert info.details["upper_ctrl_limit"] == 10 and info.details["precision"] == 2
    assert str(ca_port) in info.host
    assert each_ca.info(prefix + "OP").labels == ["STOP", "PAUSE", "EXEC"]
    assert not each_ca.info(prefix + "RO").writable

    request = each_ca.monitor(prefix + "REQ")
    label = each_ca.monitor(prefix + "OP", as_string=True)
    assert request.values[0] == "NONE" and request.connections == [True]
    each_ca.put(prefix + "REQ", "A")
    event = request.wait_value("A")
    assert event.severity == 0 and event.stamp_utc > 1.6e9
    each_ca.put(prefix + "OP", "PAUSE", wait=False)
    assert label.wait_value("PAUSE").order > event.order
    each_ca.put(prefix + "TXT", "grüße")
    assert each_ca.get(prefix + "TXT", as_string=True).value == "grüße"
    each_ca.put(prefix + "ARR", [5.0, 6.0])
    assert each_ca.get(prefix + "ARR").value == [5, 6]

    with pytest.raises(PutRefusedError):
        each_ca.put(prefix + "REQ", "FOO")
    each_ca.put(prefix + "REQ", "FOO", wait=False)
    assert "no state FOO" in each_ca.objection(prefix + "REQ")
    each_ca.put(prefix + "REQ", "B", wait=False)
    assert each_ca.objection(prefix + "REQ", 0) is None
    with pytest.raises(NotConnectedError):
        each_ca.get(prefix + "NOPE", timeout_s=0.3)


@pytest.mark.ca
@pytest.mark.proc
def test_a_monitor_survives_a_restart_of_the_server(child, ca_port, prefix):
    """With caproto, which searches again at once; libca takes its time (the camonitor test waits for that)."""
    server = _server(child, ca_port, prefix)
    with CaClient(ca_env(ca_port), "caproto") as client:
        monitor = client.monitor(prefix + "REQ")
        server.stop()
        monitor.wait_connection(False)
        seen = len(monitor.events)
        _server(child, ca_port, prefix)
        monitor.wait_connection(True)
        monitor.wait_value("NONE", start=seen)


DB = """
record(ao, "$(P)X") { field(VAL, "1.5") field(PREC, "3") field(EGU, "mm") field(DRVH, "10") field(DRVL, "-10")
    field(HIHI, "8") field(HHSV, "MAJOR") field(PINI, "YES") }
record(ao, "$(P)RO") { field(VAL, "2.5") field(ASG, "READONLY") field(PINI, "YES") }
record(mbbo, "$(P)OP") { field(ZRST, "STOP") field(ONST, "EXEC") field(VAL, "1") field(PINI, "YES") }
record(waveform, "$(P)TXT") { field(FTVL, "CHAR") field(NELM, "2000") }
"""
ACF = "ASG(DEFAULT) { RULE(1, WRITE) }\nASG(READONLY) { RULE(1, READ) }\n"


@pytest.mark.ca
@pytest.mark.proc
def test_clients_agree_on_a_real_ioc(ca_port, prefix, each_ca: CaClient):
    with SoftIoc(DB, ca_port, acf=ACF, macros=f"P={prefix}"):
        monitor = each_ca.monitor(prefix + "X")
        each_ca.put(prefix + "X", 9)
        assert monitor.wait_value(9).severity == 2
        assert each_ca.get(prefix + "X.HIHI").value == 8
        each_ca.put(prefix + "OP", "STOP")
        assert each_ca.get(prefix + "OP", as_string=True).value == "STOP"
        each_ca.put(prefix + "TXT", "a long text")
        assert each_ca.get(prefix + "TXT", as_string=True).value == "a long text"
        assert not each_ca.info(prefix + "RO").writable
        with pytest.raises(PutRefusedError):
            each_ca.put(prefix + "RO", 1)
        with pytest.raises(PutRefusedError):
            each_ca.put(prefix + "OP", "NO SUCH LABEL")
        each_ca.put(prefix + "OP", "NO SUCH LABEL", wait=False)
        assert each_ca.objection(prefix + "OP")


@pytest.mark.proc
def test_a_broken_database_says_so(ca_port):
    with pytest.raises(AssertionError, match="nonsense"):
        SoftIoc('record(nonsense, "X") {}', ca_port)
