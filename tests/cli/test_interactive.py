"""``guardian -i [NODE]``: the real command, fed by pipes and typed at on a real terminal."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from guardian._version import __version__
from guardian.cli.wrappers import command
from tests.support import REPO, Child, ca_env
from tests.support.terminal import CTRL_C, CTRL_D, on_terminal

pytestmark = pytest.mark.proc

#: What a command gets that ends by itself, in seconds.
PATIENCE_S = 60
SUS = """\
import threading, time
from guardian import GuardState
from suslib import limit

prefix = 'VIS-T1'
GAIN = 2
threading.Thread(target=time.sleep, args=(600,)).start()


class DOWN(GuardState):
    def main(self):
        log('gain %d', GAIN)
        notify('down')
        return GAIN > limit()


class DEEP(GuardState):
    def main(self):
        return DOWN().mian()
"""


@pytest.fixture(autouse=True)
def folder(tmp_path: Path) -> Path:
    (tmp_path / "SUS.py").write_text(SUS)
    (tmp_path / "suslib.py").write_text("def limit():\n    return len(SYSTEM)\n")
    (tmp_path / "BAD.py").write_text("def half(x):\n    return x / 0\n\n\nLIMIT = half(3)\n")
    return tmp_path


@pytest.fixture
def env(ca_port: int) -> dict[str, str]:
    dropped = ("IFO", "GUARD_MODULE_PATH", "USERAPPS_PATH")
    return {name: value for name, value in ca_env(ca_port, SITE="XLAB").items() if name not in dropped}


Feed = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def feed(folder: Path, env: dict[str, str]) -> Feed:
    """``feed(program, words)`` pipes the program into ``guardian -i words``."""

    def fed(program: str, words: str = "") -> subprocess.CompletedProcess[str]:
        line = [*command("guardian"), "-i", *words.split()]
        return subprocess.run(
            line, cwd=folder, env=env, input=program, capture_output=True, timeout=PATIENCE_S, check=False,
            encoding="utf-8", errors="surrogateescape",
        )  # fmt: skip

    return fed


class Shell:
    """A shell on a terminal."""

    def __init__(self, child: Child) -> None:
        self.child = child
        self._seen = 0
        self.banner = self.until_prompt()

    def type(self, line: str) -> str:
        """Type a line; what the terminal shows up to the next prompt, without the echo of the line."""
        self.child.send(f"{line}\n")
        return self.until_prompt().partition("\n")[2]

    def end(self) -> int:
        """Type Ctrl-D; the exit code."""
        self.child.send(CTRL_D)
        return self.child.wait(PATIENCE_S)

    def until_prompt(self) -> str:
        """What the terminal shows from now to the next prompt."""
        start = self._seen
        self._seen = self.child.wait_for("^>>> ", PATIENCE_S, start=start).end()
        return self.child.output[start : self._seen].removesuffix(">>> ").replace("\r\n", "\n")


Open = Callable[..., Shell]


@pytest.fixture
def shell(child: Callable[..., Child], folder: Path, env: dict[str, str]) -> Open:
    """``shell(words)`` opens ``guardian -i words`` on a terminal."""

    def opened(words: str = "") -> Shell:
        line = [*command("guardian"), "-i", *words.split()]
        return Shell(child(on_terminal(line), cwd=folder, env={**env, "TERM": "dumb"}, stdin=True))

    return opened


# --- from a pipe ------------------------------------------------------------------------------------------------------


def test_a_program_from_a_pipe_says_nothing_but_what_it_prints(feed: Feed) -> None:
    done = feed("print(SYSTEM, IFO, SITE, ezca.prefix)\nfor state in (DOWN, DEEP):\n    print(state.__name__)\n", "SUS")
    assert (done.returncode, done.stdout, done.stderr) == (0, "SUS  XLAB VIS-T1_\nDOWN\nDEEP\n", "")


def test_without_a_module_there_is_what_every_module_has(feed: Feed) -> None:
    program = "print([SYSTEM, IFO, SITE, ezca.prefix], callable(log), callable(notify))\nimport suslib, ezca\n"
    done = feed(program + "print(suslib.limit(), ezca.Ezca)", "--ifo X1 --path .")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == (
        "['', 'X1', 'XLAB', 'X1:'] True True\n0 <class 'guardian.access.injected.Ezca'>\n"
    )  # fmt: skip


@pytest.mark.parametrize(
    ("program", "code"),
    [
        ("exit()", 0),
        ("exit(4)", 4),
        ("1 / 0", 1),
        ("x = = 1", 1),
        ("raise SystemError", 1),
        ("", 0),
        ("\udcff", 1),
    ],
)
def test_the_exit_code_is_that_of_the_program(feed: Feed, program: str, code: int) -> None:
    assert feed(program, "SUS").returncode == code


def test_an_error_shows_the_lines_of_the_user_alone(feed: Feed) -> None:
    done = feed("print('begins')\nDEEP().main()\nprint('goes on')\n", "SUS")
    assert (done.returncode, done.stdout) == (1, "begins\n")
    lines = done.stderr.splitlines()
    assert [re.sub(r'".*/', '"', line.strip()) for line in lines if "File" in line] == [
        'File "<stdin>", line 2, in <module>',
        'File "SUS.py", line 19, in main',
    ]
    assert "    DEEP().main()" in lines and lines[-1].startswith(
        "AttributeError: 'DOWN' object has no attribute 'mian'"
    )


def test_a_program_for_a_module_that_does_not_load_is_not_begun(feed: Feed) -> None:
    done = feed("print('begins')", "BAD")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.splitlines()[0] == "Traceback (most recent call last):"
    assert done.stderr.endswith("guardian: BAD: ZeroDivisionError: division by zero (BAD.py:2)\n")


@pytest.mark.parametrize(
    ("words", "says"),
    [
        ("NOSUS", "guardian: NOSUS: no NOSUS.py found; looked in"),
        ("SUS DOWN", "-i runs no state; try it in the shell"),
        ("SUS --log x", "--log is for a node with PVs"),
    ],
)
def test_a_wrong_call(feed: Feed, words: str, says: str) -> None:
    done = feed("print('begins')", words)
    assert (done.returncode, done.stdout) == (2, "") and says in done.stderr


@pytest.mark.ca
def test_channels_are_read_and_written_with_the_prefix_of_the_module(
    feed: Feed, child: Callable[..., Child], env: dict[str, str], prefix: str
) -> None:
    server = child([sys.executable, "-m", "tests.worker.patterns.serve", prefix], env=env, cwd=REPO)
    server.wait_for("SERVER READY", PATIENCE_S)
    program = "ezca['GAIN'] = 2.5\nprint(ezca['GAIN'], ezca[':PSL-POWER'])"
    done = feed(program, f"SUS --ifo {prefix.rstrip(':')}")
    assert (done.returncode, done.stderr) == (0, "")
    written, values = done.stdout.splitlines()
    assert written.endswith(f"Z SUS {prefix}VIS-T1_GAIN => 2.5") and values == "2.5 0.0"


# --- on a terminal ----------------------------------------------------------------------------------------------------


def test_the_banner_says_what_is_there(shell: Open, folder: Path) -> None:
    opened = shell("SUS --ifo X1")
    assert opened.banner.splitlines() == [
        f"guardian {__version__}: a Python shell; Ctrl-D ends it",
        f"of the module: INIT DOWN DEEP, and all that is in {folder}/SUS.py",
        "of every module: ezca (X1:VIS-T1_), log, notify, SYSTEM, IFO, SITE",
    ]
    assert opened.end() == 0


def test_states_are_tried_by_hand_and_see_what_is_typed(shell: Open) -> None:
    opened = shell("SUS")
    assert re.fullmatch(
        r"\S+Z SUS gain 2\n\S+Z SUS WARNING: notify: down\nFalse\n", opened.type("DOWN(log).main()")
    )  # fmt: skip
    opened.type("GAIN = 5")
    assert opened.type("DOWN().main()").endswith("True\n")
    assert opened.type("GAI\t") == "5\n"
    assert opened.end() == 0


def test_ctrl_c_ends_a_call_and_not_the_shell(shell: Open) -> None:
    opened = shell("SUS")
    opened.child.send("log('asleep'); time.sleep(600)\n")
    opened.child.wait_for("SUS asleep", PATIENCE_S)
    opened.child.send(CTRL_C)
    assert opened.until_prompt().endswith("KeyboardInterrupt\n")
    assert opened.type("6 * 7") == "42\n"
    assert opened.end() == 0


def test_an_error_in_the_shell_shows_the_lines_of_the_user_alone(shell: Open) -> None:
    said = shell("SUS").type("DEEP().main()").splitlines()
    files = [re.sub(r'".*/', '"', line.strip()) for line in said if "File" in line]
    assert files == ['File "<console>", line 1, in <module>', 'File "SUS.py", line 19, in main']


def test_a_module_that_does_not_load_still_gives_a_shell_that_says_why(shell: Open) -> None:
    opened = shell("BAD --ifo X1")
    said = opened.banner.splitlines()
    assert "guardian: BAD: ZeroDivisionError: division by zero (BAD.py:2)" in said
    assert said[-2:] == [
        "of the module: none, BAD does not load",
        "of every module: ezca (X1:), log, notify, SYSTEM, IFO, SITE",
    ]
    assert opened.type("SYSTEM") == "'BAD'\n"
    assert opened.end() == 0


def test_what_the_environment_says_of_channels_holds_in_the_shell_and_must_be_understood(
    feed: Feed, env: dict[str, str]
) -> None:
    env["EZCA_CA"] = "DISABLE"
    done = feed("print(ezca['X'])", "SUS")
    assert done.stdout.endswith("\nnan\n") and done.returncode == 0 and "WARNING: EZCA_CA=DISABLE" in done.stdout
    env["EZCA_CA"] = "SOMETIMES"
    done = feed("print('not reached')", "SUS")
    assert done.returncode == 2 and "EZCA_CA='SOMETIMES'" in done.stderr and not done.stdout
