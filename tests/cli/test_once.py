"""``guardian NODE STATE [REQUEST]``: the real command, on real user code, terminals, signals and channels."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from guardian.cli.wrappers import command
from guardian.core.events import Returned
from guardian.enums import OnComplete
from tests.plants import CaprotoPlant
from tests.support import REPO, Child, alive, ca_env, descendants, eventually
from tests.support.terminal import CTRL_C, on_terminal
from tests.worker.fake_host import Host

pytestmark = pytest.mark.proc

#: What a command gets that ends by itself, in seconds.
PATIENCE_S = 60
SUS = """\
import ctypes, os, subprocess, sys, time
from guardian import GuardState


class DOWN(GuardState):
    index = 10

    def main(self):
        print('switching off')
        log('off at %.1f', 0.5)
        notify('it is %s', 'off')


class UP(GuardState):
    index = 20

    def main(self):
        self.timer['ramp'] = 0.1

    def run(self):
        return self.timer['ramp']


class FAR(GuardState):
    index = 30


class JUMPS(GuardState):
    def run(self):
        return 'DOWN'


class TYPO(GuardState):
    def run(self):
        return 'DONW'


class RAISES(GuardState):
    def main(self):
        return {}['x']


class EXITS(GuardState):
    def main(self):
        sys.exit(3)


class VANISHES(GuardState):
    def main(self):
        os._exit(0)


class CRASHES(GuardState):
    def main(self):
        ctypes.string_at(0)


class DEAF(GuardState):
    def main(self):
        os.closerange(3, 200)
        time.sleep(600)


class SLEEPS(GuardState):
    def main(self):
        try:
            log('asleep')
            time.sleep(600)
        finally:
            log('cleaned up')


class SWALLOWS(GuardState):
    def main(self):
        while True:
            try:
                log('asleep')
                time.sleep(601)
            except:
                pass


class HOLDS(GuardState):
    def main(self):
        while True:
            try:
                log('asleep')
                return 10 ** 10 ** 8
            except BaseException:   # it came before the last line was reached
                pass


class RESTS(GuardState):
    def main(self):
        log('asleep')

    def run(self):
        return False


class DEBUGS(GuardState):
    def main(self):
        secret = 6 * 7
        breakpoint()
        log('goes on')
        return True


class STARTS(GuardState):
    def main(self):
        daemon = subprocess.Popen('setsid sleep 1000 & echo $!; exec sleep 1000', shell=True, stdout=subprocess.PIPE)
        log('started %d %d', daemon.pid, int(daemon.stdout.readline()))
        return True


edges = [('INIT', 'DOWN'), ('DOWN', 'FAR', 5), ('DOWN', 'UP'), ('UP', 'FAR')]
"""


def at(code: str, further: int = 0) -> str:
    """The place of a line of the module, or of one so many lines below."""
    return f"SUS.py:{[line.strip() for line in SUS.splitlines()].index(code) + 1 + further}"


TYPO = at("return 'DONW'", -1)
RAISES = at("return {}['x']")


@pytest.fixture(autouse=True)
def folder(tmp_path: Path) -> Path:
    (tmp_path / "SUS.py").write_text(SUS)
    return tmp_path


@pytest.fixture
def env(ca_port: int) -> dict[str, str]:
    dropped = ("IFO", "GUARD_MODULE_PATH", "USERAPPS_PATH")
    return {name: value for name, value in ca_env(ca_port, SITE="XLAB").items() if name not in dropped}


class Ended:
    """How a command ended: its exit code, the lines of its log without their times, and what it said on stderr."""

    def __init__(self, code: int, out: str, err: str) -> None:
        self.code, self.err = code, err
        self.log = [re.sub(r"^\d{4}-\d\d-\d\d_\d\d:\d\d:\d\d\.\d{6}Z ", "", line) for line in out.splitlines()]


Call = Callable[..., Ended]


@pytest.fixture
def call(folder: Path, env: dict[str, str]) -> Call:
    """``call(words)`` runs ``guardian words`` to its end."""

    def called(words: str) -> Ended:
        line = [*command("guardian"), *words.split()]
        done = subprocess.run(
            line, cwd=folder, env=env, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=PATIENCE_S,
            check=False,
        )  # fmt: skip
        return Ended(done.returncode, done.stdout, done.stderr)

    return called


Start = Callable[..., Child]


@pytest.fixture
def start(child: Callable[..., Child], folder: Path, env: dict[str, str]) -> Start:
    """``start(words)`` runs ``guardian words`` beside the test; on a terminal if so asked."""

    def started(words: str, *, terminal: bool = False, before: Sequence[str] = ()) -> Child:
        line = [*before, *command("guardian"), *words.split()]
        return child(on_terminal(line) if terminal else line, cwd=folder, env=env, stdin=terminal)

    return started


# --- states and paths -----------------------------------------------------------------------------------------------


def test_a_state_runs_until_it_completes(call: Call, folder: Path) -> None:
    ended = call("SUS DOWN")
    assert (ended.code, ended.err) == (0, "")
    assert ended.log == [
        f"SUS loaded {folder}/SUS.py: 17 states",
        "SUS DOWN (10), target DOWN: start",
        "switching off",
        "SUS [DOWN.main] off at 0.5",
        "SUS WARNING: notify: it is off",
        "SUS DOWN.run() completed",
    ]


def test_a_path_runs_each_state_of_the_cheapest_way(call: Call) -> None:
    ended = call("SUS DOWN --ifo X1 FAR")
    assert (ended.code, ended.err) == (0, "")
    assert [line for line in ended.log if "completed" in line] == [
        "SUS EDGE: DOWN -> UP (20), target FAR: DOWN.run() completed",
        "SUS EDGE: UP -> FAR (30), target FAR: UP.run() completed",
        "SUS FAR.run() completed",
    ]
    assert "SUS [UP.run] timer['ramp'] done" in ended.log


@pytest.mark.parametrize(
    ("state", "says"),
    [
        ("JUMPS", "JUMPS.run() jumps to DOWN, which is not followed; `guardian SUS DOWN` goes on there"),
        ("TYPO", f"TYPO.run() ({TYPO}) returned 'DONW', which is no state of SUS; is DOWN meant?"),
        ("RAISES", f"RAISES.main() raised KeyError: 'x' ({RAISES}); the log has the traceback"),
        ("EXITS", f"EXITS.main() raised SystemExit: 3 ({at('sys.exit(3)')}); the log has the traceback"),
        ("VANISHES", "the worker died in VANISHES.main(): exit code 0"),
        ("CRASHES", f"the worker died in CRASHES.main() ({at('ctypes.string_at(0)')}): killed by SIGSEGV"),
    ],
)
def test_what_does_not_complete_is_told_in_one_line(call: Call, state: str, says: str) -> None:
    ended = call(f"SUS {state}")
    assert (ended.code, ended.err) == (1, f"guardian: SUS: {says}\n")
    assert not any("completed" in line for line in ended.log)


def test_the_log_has_the_traceback_of_user_code_alone(call: Call) -> None:
    said = [line for line in call("SUS RAISES").log if "ERROR" in line]
    assert said[0] == "SUS [RAISES.main] ERROR: Traceback (most recent call last):"
    assert said[-1] == "SUS [RAISES.main] ERROR: KeyError: 'x'"
    assert [line for line in said if "File" in line and "SUS.py" not in line] == []


@pytest.mark.parametrize(
    ("words", "says"),
    [
        ("SUS DONW", "guardian: SUS: no state 'DONW'; is DOWN meant?\n"),
        ("SUS up", "guardian: SUS: no state 'up'; is UP meant?\n"),
        ("SUS DOWN Z", "guardian: SUS: no state 'Z'; it has INIT, DOWN, UP, FAR, JUMPS, TYPO and 11 more\n"),
        ("SUS UP DOWN", "guardian: SUS: no path UP -> DOWN; edges into DOWN come from INIT; UP reaches FAR."),
        ("NOSUS DOWN", "guardian: NOSUS: no NOSUS.py found; looked in"),
        ("SUS DOWN --port 0", "guardian: error: --port is for a node with PVs"),
        ("SUS DOWN --fresh", "--fresh is for a node with PVs"),
        ("SUS DOWN UP FAR", "unrecognized arguments: FAR"),
    ],
)
def test_a_wrong_call_runs_nothing(call: Call, words: str, says: str) -> None:
    ended = call(words)
    assert ended.code == 2 and says in ended.err and "Traceback" not in ended.err
    assert not any("start" in line for line in ended.log)


def test_a_module_that_does_not_load_shows_the_traceback_of_the_user(call: Call, folder: Path) -> None:
    (folder / "BAD.py").write_text("def half(x):\n    return x / 0\n\n\nLIMIT = half(3)\n")
    ended = call("BAD DOWN")
    assert (ended.code, ended.err) == (2, "guardian: BAD: ZeroDivisionError: division by zero (BAD.py:2)\n")
    files = [line for line in ended.log if "File" in line]
    assert len(files) == 2 and all("BAD.py" in line for line in files)


def test_user_code_finds_what_it_finds_in_a_node(call: Call, folder: Path) -> None:
    """The same module, in a worker of a host and in the terminal, says the same of where it is."""
    (folder / "lib.py").write_text("where = (SYSTEM, IFO, SITE, ezca.full_name('A'))\n")
    (folder / "FINDS.py").write_text(
        """\
import builtins, os, sys, threading
import ezca as package, lib
from guardian import GuardState
prefix = 'SUS-MC1'

class A(GuardState):
    def main(self):
        names = sorted(set(vars(builtins)) & {'ezca', 'log', 'notify', 'SYSTEM', 'IFO', 'SITE'})
        log('found %s', [
            lib.where, names, ezca.prefix, isinstance(ezca, package.Ezca), os.environ['IFO'], os.environ['SITE'],
            sys.path[0], sys.modules[__name__].A is A, sys.dont_write_bytecode, hasattr(lib, '__cached__'),
            type(lib.__spec__.loader).__module__, threading.current_thread() is threading.main_thread(),
        ])
        return True
"""
    )
    host = Host()
    try:
        with host.worker(folder, (folder / "FINDS.py").read_text(), node="FINDS") as worker:
            worker.loaded()
            worker.enter("A", OnComplete.WAIT)
            worker.hear(Returned)
            there = worker.says("found ").partition("found ")[2]
    finally:
        host.close()
    here = next(line.partition("found ")[2] for line in call("FINDS A --ifo X1").log if "found" in line)
    assert here == there and "'X1:SUS-MC1_'" in here


# --- its end --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP], ids=lambda n: n.name)
def test_a_signal_interrupts_user_code_which_cleans_up(start: Start, number: signal.Signals) -> None:
    running = start("SUS SLEEPS")
    running.wait_for("asleep", PATIENCE_S)
    running.signal(number)
    assert running.wait(PATIENCE_S) == 1
    assert running.output.endswith(
        f"[SLEEPS.main] cleaned up\nguardian: SUS: ended by {number.name} in SLEEPS.main()\n"
    )


@pytest.mark.parametrize(("state", "code"), [("SWALLOWS", "time.sleep(601)"), ("HOLDS", "return 10 ** 10 ** 8")])
def test_user_code_that_does_not_end_is_cut_off_and_says_where_it_was(start: Start, state: str, code: str) -> None:
    running = start(f"SUS {state}")
    running.wait_for("asleep", PATIENCE_S)
    running.signal(signal.SIGINT)
    assert running.wait(PATIENCE_S) == 1
    end = f"guardian: SUS: ended by SIGINT in {state}.main(), cut off after 1 s ({at(code)})\n"
    assert running.output.endswith(end)


def test_a_state_that_rests_between_two_calls_ends_at_once(start: Start) -> None:
    running = start("SUS RESTS")
    running.wait_for("asleep", PATIENCE_S)
    running.signal(signal.SIGTERM)
    assert running.wait(PATIENCE_S) == 1
    assert "guardian: SUS: ended by SIGTERM in RESTS" in running.output and "cut off" not in running.output


@pytest.mark.parametrize("loads", ["time.sleep(600)", "10 ** 10 ** 8"], ids=["in Python", "in C"])
def test_a_signal_ends_a_load_too(start: Start, folder: Path, loads: str) -> None:
    (folder / "SLOW.py").write_text(f"import time\nprint('loading', flush=True)\n{loads}\n")
    running = start("SLOW A")
    running.wait_for("loading", PATIENCE_S)
    running.signal(signal.SIGINT)
    assert running.wait(PATIENCE_S) == 1
    assert "guardian: SLOW: ended by SIGINT while the module was loaded" in running.output


def test_user_code_that_closes_descriptors_of_ours_ends_in_one_line(start: Start) -> None:
    running = start("SUS DEAF")
    running.wait_for("start$", PATIENCE_S)
    running.signal(signal.SIGINT)
    assert running.wait(PATIENCE_S) == 1
    assert "guardian: SUS: ended by SIGINT in DEAF" in running.output and "Traceback" not in running.output


def test_a_signal_that_was_ignored_at_the_start_stays_ignored(start: Start, folder: Path) -> None:
    """nohup, and what a script runs in the background."""
    (folder / "WAITS.py").write_text(
        "import os, time\nfrom guardian import GuardState\n\nclass A(GuardState):\n    def run(self):\n"
        "        log('waits')\n        return os.path.exists('go')\n"
    )
    running = start("WAITS A", before=["sh", "-c", "trap '' INT HUP; exec \"$@\"", "sh"])
    end = running.wait_for("waits", PATIENCE_S).end()
    running.signal(signal.SIGINT)
    running.signal(signal.SIGHUP)
    running.wait_for("waits", PATIENCE_S, start=end + 200)
    (folder / "go").touch()
    assert running.wait(PATIENCE_S) == 0


def test_a_command_that_is_killed_takes_user_code_with_it(start: Start) -> None:
    running = start("SUS HOLDS")
    running.wait_for("asleep", PATIENCE_S)
    (worker,) = descendants(running.pid)
    running.kill9()
    eventually(lambda: not alive(worker.pid), PATIENCE_S, "the end of the worker")


def test_what_user_code_has_started_ends_with_it(call: Call) -> None:
    ended = call("SUS STARTS")
    assert ended.code == 0, ended.err
    started = next(line for line in ended.log if "started" in line).split()[-2:]
    assert [pid for pid in started if alive(int(pid))] == []


def test_what_the_command_did_not_start_goes_on(folder: Path, env: dict[str, str]) -> None:
    """A shell may have had children of its own when it became this command."""
    script = 'sleep 600 >&- 2>&- & echo $!; exec "$@"'
    line = ["sh", "-c", script, "sh", *command("guardian"), "SUS", "FAR"]
    done = subprocess.run(line, cwd=folder, env=env, capture_output=True, text=True, timeout=PATIENCE_S, check=False)
    stranger = int(done.stdout.split()[0])
    assert done.returncode == 0 and alive(stranger)
    os.kill(stranger, signal.SIGKILL)


def test_that_nobody_reads_is_no_fault_of_user_code(start: Start, folder: Path) -> None:
    script = '"$@" | head -1; echo "${PIPESTATUS[0]}"'
    running = start("SUS UP FAR", before=["bash", "-c", script, "bash"])
    assert running.wait(PATIENCE_S) == 0
    assert running.output.endswith("states\n0\n")


# --- on a terminal --------------------------------------------------------------------------------------------------


def test_ctrl_c_on_the_terminal_ends_it(start: Start) -> None:
    running = start("SUS SLEEPS", terminal=True)
    running.wait_for("asleep", PATIENCE_S)
    running.send(CTRL_C)
    assert running.wait(PATIENCE_S) == 1
    assert "ended by SIGINT in SLEEPS.main()" in running.output


def test_breakpoint_opens_the_debugger_on_the_terminal(start: Start) -> None:
    running = start("SUS DEBUGS", terminal=True)
    running.wait_for(r"\(Pdb\) ", PATIENCE_S)
    running.send("p SYSTEM, secret\n")
    end = running.wait_for(r"\('SUS', 42\)", PATIENCE_S).end()
    running.wait_for(r"\(Pdb\) ", PATIENCE_S, start=end)
    running.send("continue\n")
    assert running.wait(PATIENCE_S) == 0
    assert "SUS [DEBUGS.main] goes on" in running.output


def test_ctrl_c_ends_the_debugger_too(start: Start) -> None:
    running = start("SUS DEBUGS", terminal=True)
    running.wait_for(r"\(Pdb\) ", PATIENCE_S)
    running.send(CTRL_C)
    assert running.wait(PATIENCE_S) == 1
    assert "ended by SIGINT in DEBUGS.main()" in running.output and "cut off" not in running.output


# --- channels -------------------------------------------------------------------------------------------------------


@pytest.mark.ca
def test_a_mirror_of_the_demo_is_aligned_without_a_host(child: Callable[..., Child]) -> None:
    with CaprotoPlant() as plant:
        words = ["SUS_MC1", "DAMPED", "ALIGNED", "--ifo", plant.prefix.rstrip(":"), "--path", str(REPO / "nodes")]
        running = child([*command("guardian"), *words], env=plant.env)
        assert running.wait(PATIENCE_S) == 0, running.output
    assert f"SUS_MC1 [ALIGNED.main] {plant.prefix}SUS-MC1_ALIGN_SW => ON" in running.output
    assert running.output.endswith("SUS_MC1 ALIGNED.run() completed\n")


@pytest.mark.ca
def test_a_lost_channel_is_waited_for(
    start: Start, child: Callable[..., Child], folder: Path, env: dict[str, str], prefix: str
) -> None:
    (folder / "READS.py").write_text(
        "from guardian import GuardState\nprefix = 'VIS-T1'\n\nclass A(GuardState):\n    def run(self):\n"
        "        return ezca['GAIN'] == 1\n"
    )
    running = start(f"READS A --ifo {prefix.rstrip(':')}")
    running.wait_for(rf"WARNING: A.run\(\): {prefix}VIS-T1_GAIN: no server answered", PATIENCE_S)
    child([sys.executable, "-m", "tests.worker.patterns.serve", prefix], env=env, cwd=REPO)
    assert running.wait(PATIENCE_S) == 0, running.output
    assert "the channels are back" in running.output
