"""User code in a worker: its host looks, it has a name, and says how far it has come. Real workers, a fake host."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import pytest

from guardian.core.events import Reached, Reload, Reloaded, ThreadsWatched
from guardian.core.threads import ThreadWatch
from guardian.enums import ProcessState, Recovery
from guardian.health import names
from guardian.host.spawner import Exited
from tests.health.conftest import Start
from tests.support import eventually
from tests.worker.fake_host import Host, Worker

pytestmark = pytest.mark.proc

HEAD = """\
import os, sys, threading, time
from guardian import GuardState
from guardian.health import *
class IDLE(GuardState): pass
"""
CAMERA = (
    HEAD
    + """
def read_camera():
    while True:
        keepalive()
        time.sleep(0.05)

class INIT(GuardState):
    def main(self):
        self.camera = MonitoredThread(target=read_camera, name="camera", period_s=0.4, daemon=True)
        self.camera.start()

class UP(GuardState):
    def main(self):
        log("threads %s", sorted(t.name for t in threading.enumerate()))
    def run(self):
        return True

edges = [("INIT", "UP")]
"""
)


@pytest.fixture
def state(workers_locks: Path) -> Callable[[str], ProcessState | None]:
    """The state of a process, as others see it."""

    def look(name: str) -> ProcessState | None:
        found = names.look(workers_locks, name)
        return None if found is None else found.state

    return look


def watched(worker: Worker) -> list[str]:
    """The names in the last list that it told."""
    told = worker.of(ThreadsWatched)
    return [one.name for one in told[-1].threads] if told else []


def test_it_says_how_far_it_has_come(start: Start, state: Callable[[str], ProcessState | None]) -> None:
    worker = start(HEAD + "log('at %s', get_process_state().name)\ntime.sleep(0.5)\n", node="STEPS")
    assert worker.hear(Reached).state is ProcessState.LOADCFG
    assert worker.says("at LOADCFG")
    eventually(lambda: state("X1:STEPS") is ProcessState.LOADCFG, what="LOADCFG to be seen")
    worker.loaded()
    assert worker.hear(Reached).state is ProcessState.READY
    eventually(lambda: state("X1:STEPS") is ProcessState.READY, what="READY to be seen")
    worker.stop()
    assert state("X1:STEPS") is ProcessState.STOPPED


def test_its_death_is_a_failure(host: Host, start: Start, state: Callable[[str], ProcessState | None]) -> None:
    worker = start(HEAD, node="MORTAL", ifo="")
    worker.loaded()
    eventually(lambda: state("MORTAL") is ProcessState.READY, what="READY to be seen")
    host.kill(worker.key)
    worker.end()
    assert state("MORTAL") is ProcessState.FAIL
    again = start(HEAD, node="MORTAL", ifo="")
    again.loaded()
    eventually(lambda: state("MORTAL") is ProcessState.READY, what="the next one to have the name")
    again.stop()


def test_the_configured_name_wins(start: Start) -> None:
    worker = start(
        HEAD
        + """
set_process_name("mine")
ready(); loading()
log("name %s, system %s, %s", get_process_name(), get_sysname(), get_process_state().name)
log("supervised %s, watchdog %s", is_capability_supported("supervised"), is_capability_supported("watchdog"))
if os.fork() == 0:
    is_default = get_process_name() == f"guardian-worker-{os.getpid()}"
    log("child is %s, supervised %s", is_default, is_capability_supported("supervised"))
    os._exit(0)
os.wait()
""",
        node="NAMED",
    )
    worker.loaded()
    assert "WARNING" in worker.says("set_process_name('mine') does nothing: the name of this process is X1:NAMED")
    worker.says("name X1:NAMED, system XLAB, LOADCFG")
    worker.says("supervised True, watchdog True")
    worker.says("child is True, supervised False")
    worker.hear(Reached, lambda reached: reached.state is ProcessState.READY)
    assert [reached.state.name for reached in worker.of(Reached)] == ["LOADCFG", "READY"]
    worker.stop()


def test_code_that_is_only_checked_takes_no_name_and_is_not_watched(
    start: Start, state: Callable[[str], ProcessState | None]
) -> None:
    worker = start(
        HEAD
        + """
register("main", 0.2)
log("name %s", get_process_name())
time.sleep(2)
""",
        node="CHECKED",
        check=True,
    )
    worker.loaded()
    worker.says("name X1:CHECKED")
    assert state("X1:CHECKED") is None
    assert not worker.of(Reached) and not worker.of(ThreadsWatched)
    end = worker.end()
    assert isinstance(end, Exited) and end.code == 0


def test_its_threads_beat_in_what_the_host_sees_and_nobody_else_judges(start: Start) -> None:
    worker = start(CAMERA)
    worker.loaded()
    worker.enter("INIT")
    (thread,) = worker.hear(ThreadsWatched).threads
    assert (thread.name, thread.period_s, thread.recovery) == ("camera", 0.4, Recovery.PROCESS)
    counters = worker._page.counters
    before = counters[thread.slot]
    eventually(lambda: counters[thread.slot] > before + 10, what="ten beats")
    watch = ThreadWatch()
    watch.settle([thread])
    until = time.monotonic() + 2
    while time.monotonic() < until:
        assert not any(seen.late for seen in watch.look(counters, time.monotonic()))
        time.sleep(watch.look_s or 1)
    worker.stop()


def test_one_that_hangs_is_left_to_the_host(start: Start) -> None:
    worker = start(
        HEAD
        + """
class INIT(GuardState):
    def main(self):
        MonitoredThread(target=time.sleep, args=(600,), name="hangs", period_s=0.2, daemon=True).start()
    def run(self):
        return True
"""
    )
    worker.loaded()
    worker.enter("INIT")
    (thread,) = worker.hear(ThreadsWatched).threads
    watch = ThreadWatch()
    watch.settle([thread])

    def late() -> bool:
        return watch.look(worker._page.counters, time.monotonic())[0].late

    began = time.monotonic()
    worker.until(lambda: late() or None, "the host to find it late")
    assert time.monotonic() - began < 30
    worker.listen(1)
    assert not worker.has_ended
    worker.stop()


def test_what_is_to_be_made_anew_is_made_anew_here(start: Start) -> None:
    worker = start(
        HEAD
        + """
lives = []
def work():
    lives.append(1)
    while True:
        keepalive()
        time.sleep(1.5 if len(lives) == 1 else 0.05)
class INIT(GuardState):
    def main(self):
        MonitoredThread(target=work, name="camera", period_s=0.3, recovery=Recovery.THREAD, daemon=True).start()
"""
    )
    worker.loaded()
    worker.enter("INIT")
    (first,) = worker.hear(ThreadsWatched).threads
    (again,) = worker.hear(ThreadsWatched, lambda told: [one.restarts for one in told.threads] == [1]).threads
    assert again.serial != first.serial and again.name == "camera"
    worker.says("thread camera was made anew")
    before = worker._page.counters[again.slot]
    eventually(lambda: worker._page.counters[again.slot] > before + 10, what="ten beats")
    worker.stop()


def test_threads_of_old_code_go_on_after_a_load(start: Start, tmp_path: Path) -> None:
    worker = start(CAMERA)
    worker.loaded()
    worker.enter("INIT")
    (old,) = worker.hear(ThreadsWatched).threads
    (tmp_path / "SUS.py").write_text(CAMERA.replace('name="camera"', 'name="new"'))
    worker.tell(Reload())
    assert "thread 'camera'" in " ".join(worker.hear(Reloaded).left)
    before = worker._page.counters[old.slot]
    eventually(lambda: worker._page.counters[old.slot] > before + 10, what="ten beats of the old thread")
    worker.enter("INIT")
    told = worker.hear(ThreadsWatched)
    assert [one.name for one in told.threads] == ["camera", "new"]
    worker.stop()


def test_an_interrupt_in_the_middle_of_a_registration_leaves_none(start: Start) -> None:
    """The shield holds it back; what comes behind it ends the block, and with it the registration."""
    worker = start(
        HEAD
        + """
class BUSY(GuardState):
    def main(self):
        while True:
            with register("main", 600):
                keepalive()
"""
    )
    worker.loaded()
    for _ in range(30):
        worker.enter("BUSY")
        worker.until(lambda: watched(worker) or None, "a registration")
        worker.leave()
    told = worker.of(ThreadsWatched)
    serials = [one.serial for report in told for one in report.threads]
    assert serials == sorted(serials)
    assert all(len(report.threads) <= 1 for report in told)
    worker.stop()


def test_a_flood_of_registrations_is_a_few_reports_and_the_last_one_is_true(start: Start) -> None:
    worker = start(
        HEAD
        + """
class BUSY(GuardState):
    def main(self):
        for number in range(5000):
            with register(f"number {number}", 600):
                keepalive()
        self.kept = MonitoredThread(target=time.sleep, args=(600,), name="kept", period_s=600, daemon=True)
        self.kept.start()
        for number in range(5000):
            with register(f"number {number}", 600):
                keepalive()
        log("done")
"""
    )
    worker.loaded()
    worker.enter("BUSY")
    worker.says("done")
    worker.until(lambda: watched(worker) == ["kept"] or None, "the last list")
    worker.listen(0.5)
    assert watched(worker) == ["kept"]
    assert len(worker.of(ThreadsWatched)) < 1000
    worker.stop()


def test_a_folder_that_cannot_be_used_does_not_matter(tmp_path: Path) -> None:
    host = Host({"GUARD_LOCK_DIR": "/proc/nowhere"})
    try:
        with host.worker(tmp_path, HEAD + "log('state %s', get_process_state().name)\n") as worker:
            worker.loaded()
            worker.hear(Reached, lambda reached: reached.state is ProcessState.READY)
            worker.says("state LOADCFG")
            assert "WARNING" in worker.says("X1:SUS: its name and state cannot be written to /proc/nowhere")
            worker.stop()
    finally:
        host.close()


def test_a_child_of_user_code_does_not_beat_for_its_worker(start: Start) -> None:
    worker = start(
        HEAD
        + """
def work():
    while True:
        keepalive()
        if os.path.exists("/proc/self") and not forked:
            forked.append(1)
            if os.fork() == 0:
                try:
                    keepalive()
                except ExosError as error:
                    log("child: %s", error)
                with register("of the child", 0.3):
                    for _ in range(20):
                        keepalive(); time.sleep(0.05)
                    log("child beat")
                os._exit(0)
            log("child ended with %s", os.waitstatus_to_exitcode(os.wait()[1]))
        time.sleep(600)
forked = []
class INIT(GuardState):
    def main(self):
        MonitoredThread(target=work, name="parent", period_s=60, daemon=True).start()
"""
    )
    worker.loaded()
    worker.enter("INIT")
    (parent,) = worker.hear(ThreadsWatched).threads
    worker.says("is not registered; call register(name, period_s) in it first")
    worker.says("child beat")
    worker.says("child ended with 0")
    assert worker._page.counters[parent.slot] == 1
    assert len(worker.of(ThreadsWatched)) == 1
    worker.stop()
