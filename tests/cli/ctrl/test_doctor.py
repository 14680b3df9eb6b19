"""guardctrl doctor, for who forgot to export anything: who answers, who is hidden, and the line that mends it."""

from __future__ import annotations

import os
import re
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from guardian.cli.ctrl import environment
from guardian.cli.ctrl.machine import listeners
from guardian.cli.output import FAILED, OK
from tests.cli.ctrl.calling import Shell
from tests.support import Child, ca_env, free_port, random_prefix
from tests.system.hosting import Guardhost

MODULE = (
    "from guardian import GuardState\nrequest = nominal = 'UP'\nclass UP(GuardState): pass\nedges = [('INIT', 'UP')]\n"
)


@pytest.fixture(scope="module")
def hosts(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Guardhost, Guardhost]]:
    """Two hosts of one prefix on this machine, that share a folder for locks."""
    ifo = random_prefix().rstrip(":")
    locks = {"GUARD_LOCK_DIR": str(tmp_path_factory.mktemp("locks"))}
    one = Guardhost(tmp_path_factory.mktemp("one"), {"SUS": MODULE}, ifo=ifo, env=locks)
    two = Guardhost(tmp_path_factory.mktemp("two"), {"IMC": MODULE}, ifo=ifo, env=locks)
    with one, two:
        for host in (one, two):
            host.wait(host.nodes[0], "STATE", "UP", 90)
        yield one, two


@pytest.fixture
def forgetful(hosts: tuple[Guardhost, Guardhost]) -> Shell:
    """A shell in which nothing was exported that would lead to the hosts; it stays on loopback all the same."""
    return Shell(
        {**hosts[0].env, "EPICS_CA_ADDR_LIST": "127.0.0.1", "EPICS_CA_SERVER_PORT": str(free_port())}, ifo=hosts[0].ifo
    )


@pytest.mark.ca
@pytest.mark.proc
def test_all_is_well(hosts: tuple[Guardhost, Guardhost]) -> None:
    one, _ = hosts
    told = Shell(one.env, ifo=one.ifo)("doctor", "SUS")
    assert told.code == OK, told
    for line in (
        r"  EPICS_CA_ADDR_LIST         127\.0\.0\.1$",
        r"  EPICS_CA_AUTO_ADDR_LIST    NO$",
        rf"  EPICS_CA_SERVER_PORT       {one.port}$",
        r"  EPICS_CA_REPEATER_PORT     \d+$",
        r"  EPICS_CA_MAX_ARRAY_BYTES   16384  \(default\)$",
        rf"  searches go to 127\.0\.0\.1:{one.port}$",
        rf"Who answers for {one.ifo}:GRD-SUS_STATE$",
        rf"  127\.0\.0\.1:{one.port}  process {one.child.pid} of ",  # type: ignore[union-attr]
        r"    1 nodes: SUS$",
        rf"UDP port {one.port} on this machine$",
        rf"  process {one.child.pid} of .*guardian\.cli\.guardhost SUS",  # type: ignore[union-attr]
    ):
        assert re.search(f"^{line}", told.out, re.M), (line, told)


@pytest.mark.ca
@pytest.mark.proc
def test_of_two_hosts_one_is_found_and_the_other_hidden(hosts: tuple[Guardhost, Guardhost]) -> None:
    one, two = hosts
    told = Shell(one.env, ifo=one.ifo)("doctor", "--json")
    assert told.code == OK, told  # what is asked for is found; that there is more may be meant
    assert [server["nodes"] for server in told.facts["servers"]] == [["SUS"]]
    assert [server["nodes"] for server in told.facts["hidden"]] == [["IMC"]]
    assert told.facts["servers"][0]["called"] + "-2" == told.facts["hidden"][0]["called"]
    assert told.facts["line"] == f"export EPICS_CA_ADDR_LIST='127.0.0.1 127.0.0.1:{two.port}'"


@pytest.mark.ca
@pytest.mark.proc
def test_who_forgot_to_export_anything_gets_the_line_and_the_line_works(
    hosts: tuple[Guardhost, Guardhost], forgetful: Shell
) -> None:
    assert forgetful("list").code == FAILED
    told = forgetful("doctor")
    assert told.code == FAILED and "  nobody\n" in told.out, told
    (line,) = re.findall(r"^  (export .*)$", told.out, re.M)
    ports = sorted(host.port for host in hosts)
    assert line == f"export EPICS_CA_ADDR_LIST='127.0.0.1 127.0.0.1:{ports[0]} 127.0.0.1:{ports[1]}'"
    assert "Type this, then it is found (tried):" in told.out
    assert f"type: {line}\n" in forgetful("list").err  # list itself says so
    listed = subprocess.run(
        ["sh", "-c", f"{line}; exec {sys.executable} -m guardian.cli.guardctrl list"],
        env=forgetful.env, capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert [text.split()[0] for text in listed.stdout.splitlines()] == ["IMC", "SUS"], listed


@pytest.mark.ca
@pytest.mark.proc
def test_one_pv_or_node_leads_to_the_host_that_has_it(hosts: tuple[Guardhost, Guardhost], forgetful: Shell) -> None:
    _, two = hosts
    for word in ("IMC", two.pv("IMC", "STATE"), two.pv("IMC", "OP")):
        found = forgetful("doctor", word, "--json").facts
        assert found["servers"] == [] and [server["where"] for server in found["hidden"]] == [f"127.0.0.1:{two.port}"]
        assert found["line"] == f"export EPICS_CA_ADDR_LIST='127.0.0.1 127.0.0.1:{two.port}'"
        assert found["environment"]["EPICS_CA_NAME_SERVERS"] == {"value": "", "default": True}


@pytest.mark.ca
@pytest.mark.proc
def test_with_the_wrong_prefix_the_right_one_is_named(hosts: tuple[Guardhost, Guardhost], forgetful: Shell) -> None:
    told = forgetful("doctor", env={"IFO": None})
    assert told.code == FAILED, told
    assert f"  {hosts[0].ifo}:GRD-SUS_STATE\n" in told.out
    assert f"  export IFO={hosts[0].ifo}\n" in told.out, told


@pytest.mark.ca
@pytest.mark.proc
def test_a_host_with_a_lock_folder_of_its_own_is_found_by_its_port(
    hosts: tuple[Guardhost, Guardhost], forgetful: Shell, tmp_path: Path
) -> None:
    """As that of a demo has it."""
    found = forgetful("doctor", "SUS", "--json", env={"GUARD_LOCK_DIR": None}).facts
    assert [server["where"] for server in found["hidden"]] == [f"127.0.0.1:{hosts[0].port}"]
    apart = forgetful("doctor", "SUS", "--json", env={"GUARD_LOCK_DIR": str(tmp_path)}).facts
    assert apart["hidden"] == []  # for hosts that shall not meet


@pytest.mark.ca
@pytest.mark.proc
def test_nobody_anywhere(tmp_path: Path) -> None:
    env = {**ca_env(free_port()), "GUARD_LOCK_DIR": str(tmp_path)}
    told = Shell(env, ifo="X9")("doctor")
    assert told.code == FAILED, told
    assert "No host on this machine runs it" in told.out and "EPICS_CA_ADDR_LIST='127.0.0.1 MACHINE'" in told.out


@pytest.mark.ca
@pytest.mark.proc
def test_a_second_process_on_the_port_is_told(
    hosts: tuple[Guardhost, Guardhost], child: Callable[..., Child], tmp_path: Path
) -> None:
    """As happens where an old server and a new one both ask the kernel to share the port."""
    port = free_port()
    program = (
        "import socket, sys, time; s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM);"
        "s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1); s.bind(('127.0.0.1', int(sys.argv[1])));"
        "print('BOUND', flush=True); time.sleep(300)"
    )
    pids = []
    for _ in range(2):
        process = child([sys.executable, "-c", program, str(port)])
        process.wait_for("BOUND", 60)
        pids.append(process.pid)
    told = Shell({**hosts[0].env, "EPICS_CA_SERVER_PORT": str(port)}, ifo=hosts[0].ifo)("doctor", "SUS")
    assert told.code == FAILED
    assert f"WARNING: 2 processes share UDP port {port} on this machine, process {min(pids)} of " in told.out, told


@pytest.mark.ca
@pytest.mark.proc
def test_two_servers_of_one_pv_are_told(tmp_path: Path, child: Callable[..., Child]) -> None:
    prefix, ports = random_prefix(), [free_port(), free_port()]
    for port in ports:
        server = child(
            [sys.executable, str(Path(__file__).with_name("plain_guardian.py")), f"{prefix}GRD-OLD_"], env=ca_env(port)
        )
        server.wait_for("CA SERVER READY", 60)
    env = {**ca_env(ports[0]), "EPICS_CA_ADDR_LIST": " ".join(f"127.0.0.1:{port}" for port in ports)}
    told = Shell({**env, "GUARD_LOCK_DIR": str(tmp_path)}, ifo=prefix.rstrip(":"))("doctor", "OLD")
    assert told.code == FAILED
    where = " and ".join(f"127.0.0.1:{port}" for port in sorted(ports))
    assert f"WARNING: {where} all answer for {prefix}GRD-OLD_STATE" in told.out, told


# --- the parts ------------------------------------------------------------------------------------------------------


def test_a_port_has_its_process_once_however_many_sockets_it_has() -> None:
    with (
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as one,
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as two,
    ):
        one.bind(("127.0.0.1", 0))
        port = one.getsockname()[1]
        two.bind(("127.0.0.2", port))
        (found,) = listeners(port)
        assert found.pid == os.getpid() and found.address.startswith("127.0.0.") and "python" in found.program
    assert listeners(port) == []


@pytest.mark.parametrize(
    ("values", "says"),
    [
        ({}, []),
        ({"SERVER_PORT": "x"}, ["EPICS_CA_SERVER_PORT=x is no port; 5064 is taken"]),
        ({"REPEATER_PORT": "99999"}, ["EPICS_CA_REPEATER_PORT=99999 is no port; 5065 is taken"]),
        ({"AUTO_ADDR_LIST": "no"}, ["EPICS_CA_AUTO_ADDR_LIST=NO and EPICS_CA_ADDR_LIST is empty: nobody is asked"]),
        ({"AUTO_ADDR_LIST": "NO", "NAME_SERVERS": "gate"}, []),
        ({"AUTO_ARRAY_BYTES": "NO"}, ["EPICS_CA_MAX_ARRAY_BYTES=16384 is the limit"]),
        ({"AUTO_ARRAY_BYTES": "NO", "MAX_ARRAY_BYTES": "1000000"}, []),
    ],
    ids=str,
)
def test_what_cannot_be_right_is_told(values: dict[str, str], says: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    for name in environment.DEFAULTS:
        monkeypatch.delenv(name, raising=False)
    for name, value in values.items():
        monkeypatch.setenv(f"EPICS_CA_{name}", value)
    found = environment.oddities()
    assert len(found) == len(says) and all(text.startswith(start) for text, start in zip(found, says, strict=True))


def test_the_line_keeps_what_is_found_today(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EPICS_CA_ADDR_LIST", "10.0.0.255 plant:5070")
    assert environment.export_line(["127.0.0.1:40000"]) == (
        "export EPICS_CA_ADDR_LIST='10.0.0.255 plant:5070 127.0.0.1:40000'"
    )
    monkeypatch.delenv("EPICS_CA_ADDR_LIST")
    assert environment.export_line(["127.0.0.1:40000"]) == "export EPICS_CA_ADDR_LIST=127.0.0.1:40000"
