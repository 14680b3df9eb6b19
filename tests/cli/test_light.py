"""Commands start fast: each imports what it was asked for, and nothing else. Seen in the commands themselves."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from guardian.cli import guardctrl, guardlog, guardutil
from guardian.cli.output import FAILED, OK, WRONG_CALL
from tests.support import REPO, free_port

pytestmark = pytest.mark.proc

COMMANDS = ("guardian", "guardhost", "guardctrl", "guardutil", "guardlog", "guardmedm")
PACKAGES = {"guardctrl": "ctrl", "guardutil": "util", "guardlog": "log"}
ORDERS = [
    (command, order)
    for command, table in (
        ("guardctrl", guardctrl.ORDERS),
        ("guardutil", guardutil.ORDERS),
        ("guardlog", guardlog.ORDERS),
    )
    for order in table
]
CHANNEL_ACCESS = {"caproto", "epics", "numpy", "ioc.cas.context"}
#: What takes long of what is not ours.
SLOW = CHANNEL_ACCESS | {"asyncio", "logging", "msgspec", "psutil", "rich", "ssl"}
#: Ours, with all that they import.
HOST = {"guardian.host.host", "guardian.host.site", "guardian.host.control", "guardian.cli.run"}
TABLES = {"guardian.core.interface", "guardian.core.events", "guardian.core.graph"}
#: What a command needs to know what it was asked for.
PARSES = {
    "guardian", "guardian._version", "guardian.cli", "guardian.cli.options", "guardian.cli.orders",
    "guardian.cli.output", "guardian.core", "guardian.core.names", "guardian.enums", "guardian.errors",
    "guardian.host", "guardian.host.places",
}  # fmt: skip


class Ended:
    """How a command ended, what it said, and which modules it has imported."""

    def __init__(self, done: subprocess.CompletedProcess[str]) -> None:
        lines = done.stderr.splitlines()
        timed = [line for line in lines if line.startswith("import time:")]
        self.code, self.out = done.returncode, done.stdout
        self.err = "\n".join(line for line in lines if line not in timed)
        self.modules = {line.rpartition("|")[2].strip() for line in timed}

    @property
    def ours(self) -> set[str]:
        return {name for name in self.modules if name.partition(".")[0] in ("guardian", "ioc")}


def run(command: str, *words: str, python: tuple[str, ...] = (), **environ: str) -> Ended:
    """Run a command as it is started by a shell, in the present folder."""
    env = {**os.environ, "PYTHONPATH": str(REPO), "EPICS_CA_ADDR_LIST": "127.0.0.1", "EPICS_CA_AUTO_ADDR_LIST": "NO"}
    env |= {"EPICS_CA_SERVER_PORT": str(free_port()), "EPICS_CLI_TIMEOUT": "0.1", **environ}
    argv = [sys.executable, "-X", "importtime", *(python or ("-m", f"guardian.cli.{command}")), *words]
    return Ended(subprocess.run(argv, env=env, capture_output=True, text=True, timeout=90, check=False))


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a module and a state directory in which no host has ever run."""
    for name in ("IFO", "SITE", "GUARD_MODULE_PATH", "USERAPPS_PATH"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "xdg"))
    monkeypatch.setenv("GUARD_LOCK_DIR", str(tmp_path / "locks"))
    monkeypatch.chdir(tmp_path)
    (tmp_path / "SUS.py").write_text("from guardian import GuardState\nclass A(GuardState): pass\n")
    (tmp_path / "state" / "logs").mkdir(parents=True)
    return tmp_path


@pytest.mark.parametrize("word", ["--help", "--version", "--site"])
@pytest.mark.parametrize("command", COMMANDS)
def test_who_asks_for_help_or_calls_it_wrongly_loads_what_says_so_and_nothing_else(command: str, word: str) -> None:
    ended = run(command, word)
    assert ended.code == (WRONG_CALL if word == "--site" else OK), ended.err
    package = f"guardian.cli.{PACKAGES.get(command)}"
    assert ended.ours <= PARSES | {package}, ended.ours - PARSES
    assert not ended.modules & (SLOW | {"dataclasses", "json", "socket", "subprocess"})


@pytest.mark.parametrize("words", [["--help"], ["--version"], ["users", "--help"], ["users", "list", "--help"]])
def test_the_help_of_the_console_loads_neither_a_server_of_pages_nor_channel_access(words: list[str]) -> None:
    ended = run("console", *words)
    assert (ended.code, ended.err) == (OK, "")
    assert not ended.modules & (SLOW | HOST | {"starlette", "uvicorn"})


@pytest.mark.parametrize(("command", "order"), ORDERS, ids=lambda word: word)
def test_the_help_of_an_order_loads_neither_a_host_nor_channel_access(command: str, order: str) -> None:
    ended = run(command, order, "--help")
    assert (ended.code, ended.err) == (OK, "") and ended.out.startswith(f"usage: {command} {order} [-h]")
    assert not ended.modules & (CHANNEL_ACCESS | HOST - {"guardian.host.site"})
    if order != "export":  # it is about site files, and nothing else
        assert "guardian.host.site" not in ended.modules


def test_an_order_loads_no_order_that_it_does_not_use() -> None:
    beside = {
        f"guardian.cli.ctrl.{name}" for name in ("listing", "find", "names", "status", "request", "doctor", "local")
    }
    assert not run("guardctrl", "install", "--user", "--dry-run").modules & beside
    beside = {f"guardian.cli.util.{name}" for name in ("looking", "facts", "archived", "diff", "export")}
    assert not run("guardutil", "new", "OVEN").modules & beside
    beside = {f"guardian.cli.log.{name}" for name in ("lines", "follow", "audit", "stays")}
    assert not run("guardlog", "--state-dir", "state", "events", "SUS").modules & beside


@pytest.mark.parametrize("words", ["list", "start SUS", "reload", "acl SUS"])
def test_who_asks_a_host_through_its_socket_loads_neither_that_host_nor_channel_access(words: str) -> None:
    ended = run("guardctrl", "--state-dir", "state", *words.split())
    assert ended.code == FAILED and "no host answers at state/control.sock" in ended.err
    light = CHANNEL_ACCESS | HOST | {"asyncio"}
    if words != "acl SUS":  # it can judge by the rules of a file, which are about rows
        light |= TABLES | SLOW - {"logging"}  # a pool of threads has it
    assert not ended.modules & light


def test_who_asks_which_hosts_there_are_loads_no_server_and_no_client_library() -> None:
    ended = run("guardctrl", "hosts")
    assert ended.code == FAILED and "asyncio" in ended.modules
    assert not ended.modules & (CHANNEL_ACCESS | HOST | TABLES)


@pytest.mark.parametrize("words", ["list SUS", "status SUS", "mode AUTO SUS"])
def test_who_asks_a_node_loads_the_client_library_and_no_server(words: str) -> None:
    ended = run("guardctrl", *words.split())
    assert ended.code == FAILED and "epics" in ended.modules
    assert not ended.modules & ({"caproto", "ioc.cas.context"} | HOST | TABLES)


@pytest.mark.parametrize("words", ["SUS", "events SUS", "audit", "times SUS"])
def test_who_reads_what_a_host_has_recorded_loads_no_host(words: str) -> None:
    ended = run("guardlog", "--state-dir", "state", *words.split())
    assert ended.code == FAILED and ended.err
    assert not ended.modules & (CHANNEL_ACCESS | HOST | {"asyncio"})
    if words != "times SUS":
        assert not ended.modules & TABLES


def test_ctrl_c_while_the_client_library_is_loaded_is_answered_without_a_traceback() -> None:
    program = """
import ctypes, signal, sys
from guardian.cli.guardctrl import main

load = ctypes.CDLL.__init__

def interrupted(self, name, *words, **more):
    if name and "libca" in name:
        print("loads libca", flush=True)
        signal.raise_signal(signal.SIGINT)
    load(self, name, *words, **more)

ctypes.CDLL.__init__ = interrupted
sys.exit(main())
"""
    ended = run("guardctrl", "list", "SUS", python=("-c", program))
    assert (ended.code, ended.out, ended.err) == (FAILED, "loads libca\n", "")


@pytest.mark.parametrize(
    ("command", "words", "module"),
    [
        ("guardctrl", "list", "guardian.cli.ctrl.listing"),
        ("guardctrl", "list", "guardian.host.asking"),
        ("guardutil", "states SUS", "guardian.cli.util.facts"),
        ("guardutil", "states SUS", "guardian.worker.examine"),
        ("guardlog", "SUS", "guardian.cli.log.lines"),
        ("guardian", "SUS", "guardian.host.host"),
        ("guardhost", "SUS", "guardian.host.site"),
    ],
)
def test_ctrl_c_while_modules_are_loaded_is_answered_without_a_traceback(command: str, words: str, module: str) -> None:
    program = f"""
import signal, sys

class Interrupts:
    def find_spec(self, name, path=None, target=None):
        if name == {module!r}:
            print("loads", name, flush=True)
            signal.raise_signal(signal.SIGINT)

sys.meta_path.insert(0, Interrupts())
from guardian.cli.{command} import main
sys.exit(main())
"""
    ended = run(command, *words.split(), python=("-c", program))
    assert (ended.code, ended.out, ended.err) == (FAILED, f"loads {module}\n", "")


def test_who_runs_a_state_without_pvs_or_names_no_module_loads_no_host() -> None:
    for words in (["NOWHERE"], ["SUS", "NOWHERE"]):
        ended = run("guardian", *words)
        assert ended.code == WRONG_CALL and "NOWHERE" in ended.err
        assert not ended.modules & (HOST - {"guardian.host.site"})
