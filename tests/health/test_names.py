"""Names and states of processes, as other processes of the machine see them, however they end."""

from __future__ import annotations

import os
import signal
import stat
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from guardian.enums import ProcessState
from guardian.errors import ExosError
from guardian.health import names
from guardian.health.names import Entry, Held
from tests.health.conftest import Program
from tests.support import REPO, eventually

pytestmark = pytest.mark.proc


def state(locks: Path, name: str) -> ProcessState:
    """As get_process_state() finds it, in the folder of the test."""
    found = names.look(locks, name)
    assert found is not None
    return found.state


def test_a_start_is_seen_by_others_step_by_step(program: Program, locks: Path) -> None:
    one = program(
        """
        say(get_process_name() == f"script-{os.getpid()}", get_process_state().name)
        set_process_name("camera")
        for step in (lambda: None, loading, ready, loading, ready):
            step()
            say("at", get_process_name(), get_process_state().name, get_process_state("camera").name)
            sys.stdin.readline()
        """,
        stdin=True,
    )
    one.wait_for("^True BOOTING$")
    at = 0
    for step in ("BOOTING", "LOADCFG", "READY", "LOADCFG", "READY"):
        at = one.wait_for(f"^at camera {step} {step}$", start=at).end()
        assert state(locks, "camera") is ProcessState[step]
        entry = names.look(locks, "camera")
        assert entry is not None and entry.pid == one.pid and abs(entry.since - time.time()) < 60
        one.send("\n")
    assert one.wait() == 0
    assert state(locks, "camera") is ProcessState.STOPPED


@pytest.mark.parametrize(
    ("end", "expected"),
    [
        ("", "STOPPED"),
        ("sys.exit(0)", "STOPPED"),
        ("sys.exit('asked to')", "STOPPED"),
        ("raise KeyboardInterrupt", "STOPPED"),
        ("threading.Thread(target=lambda: 1 / 0).start()", "STOPPED"),
        ("1 / 0", "FAIL"),
        ("sys.excepthook = lambda *_: None; 1 / 0", "FAIL"),
        ("os._exit(0)", "FAIL"),
        ("os.abort()", "FAIL"),
        ("os.kill(os.getpid(), signal.SIGKILL)", "FAIL"),
        ("os.kill(os.getpid(), signal.SIGTERM)", "FAIL"),
        ("ctypes.string_at(0)", "FAIL"),
    ],
)
def test_how_a_process_ended_is_known_after_its_end(program: Program, locks: Path, end: str, expected: str) -> None:
    program(f"set_process_name('mortal')\nready()\n{end}\n").wait()
    assert state(locks, "mortal") is ProcessState[expected]


def test_a_name_belongs_to_one_living_process(program: Program, locks: Path) -> None:
    first = program("set_process_name('camera'); ready(); say('there'); time.sleep(600)")
    first.wait_for("there")
    second = program(
        """
        try:
            set_process_name("camera")
        except ExosError as error:
            say(error)
        say(get_process_name(), get_process_state().name)
        set_process_name("camera-2")
        set_process_name("camera-2")
        set_process_name("camera-3")
        say(get_process_name(), get_process_state("camera").name)
        try:
            get_process_state("camera-2")
        except ExosError as error:
            say(error)
        sys.stdin.readline()
        set_process_name("camera")
        say("taken over")
        """,
        name="second",
        stdin=True,
    )
    second.wait_for(f"process {first.pid}, which is READY, has that name on this machine; choose another one, or end")
    second.wait_for(f"^second-{second.pid} BOOTING$")
    second.wait_for("^camera-3 READY$")
    second.wait_for(r"no process of that name was ever here \(.*locks\); a process is known once")
    first.kill9()
    assert state(locks, "camera") is ProcessState.FAIL
    second.send("\n")
    second.wait_for("taken over")
    assert second.wait() == 0
    assert state(locks, "camera") is ProcessState.STOPPED


def test_those_who_look_keep_nobody_from_a_name(program: Program, locks: Path) -> None:
    holder = names.take(locks, "camera")
    assert isinstance(holder, Held)
    holder.write(Entry(pid=1, state=ProcessState.STOPPED, since=0.0))
    holder.close(remove=False)
    watcher = program("say('looks')\nwhile True: get_process_state('camera')")
    watcher.wait_for("looks")
    for _ in range(200):
        taken = names.take(locks, "camera")
        assert isinstance(taken, Held), taken
        taken.close(remove=False)


def test_a_child_is_not_that_process(program: Program, locks: Path) -> None:
    parent = program(
        """
        set_process_name("parent")
        ready()
        if (child := os.fork()) == 0:
            say("child", get_process_name() == f"script-{os.getpid()}", get_process_state().name)
            say("its parent", get_process_state("parent").name)
            set_process_name("child")
            say("then", get_process_name(), get_process_state("child").name)
            time.sleep(600)
        say("parent", get_process_name(), get_process_state("parent").name)
        time.sleep(600)
        """
    )
    parent.wait_for("^child True BOOTING$")
    parent.wait_for("^its parent READY$")
    parent.wait_for("^then child BOOTING$")
    parent.wait_for("^parent parent READY$")
    os.kill(parent.pid, signal.SIGKILL)
    eventually(lambda: state(locks, "parent") is ProcessState.FAIL, what="the end of the parent to be seen")
    assert state(locks, "child") is ProcessState.BOOTING


def test_a_child_that_ends_says_nothing_of_its_parent(program: Program, locks: Path) -> None:
    parent = program(
        """
        import multiprocessing
        set_process_name("parent"); ready()
        for method in "fork", "spawn":
            one = multiprocessing.get_context(method).Process(target=time.sleep, args=(0,))
            if __name__ == "__main__":
                one.start(); one.join()
        say("its children have ended", get_process_state("parent").name)
        time.sleep(600)
        """.replace(
            '        set_process_name("parent"); ready()',
            '        if __name__ == "__main__": set_process_name("parent"); ready()',
        )
    )
    parent.wait_for("have ended READY")
    assert state(locks, "parent") is ProcessState.READY


def test_names_that_nobody_chose_leave_nothing(program: Program, locks: Path) -> None:
    one = program("ready(); say(get_process_name()); sys.stdin.readline()", stdin=True)
    name = one.wait_for(r"^script-\d+$")[0]
    assert state(locks, name) is ProcessState.READY
    one.send("\n")
    assert one.wait() == 0
    assert not list(locks.glob("*.process"))
    killed = program("ready(); os.kill(os.getpid(), 9)")
    killed.wait()
    (left,) = locks.glob("*.process")
    chosen = program("set_process_name('chosen'); ready(); os.kill(os.getpid(), 9)")
    chosen.wait()
    for file in locks.glob("*.process"):
        os.utime(file, (time.time() - 90000,) * 2)
    assert program("ready()").wait() == 0
    assert not left.exists() and state(locks, "chosen") is ProcessState.FAIL


@pytest.mark.parametrize("content", [b"", b"{}", b"\xff\x00", b"[" * 5000, b'{"pid": 1, "state": "NO", "since": 0}'])
def test_a_file_that_says_nothing_is_a_process_that_has_just_begun_or_failed(locks: Path, content: bytes) -> None:
    held = names.take(locks, "odd")
    assert isinstance(held, Held)
    (file,) = locks.glob("*.process")
    file.write_bytes(content)
    assert state(locks, "odd") is ProcessState.BOOTING
    held.drop()
    assert state(locks, "odd") is ProcessState.FAIL


def test_a_link_in_the_folder_is_not_followed(locks: Path, tmp_path: Path, program: Program) -> None:
    locks.mkdir()
    precious = tmp_path / "precious"
    precious.write_text("data")
    (locks / "camera.process").symlink_to(precious)
    one = program("set_process_name('camera'); ready(); say(get_process_name(), get_process_state().name)")
    assert one.wait() == 0
    assert "camera READY" in one.output and "cannot be written to" in one.output
    assert precious.read_text() == "data"


def test_any_user_may_have_a_name_after_its_owner_has_gone(locks: Path, program: Program) -> None:
    program("set_process_name('camera')").wait()
    assert stat.S_IMODE(locks.stat().st_mode) == 0o1777
    assert stat.S_IMODE((locks / "camera.process").stat().st_mode) == 0o666


@pytest.mark.parametrize(
    ("name", "why"),
    [
        (7, "is a text, found 7"),
        (" ", "needs a name"),
        ("a\nb", "stands in one line"),
        ("\ud800", "stands in one line"),
        ("é" * 33, "at most 64 bytes"),
    ],
)
def test_a_name_that_cannot_be_one_is_refused(name: object, why: str) -> None:
    from guardian.health import set_process_name

    with pytest.raises(ExosError, match=why):
        set_process_name(name)  # type: ignore[arg-type]


def test_a_program_that_closes_what_it_has_not_opened_keeps_its_data(program: Program, locks: Path) -> None:
    one = program(
        """
        set_process_name("careless")
        os.closerange(3, 100)
        data = [open(f"{sys.argv[0]}.{number}", "w+") for number in range(5)]
        for file in data:
            file.write("x" * 1000); file.flush()
        loading()
        say([os.fstat(file.fileno()).st_size for file in data], [set(file.read()) or file.seek(0) for file in data])
        say([set(file.read()) for file in data])
        sys.stdin.readline()
        ready()
        sys.stdin.readline()
        say([os.fstat(file.fileno()).st_size for file in data])
        """,
        stdin=True,
    )
    one.wait_for(r"\[1000, 1000, 1000, 1000, 1000\]")
    one.wait_for(r"^\[\{'x'\}, \{'x'\}, \{'x'\}, \{'x'\}, \{'x'\}\]")
    assert state(locks, "careless") is ProcessState.LOADCFG
    one.send("\n")
    eventually(lambda: state(locks, "careless") is ProcessState.READY, what="READY to be seen")
    one.send("\n")
    assert one.wait() == 0
    assert state(locks, "careless") is ProcessState.STOPPED


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A real file system with room for next to nothing."""
    disk = tmp_path / "disk"
    disk.mkdir()
    done = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=16k", "tmpfs", disk], capture_output=True, text=True, check=False
    )
    if done.returncode:
        pytest.skip(f"no file system can be mounted here: {done.stderr.strip()}")
    yield disk
    subprocess.run(["umount", "-l", disk], check=True)


def fill(disk: Path) -> None:
    with (disk / "big").open("wb", buffering=0) as file:
        while True:
            try:
                file.write(b"x" * 1024)
            except OSError:
                return


def test_a_full_disk_breaks_no_program(small_disk: Path, program: Program) -> None:
    (small_disk / "locks").mkdir()
    fill(small_disk)
    one = program(
        "set_process_name('camera'); loading(); ready(); say(get_process_name(), get_process_state().name)",
        GUARD_LOCK_DIR=str(small_disk / "locks"),
    )
    assert one.wait() == 0
    assert "camera READY" in one.output
    assert one.output.count("cannot be written to") == 1 and "No space left" in one.output
    assert names.look(small_disk / "locks", "camera") is None, "a failure was left behind"


def test_a_disk_that_becomes_full_takes_the_next_state_all_the_same(small_disk: Path, program: Program) -> None:
    one = program(
        "set_process_name('camera'); say('there'); sys.stdin.readline(); ready(); say('ready'); sys.stdin.readline()",
        GUARD_LOCK_DIR=str(small_disk / "locks"),
        stdin=True,
    )
    one.wait_for("there")
    fill(small_disk)
    one.send("\n")
    one.wait_for("^ready")
    assert state(small_disk / "locks", "camera") is ProcessState.READY
    one.send("\n")
    assert one.wait() == 0
    assert state(small_disk / "locks", "camera") is ProcessState.STOPPED


@pytest.mark.parametrize("folder", ["/proc/nowhere", "/dev/null/locks"])
def test_a_folder_that_cannot_be_used_breaks_no_program(program: Program, folder: str) -> None:
    one = program(
        """
        set_process_name("camera"); loading(); ready()
        say(get_process_name(), get_process_state().name)
        try:
            say(get_process_state("other"))
        except ExosError as error:
            say("asked:", error)
        """,
        GUARD_LOCK_DIR=folder,
    )
    assert one.wait() == 0
    assert "camera READY" in one.output and "asked:" in one.output
    assert one.output.count("cannot be written to") == 1


def test_a_disk_that_hangs_is_waited_for_once(program: Program, tmp_path: Path) -> None:
    one = program(
        """
        from guardian.health import names
        def hang(*_):
            time.sleep(600)
        names.take = hang   # a server of files that does not answer cannot be had here
        began = time.monotonic()
        set_process_name("camera"); loading(); ready()
        say("took", round(time.monotonic() - began, 1))
        """
    )
    assert one.wait() == 0
    assert 1.9 <= float(one.wait_for(r"^took ([\d.]+)$")[1]) < 10
    assert one.output.count("no answer in 2 s") == 1


def test_neither_epics_nor_psutil_is_needed() -> None:
    code = (
        "import sys, guardian.health as h; h.set_process_name('x'); h.ready(); h.register('a', 5); h.keepalive();"
        "h.deregister(); h.get_sysname(); h.is_capability_supported('ligo'); h.MonitoredThread; h.install();"
        "print(sorted({m.partition('.')[0] for m in sys.modules} & {'epics', 'caproto', 'psutil', 'numpy', 'msgspec'}))"
    )
    environ = {**os.environ, "GUARD_LOCK_DIR": os.environ["GUARD_LOCK_DIR"]}
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=REPO, env=environ, capture_output=True, text=True, timeout=60, check=False
    )
    assert (done.stdout, done.returncode) == ("[]\n", 0), done.stderr
