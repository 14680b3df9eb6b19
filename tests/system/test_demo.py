"""The demo, as a newcomer meets it: ``make demo`` in a terminal, and the lines of README.rst in a second one.

The lines come from README.rst itself. They are run in an order that saves time: while one mirror rings down, the rest
of the tour goes on.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.request import Request, urlopen

import psutil
import pytest

from guardian.cli.demo_files import Files
from guardian.cli.demo_process import DemoProcess
from guardian.cli.demo_table import branches
from guardian.errors import ExpectedError
from guardian.host.asking import PATH_BYTES
from guardian.host.site import read_site
from tests.support import REPO, CaClient, Child, alive, ca_env, descendants, eventually
from tests.system import readme

MakeChild = Callable[..., Child]

#: What a newcomer is promised: a minute from the command to a locked cavity. More is granted here to a loaded machine.
PROMISE_S, LOADED_S = 60, 120
HIDE_CURSOR, SHOW_CURSOR = "\x1b[?25l", "\x1b[?25h"
COLOURS = re.compile(r"\x1b\[[\d;]*m")
CTRL_C = "\x03"


class Demo:
    """``make demo`` in a pseudo-terminal, and shells beside it."""

    def __init__(self, folder: Path, *options: str) -> None:
        self.folder = folder
        ready = f"{sys.prefix}/.ready"  # this Python has what the demo needs: nothing is installed by a test
        self.make = [
            "make",
            "--no-print-directory",
            "-o",
            ready,
            "-o",
            f"{ready}-ioc",
            "-o",
            f"{ready}-web",
            f"VENV={sys.prefix}",
        ]
        kept = {k: v for k, v in ca_env(5064).items() if not k.startswith(("EPICS_", "MAKE", "MFLAGS"))}
        self.environ = kept | {
            "DEMO_DIR": str(folder),
            "DEMO_OPTIONS": " ".join(options),
            "TERM": "xterm",
            "COLUMNS": "100",
            "LINES": "40",
            "SHELL": "/bin/sh",
            "EPICS_CLI_TIMEOUT": "20",
        }
        program = "import pty, sys; sys.exit(pty.spawn(sys.argv[1:]) >> 8)"
        self.began = time.monotonic()
        argv = [sys.executable, "-c", program, *self.make, "demo"]
        self.terminal = Child(argv, env=self.environ, cwd=REPO, stdin=True)

    def client(self) -> CaClient:
        """A client that knows what ``demo.env`` says."""
        show = f'. {self.folder}/demo.env; echo "$EPICS_CA_ADDR_LIST"'
        addresses = subprocess.run(["sh", "-c", show], capture_output=True, text=True, check=True).stdout.strip()
        return CaClient(ca_env(5064, EPICS_CA_ADDR_LIST=addresses))

    def shell(self) -> Child:
        """``make demo-shell``."""
        return Child([*self.make, "demo-shell"], env=self.environ, cwd=REPO, stdin=True)

    def run(self, block: str) -> tuple[int, str]:
        """Run the lines of a block of the README in ``make demo-shell``; how the last one ended, and what was said."""
        with self.shell() as shell:
            shell.send(readme.RUN[block] + 'echo "the last line ended with $?"\nexit\n')
            code = shell.wait_for(r"^the last line ended with (\d+)", LOADED_S)[1]
            assert shell.wait(30) == 0, "make has nothing to complain about"
            return int(code), shell.output

    def watch(self, block: str, *patterns: str) -> None:
        """Run lines of which the last goes on until Ctrl-C; wait for what it must show, in this order."""
        with self.shell() as shell:
            shell.send(readme.RUN[block])
            at = 0
            for pattern in patterns:
                at = shell.wait_for(pattern, LOADED_S, start=at).end()

    def end(self) -> int:
        """Ctrl-C, and the exit code of ``make``."""
        self.terminal.send(CTRL_C)
        return self.terminal.wait(60)


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[..., Demo]]:
    with contextlib.ExitStack() as stack:

        def start(*options: str) -> Demo:
            demo = Demo(tmp_path, *options)
            stack.enter_context(demo.terminal)
            demo.terminal.wait_for(r"Ctrl-C ends the demo", LOADED_S)
            return demo

        yield start


def wait_locked(ca: CaClient, what: str) -> None:
    eventually(lambda: text(ca, "X1:GRD-IFO_OK") == "True", LOADED_S, what, 0.1)


def pid_of(demo: Demo, node: str) -> int | None:
    """The worker of a node, as a second terminal knows it; None while there is none."""
    file = demo.folder / ".demo/pid" / node
    return int(file.read_text() or 0) or None if file.exists() else None


def text(ca: CaClient, name: str) -> str:
    return str(ca.get(name, as_string=True).value)


def assert_screens(said: str, nodes: set[str]) -> None:
    """The page is there, and who is told so may log in."""
    (url,) = {*re.findall(r"Screens for a browser: (http://\S+/)", said)}
    ((user, token),) = {*re.findall(r"log in as (\w+) (\w+)", said)}
    origin = url.removesuffix("/")
    headers = {"Content-Type": "application/json", "Origin": origin}
    login = Request(f"{url}api/login", json.dumps({"user": user, "token": token}).encode(), headers)
    with urlopen(login, timeout=60) as answer:
        assert json.load(answer)["role"] == "expert"
    with urlopen(f"{url}api/tree", timeout=60) as answer:
        told = answer.read().decode()
    assert nodes == {*re.findall(r'"node": ?"(\w+)"', told)}, told


@pytest.mark.ca
@pytest.mark.proc
@pytest.mark.slow
@pytest.mark.timeout(600)
def test_the_tour_of_the_readme(start: Callable[..., Demo]):
    demo = start()
    family = descendants(demo.terminal.pid)
    with demo.client() as ca:
        wait_locked(ca, "the cavity to be locked")
        took_s = time.monotonic() - demo.began
        assert took_s < PROMISE_S or os.getloadavg()[0] > 2, f"it took {took_s:.0f} s"

        code, said = demo.run("look")
        assert code == 0, said
        assert_screens(
            COLOURS.sub("", demo.terminal.output), {"IFO", "ALIGN", "IMC_LOCK", "SUS_MC1", "SUS_MC2", "SUS_MC3"}
        )
        assert re.search(r"^IFO .* OK\n\|-- ALIGN .* OK\n\|   \|-- SUS_MC1 .* OK\n", said, re.M), said
        states = dict(re.findall(r"GRD-(\w+)_STATE +(\w+)", said))
        assert states == {"IFO": "LOCKED", "IMC_LOCK": "BOOSTED", "ALIGN": "ALIGNED", "SUS_MC1": "ALIGNED"}
        assert re.search(r"IFO_OK +True", said) and float(re.search(r"IMC-TRANS +(\S+)", said)[1]) > 90

        demo.watch("down", r"GRD-SUS_MC1_STATE .* SAFE")
        eventually(lambda: text(ca, "X1:GRD-IFO_STATUS") == "DONE", LOADED_S, "the top to know that all are down", 0.1)
        code, said = demo.run("up")
        assert code == 0, said
        askers = dict(re.findall(r"GRD-(\w+)_REQUEST_BY manager (\w+) at ", said))
        assert askers == {"SUS_MC1": "ALIGN", "ALIGN": "IFO"}
        assert "IFO: DOWN -> ALIGNED -> LOCKED" in said and "IFO: arrived in LOCKED" in said
        wait_locked(ca, "the cavity to be locked from the top")

        demo.watch("misalign", r"SUS_MC1_STATE .* MISALIGNED", r"SUS_MC1_STATUS .* DONE")
        eventually(lambda: "no flashes" in text(ca, "X1:GRD-IMC_LOCK_USERMSG"), LOADED_S, "no light", 0.1)
        code, said = demo.run("waits")
        assert code == 0, said
        assert "SUS_MC1: REQUEST is MISALIGNED by" in said and "no flashes" in said
        assert re.search(r"IFO_WHY .*because ALIGN: .*because SUS_MC1: REQUEST is MISALIGNED", said), said

        assert demo.run("again")[0] == 0
        wait_locked(ca, "the cavity to be locked with the mirror back")
        code, said = demo.run("trip")
        assert code == 0, said
        eventually(lambda: text(ca, "X1:GRD-SUS_MC2_STALLED") == "True", LOADED_S, "the trip")
        eventually(lambda: "because SUS_MC2: STALLED" in text(ca, "X1:GRD-IFO_WHY"), LOADED_S, "the top to know", 0.1)
        code, said = demo.run("tripped")
        assert code == 0, said
        assert re.search(r"\|-- SUS_MC2 .* \*\* STALLED: in TRIPPED", said), said
        assert re.search(r"SUS_MC2_STATE +TRIPPED", said) and "watchdog tripped" in said
        assert re.search(r"IFO_WHY .*because ALIGN: .*because SUS_MC2: STALLED in TRIPPED", said), said

        # While that mirror rings down:
        old = {node: pid_of(demo, node) for node in ("SUS_MC3", "ALIGN")}
        asked = ca.get("X1:GRD-SUS_MC3_REQUEST_ID").value
        assert demo.run("kill")[0] == 0
        for node, pid in old.items():
            eventually(lambda pid=pid: not alive(pid), 30, "the end of the worker")
            eventually(lambda node=node, pid=pid: pid_of(demo, node) not in (None, pid), LOADED_S, f"a new {node}")
        eventually(lambda: text(ca, "X1:GRD-SUS_MC3_OK") == "True", LOADED_S, "SUS_MC3 to be back")
        eventually(lambda: text(ca, "X1:GRD-ALIGN_STATE") == "ALIGNED", LOADED_S, "ALIGN to be back")
        assert ca.get("X1:GRD-SUS_MC3_REQUEST_ID").value == asked, "nobody asked again"

        code, said = demo.run("stop")
        assert code == 0, said
        assert re.search(r"SUS_MC1_OP +STOP", said) and re.search(r"^IMC_LOCK +EXEC", said, re.M), said
        eventually(lambda: text(ca, "X1:GRD-SUS_MC1_OK") == "True", LOADED_S, "SUS_MC1 to be back")

        code, said = demo.run("refused")
        assert code == 1 and "refused" in said, said
        assert text(ca, "X1:GRD-SUS_MC1_REQUEST") == "ALIGNED"

        code, said = demo.run("knob")
        assert code == 1 and re.search(r"DAMP_GAIN .*1\.1", said), said
        code, said = demo.run("who")
        assert code == 0, said
        assert re.search(r"SUS_MC1_REQUEST ALIGNED -> MISALIGNED by \S+@\S+ \(127\.0\.0\.1\)", said), said
        assert re.search(r"SUS_MC1_REQUEST_CMD MISALIGNED -> ALIGNED by manager ALIGN at ", said), said
        assert re.search(r"OPERATE +write ", said), said

        assert text(ca, "X1:GRD-SUS_MC2_STATE") == "TRIPPED", "its manager does not revive it before the reset"
        eventually(lambda: "is quiet now" in text(ca, "X1:GRD-SUS_MC2_USERMSG"), LOADED_S, "a quiet mirror", 0.1)
        assert demo.run("reset")[0] == 0
        eventually(lambda: text(ca, "X1:GRD-SUS_MC2_OK") == "True", LOADED_S, "SUS_MC2 to be revived", 0.1)
        wait_locked(ca, "the cavity to be locked again")

        code, said = demo.run("past")
        assert code == 0, said
        assert re.search(r"Z IMC_LOCK EDGE: LOCKED -> BOOSTED ", said), said
        assert re.search(r"^BOOSTED +\S+ %", said, re.M), said
        assert re.search(r"^X1 \S+: running since .* 6 nodes, 0 not OK", said, re.M), said
        assert re.search(r"^  IMC_LOCK +OK +BOOSTED +MANAGED +EXEC", said, re.M), said

        states = ca.monitor("X1:GRD-IMC_LOCK_STATE")
        code, said = demo.run("kick")
        assert code == 0, said
        states.wait_value("LOCKLOSS", LOADED_S)
        states.wait_value("BOOSTED", LOADED_S, start=len(states.values) - 1)

    page = demo.terminal.output
    assert "   `- SUS_MC3" in COLOURS.sub("", page), "the table is a tree"
    assert HIDE_CURSOR in page and "locked" in page
    assert demo.end() == 0, demo.terminal.report()
    ended = demo.terminal.output
    assert ended.rfind(SHOW_CURSOR) > ended.rfind(HIDE_CURSOR)
    assert "nothing is left running" in ended
    assert_gone(family)
    assert not (demo.folder / "demo.env").exists()


@pytest.mark.ca
@pytest.mark.proc
@pytest.mark.slow
@pytest.mark.timeout(600)
def test_a_demo_whose_console_is_killed_goes_on_and_says_so(start: Callable[..., Demo]):
    demo = start()
    with demo.client() as ca:
        eventually(lambda: "log in as" in demo.terminal.output, LOADED_S, "the screens")
        (console,) = [
            one for one in descendants(demo.terminal.pid) if "guardian.cli.console" in " ".join(one.cmdline())
        ]
        console.kill()
        said = "The screens have ended (signal SIGKILL), the nodes run on"
        eventually(lambda: said in COLOURS.sub("", demo.terminal.output), LOADED_S, "a line about it")
        wait_locked(ca, "the cavity to be locked")
    assert demo.end() == 0, demo.terminal.report()


@pytest.mark.ca
@pytest.mark.proc
@pytest.mark.slow
@pytest.mark.timeout(300)
def test_on_a_real_epics_ioc_the_cavity_locks_and_is_kicked(start: Callable[..., Demo]):
    demo = start("--epics")
    family = descendants(demo.terminal.pid)
    assert any("ioc.epics_plant" in " ".join(process.cmdline()) for process in family)
    with demo.client() as ca:
        wait_locked(ca, "the cavity to be locked")
        states = ca.monitor("X1:GRD-IMC_LOCK_STATE")
        code, said = demo.run("kick")
        assert code == 0, said
        states.wait_value("LOCKLOSS", LOADED_S)
    assert demo.end() == 0, demo.terminal.report()
    assert_gone(family)


def assert_gone(family: list[psutil.Process]) -> None:
    assert len(family) >= 6, family  # make, demo, plant, host, forkserver, workers
    eventually(lambda: not any(alive(process.pid) for process in family), 30, "the end of all")


@pytest.mark.proc
@pytest.mark.slow
def test_nothing_outlives_a_demo_that_is_killed(tmp_path: Path, child: MakeChild):
    demo = child([sys.executable, "-m", "guardian.cli.demo", "--dir", str(tmp_path)], env=ca_env(5064), cwd=REPO)
    demo.wait_for("Ctrl-C ends the demo", LOADED_S)
    family = eventually(lambda: len(found := descendants(demo.pid)) >= 7 and found, LOADED_S, "the workers")
    demo.kill9()
    eventually(lambda: not any(alive(process.pid) for process in family), 30, "the end of all")


@pytest.mark.proc
def test_a_file_that_is_not_of_the_demo_is_not_touched(tmp_path: Path, child: MakeChild):
    (tmp_path / "demo.env").write_text("mine\n")
    demo = child([sys.executable, "-m", "guardian.cli.demo", "--dir", str(tmp_path)], cwd=REPO)
    assert demo.wait(60) == 1
    assert "is not of this demo; move it away" in demo.output
    assert (tmp_path / "demo.env").read_text() == "mine\n"


@pytest.mark.proc
def test_there_is_one_demo_in_a_folder(tmp_path: Path, child: MakeChild):
    place = tmp_path / "a demo"
    (place / ".demo").mkdir(parents=True)
    with (place / ".demo" / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        demo = child([sys.executable, "-m", "guardian.cli.demo", "--dir", str(place)], cwd=REPO)
        assert demo.wait(60) == 1
    assert "a demo runs already here" in demo.output
    assert f". '{place}/demo.env'" in demo.output  # as it can be pasted


def test_the_table_hangs_each_node_below_its_manager_and_loses_none():
    managers = {"IFO": "", "IMC_LOCK": "IFO", "ALIGN": "IFO", "SUS_MC1": "ALIGN", "SUS_MC2": "ALIGN", "SUS_MC3": ""}
    assert [branch + node for branch, node in branches(managers)] == [
        "IFO",
        "|- IMC_LOCK",
        "`- ALIGN",
        "   |- SUS_MC1",
        "   `- SUS_MC2",
        "SUS_MC3",
    ]
    circle = {"A": "B", "B": "A", "C": "C", "D": "of another machine"}
    assert sorted(branches(circle)) == [("", node) for node in "ABCD"]


def test_the_last_tools_on_path_are_ours_so_those_of_epics_win(tmp_path: Path):
    with Files(tmp_path) as files:
        files.write_env(ifo="X1", ports=[1, 2])
        show = ["env", "-i", "PATH=/opt/epics/bin:/bin:/usr/bin", "sh", "-c", f'. {files.env}; echo "$PATH"']
        path = subprocess.run(show, capture_output=True, text=True, check=True).stdout.strip()
    assert path == f"{tmp_path}/.demo/bin:/opt/epics/bin:/bin:/usr/bin:{tmp_path}/.demo/ca"
    assert sorted(tool.name for tool in (tmp_path / ".demo/ca").iterdir()) == ["caget", "camonitor", "caput"]


def test_a_folder_with_a_long_path_has_its_socket_elsewhere(tmp_path: Path):
    folder = tmp_path / ("long" * 30)
    folder.mkdir()
    with Files(folder) as files:
        site = read_site(files.write_site(ifo="X1", nodes=["A"], path=tmp_path, port=0))
        assert len(str(site.control_socket)) <= PATH_BYTES and site.state_dir.is_dir()
    assert not site.state_dir.exists()


@pytest.mark.proc
def test_what_does_not_start_is_told_with_its_last_words(tmp_path: Path):
    log = tmp_path / "plant.log"
    program = "import sys; print('the reason'); sys.exit(3)"
    process = DemoProcess([sys.executable, "-c", program], log=log, cwd=tmp_path, environ=os.environ)

    def ended() -> str | None:
        try:
            return process.check()
        except ExpectedError as error:
            return str(error)

    try:
        told = eventually(ended, 30)
    finally:
        process.end(30)
    assert told.startswith("the plant has ended (exit code 3)")
    assert "the reason" in told and str(log) in told


@pytest.mark.proc
def test_a_child_that_does_not_listen_is_killed(tmp_path: Path):
    program = (
        "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('up', flush=True); time.sleep(99)"
    )
    process = DemoProcess([sys.executable, "-c", program], log=tmp_path / "x.log", cwd=tmp_path, environ=os.environ)
    try:
        eventually(lambda: process.has_said("up"), 30)
    finally:
        process.end(0.1)
    with pytest.raises(ExpectedError, match=signal.SIGKILL.name):
        process.check()


@pytest.mark.proc
@pytest.mark.parametrize("target", ["demo-shell", "demo-kick"])
def test_without_a_demo_its_shell_says_what_to_do(target: str, tmp_path: Path, child: MakeChild):
    process = child(["make", target], cwd=REPO, env={**os.environ, "DEMO_DIR": str(tmp_path)})
    assert process.wait(30) == 2
    assert "start one in another terminal: make demo" in process.output
