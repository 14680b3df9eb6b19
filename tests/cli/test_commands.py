"""guardian, guardhost and guardctrl: wrong calls are one line and exit code 2, work that failed is exit code 1.

What runs a host for long is tested in tests/system.
"""

from __future__ import annotations

import asyncio
import json
import os
import re
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest

from guardian._version import __version__
from guardian.cli import guardctrl, guardhost
from guardian.cli import guardian as guardian_command
from guardian.host.control import Control
from guardian.host.site import Site
from tests.host.house import House, house

COMMANDS = {"guardian": guardian_command.main, "guardhost": guardhost.main, "guardctrl": guardctrl.main}
REPO = Path(__file__).resolve().parents[2]
MODULE = "from guardian import GuardState\n\n\nclass A(GuardState):\n    pass\n"


@pytest.fixture(autouse=True)
def clean(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("IFO", "SITE", "GUARD_MODULE_PATH", "USERAPPS_PATH"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "xdg"))
    monkeypatch.chdir(tmp_path)


class Called:
    """The end of a command: its exit code and what it said."""

    def __init__(self, code: int, out: str, err: str) -> None:
        self.code, self.out, self.err = code, out, err


@pytest.fixture
def call(capsys: pytest.CaptureFixture[str]) -> Callable[..., Called]:
    def called(command: str, *words: object) -> Called:
        try:
            code: Any = COMMANDS[command]([str(word) for word in words])
        except SystemExit as end:
            code = end.code
        return Called(code, *capsys.readouterr())

    return called


@pytest.fixture
def handed_over(monkeypatch: pytest.MonkeyPatch) -> list[Site]:
    """The sites that a command would have run."""
    sites: list[Site] = []

    def record(_command: str, site: Site, **_options: Any) -> int:
        sites.append(site)
        return 0

    monkeypatch.setattr("guardian.cli.run.run", record)
    return sites


@pytest.mark.parametrize("command", COMMANDS)
def test_version_and_help(call: Callable[..., Called], command: str) -> None:
    assert (call(command, "--version").code, call(command, "--version").out) == (0, f"{__version__}\n")
    told = call(command, "--help")
    assert (told.code, told.out.split()[:2]) == (0, ["usage:", command])


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["guardian"], "give the NODE to run, or -i"),
        (["guardian", "A", "B", "C", "D"], "unrecognized arguments: D"),
        (["guardian", "A", "--port", "x"], "'x' is no port, use 0 to 65535"),
        (["guardian", "A", "--port", "65536"], "'65536' is no port"),
        (["guardian", "A", "--port=-1"], "'-1' is no port"),
        (["guardian", "A", "--ifo", "X 1"], "'X 1' cannot be a part of PV names"),
        (["guardhost"], "give the names of nodes, or --site FILE"),
        (["guardhost", "A", "--site", "x.toml"], "give the names of nodes, or --site FILE"),
        (["guardhost", "A", "--speed", "9"], "unrecognized arguments"),
        (["guardctrl"], "ORDER"),
        (["guardctrl", "explode", "A"], "invalid choice: 'explode'"),
        (["guardctrl", "create"], "NODE"),
        (["guardctrl", "--site", "a", "--state-dir", "b", "list"], "not allowed with"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_a_wrong_call(call: Callable[..., Called], words: list[str], says: str) -> None:
    told = call(*words)
    assert (told.code, told.out) == (2, "")
    assert says in told.err and "Traceback" not in told.err


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["guardian", "NOWHERE"], "NOWHERE: no NOWHERE.py found; looked in"),
        (["guardian", "lower"], "'lower' is no name for a node"),
        (["guardian", "A.py"], "'A.py' is no name for a node"),
        (["guardhost", "GOOD", "bad"], "'bad' is no name for a node"),
        (["guardhost", "--site", "missing.toml"], "missing.toml: No such file"),
        (["guardctrl", "--site", "missing.toml", "list"], "missing.toml: No such file"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_what_cannot_be_run_is_one_line(call: Callable[..., Called], words: list[str], says: str) -> None:
    told = call(*words)
    assert (told.code, told.out) == (2, "")
    assert told.err.startswith(f"{words[0]}: ") and says in told.err and told.err.count("\n") == 1


def test_all_faults_of_a_site_file_in_one_line(call: Callable[..., Called]) -> None:
    Path("x.toml").write_text('nodes = ["a"]\nport = 99999\npolicy = 3\n')
    for words in (["guardhost", "--site", "x.toml"], ["guardctrl", "--site", "x.toml", "list"]):
        told = call(*words)
        assert told.code == 2 and told.err.count("\n") == 1
        assert all(word in told.err for word in ("'a'", "99999", "policy = 3"))


def test_a_bad_ifo_in_the_environment(call: Callable[..., Called], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("IFO", "X 1")
    for words in (["guardian", "A"], ["guardhost", "A"]):
        told = call(*words)
        assert told.code == 2 and "$IFO: 'X 1' cannot be a part of PV names" in told.err


def test_options_of_a_single_node(
    call: Callable[..., Called], handed_over: list[Site], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    Path("SUS.py").write_text(MODULE)
    assert call("guardian", "SUS").code == 0
    assert (
        call("guardian", "SUS", "--ifo", "X1", "--port", "0", "--fresh", "--state-dir", "here", "--path", ".").code == 0
    )
    monkeypatch.setenv("IFO", "Y1")
    assert call("guardian", "SUS").code == 0
    plain, full, env = handed_over
    assert (plain.nodes, plain.ifo, plain.port, plain.fresh, plain.paths) == (
        ("SUS",),
        "",
        None,
        False,
        (str(tmp_path),),
    )
    assert plain.state_dir == tmp_path / "xdg" / "guardian" / "sus"
    assert (full.ifo, full.port, full.fresh, full.state_dir) == ("X1", 0, True, Path("here"))
    assert (env.ifo, env.state_dir) == ("Y1", tmp_path / "xdg" / "guardian" / "y1-sus")


def test_a_site_file_and_options_on_top(
    call: Callable[..., Called], handed_over: list[Site], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """$IFO is for those who say nothing else: it does not rename the PVs of a site file."""
    Path("x.toml").write_text('ifo = "X1"\nnodes = ["SUS", "IMC"]\nport = 5070\nstate_dir = "state"\npath = ["mods"]\n')
    monkeypatch.setenv("IFO", "Y1")
    assert call("guardhost", "--site", "x.toml").code == 0
    assert call("guardhost", "--site", "x.toml", "--ifo", "Z1", "--port", "0", "--log", "log").code == 0
    assert call("guardhost", "SUS", "SUS", "IMC").code == 0
    site, changed, names = handed_over
    assert (site.ifo, site.port, site.state_dir, site.log) == ("X1", 5070, tmp_path / "state", None)
    assert site.paths == (str(tmp_path / "mods"),)
    assert (changed.ifo, changed.port, changed.log) == ("Z1", 0, Path("log"))
    assert (names.ifo, names.nodes) == ("Y1", ("SUS", "IMC"))


# --- guardctrl


@pytest.fixture
async def home(tmp_path: Path) -> AsyncIterator[House]:
    async with house(tmp_path) as made:
        control = Control(made.host)
        await control.start()
        yield made
        await control.stop()


async def test_orders_to_a_host(home: House, call: Callable[..., Called]) -> None:
    def order(*words: str) -> Called:
        return call("guardctrl", "--state-dir", home.site.state_dir, *words)

    told = await asyncio.to_thread(order, "create", "SUS", "IMC")
    assert (told.code, told.out) == (0, "SUS is added and starts\nIMC is added and starts\n")
    for name in ("SUS", "IMC"):
        await home.settled(home.host[name])
    told = await asyncio.to_thread(order, "list")
    assert sorted(line.split() for line in told.out.splitlines()) == [  # they were added at the same time
        [name, "EXEC", "AUTO", "ALIGNED", "->", "ALIGNED", "DONE", "OK"] for name in ("IMC", "SUS")
    ]
    told = await asyncio.to_thread(order, "stop", "SUS")
    assert (told.code, told.out) == (0, "SUS: OP=STOP\n")
    told = await asyncio.to_thread(order, "--json", "list")
    assert sorted((node["node"], node["op"], node["ok"]) for node in json.loads(told.out)) == [
        ("IMC", "EXEC", True),
        ("SUS", "STOP", False),
    ]
    listed = (await asyncio.to_thread(order, "list")).out
    assert re.search(r"stopped by .* \(guardctrl\); write OP=EXEC", listed), listed
    assert (await asyncio.to_thread(order, "start", "SUS")).out == "SUS: OP=EXEC\n"
    told = await asyncio.to_thread(order, "destroy", "SUS", "NOBODY", "IMC")
    assert told.code == 1  # one of them, and the others are done all the same
    assert told.out == "SUS is removed; its settings are kept\nIMC is removed; its settings are kept\n"
    assert told.err.startswith("guardctrl: NOBODY does not run in this host; it runs "), "of those that leave, some"
    assert (await asyncio.to_thread(order, "list")).out == ""


def test_no_host_answers(call: Callable[..., Called], tmp_path: Path) -> None:
    Path("x.toml").write_text('nodes = ["SUS"]\nstate_dir = "state"\n')
    for words in (["--state-dir", "nowhere"], ["--site", "x.toml"], []):
        for order in (["list"], ["create", "SUS"]) if words[:1] == ["--state-dir"] else (["create", "SUS"],):
            told = call("guardctrl", *words, *order)
            assert (told.code, told.out) == (1, "")
            assert "no host answers at" in told.err and told.err.count("\n") == 1


# --- whole commands


@pytest.mark.ca
@pytest.mark.proc
@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["guardhost", "SUS", "--state-dir", "file"], "guardhost: state directory file: File exists; give another"),
        (["guardhost", "M", "M_LOAD"], "guardhost: M_LOAD: its PV X1:GRD-M_LOAD_STATUS is one of M already"),
        (["guardian", "BAD"], "guardian: BAD: SyntaxError: invalid syntax (BAD.py:1)"),
        (["guardian", "EDGE"], "guardian: EDGE: edge A -> NOWHERE names NOWHERE, which is no state of this system"),
        (["guardian", "INDEX"], "guardian: INDEX: states A (INDEX.py:4) and B (INDEX.py:8) both have index 7"),
    ],
    ids=["no state directory", "one PV twice", "code that does not load", "an edge to no state", "one index twice"],
)
def test_what_cannot_start_is_one_line_and_leaves_nothing(words: list[str], says: str) -> None:
    Path("file").write_text("")
    Path("BAD.py").write_text("edges = = 1\n")
    Path("EDGE.py").write_text(f"{MODULE}edges = [('A', 'NOWHERE')]\n")
    Path("INDEX.py").write_text(f"{MODULE}    index = 7\n\nclass B(GuardState):\n    index = 7\n")
    env = {**os.environ, "EPICS_CAS_INTF_ADDR_LIST": "127.0.0.1", "EPICS_CAS_BEACON_ADDR_LIST": "127.0.0.1"}
    env |= {"EPICS_CAS_AUTO_BEACON_ADDR_LIST": "NO", "PYTHONPATH": str(REPO)}
    line = [sys.executable, "-m", f"guardian.cli.{words[0]}", *words[1:], "--ifo", "X1", "--port", "0", "--log", "log"]
    done = subprocess.run(line, env=env, capture_output=True, text=True, timeout=90, check=False)
    told = [text for text in done.stderr.splitlines() if "Channel Access port" not in text]
    assert done.returncode == 2, done.stderr
    assert any(text.startswith(says) for text in told), done.stderr
    assert "Traceback" not in done.stderr
    assert not list(Path("xdg").rglob("control.sock"))
