"""A module is looked at in a process of its own: whatever it does there, the caller gets the facts or one sentence.

All here are real processes and real modules, most of them bad.
"""

from __future__ import annotations

import json
import math
import os
import re
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from guardian.core.advice import ImportRead
from guardian.core.graph import Edge
from guardian.errors import EzcaError, InternalError, SystemLoadError
from guardian.worker.descendants import everyone
from guardian.worker.examine import MOST_SHOWN, Examined, examine
from guardian.worker.offline import MOST_REMEMBERED, Offline
from tests.support import procs
from tests.support.hidden import without_ligo
from tests.support.waiting import eventually

pytestmark = pytest.mark.proc
REPO = Path(__file__).resolve().parents[2]
HEAD = "from guardian import GuardState\n"
GOOD = HEAD + "class UP(GuardState):\n    index = 1\nedges = [('INIT', 'UP')]\n"
Look = Callable[..., Examined]


@pytest.fixture
def look(tmp_path: Path) -> Look:
    """Examine the module SUS with this text; further texts by the names of their modules."""

    def looked(source: str | bytes, *, timeout_s: float = 60, ifo: str = "X1", **more: str) -> Examined:
        for name, text in {"SUS": source, **more}.items():
            raw = text if isinstance(text, bytes) else textwrap.dedent(text).encode()
            (tmp_path / f"{name}.py").write_bytes(raw)
        return examine("SUS", [str(tmp_path)], ifo=ifo, site="LAB", timeout_s=timeout_s)

    return looked


def refusal(look: Look, source: str | bytes, **options: object) -> SystemLoadError:
    with pytest.raises(SystemLoadError) as caught:
        look(source, **options)
    assert str(caught.value).startswith("SUS: ") and "\n" not in str(caught.value)
    assert "guardian/" not in caught.value.details, "a traceback of ours"
    return caught.value


# --- what comes back ----------------------------------------------------------------------------------------------


def test_the_facts_of_a_system(look: Look, tmp_path: Path) -> None:
    seen = look(
        """\
        from LIB import *
        nominal = 'UP'
        edges = [('INIT', 'UP', 2.5)]
        prefix = '-'.join([IFO, SITE, SYSTEM, os.environ['IFO'], os.environ['SITE']])
        """,
        LIB="import os\nimport numpy\nfrom guardian import GuardState\nclass UP(GuardState):\n    'It is up.'\n",
    )
    facts = seen.facts
    assert [(s.name, s.index, s.doc) for s in facts.states] == [
        ("INIT", 0, "The INIT of a system that has none: completes at once."),
        ("UP", -2, "It is up."),
    ]
    assert facts.edges == (Edge(start="INIT", end="UP", weight=2.5),) and facts.nominal == "UP"
    assert facts.module == str(tmp_path / "SUS.py") and facts.usercode == (str(tmp_path / "LIB.py"),)
    assert facts.prefix == "X1-LAB-SUS-X1-LAB"
    assert seen.source.reads == ()
    assert not list(tmp_path.glob("__pycache__")), "compiled files are left in the user's folder"


def test_a_name_and_a_text_that_are_no_unicode_come_back_legible(look: Look) -> None:
    assert look(GOOD + "nominal = '\\udce9'\n").facts.warnings[0].startswith("SUS.py:5 nominal = '\\udce9'")
    assert look(GOOD + "UP.__doc__ = 'caf\\udce9'\n").facts.states[1].doc == "caf?"


def test_channels_that_are_used_at_import_are_told_and_nothing_is_read_or_written(look: Look) -> None:
    seen = look(
        GOOD
        + """
import math
from LIB import gain
assert math.isnan(ezca['A']) and math.isnan(ezca.read(':B', timeout=9)) and ezca.read('A', as_string=True) == 'nan'
ezca['C'] = 3
ezca.write('D', 'ON', wait=False, log=False)
assert ezca.prefix == 'X1:' and ezca.ifo == 'X1' and ezca.check_connections() == []
FILTER = ezca.get_LIGOFilter('SUS-M1')
FILTER.ramp_gain(1, ramp_time=5)
assert math.isnan(FILTER.GAIN.get() * 2)
ezca.switch('SUS-M1', 'FM1', 'ON')
ezca.connect('E', 'F'), ezca.connect('E').get()
for i in range(3):
    ezca['A']
try:
    ezca[3]
except TypeError:
    pass
""",
        LIB="def gain():\n    return ezca['G']\nG = gain()\n",
    )
    assert seen.source.reads == (
        ImportRead(channel="G", write=False, where="LIB.py:2"),
        *(ImportRead(channel=name, write=False, where="SUS.py:8") for name in ("A", ":B")),
        ImportRead(channel="C", write=True, where="SUS.py:9"),
        ImportRead(channel="D", write=True, where="SUS.py:10"),
        ImportRead(channel="SUS-M1", write=False, where="SUS.py:12"),
        ImportRead(channel="SUS-M1", write=True, where="SUS.py:15"),
        *(ImportRead(channel=name, write=False, where="SUS.py:16") for name in ("E", "F")),
        ImportRead(channel="A", write=False, where="SUS.py:18"),
    )


def test_channels_that_a_library_makes_for_itself_are_not_there_either(look: Look) -> None:
    seen = look(
        "from LIB import *\nassert isinstance(ezca, Ezca) and isinstance(mine, Ezca)\n",
        LIB=HEAD
        + "from ezca import Ezca\nimport ezca as package\nmine = package.Ezca('Y1', 'SUS')\n"
        + "GAIN = mine['GAIN']\nclass UP(GuardState): pass\n",
    )
    assert seen.source.reads == (ImportRead(channel="GAIN", write=False, where="LIB.py:5"),)


@pytest.mark.parametrize("extra", ["with", "without"])
def test_what_is_looked_at_finds_an_ezca(look: Look, monkeypatch: pytest.MonkeyPatch, extra: str) -> None:
    for name, value in (without_ligo() if extra == "without" else {}).items():
        monkeypatch.setenv(name, value)
    seen = look(
        GOOD
        + "from ezca import Ezca\nassert isinstance(ezca, Ezca) and isinstance(Ezca('SUS'), type(ezca))\n"
        + "ezca.switch('MC1', 'FM1', 'ON')\nezca.get_LIGOFilter('MC2').turn_on('FM1')\n"
    )
    assert [(use.channel, use.write) for use in seen.source.reads] == [("MC1", True), ("MC2", False)]


def test_a_loop_over_channels_is_remembered_by_its_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Offline, "uses", {})
    ezca = Offline("X1")
    for number in range(2 * MOST_REMEMBERED):
        assert math.isnan(ezca[f"CH{number}"])
    assert len(Offline.uses) == MOST_REMEMBERED and next(iter(Offline.uses)).channel == "CH0"


def test_set_points_are_looked_at_as_reads_and_no_file_is_written(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(Offline, "uses", {})
    ezca = Offline("X1")
    ezca.init_setpoints(["A", ("B", 3)], init=True)
    assert [(use.channel, use.write) for use in Offline.uses] == [("A", False), ("B", False)]
    with pytest.raises(EzcaError, match="neither 'CHAN' nor"):
        ezca.init_setpoints([3])
    ezca["A"] = 4
    assert ezca.setpoints == {} and ezca.check_setpoints() == ()
    ezca.setpoint_snap(tmp_path / "snap")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("method", ["read", "write", "lost", "disconnected", "check_connections", "switch", "burt"])
def test_every_method_of_the_real_one_is_there(method: str) -> None:
    assert callable(getattr(Offline("X1"), method))


def test_what_is_printed_goes_to_stderr(tmp_path: Path) -> None:
    (tmp_path / "SUS.py").write_text(
        GOOD
        + "import os, subprocess, ctypes\n"
        + "print('\\udce9 {\"examined\": null}'); os.write(1, b'raw\\n')\n"
        + "log('log %d%%', 3, level='ERROR'); notify('notify')\n"
        + "ctypes.CDLL(None).puts(b'from C'); subprocess.run(['echo', 'echo']); print('no newline', end='')\n"
    )
    code = (
        "import sys; from guardian.worker.examine import examine\n"
        f"seen = examine('SUS', [{str(tmp_path)!r}])\n"
        "print(len(seen.facts.states), [m for m in ('numpy', 'epics', 'caproto') if m in sys.modules])"
    )
    env = {**os.environ, "PYTHONPATH": str(REPO)}
    done = subprocess.run(
        [sys.executable, "-c", code], env=env, capture_output=True, text=True, timeout=90, check=False
    )
    assert (done.returncode, done.stdout) == (0, "2 []\n"), done.stderr
    for words in ("examined", "log 3%", "notify", "raw", "from C", "echo", "no newline"):
        assert words in done.stderr


def test_a_flood_is_cut_off_and_holds_up_nothing(look: Look, capfd: pytest.CaptureFixture[str]) -> None:
    assert len(look(GOOD + "for i in range(100_000): print('x' * 99)\nprint('the end')\n").facts.states) == 2
    told = capfd.readouterr()
    assert told.out == "" and MOST_SHOWN < len(told.err) < MOST_SHOWN + 100
    assert told.err.endswith("\n... it prints more than that, the rest is not shown\n")


def test_nobody_needs_to_take_what_a_module_prints(tmp_path: Path) -> None:
    (tmp_path / "SUS.py").write_text(GOOD + "for i in range(10_000): print('x' * 99)\n")
    code = f"from guardian.worker.examine import examine; print(examine('SUS', [{str(tmp_path)!r}]).facts.module)"
    reads, writes = os.pipe()
    os.close(reads)
    with open(writes, "wb") as closed:
        done = subprocess.run(
            [sys.executable, "-c", code],
            env={**os.environ, "PYTHONPATH": str(REPO)},
            stdout=subprocess.PIPE,
            stderr=closed,
            timeout=90,
            check=False,
        )
    assert (done.returncode, done.stdout.decode()) == (0, f"{tmp_path}/SUS.py\n")


# --- bad modules --------------------------------------------------------------------------------------------------

REFUSED = {
    "nothing": ("", "the module defines no states"),
    "syntax": (GOOD + "def f(:\n", "SyntaxError: invalid syntax (SUS.py:5)"),
    "import": (GOOD + "import nowhere\n", "ModuleNotFoundError: No module named 'nowhere' (SUS.py:5)"),
    "exit": (GOOD + "import sys; sys.exit(3)\n", "SystemExit: 3 (SUS.py:5)"),
    "interrupt": (GOOD + "raise KeyboardInterrupt\n", "KeyboardInterrupt (SUS.py:5)"),
    "edges": (GOOD + "edges += [('UP', 'NOWHERE'), 'AB']\n", "names NOWHERE, which is no state of this system"),
    "index": (GOOD + "class DOWN(GuardState):\n    index = 1\n", "both have index 1; give one another number"),
    "latin-1": (
        GOOD.encode() + b"x = 'caf\xe9'\n",
        "SyntaxError: byte 0xe9 is not UTF-8; save the file as UTF-8",
    ),
    "nul": (GOOD.encode() + b"x = '\0'\n", "SyntaxError: a NUL byte: the file is damaged"),
    "recursion": (GOOD + "def f():\n    f()\nf()\n", "RecursionError: maximum recursion depth exceeded (SUS.py:6)"),
    "_exit": (
        GOOD + "import os\ndef f():\n    os._exit(3)\nf()\n",
        "ended the process at import with exit code 3 (SUS.py:7)",
    ),
    "_exit 0": (GOOD + "import os; os._exit(0)\n", "ended the process at import with exit code 0 (SUS.py:5)"),
    "exit in C": (GOOD + "import ctypes; ctypes.CDLL(None)._exit(4)\n", "at import with exit code 4; "),
    "segfault": (
        GOOD + "import os, signal\nos.kill(os.getpid(), signal.SIGSEGV)\n",
        "the process ended at import by SIGSEGV (SUS.py:6); look at the C code",
    ),
    "segfault in C": (GOOD + "import ctypes\nctypes.string_at(8)\n", "by SIGSEGV (SUS.py:6); look at the C code"),
    "abort": (GOOD + "import os\nos.abort()\n", "by SIGABRT (SUS.py:6)"),
    "killed": (GOOD + "import os\nos.kill(os.getpid(), 9)\n", "by SIGKILL; was memory short"),
    "builtins": (
        GOOD + "import builtins\nfor name in ('isinstance', 'len', 'type'): setattr(builtins, name, None)\n",
        "Python does not work any more after its import; does it replace builtins",
    ),
    "closed": (GOOD + "import os\nos.closerange(3, 500)\n", "does it close descriptors it did not open?"),
    "closed all": (GOOD + "import os\nos.closerange(0, 500)\n", "does it close descriptors it did not open?"),
}


@pytest.mark.parametrize("kind", REFUSED)
def test_what_a_module_does_wrong_is_one_sentence_with_its_line(look: Look, kind: str) -> None:
    source, words = REFUSED[kind]
    assert words in str(refusal(look, source))


def test_a_module_that_is_not_there_and_a_name_that_is_none(tmp_path: Path) -> None:
    with pytest.raises(SystemLoadError, match=f"SUS: no SUS.py found; looked in {re.escape(str(tmp_path))}"):
        examine("SUS", [str(tmp_path)])
    with pytest.raises(SystemLoadError, match="is no name for a node"):
        examine("../SUS", [str(tmp_path)])


def test_the_traceback_of_an_error_and_of_an_end_are_the_users_alone(look: Look, tmp_path: Path) -> None:
    lib = "import os\ndef f(x):\n    {}\n"
    for body, last in (("return 1 / x", "ZeroDivisionError: division by zero"), ("os._exit(x)", "in f")):
        error = refusal(look, "import LIB\nLIB.f(0)\n", LIB=lib.format(body))
        assert re.findall(r'File "(.*)", line (\d+)', error.details) == [
            (str(tmp_path / "SUS.py"), "2"),
            (str(tmp_path / "LIB.py"), "3"),
        ]
        assert error.details.endswith(last)


@pytest.mark.parametrize(
    "loop",
    [
        "while True: pass",
        "import time; time.sleep(1000)",
        "while True:\n    try:\n        while True: pass\n    except BaseException: pass",
        "import signal\nsignal.signal(signal.SIGTERM, signal.SIG_IGN)\nwhile True: pass",
        "import ctypes; ctypes.PyDLL(None).sleep(1000)",
        "import threading; threading.Thread(target=threading.Event().wait).start(); threading.Event().wait()",
        "while ezca['X'] != 1: pass",
    ],
)
def test_an_import_that_does_not_end_is_ended_and_told_with_its_line(look: Look, loop: str) -> None:
    began = time.monotonic()
    error = refusal(look, GOOD + loop, timeout_s=1)
    assert re.search(r"its import is not over after 1 s \(SUS.py:[5-8]\); what waits or loops", str(error)), error
    assert time.monotonic() - began < 30


def test_a_process_that_does_not_even_end_itself_is_killed(look: Look, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("guardian.worker.examine.GRACE_S", 1)
    error = refusal(look, GOOD + "import os\nos.kill(os.getpid(), 19)\n", timeout_s=0.5)
    assert "its import is not over after 0.5 s; " in str(error)


def test_input_at_import_finds_the_end_of_a_file(look: Look) -> None:
    assert "EOFError: EOF when reading a line (SUS.py:5)" in str(refusal(look, GOOD + "input()\n"))


# --- what modules leave behind ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "stays",
    [
        "import threading, time; threading.Thread(target=time.sleep, args=(1000,)).start()",
        "import atexit, time; atexit.register(time.sleep, 1000)",
        "import subprocess; subprocess.Popen(['sleep', '1000'])",
        "import subprocess; subprocess.Popen(['sleep', '1000'], start_new_session=True, close_fds=False)",
        "import os, time\nif not os.fork():\n    os.setsid(); time.sleep(1000)",
        "import os, time\nif not os.fork():\n    os._exit(5)",
        "import faulthandler; faulthandler.disable(); faulthandler.cancel_dump_traceback_later()",
        "import sys; sys.stdout.close(); sys.stderr = sys.stdout = None",
    ],
)
def test_what_stays_behind_an_import_is_ended_and_holds_up_nobody(look: Look, stays: str) -> None:
    children, began = procs.children_now(), time.monotonic()
    assert len(look(GOOD + stays).facts.states) == 2
    assert time.monotonic() - began < 30
    eventually(lambda: not procs.stray_children(children))


def test_the_process_dies_with_the_one_that_waits_for_it(tmp_path: Path, child: Callable[..., object]) -> None:
    (tmp_path / "SUS.py").write_text(GOOD + "import os, time\nprint('pid', os.getpid())\ntime.sleep(1000)\n")
    code = f"from guardian.worker.examine import examine; examine('SUS', [{str(tmp_path)!r}])"
    waiting = child([sys.executable, "-c", code], env={**os.environ, "PYTHONPATH": str(REPO)})
    pid = int(waiting.wait_for(r"pid (\d+)").group(1))
    waiting.kill9()
    eventually(lambda: all(one.pid != pid or one.dead for one in everyone()))


def test_an_answer_that_is_none_is_our_fault_and_says_so(look: Look) -> None:
    forged = json.dumps({"examined": {"facts": 3}})
    source = GOOD + f"import os, sys; os.write(int(sys.argv[1]), b'{forged}\\n')\n"
    with pytest.raises(InternalError, match=r"SUS: b'.*' is no answer \(.*\); please report it"):
        look(source)


def test_a_survey_that_fails_is_our_fault_and_says_so(look: Look) -> None:
    with pytest.raises(InternalError, match=r"SUS: it loads, but cannot be examined: TypeError: .*; please report it"):
        look(GOOD + "import __main__\n__main__.survey = None\n")
