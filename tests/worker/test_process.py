"""The worker process: how it starts, loads, speaks, and ends. Real ones, under a fake host."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

import pytest

from guardian.core.events import Began, Judge, Left, Loaded, Notifications, Raised, Returned, Stop
from guardian.enums import Call, OnComplete
from guardian.host.spawner import Exited
from guardian.worker import link
from guardian.worker.interrupt import DUMP_SIGNAL
from tests.support.procs import alive
from tests.worker.conftest import Start
from tests.worker.fake_host import GEN

pytestmark = pytest.mark.proc

HEAD = "from guardian import GuardState\n"


# --- load ---------------------------------------------------------------------------------------------------------


def test_it_loads_tells_the_facts_and_stops(start: Start, tmp_path: Path) -> None:
    worker = start(
        """\
        from LIB import *
        prefix = 'SUS'
        edges = [('INIT', 'UP')]
        print('imported')
        """,
        more={"LIB": HEAD + "class UP(GuardState):\n    'Up.'\n    def run(self):\n        return True\n"},
        indices={"UP": -7},
    )
    facts = worker.loaded()
    assert [(s.name, s.index, s.doc, s.source) for s in facts.states] == [
        ("INIT", 0, "The INIT of a system that has none: completes at once.", ""),
        ("UP", -7, "Up.", "LIB.py:4"),
    ]
    assert facts.module == str(tmp_path / "SUS.py") and facts.usercode == (str(tmp_path / "LIB.py"),)
    assert worker.says("imported") == "INFO [load] imported"
    worker.stop()


def test_names_are_there_for_the_module_and_its_libraries(start: Start) -> None:
    worker = start(
        "from GRDLIB import *\n",
        node="VIS_MC1",
        more={
            "GRDLIB": """\
            import importlib, os
            from guardian import GuardState
            SIDE, OPTIC = SYSTEM.split('_')
            sysmod = importlib.import_module(SYSTEM)
            log('library of %s at %s in %s, %s', OPTIC, SITE, IFO, [os.environ[n] for n in ('IFO', 'SITE')])
            notify('from the import')

            class UP(GuardState):
                def __init__(self, logfunc=None):
                    super().__init__(logfunc)
                    logfunc('made')

                def run(self):
                    notify('optic %s', sysmod.OPTIC)
                    log(type(ezca).__name__ + ' ' + ezca.prefix)
                    log('100 %')
            """
        },
    )
    worker.loaded()
    assert "['X1', 'XLAB']" in worker.says("library of MC1 at XLAB in X1")
    assert worker.hear(Notifications).texts == ("from the import",)
    worker.enter("UP")
    assert worker.hear(Notifications).texts == ("from the import", "optic MC1")
    assert worker.says("made") == "INFO [UP.main] made"
    assert worker.says("Ezca X1:") == "INFO [UP.run] Ezca X1:"
    worker.says("100 %")


@pytest.mark.parametrize(
    ("source", "reason", "logged"),
    [
        ("x = (1,\n", "SUS: SyntaxError: '(' was never closed (SUS.py:1)", "SyntaxError: '(' was never closed"),
        ("def f():\n    1 / 0\nf()\n", "SUS: ZeroDivisionError: division by zero (SUS.py:2)", "in f"),
        ("raise SystemExit('no beam')\n", "SUS: SystemExit: no beam (SUS.py:1)", "SystemExit: no beam"),
        (HEAD + "edges = [('A', 'B')]\n", "SUS: the module defines no states; ", ""),
    ],
    ids=["syntax", "exception", "exit", "graph"],
)
def test_a_load_that_fails_says_why_and_the_worker_is_gone(start: Start, source: str, reason: str, logged: str) -> None:
    worker = start(source)
    assert worker.load_failed().startswith(reason)
    said = "\n".join(worker.log)
    assert logged in said and ("SUS.py" in said) == bool(logged) and "guardian/" not in said


def test_a_module_that_is_not_there(start: Start, tmp_path: Path) -> None:
    worker = start("", node="GONE", paths=(str(tmp_path / "nowhere"),))
    assert f"looked in {tmp_path}/nowhere" in worker.load_failed()


@pytest.mark.parametrize(
    "body", ["time.sleep(3600)", "while True: pass", "for _ in iter(int, 1):\n try: time.sleep(1)\n except: break"]
)
def test_stop_ends_an_import_that_does_not_end_and_no_error_is_made_of_it(start: Start, body: str) -> None:
    worker = start(f"import time\nlog('importing')\n{body}\nraise ValueError('late')\n")
    worker.says("importing")
    assert worker.stop() < 10
    assert not [line for line in worker.log if "ERROR" in line], worker.story()


def test_stop_that_comes_with_the_load_is_not_lost(host: object, start: Start, tmp_path: Path) -> None:
    worker = start("", node="EMPTY", paths=())  # a first one, so that the next starts at once
    worker.load_failed()
    (tmp_path / "LATE.py").write_text("import time\ntime.sleep(3600)\n")
    for _ in range(3):
        worker = start("import time\ntime.sleep(3600)\n")
        worker.tell(Stop())
        worker.stop()


# --- its end ------------------------------------------------------------------------------------------------------

BUSY = (
    HEAD
    + """
import ctypes, os, subprocess, sys, threading, time

class UP(GuardState):
    def run(self):
        pass

class SLEEP(GuardState):
    def run(self):
        log('pid %d', os.getpid())
        time.sleep(3600)

class CHILD(GuardState):
    def main(self):
        self.child = subprocess.Popen(['sleep', '3600'])
        log('child = %d', self.child.pid)
        while True:
            time.sleep(3600)

class LEAVE(GuardState):
    def main(self):
        print('last words', end='')
        sys.stdout.flush()
        os._exit(3)

class CRASH(GuardState):
    def main(self):
        import resource
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        ctypes.string_at(0)

class THREADS(GuardState):
    def main(self):
        for daemon in (True, False):
            threading.Thread(target=time.sleep, args=(3600,), daemon=daemon).start()
        return True
"""
)


@pytest.mark.parametrize("state", ["UP", "SLEEP", "CHILD"])
def test_when_the_host_hangs_up_the_worker_and_what_it_started_are_gone(run: Start, state: str) -> None:
    worker = run(BUSY)
    worker.enter(state)
    worker.hear(Began)
    child = 0
    if state == "CHILD":
        worker.says("child = ")
        child = int(worker.numbers("child = ")[0])
        assert alive(child)
    worker.hang_up()
    end = worker.end()
    assert isinstance(end, Exited) and end.code == 0 and not (child and alive(child))


def test_its_death_is_told_with_its_cause(run: Start, start: Start) -> None:
    worker = run(BUSY)
    worker.enter("LEAVE")
    assert worker.end().reason == "exit code 3"
    worker.says("last words")
    worker = run(BUSY)
    worker.enter("CRASH")
    assert worker.end().reason == "killed by SIGSEGV"
    worker.says("Fatal Python error: Segmentation fault")
    assert worker.beat().method is Call.MAIN and worker.beat().entry == 1


def test_threads_left_behind_do_not_keep_it(run: Start) -> None:
    worker = run(BUSY)
    worker.enter("THREADS")
    assert worker.outcome() is True
    worker.stop()


def test_damage_on_the_link_is_said_and_is_the_end(run: Start) -> None:
    for damage in (b"nonsense\n", link.encode(GEN, Left(entry=1)), link.encode(GEN, link.Load(node="A"))):
        worker = run(BUSY)
        worker.enter("SLEEP")
        worker.hear(Began)
        worker.send(damage)
        worker.end()
        worker.says("please report it")


def test_the_dump_signal_writes_where_it_stands(run: Start, host: object) -> None:
    worker = run(BUSY)
    worker.enter("SLEEP")
    worker.says("pid ")
    os.kill(int(worker.numbers("pid ")[0]), DUMP_SIGNAL)
    worker.says("SUS.py")
    assert not worker.has_ended


# --- the beat page ------------------------------------------------------------------------------------------------


def test_the_beat_page_shows_the_call_in_progress(run: Start) -> None:
    worker = run(BUSY)
    assert worker.beat().method is None and worker.beat().call == 0
    entry = worker.enter("SLEEP")
    worker.says("pid ")
    beat = worker.beat()
    assert (beat.method, beat.entry) == (Call.RUN, entry) and beat.call == 2
    now = time.monotonic()
    assert 0 < beat.call_start_s <= now and beat.busy_s(now) == now - beat.call_start_s
    worker.leave()
    after = worker.beat()
    assert after.method is None and after.busy_s(now) == 0.0 and after.last_duration_s > 0
    worker.enter("UP")
    worker.until(lambda: worker.beat().cycle > after.cycle + 3, "cycles")


# --- floods -------------------------------------------------------------------------------------------------------

FLOODS = (
    HEAD
    + """
import itertools, os, sys

class NOTIFY(GuardState):
    def run(self):
        for n in itertools.count():
            notify('text %d' % n)

class LOG(GuardState):
    def run(self):
        for n in itertools.count():
            log('line %d' % n)

class PRINT(GuardState):
    def run(self):
        while True:
            print('x' * 100)

class RAW(GuardState):
    def run(self):
        while True:
            try:
                os.write(1, b'y' * 4000)
            except BlockingIOError:
                pass
"""
)


@pytest.mark.parametrize("state", ["NOTIFY", "LOG", "PRINT", "RAW"])
def test_a_flood_delays_nothing_also_when_nobody_reads(run: Start, state: str) -> None:
    worker = run(FLOODS)
    worker.enter(state)
    worker.hear(Began)
    worker.listen(0.3)  # until the flood has risen
    assert worker.leave() < 5
    assert len(worker.of(Notifications)) < 200 and all(len(n.texts) <= 20 for n in worker.of(Notifications))
    worker.enter(state)
    worker.hear(Began)
    os.set_blocking(worker._log_fd, True)  # nothing is read from here on
    assert worker.stop() < 5


# --- what user code does to its process ---------------------------------------------------------------------------


def test_a_forked_child_has_no_link_and_no_turn_of_the_loop(run: Start) -> None:
    worker = run(
        HEAD
        + """
        import multiprocessing, os, time

        class FORK(GuardState):
            def main(self):
                self.child = os.fork()
                if not self.child:
                    notify('said by the child')
                    return 'FORK'
                self.waited = os.waitpid(self.child, 0)

            def run(self):
                log('waited: %r', self.waited == (self.child, 0))
                pool = multiprocessing.get_context('fork').Process(target=log, args=('in the pool',))
                pool.start()
                pool.join()
                log('pool: %r', pool.exitcode)
                return True
        """.replace("\n        ", "\n")
    )
    worker.enter("FORK")
    assert worker.outcome() is False
    assert worker.outcome() is True
    worker.says("waited: True")
    worker.says("pool: 0")
    worker.says("in the pool")
    worker.says("said by the child")
    assert not worker.of(Notifications) and len(worker.of(Returned)) == 2
    assert worker.beat().method is None or worker.beat().method is Call.RUN
    worker.stop()


def test_signal_handlers_directories_and_descriptors_of_user_code(run: Start, tmp_path: Path) -> None:
    (tmp_path / "LATER.py").write_text("where = 'found'\n")
    worker = run(
        HEAD
        + """
        import os, signal, sys, time

        def alarm(number, frame):
            raise TimeoutError('too slow')

        class ALARM(GuardState):
            def main(self):
                os.chdir('/')
                signal.signal(signal.SIGALRM, alarm)
                signal.signal(signal.SIGINT, signal.default_int_handler)
                signal.setitimer(signal.ITIMER_REAL, 0.05)
                try:
                    time.sleep(60)
                except TimeoutError:
                    log('caught')
                import LATER
                log(LATER.where)
                sys.stdout.close()
                os.close(1)
                print('closed')
                return True

        class QUIET(GuardState):
            pass

        class FORGET(GuardState):
            def main(self):
                signal.setitimer(signal.ITIMER_REAL, 0.05)
                return True
        """.replace("\n        ", "\n")
    )
    worker.enter("ALARM", OnComplete.WAIT)
    assert worker.outcome() is True
    for words in ("caught", "found", "closed"):
        worker.says(words)
    # R12: also what a handler raises while no method runs is an error of the state, and the worker lives.
    worker.enter("FORGET", OnComplete.WAIT)
    assert worker.outcome() is True
    raised = worker.hear(Raised)
    assert raised.entry == worker.entry and "TimeoutError: too slow (SUS.py:" in raised.message
    worker.leave()
    worker.enter("FORGET", OnComplete.WAIT)
    assert worker.outcome() is True
    worker.leave()
    worker.until(lambda: sum("TimeoutError: too slow" in line for line in worker.log) == 2, "the second alarm")
    worker.enter("QUIET", OnComplete.WAIT)
    worker.tell(Judge(entry=worker.entry, seq=5))
    worker.hear(Returned, lambda r: r.seq == 5)
    worker.stop()


def test_ctrl_c_does_not_reach_it(run: Start) -> None:
    worker = run(BUSY)
    worker.enter("SLEEP")
    worker.says("pid ")
    os.kill(int(worker.numbers("pid ")[0]), signal.SIGINT)
    worker.leave()
    assert not worker.of(Raised)
    assert len(worker.of(Loaded)) == 1
