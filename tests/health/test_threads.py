"""Watched threads of a plain program: who is late, who is not, and what follows. Real processes, real stacks."""

from __future__ import annotations

import os
import signal
import threading
import time
from typing import Any

import pytest

from guardian.enums import Recovery
from guardian.errors import ExosError
from guardian.health import MonitoredThread, deregister, keepalive, process, register, watcher
from guardian.health import threads as room
from tests.health.conftest import Program
from tests.support import eventually

pytestmark = pytest.mark.proc


# --- registrations ------------------------------------------------------------------------------------------------


def test_call_form_and_block(program: Program) -> None:
    """The call form, the block, and again: the last one counts."""
    try:
        first = register("one", 600)
        assert first.watched.name == "one" and first.watched.period_s == 600
        keepalive()
        with register("two", 500) as second:
            assert first.ended
            keepalive()
            second.keepalive()
            assert [r.watched.name for r in room.table.all()] == ["two"]
            assert room.table.counters[second.watched.slot] >= 2
        assert not room.table.all()
        with pytest.raises(ExosError, match="two is not registered any more; call register"):
            keepalive()
        with pytest.raises(ExosError, match="'MainThread' is not registered; call register"):
            deregister()
        register("three", 500)
        deregister()
        with pytest.raises(ExosError, match="'MainThread' is not registered"):
            keepalive()
    finally:
        for registration in room.table.all():
            registration.deregister()


def test_a_thread_that_never_registered_is_told_what_to_do() -> None:
    told: list[Exception] = []

    def work() -> None:
        for call in keepalive, deregister:
            try:
                call()
            except ExosError as error:
                told.append(error)

    thread = threading.Thread(target=work, name="worker")
    thread.start()
    thread.join()
    assert len(told) == 2
    assert "the thread 'worker' is not registered; call register(name, period_s) in it first" in str(told[0])


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        (("a", "2"), "is a number of seconds, found '2'"),
        (("a", True), "is a number of seconds"),
        (("a", float("nan")), "is a number of seconds"),
        (("a", float("inf")), "is a number of seconds"),
        (("a", None), "is a number of seconds"),
        (("a", 0.09), "is from 0.1 to 86400 seconds, found 0.09"),
        (("a", -1), "is from 0.1 to 86400 seconds"),
        (("a", 1e9), "is from 0.1 to 86400 seconds"),
        (("a" * 65, 2), "at most 64 bytes"),
        (("a\nb", 2), "stands in one line"),
        ((None, 2), "is a text"),
        (("a", 2, "reboot"), "one of Recovery.PROCESS, Recovery.THREAD, Recovery.REPORT; found 'reboot'"),
        (("a", 2, Recovery.THREAD), "cannot be made anew; use MonitoredThread"),
    ],
)
def test_bad_input_is_refused_in_a_sentence(arguments: tuple[Any, ...], why: str) -> None:
    with pytest.raises(ExosError) as told:
        register(*arguments)
    assert why in str(told.value) and "\n" not in str(told.value)
    assert not room.table.all()


def test_there_is_room_for_so_many_and_no_more() -> None:
    try:
        for at in range(512):
            room.table.enroll(f"thread {at}", 600, Recovery.REPORT)
        with pytest.raises(ExosError, match="512 threads and pools of this process are watched, and there is room for"):
            register("one more", 600)
        room.table.all()[7].deregister()
        assert register("one more", 600).watched.slot == 7
    finally:
        for registration in room.table.all():
            registration.deregister()


def test_a_registration_whose_end_was_interrupted_has_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ctrl-C hits anywhere; who goes on after it is not late later with what it has ended."""

    class Interrupted(dict[int, Any]):
        def __delitem__(self, slot: int) -> None:
            raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(room.table, "_by_slot", Interrupted())
        one = register("one", 600)
        with pytest.raises(KeyboardInterrupt):
            one.deregister()
        assert room.table.all() == ()
        two = register("two", 600)
        assert room.table.all() == (two,) and two.watched.slot == one.watched.slot
        keepalive()
        patched.undo()
        two.deregister()


def test_who_looks_is_started_without_a_lock(monkeypatch: pytest.MonkeyPatch) -> None:
    """In a thread that starts a destructor may deregister, and whoever starts it waits for it."""
    eventually(lambda: watcher._watcher is None)
    free: list[bool] = []
    start = watcher.Watcher.start

    def look_first(self: watcher.Watcher) -> None:
        def look() -> None:
            if free_now := room.table.lock.acquire(timeout=1):
                room.table.lock.release()
            free.append(free_now)

        thread = threading.Thread(target=look)
        thread.start()
        thread.join()
        start(self)

    monkeypatch.setattr(watcher.Watcher, "start", look_first)
    with register("one", 600):
        assert free == [True]


# --- late, and what follows -----------------------------------------------------------------------------------------


def test_a_late_thread_ends_its_process_and_says_where_it_stands(program: Program) -> None:
    one = program(
        """
        set_process_name("camera")
        ready()
        def read_camera():
            register("reader", 0.4)
            keepalive()
            threading.Lock().acquire(); lock = threading.Lock(); lock.acquire()
            lock.acquire()   # hangs
        threading.Thread(target=read_camera).start()
        began = time.monotonic()
        on_change(lambda news: say("told", news.what, news.thread.name))
        time.sleep(600)
        """
    )
    assert one.wait() == 70
    said = one.output
    assert f"guardian.health: camera (pid {one.pid}) has failed: thread reader has not beaten for" in said
    assert ", promised every 0.4 s" in said
    assert "thread reader stands at (most recent call last)" in said and "lock.acquire()   # hangs" in said
    assert said.index("# hangs") < said.index("all threads:") < said.index("in <module>")
    assert "told LATE reader" in said
    age = float(said.split("has not beaten for ")[1].split()[0])
    assert age >= 0.5 - 1e-3


def test_what_keeps_its_promise_to_the_last_moment_is_never_late(program: Program) -> None:
    one = program(
        """
        with register("slow", 0.5):
            for _ in range(8):
                time.sleep(0.49)
                keepalive()
        say("done")
        """
    )
    assert one.wait() == 0 and "done" in one.output and "late" not in one.output


def test_a_program_that_was_stopped_finds_nobody_late(program: Program) -> None:
    one = program(
        """
        def beat():
            with register("beats", 0.5):
                for at in range(60):
                    keepalive()
                    time.sleep(0.1)
        thread = threading.Thread(target=beat)
        thread.start()
        say("runs")
        thread.join()
        say("done")
        """
    )
    one.wait_for("runs")
    for _ in range(2):
        os.kill(one.pid, signal.SIGSTOP)
        time.sleep(2)
        os.kill(one.pid, signal.SIGCONT)
        time.sleep(0.3)
    assert one.wait() == 0 and "done" in one.output


def test_report_tells_once_and_once_when_it_is_back(program: Program) -> None:
    one = program(
        """
        on_change(lambda news: say("told", news.what, "|", news.sentence))
        @on_change
        def bad(news):
            1 / 0
        with register("lazy", 0.2, Recovery.REPORT):
            time.sleep(1)
            for _ in range(5):
                keepalive(); time.sleep(0.1)
            time.sleep(0.8)
        say("done")
        """
    )
    assert one.wait() == 0, one.report()
    assert [line for line in one.output.splitlines() if line.startswith("told")] == [
        "told LATE | thread lazy has not beaten for 0.25 s, promised every 0.2 s",
        "told ALIVE | thread lazy beats again",
        "told LATE | thread lazy has not beaten for 0.25 s, promised every 0.2 s",
    ] or one.output.count("told LATE") == 2
    assert one.output.count("told ALIVE") == 1
    assert one.output.count("WARNING thread lazy has not beaten") == 2
    assert "ERROR a callback of on_change failed" in one.output


def test_who_is_told_may_hang_and_who_looks_does_not(program: Program) -> None:
    one = program(
        """
        on_change(lambda news: time.sleep(600))
        def lazy():
            register("lazy", 0.2, Recovery.REPORT)
            time.sleep(600)
        threading.Thread(target=lazy, daemon=True).start()
        time.sleep(1)
        with register("main", 0.3):
            time.sleep(600)
        """
    )
    assert one.wait() == 70
    assert "thread main has not beaten" in one.output


def test_nobody_reads_its_last_words_and_it_ends_all_the_same(program: Program) -> None:
    one = program(
        """
        import subprocess
        code = '''
        import threading, time, sys, os
        from guardian.health import register
        os.write(2, b"x" * 65536)      # the pipe is full
        with register("main", 0.2):
            time.sleep(600)
        '''
        read, write = os.pipe()
        import textwrap
        child = subprocess.Popen([sys.executable, "-c", textwrap.dedent(code)], stderr=write)
        say("ended with", child.wait())
        """
    )
    one.wait_for("^ended with 70$")


# --- the end of a thread --------------------------------------------------------------------------------------------


def test_a_thread_that_returns_without_a_word_is_told_and_forgotten(program: Program) -> None:
    one = program(
        """
        def work():
            register("brief", 0.3)
        threading.Thread(target=work).start()
        time.sleep(2)
        say("lives")
        """
    )
    assert one.wait() == 0
    assert "WARNING thread brief has ended without deregister(); it is not watched any more" in one.output
    assert "lives" in one.output


@pytest.mark.parametrize("kind", ["threading.Thread(target=work)", "MonitoredThread(target=work, period_s=600)"])
def test_an_exception_that_ends_a_thread_is_a_failure(program: Program, kind: str) -> None:
    one = program(
        f"""
        def work():
            if not isinstance(threading.current_thread(), MonitoredThread):
                register("brief", 600)
            raise ValueError("the camera is gone")
        {kind}.start()
        time.sleep(600)
        """
    )
    assert one.wait() == 70
    assert "Traceback" in one.output
    assert "has ended: ValueError: the camera is gone" in one.output


def test_an_exception_that_ends_the_main_thread_is_one_too(program: Program) -> None:
    one = program(
        """
        register("main", 600)
        threading.Thread(target=time.sleep, args=(600,)).start()
        raise ValueError("nobody is left who decides")
        """
    )
    assert one.wait() == 70
    assert "thread main has ended: ValueError: nobody is left who decides" in one.output


@pytest.mark.parametrize(("last", "code"), [("pass", 0), ("raise ValueError('x')", 1)])
def test_what_a_program_does_at_its_end_it_does_in_peace(program: Program, last: str, code: int) -> None:
    one = program(
        f"""
        import atexit
        @atexit.register
        def save():
            time.sleep(2)
            say("saved")
        register("main", 0.3)
        {last}
        """
    )
    assert one.wait() == code and "saved" in one.output


@pytest.mark.parametrize("end", ["return", "sys.exit()", "sys.exit(3)"])
def test_a_monitored_thread_that_ends_in_order_is_no_failure(program: Program, end: str) -> None:
    one = program(
        f"""
        def work():
            keepalive()
            {end}
        thread = MonitoredThread(target=work, period_s=0.2, name="brief")
        thread.start()
        thread.join()
        time.sleep(1)
        say("lives", thread.is_alive())
        """
    )
    assert one.wait() == 0 and "lives False" in one.output and "brief" not in one.output


# --- made anew ------------------------------------------------------------------------------------------------------


def test_a_thread_that_hangs_is_made_anew_and_the_old_one_ends(program: Program) -> None:
    one = program(
        """
        lives = []
        class Reader(MonitoredThread):
            def __init__(self):
                super().__init__(name="reader", period_s=0.3, recovery=Recovery.THREAD, daemon=True)
                self.kept = 7
            def run(self):
                lives.append(threading.current_thread())
                say("life", len(lives), self.kept)
                self.kept += 1
                if len(lives) == 1:
                    time.sleep(1.5)
                try:
                    while True:
                        self.keepalive(); keepalive(); time.sleep(0.05)
                finally:
                    say("ends", lives.index(threading.current_thread()) + 1)
        reader = Reader()
        waits = threading.Thread(target=reader.join, daemon=True)
        on_change(lambda news: say("told", news.what))
        reader.start()
        waits.start()
        time.sleep(3)
        say("joined", not waits.is_alive())
        say(len(lives), reader.is_alive(), [t.is_alive() for t in lives[1:]], threading.Thread.is_alive(lives[0]))
        """
    )
    assert one.wait() == 0, one.report()
    assert "life 1 7" in one.output and "life 2 8" in one.output
    assert "ends 1" in one.output and "ends 2" not in one.output
    assert "2 True [True] False" in one.output and "joined False" in one.output
    assert [line for line in one.output.splitlines() if line.startswith("told")] == ["told LATE", "told RENEWED"]


def test_one_that_is_late_again_too_soon_ends_its_process(program: Program) -> None:
    one = program(
        """
        def work():
            say("again")
            time.sleep(600)
        MonitoredThread(target=work, name="reader", period_s=0.3, recovery=Recovery.THREAD, daemon=True).start()
        time.sleep(600)
        """
    )
    assert one.wait() == 70
    assert one.output.count("again") >= 2
    assert "promised every 0.3 s; it was made anew 0." in one.output and "which has not helped" in one.output


def test_an_exception_has_it_made_anew_as_well(program: Program) -> None:
    one = program(
        """
        lives = []
        def work(what):
            lives.append(what)
            if len(lives) == 1:
                raise OSError("gone")
            while True:
                keepalive(); time.sleep(0.1)
        MonitoredThread(target=work, args=("x",), period_s=1, recovery=Recovery.THREAD, daemon=True, name="r").start()
        time.sleep(3)
        say(lives)
        """
    )
    assert one.wait() == 0, one.report()
    assert "thread r has ended: OSError: gone" in one.output and "['x', 'x']" in one.output


def test_a_monitored_thread_is_a_thread() -> None:
    seen: list[object] = []
    thread = MonitoredThread(target=lambda *a, **k: seen.append((a, k)), args=(1,), kwargs={"b": 2}, period_s=600)
    with pytest.raises(ExosError, match=r"does not run; start\(\) registers it"):
        thread.keepalive()
    thread.start()
    thread.join(30)
    assert seen == [((1,), {"b": 2})] and not thread.is_alive() and not room.table.all()
    with pytest.raises(RuntimeError, match="once"):
        thread.start()
    assert not room.table.all()
    with pytest.raises(ExosError, match=r"from 0\.1 to"):
        MonitoredThread(target=print, period_s=0)


# --- children, and the methods of the field -------------------------------------------------------------------------


def test_a_child_has_promised_nothing(program: Program) -> None:
    one = program(
        """
        registration = register("parent", 1)
        if os.fork() == 0:
            for beat in keepalive, registration.keepalive:
                try:
                    beat()
                except ExosError as error:
                    say("child:", error)
            with registration:
                pass
            register("child", 0.3)
            for _ in range(20):
                keepalive(); time.sleep(0.1)
            say("child beats")
            time.sleep(600)
        for _ in range(60):
            keepalive(); time.sleep(0.1)
        say("parent lives;", "child ended with", os.waitstatus_to_exitcode(os.wait()[1]))
        """
    )
    one.wait_for("^child beats$")
    one.wait_for("^parent lives; child ended with 70$")
    assert one.output.count("child: keepalive(): the thread 'MainThread' is not registered") == 1
    assert one.output.count("child: what is registered in a process is not so in a child") == 1


def test_install_gives_threads_the_methods_of_the_field(program: Program) -> None:
    one = program(
        """
        install()
        install()
        def work():
            me = threading.current_thread()
            me.register(0.5)
            for _ in range(12):
                time.sleep(0.1)
                me.keepalive() if _ % 2 else keepalive()
            me.deregister()
            time.sleep(1)
            try:
                me.keepalive()
            except ExosError as error:
                say(error)
        thread = threading.Thread(target=work, name="camera")
        try:
            thread.register(5)
        except ExosError as error:
            say(error)
        thread.start()
        thread.join()
        def hang():
            time.sleep(600)
        thread = threading.Thread(target=hang, name="hangs")
        thread.start()
        thread.register(period=0.3)
        time.sleep(600)
        """
    )
    assert one.wait() == 70
    assert "camera: register() of a thread that does not run; call it in the thread itself" in one.output
    assert "camera: keepalive() of a thread that is not registered; call register(period) first" in one.output
    assert "thread hangs has not beaten for" in one.output and "in hang" in one.output


@pytest.mark.parametrize("kind", ["threading.Thread(target=work)", "MonitoredThread(target=work, period_s=600)"])
def test_a_thread_that_another_one_registers_may_use_the_functions(program: Program, kind: str) -> None:
    one = program(
        f"""
        install()
        go_on = threading.Event()
        def work():
            go_on.wait(60)
            thread = threading.current_thread()
            keepalive()
            thread.keepalive()
            say("counted", health.threads.table.counters[health.threads.table.of(thread).watched.slot])
            deregister()
        thread = {kind}
        thread.start()
        thread.register(500)
        go_on.set()
        thread.join()
        """
    )
    assert one.wait() == 0, one.report()
    assert "counted 2" in one.output


def test_install_takes_nothing_from_others(program: Program) -> None:
    one = program(
        """
        threading.Thread.keepalive = lambda self: 7
        try:
            install()
        except ExosError as error:
            say(error, hasattr(threading.Thread, "register"))
        """
    )
    one.wait_for(r"threading.Thread has a method keepalive already, of __main__; use the functions .* False$")


def test_who_looks_ends_with_the_last_registration() -> None:
    with register("brief", 0.1):
        keepalive()
        assert any(thread.name == "guardian-health" for thread in threading.enumerate())
    eventually(
        lambda: not any(thread.name == "guardian-health" for thread in threading.enumerate()),
        what="its end",
        timeout_s=30,
    )
    assert process.process.supervisor is None
