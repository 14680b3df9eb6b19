"""LOAD in a real worker (R11): what is exchanged, what stays, and that a load that fails changes nothing."""

from __future__ import annotations

import os
import textwrap
import time
from pathlib import Path

import pytest

from guardian.core.events import (
    GiveUp,
    Judge,
    Loaded,
    Raised,
    Reload,
    Reloaded,
    ReloadFailed,
    Reloading,
    Returned,
    Stop,
)
from guardian.enums import OnComplete
from guardian.host.spawner import Exited
from tests.worker.conftest import Start
from tests.worker.fake_host import Worker

pytestmark = pytest.mark.proc

HEAD = "import os, sys, time, threading\nfrom guardian import GuardState\n"


def write(folder: Path, text: str, name: str = "SUS") -> None:
    """Save a file as an editor does, with the time and, where the test has it so, the size of the one before."""
    path = folder / f"{name}.py"
    path.write_text(textwrap.dedent(text))
    os.utime(path, (1_700_000_000, 1_700_000_000))


def exchanged(worker: Worker) -> Reloaded:
    worker.tell(Reload())
    word = worker.hear(object, lambda report: isinstance(report, (Reloaded, ReloadFailed)))
    assert isinstance(word, Reloaded), f"{word}\n{worker.story()}"
    return word


def refused(worker: Worker) -> str:
    worker.tell(Reload())
    word = worker.hear(object, lambda report: isinstance(report, (Reloaded, ReloadFailed)))
    assert isinstance(word, ReloadFailed), f"{word}\n{worker.story()}"
    return word.reason


def goes_on(worker: Worker, words: str) -> None:
    """The old code says these words from now on."""
    told = len(worker.log)
    worker.until(lambda: any(words in line for line in worker.log[told + 1 :]), "the old code to go on")


UP = (
    HEAD
    + """
class UP(GuardState):
    def main(self):
        self.count = 0
        self.timer['t'] = 0.2
    def run(self):
        self.count += 1
        if self.timer['t']:
            log('{mark} %s', self.count)
"""
)


def test_R11_the_living_instance_gets_the_new_class_and_keeps_its_data(run: Start, tmp_path: Path) -> None:
    worker = run(UP.format(mark="old"))
    worker.enter("UP")
    worker.says("old")
    write(tmp_path, UP.format(mark="new"))
    facts = exchanged(worker).facts
    assert [s.name for s in facts.states] == ["INIT", "UP"]
    first = int(worker.says("new").split()[-1])
    last = max(int(line.split()[-1]) for line in worker.log if "old" in line)
    assert first == last + 1  # main() was not called, the count goes on
    worker.stop()


def test_R11_a_long_main_is_not_cut_off_and_run_is_the_new_one(run: Start, tmp_path: Path) -> None:
    text = (
        HEAD
        + """
class UP(GuardState):
    def main(self):
        log('main begins')
        while not os.path.exists(SITE):
            time.sleep(0.01)
        log('main ends')
    def run(self):
        log('this is the {}')
        return True
"""
    )
    gate = tmp_path / "gate"
    worker = run(text.format("old"), site=str(gate))
    worker.enter("UP")
    worker.says("main begins")
    write(tmp_path, text.format("new"))
    worker.tell(Reload())
    worker.listen(0.3)
    assert not worker.of(Reloaded)
    gate.touch()
    worker.hear(Reloaded)
    worker.says("this is the new")
    assert not any("old" in line for line in worker.log)
    worker.stop()


def test_R11_a_library_three_imports_down_is_read_anew_and_what_is_installed_is_not(run: Start, tmp_path: Path) -> None:
    (tmp_path / "site-packages").mkdir()
    (tmp_path / "site-packages" / "installed.py").write_text("log('installed is imported')\n")
    more = {
        "first": "from second import *\n",
        "second": "import third\nVALUE = third.VALUE\n",
        "third": "VALUE = 1\n",
    }
    head = f"import sys; sys.path.append({str(tmp_path / 'site-packages')!r})\nimport installed, csv\n"
    text = head + HEAD + "from first import VALUE\nfirst_csv = csv\nclass UP(GuardState):\n    index = VALUE\n"
    worker = run(text, more=more)
    write(tmp_path, "VALUE = 2\n", "third")
    facts = exchanged(worker).facts
    assert {s.name: s.index for s in facts.states}["UP"] == 2
    assert facts.usercode == tuple(str(tmp_path / f"{n}.py") for n in ("first", "second", "third"))
    assert sum("installed is imported" in line for line in worker.log) == 1
    worker.stop()


def test_R11_a_package_of_the_user_and_what_a_method_imports_are_read_anew(run: Start, tmp_path: Path) -> None:
    (tmp_path / "lib" / "deep").mkdir(parents=True)
    (tmp_path / "lib" / "__init__.py").write_text("")
    (tmp_path / "lib" / "deep" / "part.py").write_text("VALUE = 'old'\n")  # a folder without a file of its own
    worker = run(
        HEAD
        + """
class UP(GuardState):
    def run(self):
        from lib.deep.part import VALUE
        log('value %s', VALUE)
"""
    )
    worker.enter("UP")
    worker.says("value old")
    (tmp_path / "lib" / "deep" / "part.py").write_text("VALUE = 'new'\n")
    exchanged(worker)
    worker.says("value new")
    worker.stop()


BROKEN = {
    "syntax": ("class UP(GuardState:\n", "SyntaxError"),
    "import": (HEAD + "import helper\nraise ValueError('not today')\n", "ValueError: not today (SUS.py:4)"),
    "exit": (HEAD + "import helper\nsys.exit(3)\n", "SystemExit: 3"),
    "edge": (HEAD + "import helper\nclass UP(GuardState):\n    pass\nedges = [('UP', 'NOWHERE')]\n", "NOWHERE"),
    "builtins": (HEAD + "import builtins, helper\nbuiltins.log = None\nbuiltins.mine = 1\n1/0\n", "ZeroDivisionError"),
    "modules": (HEAD + "import helper, fresh\nsys.modules['other'] = sys\nfresh.x()\n", "AttributeError"),
    "missing": (HEAD + "import helper\nimport nosuchthing\n", "nosuchthing"),
}
WATCH = (
    HEAD
    + """
import helper, builtins
ME = sys.modules[__name__]
KNOWN = None
class UP(GuardState):
    def run(self):
        global KNOWN
        users = {k: id(m) for k, m in sys.modules.items() if getattr(m, '__file__', None) and SITE in str(m.__file__)}
        names = {k: id(v) for k, v in vars(builtins).items() if k != '_'}
        now = (users, names, list(sys.path), id(helper), sys.modules['SUS'] is ME)
        if KNOWN != now:
            log('changed' if KNOWN else 'watching')
        KNOWN = now
        log('old code at %s', time.monotonic())
class FAILS(GuardState):
    def run(self):
        raise ValueError('a line of the old code')
"""
)


@pytest.mark.parametrize("fault", BROKEN)
def test_R11_bad_code_leaves_modules_and_builtins_as_they_were(run: Start, tmp_path: Path, fault: str) -> None:
    text, reason = BROKEN[fault]
    worker = run(WATCH, site=str(tmp_path), more={"helper": "log('helper')\n"})
    worker.enter("UP")
    worker.says("watching")
    write(tmp_path, "y = 1\n", "fresh")
    write(tmp_path, "log('new helper')\n", "helper")
    write(tmp_path, text)
    assert reason in refused(worker)
    worker.until(lambda: len(worker.log) > 3, "the log")
    goes_on(worker, "old code at")
    assert not any("changed" in line for line in worker.log), worker.story()
    worker.enter("FAILS")  # its traceback shows the lines that run, not those that are in the file now
    worker.says("raise ValueError('a line of the old code')")
    write(tmp_path, UP.format(mark="mended"))
    exchanged(worker)
    worker.enter("UP")
    worker.says("mended")
    worker.stop()


def test_R11_a_system_that_is_installed_says_that_it_cannot_be_read_anew(run: Start, tmp_path: Path) -> None:
    folder = tmp_path / "site-packages"
    folder.mkdir()
    worker = run(UP.format(mark="old"), folder=folder)
    assert "OP=STOP, then OP=EXEC" in refused(worker)
    worker.enter("UP")
    worker.says("old")
    worker.stop()


def test_R11_an_instance_that_cannot_get_its_new_class_is_refused_whole(run: Start, tmp_path: Path) -> None:
    worker = run("prefix = 'OLD'\n" + UP.format(mark="old of ' + ezca.prefix + '"))
    worker.enter("UP")
    worker.says("old")
    stubborn = "prefix = 'NEW'\n" + UP.format(mark="new").replace(
        "class UP(GuardState):",
        "class UP(GuardState, BaseException):\n    def __new__(cls, a):\n        return super().__new__(cls)",
    )
    write(tmp_path, stubborn)
    assert "instance of UP" in refused(worker)
    goes_on(worker, "old of X1:OLD-")
    worker.stop()


def test_R11_a_class_of_another_layout_takes_the_data_over(run: Start, tmp_path: Path) -> None:
    worker = run(UP.format(mark="old"))
    worker.enter("UP")
    worker.says("old")
    write(tmp_path, UP.format(mark="new").replace("class UP(GuardState):", "class UP(GuardState, dict):"))
    exchanged(worker)
    assert int(worker.says("new").split()[-1]) > 1
    write(tmp_path, UP.format(mark="newest").replace("class UP(GuardState):", "class UP(GuardState, dict):"))
    exchanged(worker)  # an instance that is false
    assert int(worker.says("newest").split()[-1]) > 2
    worker.stop()


def test_R11_what_an_instance_holds_in_slots_stays_when_they_change(run: Start, tmp_path: Path) -> None:
    text = UP.replace("self.count", "self.kept").replace("class UP(GuardState):", "class UP(GuardState):\n    {slots}")
    worker = run(text.format(mark="old", slots="__slots__ = ('kept',)"))
    worker.enter("UP")
    last = int(worker.says("old").split()[-1])
    for mark, slots in (("more", "__slots__ = ('kept', 'more')"), ("none", ""), ("again", "__slots__ = ('kept',)")):
        write(tmp_path, text.format(mark=mark, slots=slots))
        exchanged(worker)
        now = int(worker.says(mark).split()[-1])
        assert now > last
        last = now
    worker.stop()


def test_R11_the_state_that_went_is_not_run_any_more(run: Start, tmp_path: Path) -> None:
    worker = run(UP.format(mark="old"))
    worker.enter("UP")
    worker.says("old")
    write(tmp_path, UP.format(mark="new").replace("class UP", "class DOWN"))
    exchanged(worker)
    told = len(worker.log)
    worker.listen(0.3)
    assert len(worker.log) == told
    worker.enter("UP")  # an order that was on its way
    assert "UP" in worker.hear(Raised).message
    worker.enter("DOWN")
    worker.says("new")
    worker.stop()


def test_R20_numbers_given_automatically_stay_with_their_names(run: Start, tmp_path: Path) -> None:
    text = HEAD + "class A(GuardState):\n    pass\nclass B(GuardState):\n    pass\n"
    worker = run(text)
    assert {s.name: s.index for s in worker.of(Loaded)[0].facts.states} == {"INIT": 0, "A": -2, "B": -3}
    write(tmp_path, text.replace("class A", "class C"))
    assert {s.name: s.index for s in exchanged(worker).facts.states} == {"INIT": 0, "C": -4, "B": -3}
    write(tmp_path, text)
    assert {s.name: s.index for s in exchanged(worker).facts.states} == {"INIT": 0, "A": -2, "B": -3}
    worker.stop()


def test_R11_a_search_path_that_is_no_list_and_holds_what_it_likes_stops_no_load(run: Start, tmp_path: Path) -> None:
    text = "import sys\nsys.path = (*sys.path, [], None)\n" + UP
    worker = run(text.format(mark="old"))
    worker.enter("UP")
    for mark in ("second", "third"):
        write(tmp_path, text.format(mark=mark))
        exchanged(worker)
        worker.says(mark)
    write(tmp_path, "import sys\nsys.path = None\n1/0\n")
    assert "ZeroDivisionError: division by zero (SUS.py:3)" in refused(worker)
    write(tmp_path, UP.format(mark="fourth"))
    exchanged(worker)
    worker.says("fourth")
    worker.stop()


def test_R11_names_in_builtins_that_the_old_code_has_spoilt_are_those_of_the_design_again(
    run: Start, tmp_path: Path
) -> None:
    worker = run(UP.format(mark="old"))
    worker.enter("UP")
    spoils = "import builtins\nbuiltins.log = None\ndel builtins.ezca\n"
    write(tmp_path, UP.format(mark="bad").replace("log('bad %s', self.count)", "print('bad')") + spoils)
    exchanged(worker)
    worker.says("bad")
    write(tmp_path, UP.format(mark="mended of %s' % ezca.prefix + '"))
    exchanged(worker)
    worker.says("mended of X1:")
    worker.stop()


def test_R11_reactive_and_prefix_are_those_of_the_new_code(run: Start, tmp_path: Path) -> None:
    text = HEAD + "{}\nlog('at import: %s', ezca.full_name('X'))\nclass UP(GuardState):\n    def run(self):\n"
    text += "        log('prefix %s', ezca.prefix)\n"
    worker = run(text.format("prefix = 'SUS'"))
    worker.enter("UP")
    worker.says("prefix X1:SUS-")
    write(tmp_path, text.format("prefix = 'IMC'\nreactive = False"))
    exchanged(worker)
    worker.says("prefix X1:IMC-")
    assert [line for line in worker.log if "at import" in line] == ["INFO [load] at import: X1:X"] * 2
    worker.stop()


def test_R11_STOP_ends_an_import_that_takes_long(run: Start, tmp_path: Path) -> None:
    worker = run(UP.format(mark="old"))
    worker.enter("UP")
    write(tmp_path, "import time\nlog('it hangs')\ntime.sleep(1000)\n")
    worker.tell(Reload())
    worker.says("it hangs")
    worker.stop()


ENDLESS = {
    "sleeps": "log('it begins'); time.sleep(10_000)\n",
    "loops": "log('it begins')\nwhile True: pass\n",
    "swallows": """
over = False
while not over:
    try:
        log('it begins'); over = os.path.exists(SITE); time.sleep(1)
    except BaseException: pass
""",
    "waits for a lock": "lock = threading.Lock(); lock.acquire()\nlog('it begins'); lock.acquire()\n",
}


@pytest.mark.parametrize("how", ENDLESS)
def test_R11_an_import_that_is_given_up_says_where_it_was_and_the_old_code_runs_on(
    run: Start, tmp_path: Path, how: str
) -> None:
    worker = run(UP.format(mark="old"), site=str(tmp_path / "gate"))
    worker.enter("UP")
    worker.says("old")
    write(tmp_path, HEAD + ENDLESS[how])
    worker.tell(Reload())
    worker.says("it begins")
    worker.tell(GiveUp())
    if how == "swallows":
        worker.listen(0.5)
        assert not worker.of(ReloadFailed) and worker.of(Reloading)
        (tmp_path / "gate").touch()
        worker.hear(ReloadFailed)
    else:
        reason = worker.hear(ReloadFailed).reason
        assert reason.startswith("SUS: its import takes too long and was interrupted (SUS.py:")
    goes_on(worker, "old")
    write(tmp_path, UP.format(mark="mended"))
    exchanged(worker)
    worker.says("mended")
    worker.stop()


@pytest.mark.parametrize("check", [True, False])
def test_R11_a_first_import_that_is_given_up_says_where_it_was(start: Start, tmp_path: Path, check: bool) -> None:
    worker = start("from helper import *\n", more={"helper": "import time\nlog('in'); time.sleep(1000)\n"}, check=check)
    worker.says("in")
    worker.tell(GiveUp())
    assert worker.load_failed() == "SUS: its import takes too long and was interrupted (helper.py:2)"
    worker.says('helper.py", line 2')


def test_R11_to_give_up_what_is_over_does_no_harm(run: Start) -> None:
    worker = run(UP.format(mark="it runs"))
    worker.enter("UP")
    worker.tell(GiveUp())
    worker.says("it runs")
    worker.tell(GiveUp())
    exchanged(worker)
    worker.stop()


def test_R11_a_load_under_PAUSE_or_without_a_state_works(run: Start, tmp_path: Path) -> None:
    worker = run(UP.format(mark="old"))
    exchanged(worker)
    write(tmp_path, UP.format(mark="new"))
    exchanged(worker)
    worker.enter("UP")
    worker.says("new")
    worker.stop()


LEAVES = (
    HEAD
    + """
def poll(stop=threading.Event()):
    stop.wait()

class Mine(threading.Thread):
    def run(self):
        time.sleep(1000)

threading.Thread(target=poll, name='poller', daemon=True).start()
Mine(name='subclass', daemon=True).start()
timer = threading.Timer(1000, poll)
timer.name, timer.daemon = 'timer', True
timer.start()
KEPT = open(SITE + '/trend.txt', 'w')
threading.current_thread().kept = KEPT   # nothing collects it

class UP(GuardState):
    def main(self):
        self.file = open(SITE + '/mine.txt', 'w')
"""
)


def test_R11_threads_and_files_that_stay_behind_are_named(run: Start, tmp_path: Path) -> None:
    worker = run(LEAVES, site=str(tmp_path))
    worker.enter("UP")
    worker.outcome()
    write(tmp_path, UP.format(mark="new"))
    left = exchanged(worker).left
    assert sorted(left) == [
        f"open file {tmp_path}/trend.txt",
        "thread 'poller' (SUS.py:5)",
        "thread 'subclass' (SUS.py:9)",
        "thread 'timer'",
    ]
    assert len(exchanged(worker).left) == 4  # they are still there
    worker.stop()


RUDE = (
    HEAD
    + """
import resource
class UP(GuardState):
    def __getattribute__(self, name):
        if name == '__dict__':
            raise ValueError('not yours')
        return super().__getattribute__(name)
    def run(self):
        log('there')
"""
)


def test_R11_an_instance_that_does_not_let_itself_be_looked_at_is_exchanged_all_the_same(
    run: Start, tmp_path: Path
) -> None:
    worker = run(RUDE)
    worker.enter("UP")
    worker.says("there")
    write(tmp_path, RUDE.replace("there", "here"))
    assert exchanged(worker).left == ()
    worker.says("here")
    worker.stop()


def test_R11_a_worker_that_has_no_descriptor_left_says_so_and_lives_on(run: Start, tmp_path: Path) -> None:
    text = RUDE.replace("log('there')", "resource.setrlimit(resource.RLIMIT_NOFILE, (10, 10))\n        log('there')")
    worker = run(text.replace("class UP", "KEPT = [open(os.devnull) for _ in range(20)]\nclass UP"))
    worker.enter("UP")
    worker.says("there")
    assert "Too many open files" in refused(worker)
    goes_on(worker, "there")
    worker.stop()


def test_R11_what_leaves_nothing_behind_says_nothing_and_fifty_loads_leak_nothing(run: Start, tmp_path: Path) -> None:
    text = (
        HEAD
        + """
import gc
sys.path.append(SITE + '/more')
FILE = open(SITE + '/log.txt', 'a')
DATA = bytearray(4_000_000)
class UP(GuardState):
    def main(self):
        self.count = 0
    def run(self):
        log('there are= %s', sum(1 for c in GuardState.__subclasses__() if c.__name__ == 'UP'))
        log('resident= %s', int(open('/proc/self/statm').read().split()[1]) * 4096)
        log('descriptors= %s', len(os.listdir('/proc/self/fd')))
        log('paths= %s', len(sys.path))
        log('modules= %s', len(sys.modules))
        return True
"""
    )
    worker = run(text, site=str(tmp_path))
    worker.enter("UP", OnComplete.WAIT)
    worker.hear(Returned, lambda r: r.outcome is True)
    seen: dict[str, list[float]] = {}
    for number in range(1, 51):
        write(tmp_path, text + f"# {number}\n")
        assert exchanged(worker).left == ()
        worker.tell(Judge(entry=worker.entry, seq=number))
        worker.hear(Returned, lambda r, n=number: r.seq == n)  # type: ignore[misc]
    worker.says("modules=")
    worker.until(lambda: len(worker.numbers("modules=")) >= 51, "all lines")
    for mark in ("there are=", "resident=", "descriptors=", "paths=", "modules="):
        seen[mark] = worker.numbers(mark)
    for mark in ("there are=", "descriptors=", "paths=", "modules="):
        assert seen[mark][2] == seen[mark][-1], (mark, seen[mark])
    grown = seen["resident="][-1] - seen["resident="][4]
    assert grown < 4 * 4_000_000, f"45 loads cost {grown / 1e6:.1f} MB of memory"  # each holds 4 MB while it lives
    worker.stop()


def test_R11_a_worker_that_is_told_to_stop_while_it_exchanges_ends_at_once(run: Start, tmp_path: Path) -> None:
    worker = run(UP.format(mark="old"))
    worker.enter("UP")
    write(tmp_path, "try:\n    log('in')\n    import time\n    time.sleep(1000)\nexcept BaseException:\n    pass\n")
    worker.tell(Reload())
    worker.says("[load] in")
    worker.tell(Stop())
    end = worker.end()
    assert isinstance(end, Exited) and end.code == 0 and not worker.of(ReloadFailed)


# --- the check ------------------------------------------------------------------------------------------------------


def test_R11_a_check_says_what_it_found_and_ends(start: Start, tmp_path: Path) -> None:
    worker = start(UP.format(mark="x"), check=True)
    assert [s.name for s in worker.loaded().states] == ["INIT", "UP"]
    end = worker.end()
    assert isinstance(end, Exited) and end.code == 0


def test_R11_a_check_writes_no_channel_and_says_so(start: Start) -> None:
    began = time.monotonic()
    worker = start("prefix = 'SUS'\nezca['GAIN'] = 3\n" + UP.format(mark="x"), check=True)
    worker.loaded()
    assert worker.says("X1:GAIN").startswith("INFO [check] X1:GAIN is not written")
    assert time.monotonic() - began < 30


def test_R11_a_check_of_bad_code_says_where(start: Start) -> None:
    worker = start("x = 1\n1/0\n", check=True)
    assert worker.load_failed() == "SUS: ZeroDivisionError: division by zero (SUS.py:2)"
    worker.says('File "')
