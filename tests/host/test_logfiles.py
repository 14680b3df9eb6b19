"""The log files of nodes: bounded each and together, and whatever a disk does, only its own lines are lost."""

from __future__ import annotations

import contextlib
import os
import select
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from guardian.enums import LogLevel
from guardian.host.linequeue import LineQueue
from guardian.host.logfiles import LogFiles
from guardian.host.logfolder import make_room, most_bytes, node_files
from guardian.host.logline import LogLine, lines_of
from guardian.host.logrules import BOUNDS
from guardian.host.logsink import LogSink
from guardian.host.rotation import Bounds, aside
from tests.support import eventually
from tests.support.child import REPO

Make = Callable[..., LogFiles]


@pytest.fixture
def make(tmp_path: Path) -> Iterator[Make]:
    made: list[LogFiles] = []

    def new(folder: Path = tmp_path / "logs", bounds: Bounds = BOUNDS, **options: object) -> LogFiles:
        made.append(LogFiles(folder, bounds, **options))  # type: ignore[arg-type]
        return made[-1]

    yield new
    for files in made:
        files.close(0.5)


def say(files: LogFiles, node: str, *texts: str, **options: object) -> None:
    for text in texts:
        for line in lines_of(node, text, **options):  # type: ignore[arg-type]
            files.put(line)


def said(folder: Path, node: str) -> list[str]:
    """All that is in the files of a node, without times."""
    files = node_files(folder).get(node, [])
    text = "".join(file.path.read_text() for file in files)
    assert text.endswith("\n") or not text
    return [line.split(" ", 2)[2] for line in text.splitlines()]


def used(folder: Path) -> int:
    return sum(one.stat().st_size for one in folder.iterdir())


class TestQueue:
    def test_one_that_floods_leaves_room_for_the_others(self):
        queue = LineQueue(100)
        for node in ("QUIET", "LOUD"):
            queue.put(LogLine(stamp_us=0, node=node, text="hello"))
        assert sum(bool(queue.put(LogLine(stamp_us=0, node="LOUD", text="x"))) for _ in range(1000)) < 60
        assert all(queue.put(LogLine(stamp_us=0, node="QUIET", text="x")) for _ in range(20))
        assert set(queue.take_dropped()) == {"LOUD"}
        assert queue.dropped == 0

    def test_one_alone_has_all_of_it(self):
        queue = LineQueue(100)
        assert [queue.put(LogLine(stamp_us=n, node="N", text="")) for n in range(101)] == [*range(1, 101), 0]
        assert [queue.take().stamp_us for _ in range(100)] == list(range(100))
        with pytest.raises(IndexError):
            queue.take()


class TestFiles:
    def test_each_node_has_a_file_and_a_host_that_comes_back_appends(self, make: Make, tmp_path: Path):
        for n in range(2):
            files = make()
            say(files, "SUS_MC1", f"line {n}", level="WARNING", context="LOCKED.run")
            say(files, "HOST", f"host {n}")
            assert files.close() == 0
        assert said(tmp_path / "logs", "SUS_MC1") == [f"[LOCKED.run] WARNING: line {n}" for n in range(2)]
        assert said(tmp_path / "logs", "HOST") == ["host 0", "host 1"]

    def test_a_large_file_is_put_aside_and_all_together_stay_within_bounds(self, make: Make, tmp_path: Path):
        files = make(bounds=Bounds(file_bytes=10_000, total_bytes=100_000))
        say(files, "QUIET", "the only line")
        for n in range(5000):
            say(files, "LOUD", f"line {n:04}")
            if n % 500 == 0:
                time.sleep(0.05)
        assert files.close(20) == 0
        assert used(tmp_path / "logs") <= 100_000
        assert said(tmp_path / "logs", "QUIET") == ["the only line"], "who floods loses his own past"
        kept = said(tmp_path / "logs", "LOUD")
        assert kept == [f"line {n:04}" for n in range(5000 - len(kept), 5000)]
        assert len(kept) > 1500
        assert all(one.size <= 10_000 for one in node_files(tmp_path / "logs")["LOUD"])

    def test_three_hundred_nodes_share_a_few_descriptors_and_the_disk(self, make: Make, tmp_path: Path):
        before = len(os.listdir("/proc/self/fd"))
        files = make(bounds=Bounds(file_bytes=100_000, total_bytes=600_000), most_open=16)
        for n in range(40):
            for node in range(300):
                say(files, f"N{node}", f"line {n} {'x' * 60}")
            eventually(lambda: not len(files._queue), what="the queue to be empty")
            assert len(os.listdir("/proc/self/fd")) <= before + 16 + 4
        assert files.close(20) == 0
        assert used(tmp_path / "logs") <= 600_000
        assert all(f"line 39 {'x' * 60}" in said(tmp_path / "logs", f"N{node}") for node in range(300))
        assert most_bytes(100_000, 600_000, 300) == 1000

    def test_a_disk_that_is_full_costs_lines_that_are_counted(self, make: Make, tmp_path: Path):
        folder = tmp_path / "disk"
        folder.mkdir()
        done = subprocess.run(
            ["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", folder], capture_output=True, text=True, check=False
        )
        if done.returncode:
            pytest.skip(f"no file system can be mounted here: {done.stderr.strip()}")
        try:
            files = make(folder / "logs", most_bytes=2000)
            say(files, "A", "before")
            eventually(lambda: said(folder / "logs", "A") == ["before"])
            with contextlib.suppress(OSError), (folder / "filler").open("wb", buffering=0) as filler:
                while True:
                    filler.write(bytes(4096))
            for n in range(1000):
                say(files, "A", f"line {n:03} {'x' * 60}")
            say(files, "B", "what B says")
            trouble = eventually(files.ailment, what="an ailment")
            assert "No space left on device (ENOSPC)" in trouble.text and str(folder) in trouble.text
            (folder / "filler").unlink()
            eventually(lambda: files.ailment() is None, what="no ailment")
            say(files, "A", "after")
            assert files.close() == 0
            lines = said(folder / "logs", "A")
            assert said(folder / "logs", "B") == ["what B says"]
            told = [line for line in lines if "lines dropped" in line]  # the last page of a file may take a few
            assert lines[0] == "before" and lines[-1] == "after"
            kept = [line for line in lines if line.startswith("line ")]
            assert sum(int(line.split()[1]) for line in told) == 1000 - len(kept) > 0
            assert all("lines dropped: this file could not be written" in line for line in told)
            assert kept == sorted(set(kept)) and kept[0] == f"line 000 {'x' * 60}"
        finally:
            subprocess.run(["umount", "-l", folder], check=True)

    def test_a_folder_in_which_nothing_can_be_made_is_an_ailment_until_it_can(self, make: Make, tmp_path: Path):
        (tmp_path / "logs").write_text("in the way")
        files = make()
        say(files, "A", "one", "two")
        assert "log files in" in eventually(files.ailment, what="an ailment").text
        (tmp_path / "logs").unlink()
        eventually(lambda: files.ailment() is None, what="no ailment")
        assert said(tmp_path / "logs", "A") == ["one", "two"]

    def test_what_is_no_file_holds_up_its_node_alone(self, make: Make, tmp_path: Path):
        (tmp_path / "logs").mkdir()
        os.mkfifo(tmp_path / "logs" / "FIFO.log")
        (tmp_path / "logs" / "FOLDER.log").mkdir()
        files = make()
        say(files, "FIFO", "a")
        say(files, "FOLDER", "b")
        say(files, "GOOD", "c")
        eventually(lambda: (tmp_path / "logs" / "GOOD.log").exists() and said(tmp_path / "logs", "GOOD") == ["c"])
        assert eventually(files.ailment, what="an ailment")
        assert files.close(0.5) == 2

    def test_a_disk_that_hangs_holds_up_nobody_and_nothing_else(
        self, make: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ):
        hangs, free = threading.Event(), threading.Event()
        real = os.open

        def slow(path: object, *rest: object, **more: object) -> int:
            if str(path).endswith("A.log"):
                hangs.set()
                free.wait(30)
            return real(path, *rest, **more)  # type: ignore[arg-type]

        monkeypatch.setattr("guardian.host.logfile.os.open", slow)
        files = make(most_lines=1000)
        sink = LogSink(tmp_path / "stream", files=files)
        sink.line("A", "first")
        assert hangs.wait(20)
        began = time.thread_time()
        for n in range(5000):
            sink.line("A", f"line {n}")
            if n % 1000 == 0:
                eventually(lambda: not len(sink._queue), what="the stream to be written")
        assert time.thread_time() - began < 1
        eventually(lambda: (tmp_path / "stream").read_text().count("\n") == 5001, what="the stream to be whole")
        free.set()
        assert sink.close(20) == 0
        lines = said(tmp_path / "logs", "A")
        dropped = sum(int(line.split()[1]) for line in lines if "lines dropped" in line)
        assert 0 < dropped == 5001 - len([line for line in lines if "dropped" not in line])

    @pytest.mark.parametrize("how", ["removed", "moved", "folder"])
    def test_a_file_that_is_taken_away_is_made_anew(self, make: Make, tmp_path: Path, how: str):
        files = make()
        path = tmp_path / "logs" / "A.log"
        say(files, "A", "one")
        eventually(path.exists)
        if how == "removed":
            path.unlink()
        elif how == "moved":
            path.rename(tmp_path / "elsewhere")
        else:
            (tmp_path / "logs").rename(tmp_path / "old")
        time.sleep(1.1)
        say(files, "A", "two")
        eventually(lambda: path.exists() and said(tmp_path / "logs", "A") == ["two"], what="the second line")

    def test_a_line_that_a_kill_has_cut_does_not_run_into_the_next(self, make: Make, tmp_path: Path):
        (tmp_path / "logs").mkdir()
        (tmp_path / "logs" / "A.log").write_text("2016-08-23_08:13:17.670880Z A cut in the mid")
        say(make(), "A", "next")
        path = tmp_path / "logs" / "A.log"
        eventually(lambda: path.read_text().endswith("A next\n"))
        assert said(tmp_path / "logs", "A") == ["cut in the mid", "next"]

    def test_a_clock_that_is_set_back_begins_a_new_file(self, make: Make, tmp_path: Path):
        now = [time.time() + 3600]
        files = make(clock=lambda: now[0])
        say(files, "A", "ahead", stamp_us=int(now[0] * 1e6))
        eventually(lambda: (tmp_path / "logs" / "A.log").exists() and said(tmp_path / "logs", "A") == ["ahead"])
        now[0] -= 3600
        say(files, "A", "right", stamp_us=int(now[0] * 1e6))
        assert files.close() == 0
        old, new = node_files(tmp_path / "logs")["A"]
        assert (old.growing, new.growing) == (False, True)
        assert said(tmp_path / "logs", "A") == ["ahead", "right"]

    def test_two_hosts_do_not_write_in_one_folder(self, make: Make, tmp_path: Path):
        first, second = make(), make()
        say(first, "A", "mine")
        eventually((tmp_path / "logs" / "A.log").exists)
        say(second, "A", "not mine")
        assert "another host writes its log in" in eventually(second.ailment, what="an ailment").text
        assert first.close() == 0
        eventually(lambda: second.ailment() is None, what="the second to have its turn")
        assert said(tmp_path / "logs", "A") == ["mine", "not mine"]

    def test_a_folder_elsewhere_is_found_from_the_state_directory(self, make: Make, tmp_path: Path):
        link = tmp_path / "state" / "logs"
        link.parent.mkdir()
        for name in ("one", "two"):
            files = make(tmp_path / name, link=link)
            say(files, "A", name)
            assert files.close() == 0
            assert said(link, "A") == [name]

    def test_what_takes_most_is_removed_first(self, tmp_path: Path):
        for name, size in (("A.log.20260101T000000Z", 3000), ("A.log.20260102T000000Z", 3000), ("A.log", 10),
                           ("B.log.20250101T000000Z", 2000), ("B.log", 10), ("notes.txt", 9000)):  # fmt: skip
            (tmp_path / name).write_bytes(bytes(size))
        removed = make_room(tmp_path, file_bytes=100, total_bytes=5500)
        assert [path.name for path in removed] == ["A.log.20260101T000000Z"]
        assert (tmp_path / "notes.txt").exists()


def test_a_kill_in_the_midst_of_putting_files_aside_loses_no_line(tmp_path: Path):
    code = """
import sys
from pathlib import Path
from guardian.host.logfiles import LogFiles
from guardian.host.logline import LogLine
from guardian.host.rotation import Bounds
import time
files = LogFiles(Path(sys.argv[1]), Bounds(file_bytes=2000, total_bytes=10_000_000))
for n in range(1_000_000):
    files.put(LogLine(stamp_us=time.time_ns() // 1000, node="A", text=f"line {n:06}"))
    if n % 20 == 0:
        while len(files._queue):
            time.sleep(0.001)
        print(n, flush=True)
"""
    total = 0
    for round_ in range(4):
        folder = tmp_path / str(round_)
        with subprocess.Popen([sys.executable, "-c", code, folder], stdout=subprocess.PIPE, cwd=REPO) as child:
            assert child.stdout is not None
            told = 0
            for line in child.stdout:
                told = int(line)
                if told >= 400 + 37 * round_:
                    child.kill()
                    break
            child.stdout.read()
        lines = [line for line in said(folder, "A") if line.startswith("line ")]
        assert lines == [f"line {n:06}" for n in range(len(lines))]
        assert len(lines) >= told - 20
        total += len(node_files(folder)["A"])
    assert total > 20


class TestSink:
    def test_a_stream_in_a_file_is_bounded_too(self, tmp_path: Path):
        path = tmp_path / "log"
        sink = LogSink(path, bounds=Bounds(file_bytes=10_000, total_bytes=50_000), most_lines=100_000)
        for n in range(5000):
            sink.line("A", f"line {n:04}")
        assert sink.close(20) == 0
        assert used(tmp_path) <= 50_000
        lines = [line for file in [*aside(path), path] for line in file.read_text().splitlines()]
        assert [line.split()[-1] for line in lines] == [f"{n:04}" for n in range(5000 - len(lines), 5000)]

    def test_a_fifo_is_no_file_to_be_put_aside(self, tmp_path: Path):
        os.mkfifo(tmp_path / "log")
        reader = os.open(tmp_path / "log", os.O_RDONLY | os.O_NONBLOCK)
        sink = LogSink(tmp_path / "log", bounds=Bounds(file_bytes=100, total_bytes=1000))
        for n in range(20):
            sink.line("A", f"line {n}")
        assert sink.close() == 0
        assert os.read(reader, 100_000).count(b"\n") == 20
        os.close(reader)
        assert [path.name for path in tmp_path.iterdir()] == ["log"]

    @pytest.mark.parametrize("away", [Path.unlink, lambda path: path.rename(path.with_suffix(".old"))])
    def test_a_file_that_somebody_removes_or_moves_away_is_made_anew(
        self, tmp_path: Path, away: Callable[[Path], object]
    ):
        path = tmp_path / "log"
        sink = LogSink(path, bounds=Bounds(file_bytes=10_000, total_bytes=50_000))
        sink.line("A", "before")
        eventually(lambda: path.exists() and path.read_text(), 30, "the line is written")
        away(path)

        def anew() -> bool:
            sink.line("A", "after")
            return path.exists()

        eventually(anew, 30, "there is a file of that name again")
        assert sink.close() == 0 and "after" in path.read_text() and "before" not in path.read_text()

    def test_a_file_that_cannot_be_put_aside_grows_on_and_that_is_told(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ):
        def refused(path: Path, now: float) -> Path:
            raise PermissionError(13, "Permission denied", str(path))

        monkeypatch.setattr("guardian.host.logsink.put_aside", refused)
        sink = LogSink(tmp_path / "log", bounds=Bounds(file_bytes=1000, total_bytes=5000))
        for n in range(200):
            sink.line("A", f"line {n}")
        ailment = eventually(sink.ailment, 30, "it is told")
        assert "cannot be put aside (Permission denied), and grows beyond its bound" in ailment.text
        assert sink.close() == 0
        assert (tmp_path / "log").read_text().count("line") == 200

    def test_what_is_below_the_level_of_a_node_is_not_written(self, tmp_path: Path):
        sink = LogSink(tmp_path / "log", level=LogLevel.WARNING)
        sink.set_level("B", LogLevel.DEBUG)
        for node in ("A", "B"):
            for level in LogLevel:
                sink.line(node, "text", level=level.name)
        assert sink.close() == 0
        shown = [line.split(" ", 1)[1] for line in (tmp_path / "log").read_text().splitlines()]
        assert shown == [
            "A WARNING: text", "A ERROR: text", "A CRITICAL: text",
            "B DEBUG: text", "B text", "B WARNING: text", "B ERROR: text", "B CRITICAL: text",
        ]  # fmt: skip

    def test_one_that_floods_does_not_push_out_the_lines_of_others_when_nobody_reads(self):
        reader, writer = os.pipe()
        sink = LogSink(writer, most_lines=1000)
        sink.line("QUIET", "hello")
        for n in range(20_000):
            sink.line("LOUD", "x" * 200)
            if n % 100 == 0:
                sink.line("QUIET", f"line {n}")
        os.set_blocking(reader, False)
        text = bytearray()

        def whole() -> bool:
            try:
                text.extend(os.read(reader, 1 << 20))
            except BlockingIOError:
                return not len(sink._queue) and sink.trouble() is None
            return False

        eventually(whole, what="all lines")
        assert sink.close() == 0
        text.extend(os.read(reader, 1 << 20) if _readable(reader) else b"")
        assert text.count(b" QUIET line ") == 200
        assert b"lines dropped (LOUD " in text
        os.close(reader)
        os.close(writer)

    @pytest.mark.parametrize("is_it", [True, False])
    def test_lines_for_the_journal_of_systemd_begin_with_their_priority(
        self, monkeypatch: pytest.MonkeyPatch, is_it: bool
    ):
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
        status = os.fstat(theirs.fileno())
        monkeypatch.setenv("JOURNAL_STREAM", f"{status.st_dev}:{status.st_ino + (not is_it)}")
        sink = LogSink(theirs.fileno())
        for level in LogLevel:
            sink.line("A", "text", level=level.name)
        assert sink.close() == 0
        theirs.close()
        with ours, ours.makefile() as file:
            lines = file.read().splitlines()
        assert [line.startswith("<") for line in lines] == [is_it] * 4
        if is_it:
            assert [line[:4] for line in lines] == ["<6>2", "<4>2", "<3>2", "<2>2"]


def _readable(fd: int) -> bool:
    return bool(select.select([fd], [], [], 0)[0])
