"""guardctrl when something is wrong: hosts that hang, nodes that run twice, words that mean nothing, Ctrl-C."""

from __future__ import annotations

import io
import os
import re
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from guardian.cli import guardctrl
from guardian.cli.ctrl.find import agreed, some
from guardian.cli.output import FAILED, OK, TIMED_OUT, WRONG_CALL
from guardian.core.facts import from_rows
from guardian.core.texts import printable
from tests.cli.ctrl.calling import ARGV, Called, Shell
from tests.support import Child, ca_env, eventually, free_port, random_prefix
from tests.support.terminal import CTRL_C, on_terminal
from tests.system.hosting import Guardhost

MODULE = """
from guardian import GuardState
request = nominal = 'UP'
class UP(GuardState):
    goto = True
class NEVER(GuardState):
    def run(self):
        return False
edges = [('INIT', 'UP'), ('UP', 'NEVER')]
"""
ca = pytest.mark.ca
proc = pytest.mark.proc


@pytest.fixture(scope="module")
def host(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Guardhost]:
    with Guardhost(tmp_path_factory.mktemp("host"), {"SUS": MODULE, "IMC": MODULE}) as host:
        for node in host.nodes:
            host.wait(node, "STATE", "UP", 90)
        yield host


@pytest.fixture
def shell(host: Guardhost) -> Shell:
    return Shell(host.env, ifo=host.ifo)


@pytest.fixture
def nowhere() -> Shell:
    """A shell in which nobody answers, and that does not wait long for it."""
    env = {**ca_env(free_port()), "EPICS_CA_ADDR_LIST": "127.0.0.1"}
    shell = Shell(env, ifo=random_prefix().rstrip(":"))
    shell.env["EPICS_CLI_TIMEOUT"] = "0.5"
    return shell


# --- words ------------------------------------------------------------------------------------------------------------


@proc
@pytest.mark.parametrize("word", ["", "SUS MC1", "SUS;rm", "SÜS", "-"])
@pytest.mark.parametrize("order", ["list", "request UP", "op EXEC", "status"])
def test_what_can_be_no_node_is_a_wrong_call(nowhere: Shell, order: str, word: str) -> None:
    told = nowhere(*order.split(), "--", word) if word == "-" else nowhere(*order.split(), word)
    assert (told.code, told.out, told.err) == (WRONG_CALL, "", f"guardctrl: {word!r} is no name of a node\n"), told


@proc
def test_a_pv_in_the_place_of_a_node_is_answered_with_the_node(nowhere: Shell) -> None:
    told = nowhere("status", f"{nowhere.env['IFO']}:GRD-SUS_MC1")
    assert told.code == WRONG_CALL and told.err.endswith(" is no name of a node; did you mean SUS_MC1?\n"), told


@ca
@proc
def test_a_name_with_a_slip_is_answered_with_the_name_that_is_there(shell: Shell) -> None:
    told = shell("status", "sus", env={"EPICS_CLI_TIMEOUT": "1"})
    assert told.code == FAILED and "sus does not answer" in told.err and "did you mean SUS?" in told.err, told


@proc
def test_a_time_that_is_none_is_a_wrong_call(nowhere: Shell) -> None:
    told = nowhere("list", env={"EPICS_CLI_TIMEOUT": "soon"})
    assert told.code == WRONG_CALL and "EPICS_CLI_TIMEOUT is 'soon'" in told.err, told


@ca
@proc
def test_without_a_prefix_that_of_this_machine_is_named(shell: Shell, host: Guardhost) -> None:
    for ifo in ("", f"{host.ifo}:"):
        told = shell("list", env={"IFO": ifo, "EPICS_CLI_TIMEOUT": "1"})
        assert told.code == FAILED and told.err.endswith(f"type: export IFO={host.ifo}\n"), told


# --- what programs read -----------------------------------------------------------------------------------------------


@ca
@proc
@pytest.mark.parametrize(
    "order", ["list", "list A*", "list SUS", "status SUS", "why", "tree", "request UP SUS", "op EXEC SUS", "doctor"]
)
def test_with_json_there_is_one_value_on_stdout_though_nobody_answers(nowhere: Shell, order: str) -> None:
    told = nowhere("--json", *order.split())
    assert told.code == FAILED, told
    assert isinstance(told.facts, dict if order == "doctor" else list), told


@proc
@pytest.mark.parametrize("order", ["create A B", "start A", "list"])
def test_with_json_there_is_one_value_on_stdout_though_the_host_does_not_run(
    nowhere: Shell, tmp_path: Path, order: str
) -> None:
    told = nowhere("--json", "--state-dir", str(tmp_path), *order.split())
    assert told.code == FAILED, told
    assert [one["ok"] for one in told.facts] == [False] * (len(order.split()) - 1), told


@ca
@proc
def test_orders_to_the_host_are_one_list(shell: Shell, host: Guardhost) -> None:
    told = shell("--json", "--state-dir", str(host.state_dir), "start", "SUS", "NOBODY", "IMC")
    assert told.code == FAILED
    assert [(one["node"], one["ok"]) for one in told.facts] == [("SUS", True), ("NOBODY", False), ("IMC", True)], told
    assert "NOBODY does not run in this host" in told.facts[1]["text"]


@ca
@proc
def test_what_is_not_confirmed_is_an_empty_list(shell: Shell, host: Guardhost) -> None:
    """More than five nodes, and nobody at the terminal."""
    more = [f"N{number}" for number in range(6)]
    host.ctrl("create", "--yes", *more)  # without modules; they can be told all the same
    try:
        told = shell("op", "EXEC", *more, "--json")
        assert (told.code, told.facts) == (FAILED, []), told
        assert told.err.endswith("guardctrl: nothing was written\n")
    finally:
        host.ctrl("destroy", "--yes", *more)


@pytest.mark.parametrize("typed", ["y\n", "YES\n", "y", "n\n", "\n", "", "yesterday\n", KeyboardInterrupt, "\udcff"])
def test_only_a_yes_is_a_yes(typed: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    class Terminal(io.StringIO):
        def readline(self, size: int | None = -1) -> str:
            if typed is KeyboardInterrupt:
                raise typed
            _ = typed.encode("utf-8")  # as a strict stdin does: what is no text is a ValueError
            return str(typed)

    monkeypatch.setattr("sys.stdin", Terminal())
    assert agreed("op", list("ABCDEF"), yes=False) is (typed in ("y\n", "YES\n", "y"))


def test_many_nodes_are_counted_and_not_all_named() -> None:
    nodes = [f"SUS_{number}" for number in range(300)]
    assert some(nodes[:2]) == "SUS_0, SUS_1"
    assert some(nodes).endswith("SUS_8, SUS_9 and 290 more")


def test_texts_of_others_do_not_steer_the_terminal() -> None:
    assert printable("on two\nlines \x1b[31mred\x07 Ä") == "on two lines  [31mred  Ä"
    assert from_rows("OLD", "here:1", {"STATE": printable("A\x1b[2J")}).state == "A [2J"


# --- trouble with hosts -----------------------------------------------------------------------------------------------


@ca
@proc
def test_a_host_that_hangs_does_not_keep_the_command_and_is_named(tmp_path: Path, child: Callable[..., Child]) -> None:
    with Guardhost(tmp_path, {"SUS": MODULE}) as host:
        host.wait("SUS", "STATE", "UP", 90)
        shell = Shell(host.env, ifo=host.ifo)
        waiting = child([*ARGV, "request", "NEVER", "SUS", "--wait", "--timeout", "4"], env=shell.env)
        host.wait("SUS", "STATE", "NEVER")
        assert host.child is not None
        os.kill(host.child.pid, signal.SIGSTOP)
        try:
            begun = time.monotonic()
            assert waiting.wait(60) == TIMED_OUT, waiting.report()
            assert time.monotonic() - begun < 20, "libca waits 30 s for it"
            told = shell("status", "SUS", env={"EPICS_CLI_TIMEOUT": "1"})
            assert told.code == FAILED and re.search(
                rf"SUS does not answer .*; port {host.port} on this machine is that of process {host.child.pid} of "
                r".*, which does not answer: is it stopped\?$", told.err.strip(),
            ), told  # fmt: skip
            found = shell("doctor", "SUS", "--json", env={"EPICS_CLI_TIMEOUT": "1"})
            assert found.code == FAILED and found.facts["warnings"] == found.facts["hanging"] != [], found
        finally:
            os.kill(host.child.pid, signal.SIGCONT)


@ca
@proc
def test_a_node_that_runs_twice_is_told_whoever_asks_for_it(host: Guardhost, tmp_path: Path) -> None:
    """Two hosts that cannot see each other, and a client that sees both."""
    with Guardhost(tmp_path, {"SUS": MODULE}, ifo=host.ifo) as other:
        other.wait("SUS", "STATE", "UP", 90)
        env = {**host.env, "EPICS_CA_ADDR_LIST": f"127.0.0.1:{host.port} 127.0.0.1:{other.port}"}
        shell = Shell(env, ifo=host.ifo)

        def warned(*words: str) -> Called:
            """The other one may answer too late, on a busy machine."""
            told = eventually(lambda: " is run twice" in (t := shell(*words)).err and t, 60, f"a warning of {words}")
            assert told.code == OK, told
            places = re.findall(r"warning: SUS is run twice: \S+:(\d+) answers here, \S+:(\d+) answers too", told.err)
            assert {port for pair in places for port in pair} == {str(host.port), str(other.port)}, told
            return told

        for order in ("request UP SUS", "op EXEC SUS", "status SUS", "list SUS", "tree SUS"):
            warned(*order.split())
        assert "IMC is run" not in warned("status", "SUS", "IMC").err
        told = shell("list")  # it asks the network, and says so once
        assert told.err.count("SUS is run") == 1, told


# --- a person at the terminal -----------------------------------------------------------------------------------------


@proc
@pytest.mark.parametrize("after_s", [0.02, 0.1, 0.2, 0.3, 0.5])
def test_ctrl_c_is_answered_without_a_traceback_at_any_moment(nowhere: Shell, after_s: float) -> None:
    """From when the command has begun: in the modules, in the search, in the wait for an answer."""
    program = ["-c", "import sys; from guardian.cli.guardctrl import main; print(flush=True); sys.exit(main())"]
    env = {**nowhere.env, "EPICS_CLI_TIMEOUT": "20"}
    asking = subprocess.Popen(
        [ARGV[0], *program, "list", "SUS"], env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert asking.stdout is not None
    asking.stdout.readline()
    time.sleep(after_s)
    asking.send_signal(signal.SIGINT)
    _, said = asking.communicate(timeout=60)
    assert (asking.returncode, said) == (FAILED, "")


def test_ctrl_c_while_a_class_is_made_is_answered_too(monkeypatch: pytest.MonkeyPatch) -> None:
    class Interrupts:
        def __set_name__(self, owner: type, name: str) -> None:
            raise KeyboardInterrupt

    def loads(_argv: object) -> int:
        type("Made", (), {"field": Interrupts()})
        return OK

    monkeypatch.setattr(guardctrl, "_main", loads)
    assert guardctrl.main([]) == FAILED


@ca
@proc
def test_who_waits_no_longer_is_told_that_the_request_stands(
    shell: Shell, host: Guardhost, child: Callable[..., Child]
) -> None:
    words = [*ARGV, "request", "NEVER", "SUS", "--wait"]
    terminal = child(on_terminal(words), env=shell.env, stdin=True)
    terminal.wait_for(r"waiting for SUS NEVER", 60)
    terminal.send(CTRL_C)
    assert terminal.wait(60) == FAILED, terminal.report()
    assert "it is not waited for any more; NEVER stays requested" in terminal.output, terminal.report()
    assert "Traceback" not in terminal.output
    assert host.get("SUS", "REQUEST") == "NEVER"
    host.put("SUS", "REQUEST", "UP")
    host.wait("SUS", "STATUS", "DONE")


@ca
@proc
def test_on_a_terminal_the_list_has_one_line_a_node(shell: Shell, host: Guardhost, child: Callable[..., Child]) -> None:
    host.put("SUS", "OP", "STOP")
    eventually(lambda: "stopped" in shell("why", "SUS").out, 60, "the reason")
    narrow = ["sh", "-c", 'stty cols 60; exec "$@"', "sh", *ARGV, "list", "SUS", "IMC"]
    terminal = child(on_terminal(narrow), env=shell.env, stdin=True)
    assert terminal.wait(60) == OK, terminal.report()
    lines = terminal.output.replace("\r", "").splitlines()
    assert len(lines) == 2 and len(lines[0]) <= 60 and lines[0].endswith(" ..."), terminal.report()
    assert "write OP=EXEC" in shell("list", "SUS").out  # programs get all of it
    host.put("SUS", "OP", "EXEC")
    host.wait("SUS", "WORKER", "RUN")
