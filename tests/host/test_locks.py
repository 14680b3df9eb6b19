"""Locks between processes of one machine: one holder, whoever it is and however it ends."""

from __future__ import annotations

import contextlib
import fcntl
import os
import signal
import stat
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from guardian.host import locks
from guardian.host.locks import Locks
from tests.support import REPO, Child, eventually

NAME = "X1:GRD-SUS_STATE"
HOLDS = """
import sys, time, pathlib
from guardian.host.locks import Locks
locks = Locks(pathlib.Path(sys.argv[1]))
print("taken" if locks.take(sys.argv[2], "the child") is None else "no", flush=True)
time.sleep(600)
"""


@pytest.fixture
def make(tmp_path: Path) -> Iterator[Callable[[], Locks]]:
    """Lock keepers, each as of another host, with one folder."""
    made: list[Locks] = []

    def new() -> Locks:
        made.append(Locks(tmp_path / "locks"))
        return made[-1]

    yield new
    for one in made:
        one.close()


def test_one_has_it_and_the_other_hears_who(make: Callable[[], Locks]) -> None:
    first, second = make(), make()
    assert first.take(NAME, "the first") is None
    assert second.take(NAME, "the second") == "the first"
    assert second.take("X1:GRD-IMC_STATE", "the second") is None
    first.give(NAME)
    assert second.take(NAME, "the second, which has a longer name") is None
    assert first.take(NAME, "the first") == "the second, which has a longer name"


def test_all_are_given_back_at_the_end(make: Callable[[], Locks]) -> None:
    first, second = make(), make()
    names = [f"N{i}" for i in range(5)]
    assert [first.take(name, "") for name in names] == [None] * 5
    first.close()
    first.close()
    assert list(first.directory.iterdir()) == []
    assert [second.take(name, "") for name in names] == [None] * 5


def test_a_name_may_be_any_text(make: Callable[[], Locks]) -> None:
    first, second = make(), make()
    for name in ("LAB/SUS:STATE", "..", "A B", "X1:GRD-SUS_STATE", "\N{SNOWMAN}"):
        assert first.take(name, name) is None
        assert second.take(name, "") == name
        assert first.path(name).parent == first.directory and first.path(name).is_file()


@pytest.mark.proc
@pytest.mark.parametrize("sig", [signal.SIGKILL, signal.SIGTERM])
def test_the_kernel_gives_it_back(make: Callable[[], Locks], child: Callable[..., Child], sig: int) -> None:
    ours = make()
    holder = child([sys.executable, "-c", HOLDS, ours.directory, NAME], cwd=REPO)
    holder.wait_for("^taken$", 60)
    assert ours.take(NAME, "us") == "the child"
    os.kill(holder.pid, sig)
    holder.wait(30)
    assert ours.take(NAME, "us") is None


def test_users_share_the_folder(make: Callable[[], Locks]) -> None:
    old = os.umask(0o077)
    try:
        assert make().take(NAME, "") is None
    finally:
        os.umask(old)
    ours = make()
    assert stat.S_IMODE(ours.directory.stat().st_mode) == 0o1777
    assert stat.S_IMODE(ours.path(NAME).stat().st_mode) == 0o666


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can be somebody else")
@pytest.mark.parametrize("mode", [0o666, 0o444])
def test_the_file_of_another_user_is_as_good(tmp_path: Path, make: Callable[[], Locks], mode: int) -> None:
    """Also one that may only be read: then it goes on saying who had it before."""
    for folder in (tmp_path, *tmp_path.parents):
        if (mode_now := folder.stat().st_mode) & 0o055 != 0o055:
            folder.chmod(mode_now | 0o055)
    roots, theirs = make(), make()
    assert roots.take(NAME, "root") is None
    roots.path(NAME).chmod(mode)
    os.seteuid(65534)
    try:
        assert theirs.take(NAME, "nobody") == "root"
        roots.give(NAME)
        assert theirs.take(NAME, "nobody") is None
    finally:
        os.seteuid(0)
    assert roots.take(NAME, "root") == ("nobody" if mode == 0o666 else "root")


@pytest.mark.parametrize("what", ["link", "pipe", "folder"])
def test_what_is_no_lock_file_is_not_touched(make: Callable[[], Locks], tmp_path: Path, what: str) -> None:
    (tmp_path / "precious").write_text("keep me")
    ours = make()
    ours.directory.mkdir()
    path = ours.path(NAME)
    if what == "link":
        path.symlink_to(tmp_path / "precious")
    elif what == "pipe":
        os.mkfifo(path)
    else:
        path.mkdir()
    with pytest.raises(OSError, match=r"."):
        ours.take(NAME, "x")
    assert (tmp_path / "precious").read_text() == "keep me"
    assert ours.take("X1:GRD-IMC_STATE", "x") is None


def test_a_file_that_is_removed_while_it_is_opened_keeps_nobody_out(
    make: Callable[[], Locks], monkeypatch: pytest.MonkeyPatch
) -> None:
    ours, other = make(), make()
    real = fcntl.flock
    removed: list[Path] = []

    def flock(fd: int, how: int) -> Any:
        if how & fcntl.LOCK_EX and not removed:
            removed.append(ours.path(NAME))
            removed[0].unlink()
        return real(fd, how)

    monkeypatch.setattr(fcntl, "flock", flock)
    assert ours.take(NAME, "us") is None
    assert removed and other.take(NAME, "the other") == "us"


def test_cleaners_that_respect_locks_leave_the_folder_alone(make: Callable[[], Locks]) -> None:
    """systemd-tmpfiles passes over a folder that it cannot lock for itself."""
    ours, other = make(), make()
    for one in (ours, other):
        one.take(NAME, "")
    fd = os.open(ours.directory, os.O_RDONLY)
    try:
        with pytest.raises(BlockingIOError):
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    finally:
        os.close(fd)


def test_what_the_locks_say_is_read_without_locking_anything(make: Callable[[], Locks]) -> None:
    ours = make()
    assert locks.written(ours.directory) == {}
    ours.take("X1:GRD/A", "us")
    ours.directory.joinpath("left.lock").write_text("a dead one")
    os.mkfifo(ours.directory / "pipe.lock")
    assert locks.written(ours.directory) == {"X1:GRD/A": "us", "left": "a dead one"}
    assert make().take("left", "") is None
    assert locks.written(ours.directory / "nowhere") == {}


def test_the_folder_is_the_same_for_all_users(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("GUARD_LOCK_DIR")
    usual = locks.folder()
    assert usual in (Path("/run/lock/guardian"), Path("/tmp/guardian-locks"))
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    assert locks.folder() == usual
    monkeypatch.setenv("GUARD_LOCK_DIR", str(tmp_path / "mine"))
    assert locks.folder() == tmp_path / "mine"


def test_locks_do_not_pass_to_children(make: Callable[[], Locks], child: Callable[..., Child]) -> None:
    """Else the lock of a host that was killed would live on in whatever it had started."""
    ours = make()
    ours.take(NAME, "us")
    asleep = child(["sleep", "600"])
    eventually(lambda: Path(f"/proc/{asleep.pid}/comm").read_text() == "sleep\n", 30, "the child")
    opened = []
    for one in Path(f"/proc/{asleep.pid}/fd").iterdir():
        with contextlib.suppress(FileNotFoundError):  # it is closing what it has just read
            opened.append(os.readlink(one))
    assert opened and not [name for name in opened if str(ours.directory) in name]
