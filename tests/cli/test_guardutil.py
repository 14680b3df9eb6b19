"""guardutil: what it prints of a system, what it finds wrong with one, and the system it makes to begin with."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import textwrap
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from guardian._version import __version__
from guardian.cli import guardutil
from guardian.core.advice import Finding
from guardian.core.names import NODE_LENGTH
from tests.support import eventually
from tests.support.procs import alive

pytestmark = pytest.mark.proc
REPO = Path(__file__).resolve().parents[2]
MODULES = REPO / "tests/worker/patterns/modules"
SUS = """\
from guardian import GuardState
from suslib import *

prefix = 'SUS-MC1'
request = 'DAMPED'
nominal = 'ALIGNED'


class INIT(GuardState):
    index = 0
    request = False


class SAFE(GuardState):
    ''' Everything off.

    And more. '''
    index = 5
    goto = 7


class DAMPED(GuardState):
    index = 10
    redirect = False


class ALIGNED(GuardState):
    index = 100


class ISLAND(GuardState):
    index = 200


edges = [('INIT', 'DAMPED'), ('DAMPED', 'ALIGNED', 2.5), ('ALIGNED', 'DAMPED')]
"""


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in ("IFO", "SITE", "GUARD_MODULE_PATH", "USERAPPS_PATH"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "SUS.py").write_text(SUS)
    (tmp_path / "suslib.py").write_text("LIMIT = 3\n")
    return tmp_path


class Called:
    """The end of a command: its exit code and what it said."""

    def __init__(self, code: int, out: str, err: str) -> None:
        self.code, self.out, self.err = code, out, err

    @property
    def json(self) -> Any:
        assert self.err == ""
        return json.loads(self.out)


@pytest.fixture
def call(capfd: pytest.CaptureFixture[str]) -> Callable[..., Called]:
    def called(*words: object) -> Called:
        try:
            code: Any = guardutil.main([str(word) for word in words])
        except SystemExit as end:
            code = end.code
        return Called(code, *capfd.readouterr())

    return called


Call = Callable[..., Called]

# --- facts --------------------------------------------------------------------------------------------------------


def test_print_for_people(call: Call, folder: Path) -> None:
    told = call("print", "SUS", "--ifo", "X1")
    assert (told.code, told.err) == (0, "")
    assert (
        told.out
        == f"""\
ifo: X1
name: SUS
CA prefix: X1:SUS-MC1_
module:
  {folder}/SUS.py
usercode:
  {folder}/suslib.py
nominal: ALIGNED
initial request: DAMPED
states (*=requestable):
    0   INIT
    5 * SAFE     goto; Everything off.
   10 * DAMPED   no redirect
  100 * ALIGNED
  200 * ISLAND
"""
    )


def test_print_for_programs(call: Call, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("IFO", "Y1")
    facts = call("print", "SUS", "--json").json
    assert {k: v for k, v in facts.items() if k not in ("states", "edges")} == {
        "name": "SUS",
        "ifo": "Y1",
        "prefix": "SUS-MC1",
        "module": f"{folder}/SUS.py",
        "usercode": [f"{folder}/suslib.py"],
        "request": "DAMPED",
        "nominal": "ALIGNED",
        "watchdog": None,
        "ca_monitor": False,
        "ca_monitor_notify": False,
        "ca_channels": [],
    }
    assert [s["name"] for s in facts["states"]] == ["INIT", "SAFE", "DAMPED", "ALIGNED", "ISLAND"]
    assert facts["states"][1] == {
        "name": "SAFE",
        "index": 5,
        "request": True,
        "goto": 7,
        "redirect": True,
        "doc": "Everything off.",
    }
    assert facts["edges"][1] == {"from": "DAMPED", "to": "ALIGNED", "weight": 2.5, "implied": False}
    assert {"from": "ISLAND", "to": "SAFE", "weight": 7, "implied": True} in facts["edges"]
    assert call("states", "SUS", "--json").json == facts["states"]
    assert call("edges", "SUS", "--json").json == facts["edges"]


def test_a_module_without_anything_has_empty_lines(call: Call) -> None:
    Path("BARE.py").write_text("from guardian import GuardState\nclass UP(GuardState): pass\n")
    told = call("print", "BARE")
    assert "ifo: \nname: BARE\nCA prefix: \n" in told.out
    assert "usercode:\nnominal: (none)\ninitial request: (none)\n" in told.out
    assert "\n   0   INIT" in told.out and "\n  -2 * UP\n" in told.out
    bare = call("print", "BARE", "--json").json
    assert (bare["usercode"], bare["request"], bare["nominal"], bare["prefix"]) == ([], None, None, "")


def test_watchdogs_are_printed_where_the_module_and_its_states_say_so(call: Call) -> None:
    Path("DOG.py").write_text(
        "from guardian import GuardState\nwatchdog = 30\nclass A(GuardState): watchdog = 2.5\n"
        "class B(GuardState): watchdog = None\nclass C(GuardState): redirect = False\n"
    )
    told = call("print", "DOG").out
    assert "\nwatchdog: 30 s\nstates" in told
    assert "* A     watchdog 2.5 s\n" in told and "* B     no watchdog\n" in told and "* C     no redirect\n" in told
    facts = call("print", "DOG", "--json").json
    assert facts["watchdog"] == 30.0
    assert {state["name"]: state["watchdog"] for state in facts["states"] if "watchdog" in state} == {
        "A": 2.5,
        "B": 0.0,
    }


def test_a_sleep_that_the_watchdog_does_not_let_end_is_found(call: Call) -> None:
    Path("DOG.py").write_text(
        "import time\nfrom guardian import GuardState\nwatchdgo = 30\nclass A(GuardState):\n    index = 5\n"
        "    redirect = False\n    watchdog = 2.5\n    def run(self):\n        time.sleep(5)\nedges = [('INIT', 'A')]\n"
    )
    told = call("check", "DOG").out
    assert (
        "DOG.py:9: error: run() of A sleeps 5 s, and watchdog = 2.5 has its process killed before that is over" in told
    )
    assert "DOG.py:3: warning: DOG.watchdgo is used by nothing: is watchdog meant? Then rename it" in told


def test_the_set_point_monitor_is_printed_if_the_module_speaks_of_it(call: Call) -> None:
    Path("WATCHED.py").write_text(
        "from guardian import GuardState\nclass UP(GuardState): pass\n"
        "ca_monitor = ca_monitor_notify = True\nca_channels = ['A', ('B', 3.5), ('C', float('nan')), 7]\n"
    )
    assert "\nset-point monitor: on, notifies, 3 channels from the start\nstates" in call("print", "WATCHED").out
    told = call("print", "WATCHED", "--json").json
    assert told["ca_monitor"] and told["ca_channels"][:2] == ["A", ["B", 3.5]]
    checked = call("check", "WATCHED")
    assert checked.code == 1
    assert "WATCHED.py:4: warning: ca_channels = [...] has 7, neither 'CHAN' nor ('CHAN', value)" in checked.out
    assert "set-point" not in call("print", "SUS").out


def test_states_and_edges_for_people(call: Call) -> None:
    assert call("states", "SUS").out.splitlines()[1:3] == [
        "    5 * SAFE     goto; Everything off.",
        "   10 * DAMPED   no redirect",
    ]
    assert call("edges", "SUS").out.splitlines()[1:5] == [
        "DAMPED -> ALIGNED  (weight 2.5)",
        "ALIGNED -> DAMPED",
        "INIT -> SAFE  (weight 7, goto)",
        "DAMPED -> SAFE  (weight 7, goto)",
    ]


def test_the_path_a_node_takes_and_what_it_costs(call: Call) -> None:
    assert call("path", "SUS", "INIT", "ALIGNED").out == "INIT -> DAMPED -> ALIGNED  (cost 3.5)\n"
    assert call("path", "SUS", "INIT", "ALIGNED", "--json").json == {"path": ["INIT", "DAMPED", "ALIGNED"], "cost": 3.5}
    assert call("path", "SUS", "SAFE", "SAFE", "--json").json == {"path": ["SAFE"], "cost": 0}


@pytest.mark.parametrize("form", [[], ["--json"]])
def test_no_path_is_a_failure_that_says_what_stands_between(call: Call, form: list[str]) -> None:
    told = call("path", "SUS", "SAFE", "ALIGNED", *form)
    assert (told.code, told.out) == (1, "")
    assert told.err == (
        "guardutil: SUS: no path SAFE -> ALIGNED; edges into ALIGNED come from DAMPED; no edge leads out of SAFE. "
        "Request one of these first, or add an edge in SUS.py:14.\n"
    )


def test_a_state_that_is_none_is_a_wrong_call(call: Call) -> None:
    told = call("path", "SUS", "INIT", "alinged")
    assert (told.code, told.out, told.err) == (2, "", "guardutil: SUS: no state 'alinged'; did you mean ALIGNED?\n")
    assert call("path", "SUS", "XYZ", "INIT").err == "guardutil: SUS: no state 'XYZ'; see guardutil states SUS\n"


def test_modules_are_found_as_by_guardian(call: Call, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("a", "b"):
        (folder / name).mkdir()
        (folder / name / "M.py").write_text(
            f"from guardian import GuardState\nclass {name.upper()}(GuardState): pass\n"
        )
    for words, name in ((["--path", "a", "--path", "b"], "A"), (["--path", "b"], "B")):
        assert call("states", "M", *words, "--json").json[0]["name"] == name
    monkeypatch.setenv("GUARD_MODULE_PATH", str(folder / "b"))
    assert call("states", "M", "--path", "a", "--json").json[0]["name"] == "B"


# --- wrong calls --------------------------------------------------------------------------------------------------


def test_version_and_help(call: Call) -> None:
    assert (call("--version").code, call("--version").out) == (0, f"{__version__}\n")
    told = call("--help")
    assert (told.code, told.out.split()[:2]) == (0, ["usage:", "guardutil"])
    assert all(f"\n    {order} " in told.out for order in ("print", "states", "edges", "path", "new", "check"))


@pytest.mark.parametrize(
    ("words", "says"),
    [
        ([], "the following arguments are required: ORDER; see guardutil --help"),
        (["explode"], "invalid choice: 'explode'"),
        (["print"], "the following arguments are required: NODE; see guardutil print --help"),
        (["path", "SUS", "INIT"], "required: TO; see guardutil path --help"),
        (["print", "SUS", "--ifo", "X 1"], "argument --ifo: 'X 1' cannot be a part of PV names"),
        (["print", "SUS", "--speed"], "unrecognized arguments: --speed"),
        (["print", "NOWHERE"], "NOWHERE: no NOWHERE.py found; looked in "),
        (["states", "lower"], "'lower' is no name for a node"),
        (["edges", "SUS.py"], "'SUS.py' is no name for a node"),
        (["check", "NOWHERE"], "NOWHERE: no NOWHERE.py found; looked in "),
        (["new", "lower"], "'lower' is no name for a node"),
        (["new", "../SUS"], "'../SUS' is no name for a node"),
        (["new", "A" * (NODE_LENGTH + 1)], "is no name for a node"),
        (["new", "HOST_A"], "is no name for a node"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_a_wrong_call_is_one_line(call: Call, folder: Path, words: list[str], says: str) -> None:
    before = sorted(folder.iterdir())
    told = call(*words)
    assert (told.code, told.out) == (2, "")
    assert told.err.startswith("guardutil: ") and says in told.err and told.err.count("\n") == 1, told.err
    assert sorted(folder.iterdir()) == before


def test_a_bad_ifo_in_the_environment(call: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("IFO", "X 1")
    told = call("print", "SUS")
    assert (told.code, told.err.count("\n")) == (2, 1) and "'X 1' cannot be a part of PV names" in told.err


@pytest.mark.parametrize("order", [["print"], ["states"], ["edges"], ["path"]])
def test_a_module_that_does_not_load_is_one_line(call: Call, order: list[str]) -> None:
    Path("SUS.py").write_text("x = 1 / 0\n")
    told = call(*order, "SUS", *(["A", "B"] if order == ["path"] else []))
    assert (told.code, told.out) == (2, "")
    assert told.err == "guardutil: SUS: ZeroDivisionError: division by zero (SUS.py:1)\n"


@pytest.mark.parametrize(("to", "says"), [("full", "guardutil: [Errno 28] No space left on device\n"), ("closed", "")])
def test_output_that_nobody_takes_is_no_traceback(to: str, says: str) -> None:
    reads, writes = os.pipe()
    os.close(reads)
    line = [sys.executable, "-m", "guardian.cli.guardutil", "edges", "SUS"]
    env = {**os.environ, "PYTHONPATH": str(REPO)}
    with open("/dev/full", "wb") as full, open(writes, "wb") as closed:
        out = {"full": full, "closed": closed}[to]
        done = subprocess.run(line, env=env, stdout=out, stderr=subprocess.PIPE, text=True, timeout=90, check=False)
    assert (done.returncode, done.stderr) == (1, says)


@pytest.mark.parametrize(("order", "says"), [("states", r"\xc4u\xdferst; \u2605"), ("graph", "UP &#9733;")])
def test_a_terminal_without_the_letters_is_no_traceback(order: str, says: str) -> None:
    Path("SUS.py").write_text(
        "from guardian import GuardState\nclass UP(GuardState):\n    'Äußerst; ★'\nnominal = 'UP'\n"
    )
    line = [sys.executable, "-m", "guardian.cli.guardutil", order, "SUS"]
    env = {**os.environ, "PYTHONPATH": str(REPO), "PYTHONIOENCODING": "ascii"}
    done = subprocess.run(line, env=env, capture_output=True, text=True, timeout=90, check=False)
    assert (done.returncode, done.stderr) == (0, "") and says in done.stdout


# --- check --------------------------------------------------------------------------------------------------------


def test_a_module_that_does_not_load_is_shown_with_the_users_traceback_alone(call: Call, folder: Path) -> None:
    Path("suslib.py").write_text("def f():\n    1 / 0\nf()\n")
    told = call("check", "SUS")
    assert (told.code, told.out) == (2, "")
    *trace, last = told.err.splitlines()
    assert last == "guardutil: SUS: ZeroDivisionError: division by zero (suslib.py:2)"
    assert trace[0] == "Traceback (most recent call last):" and trace[-1] == "ZeroDivisionError: division by zero"
    assert [line.split('"')[1] for line in trace if line.startswith("  File")] == [
        f"{folder}/{name}" for name in ("SUS.py", "suslib.py", "suslib.py")
    ]
    told = call("check", "SUS", "--json")
    assert told.code == 2
    assert json.loads(told.out) == {"name": "SUS", "error": last.removeprefix("guardutil: "), "findings": []}


@pytest.mark.parametrize("source", ["import os\nos._exit(0)\n", "import os, signal\nos.kill(os.getpid(), 11)\n"])
def test_a_module_that_ends_its_process_is_told_with_its_line(call: Call, source: str) -> None:
    Path("SUS.py").write_text(source)
    told = call("check", "SUS")
    assert (told.code, told.out) == (2, "")
    assert "guardutil: SUS: the " in told.err and "(SUS.py:2)" in told.err and "guardian/" not in told.err


def test_findings_are_lines_that_editors_know(call: Call) -> None:
    Path("suslib.py").write_text("print('garbage')\nGAIN = ezca['GAIN']\n")
    told = call("check", "SUS", "--ifo", "X1")
    assert told.code == 1 and told.err == "garbage\n"
    (line,) = [line for line in told.out.splitlines() if "GAIN" in line]
    assert line.startswith("suslib.py:2: warning: ")
    told = call("check", "SUS", "--json")
    facts = json.loads(told.out)
    assert (told.code, facts["name"], facts["error"]) == (1, "SUS", "")
    assert [f["where"] for f in facts["findings"] if "GAIN" in f["text"]] == ["suslib.py:2"]
    assert all(set(f) == {"kind", "level", "text", "where", "state"} for f in facts["findings"])


FAULTY = """\
import time
from guardian import GuardState, GuardStateDecorator
GAIN = ezca['GAIN']
nominal = 'LOCKD'
class fault_check(GuardStateDecorator):
    def pre_exc(self):
        return 'DOWN'
class DOWN(GuardState):
    index = 1
    goto = True
class LOCKED(GuardState):
    index = 10
    @fault_check
    def main(self):
        time.sleep(5)
    def run(self):
        return 'LOCKLOS'
class BOOSTED(GuardState):
    index = 20
class ISLAND(GuardState):
    pass
edges = [('INIT', 'DOWN'), ('DOWN', 'LOCKED'), ('LOCKED', 'BOOSTED'), ('BOOSTED', 'LOCKED', 3)]
"""


FOUND = """\
    SUS.py:17: error: run() of LOCKED jumps to 'LOCKLOS', which names no state: the node would stop there in ERROR; \
is LOCKED meant?
    SUS.py:3: warning: reads GAIN when the module is imported: the node cannot load while it is not there; \
do it in main() of a state, INIT for instance
    SUS.py:4: warning: nominal = 'LOCKD' names no state of the system, taken as missing
    SUS.py:6: warning: fault_check.pre_exc is used by nothing: is pre_exec meant? Then rename it
    SUS.py:8: warning: 1 request leads through DOWN although edges lead around it: \
BOOSTED -> DOWN -> LOCKED (2) beats BOOSTED -> LOCKED (3). \
goto = 3 in DOWN keeps to the edges; if it is meant, declare the edges into DOWN
    SUS.py:15: warning: main() of LOCKED sleeps 5 s, longer than redirect_timeout, 2 s: so long it checks nothing, \
and a redirect tears it out of its sleep; set self.timer['nap'] = 5, and return self.timer['nap'] in run()
    SUS.py:20: warning: no edge or jump leads from INIT to ISLAND: only MODE=MANUAL gets there; \
add an edge into it
    SUS.py:20: note: ISLAND has no index, for now -2; archives tell states by their numbers, so give one
"""


def test_all_that_is_wrong_is_told_at_once_each_with_its_line(call: Call) -> None:
    Path("SUS.py").write_text(FAULTY)
    told = call("check", "SUS")
    assert (told.code, told.err) == (1, "")
    assert told.out == textwrap.dedent(FOUND)
    facts = json.loads(call("check", "SUS", "--json").out)
    assert [(f["kind"], f["level"], f["where"], f["state"]) for f in facts["findings"]] == [
        ("dangling-jump", "error", "SUS.py:17", "LOCKED"),
        ("import-read", "warning", "SUS.py:3", ""),
        ("load", "warning", "SUS.py:4", ""),
        ("misspelt", "warning", "SUS.py:6", ""),
        ("shortcut", "warning", "SUS.py:8", "DOWN"),
        ("long-sleep", "warning", "SUS.py:15", "LOCKED"),
        ("unreachable", "warning", "SUS.py:20", "ISLAND"),
        ("no-index", "note", "SUS.py:20", "ISLAND"),
    ]


@pytest.mark.parametrize("file", sorted((REPO / "nodes").glob("[A-Z]*.py")), ids=lambda file: file.stem)
def test_the_systems_of_the_demo_are_in_order(call: Call, file: Path) -> None:
    told = call("check", file.stem, "--path", file.parent)
    assert (told.code, told.err) == (0, "") and told.out.startswith(f"{file.stem}: nothing found, "), told.out


#: What is wrong with modules written as those of the field; all else would be a false alarm.
PATTERNS = {
    "DANGLING": ["DANGLING.py:8", "DANGLING.py:17"],
    "RETURNS": ["RETURNS.py:17"],
    "STACKED": ["STACKED.py:18"],
    "TABBED": ["TABBED.py:10"],
}


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(file.stem for file in MODULES.glob("[A-Z]*.py")))
def test_systems_as_the_field_has_them_raise_no_false_alarm(call: Call, name: str) -> None:
    told = call("check", name, "--path", MODULES, "--json")
    found = [f for f in json.loads(told.out)["findings"] if f["kind"] not in ("unreachable", "no-index")]
    assert [f["where"] for f in found] == PATTERNS.get(name, [])
    assert told.code in (0, 1) or "install it for" in told.err or "to get it" in told.err or "is Python 2" in told.err


@pytest.mark.parametrize(("levels", "code"), [("", 0), ("note", 0), ("note warning", 1), ("error", 1)])
def test_notes_alone_are_no_failure(call: Call, monkeypatch: pytest.MonkeyPatch, levels: str, code: int) -> None:
    findings = tuple(Finding(kind="k", level=level, text="see there", where="") for level in levels.split())  # type: ignore[arg-type]
    monkeypatch.setattr("guardian.cli.util.check.advise", lambda *_args, **_options: findings)
    told = call("check", "SUS")
    lines = [f"SUS.py: {level}: see there" for level in levels.split()] or ["SUS: nothing found, 5 states, 3 edges"]
    assert (told.code, told.out.splitlines(), told.err) == (code, lines, "")


# --- new ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["OVEN", "A", "X-1", "A" * NODE_LENGTH])
def test_a_new_module_passes_the_check_without_any_finding(call: Call, name: str) -> None:
    told = call("new", name)
    assert (told.code, told.err) == (0, "")
    assert told.out == f"{name}.py is written. Check it: guardutil check {name}; run it: guardian {name}\n"
    assert call("check", name, "--json").json == {"name": name, "error": "", "findings": []}
    assert call("check", name).code == 0
    assert call("path", name, "INIT", "RUNNING").code == 0


@pytest.mark.parametrize("option", ["--path", "--dir"])
def test_a_new_module_elsewhere(call: Call, folder: Path, option: str) -> None:
    (folder / "mods").mkdir()
    told = call("new", "OVEN", option, "mods")
    assert told.out.endswith("run it: guardian OVEN --path mods\n")
    assert call("check", "OVEN", "--path", "mods").code == 0
    told = call("new", "OVEN", option, "nowhere")
    assert (told.code, told.out) == (1, "")
    assert told.err == "guardutil: nowhere/OVEN.py cannot be written: No such file or directory\n"


def test_new_never_writes_over_a_file(call: Call, folder: Path) -> None:
    (folder / "LINK.py").symlink_to("gone.py")
    for name in ("SUS", "LINK"):
        told = call("new", name)
        assert (told.code, told.out) == (1, "")
        assert told.err.startswith(f"guardutil: {name}.py is there already") and told.err.count("\n") == 1
    assert Path("SUS.py").read_text() == SUS and not Path("gone.py").exists()


@pytest.mark.ca
def test_a_new_module_runs(call: Call, child: Callable[..., Any], folder: Path) -> None:
    call("new", "OVEN")
    env = {**os.environ, "PYTHONPATH": str(REPO), "XDG_STATE_HOME": str(folder / "xdg")}
    env |= {"EPICS_CAS_INTF_ADDR_LIST": "127.0.0.1", "EPICS_CAS_BEACON_ADDR_LIST": "127.0.0.1"}
    env |= {"EPICS_CAS_AUTO_BEACON_ADDR_LIST": "NO"}
    node = child([sys.executable, "-m", "guardian.cli.guardian", "OVEN", "--ifo", "X1", "--port", "0"], env=env)
    node.wait_for("RUNNING.*(done|DONE|complete)", timeout_s=90)
    assert "ERROR" not in node.output
    assert node.stop() == 0


# --- the archive --------------------------------------------------------------------------------------------------


def test_ctrl_c_while_git_works_leaves_no_git_behind(child: Callable[..., Any], folder: Path) -> None:
    archive = folder / "state" / "archive.git"
    archive.mkdir(parents=True)
    (archive / "HEAD").write_text("ref: refs/heads/main\n")
    (folder / "bin").mkdir()
    (folder / "bin" / "git").write_text("#!/bin/sh\necho $$ >git.pid.new; mv git.pid.new git.pid; exec sleep 3600\n")
    (folder / "bin" / "git").chmod(0o755)
    env = {**os.environ, "PYTHONPATH": str(REPO), "PATH": f"{folder / 'bin'}:{os.environ['PATH']}"}
    command = child([sys.executable, "-m", "guardian.cli.guardutil", "log", "SUS", "--state-dir", "state"], env=env)
    eventually(Path("git.pid").exists, 60, "git to run")
    pid = int(Path("git.pid").read_text())
    command.signal(signal.SIGINT)
    assert command.wait(30) == 1 and command.output == ""
    eventually(lambda: not alive(pid), 10, "git to be gone")


# --- weight -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "words",
    [
        "--help", "print SUS", "states SUS", "edges SUS", "path SUS INIT ALIGNED", "check SUS", "new OVEN", "check NO",
        "graph SUS", "log SUS",
    ],
)  # fmt: skip
def test_no_order_loads_channel_access_or_a_host_or_what_runs_user_code(words: str) -> None:
    """User code is loaded in a process of its own, so this one stays light, whatever a module imports."""
    Path("suslib.py").write_text("import numpy, epics\n")
    code = (
        "import sys; from guardian.cli.guardutil import main\n"
        f"try: main({words.split()!r})\nexcept SystemExit: pass\n"
        "heavy = ('caproto', 'epics', 'numpy', 'asyncio', 'SUS')\n"
        "heavy += ('guardian.host.host', 'guardian.host.site', 'guardian.worker.system', 'guardian.core.events')\n"
        "print([m for m in heavy if m in sys.modules])"
    )
    env = {**os.environ, "PYTHONPATH": str(REPO)}
    done = subprocess.run(
        [sys.executable, "-c", code], env=env, capture_output=True, text=True, timeout=90, check=False
    )
    assert done.stdout.splitlines()[-1] == "[]", done.stderr
