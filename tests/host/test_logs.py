"""The host's end of the log path: lines within a budget from any bytes, and targets that fail without harm."""

from __future__ import annotations

import asyncio
import itertools
import os
import random
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from guardian.host.logline import LogLine
from guardian.host.logrules import LogBudget
from guardian.host.logs import LogReader, open_pipe
from guardian.host.logsink import LogSink
from guardian.worker.beat import BeatReader, create_page
from guardian.worker.logs import frames
from tests.support import REPO, eventually, eventually_async

WIDE = LogBudget(lines_per_s=1e9, burst_lines=1e9, turn_bytes=1 << 20, turn_reads=10_000)


class Log:
    """A sink into a file, and what stands in it."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.sink = LogSink(path, most_lines=1_000_000)

    def lines(self) -> list[str]:
        """What was written so far, without the time stamps."""
        text = self.path.read_text() if self.path.exists() else ""
        return [line.split(" ", 1)[1] for line in text.splitlines()]

    def done(self) -> list[str]:
        assert self.sink.close(10) == 0
        return self.lines()


@pytest.fixture
def log(tmp_path: Path) -> Iterator[Log]:
    log = Log(tmp_path / "log")
    yield log
    log.sink.close()


def frame(text: str, context: str = "UP.run") -> bytes:
    return b"".join(frames(text, stamp_us=1471940, level="INFO", context=context))


class TestLine:
    def test_form_of_the_field(self):
        line = LogLine(stamp_us=1471939997670880, node="ISC_LOCK", context="DOWN.main", text="ready")
        assert str(line) == "2016-08-23_08:13:17.670880Z ISC_LOCK [DOWN.main] ready"

    def test_a_line_of_the_node_has_no_bracket_and_other_levels_are_named(self):
        line = LogLine(stamp_us=5, node="N", level="ERROR", text="bad")
        assert str(line) == "1970-01-01_00:00:00.000005Z N ERROR: bad"

    def test_text_is_made_harmless(self, log: Log):
        log.sink.line("N", "two\nlines\n", context="A.run")
        log.sink.line("N", "\x1b[2J\0 tab\t \x9b \udc80 \N{SNOWMAN}")
        log.sink.line("N", "")
        assert log.done() == [
            "N [A.run] two", "N [A.run] lines", "N \\x1b[2J\\x00 tab\t \\x9b \\udc80 \N{SNOWMAN}", "N ",
        ]  # fmt: skip


class TestReader:
    """Any bytes, in any pieces."""

    async def read(self, pieces: list[bytes], log: Log, **options: object) -> list[str]:
        read_fd, write_fd = open_pipe()
        ended = asyncio.Event()
        LogReader(read_fd, "N", log.sink, on_eof=ended.set, **{"budget": WIDE, **options})
        for piece in pieces:
            os.write(write_fd, piece)
            await asyncio.sleep(0)  # the loop looks at the pipe between two pieces
            await asyncio.sleep(0)
        os.close(write_fd)
        await asyncio.wait_for(ended.wait(), 30)
        return log.done()

    @pytest.mark.parametrize(
        ("said", "shown"),
        [
            (b"one\ntwo\n", ["N one", "N two"]),
            (b"dos\r\n\n", ["N dos", "N "]),
            (b"no newline", ["N no newline"]),
            (b"bad \xff\xc3\n nul \0\n", ["N bad \\xff\\xc3", "N  nul \\x00"]),
            (b"C wrote " + frame("framed"), ["N C wrote ", "N [UP.run] framed"]),
            (frame("of the node", ""), ["N of the node"]),
            (frame("mark \x1e and \x1f"), ["N [UP.run] mark \\x1e and \\x1f"]),
            (b"\x1enot a frame\n", ["N \\x1enot a frame"]),
            (b"y" * 2500 + b"\n", ["N " + "y" * 2000 + " ... [cut]"]),
        ],
    )
    async def test_lines(self, said: bytes, shown: list[str], log: Log):
        assert await self.read([said], log) == shown

    async def test_cut_anywhere(self, log: Log):
        said = b"plain\n" + frame("first") + b"half" + frame("second \N{SNOWMAN}") + "\N{SNOWMAN}\n".encode() + b"end"
        whole = ["N plain", "N [UP.run] first", "N half", "N [UP.run] second \N{SNOWMAN}", "N \N{SNOWMAN}", "N end"]
        pieces = [said[i : i + 1] for i in range(len(said))]
        assert await self.read(pieces, log) == whole

    async def test_a_giant_line_is_cut_and_a_frame_behind_it_is_not_lost(self, log: Log):
        pieces = [b"g" * 10_000] * 10 + [b"g" + frame("behind")] + [b"h" * 30_000, b"h\n", b"after\n"]
        lines = await self.read(pieces, log)
        assert [line[:6] for line in lines] == ["N gggg", "N [UP.", "N hhhh", "N afte"]
        assert lines[0].endswith(" ... [cut]")
        assert lines[1] == "N [UP.run] behind"

    async def test_garbage_never_hurts(self, log: Log):
        chance = random.Random(5)
        garbage = [
            bytes(chance.choices(b"\x1e\x1f\n0aI\0\xff", weights=[9, 3, 0.02, 1, 1, 1, 1, 1], k=4000))
            for _ in range(50)
        ]
        lines = await self.read([*garbage, b"\n", frame("fine")], log)
        assert lines[-1] == "N [UP.run] fine"

    async def test_text_without_newline_is_shown_after_a_while(self, log: Log):
        read_fd, write_fd = open_pipe()
        reader = LogReader(read_fd, "N", log.sink, partial_after_s=0.05)
        os.write(write_fd, b"Password: ")
        await eventually_async(lambda: log.lines() == ["N Password: "])
        os.write(write_fd, b"and more\n")
        await eventually_async(lambda: log.lines() == ["N Password: ", "N and more"])
        reader.close()
        os.close(write_fd)

    async def test_close_takes_the_last_words_even_of_a_flood(self, log: Log):
        read_fd, write_fd = open_pipe()
        budget = LogBudget(lines_per_s=0, burst_lines=3)
        reader = LogReader(read_fd, "N", log.sink, budget=budget, lost=lambda: 1000)
        os.write(write_fd, b"".join(b"line %d\n" % n for n in range(3000)) + b"Segmentation fault\n")
        reader.close()
        reader.close()
        assert reader.closed
        os.close(write_fd)
        lines = log.done()
        assert lines[:3] == ["N line 0", "N line 1", "N line 2"]
        assert lines[-3:-1] == ["N line 2999", "N Segmentation fault"]
        assert lines[-1] == f"N WARNING: {3001 - (len(lines) - 1) + 1000} lines dropped (flood)"
        assert len(lines) < 500

    async def test_over_budget_lines_are_counted_once_a_second(self, log: Log):
        read_fd, write_fd = open_pipe()
        budget = LogBudget(lines_per_s=0, burst_lines=10)
        reader = LogReader(read_fd, "N", log.sink, budget=budget)
        os.write(write_fd, b"line\n" * 500)
        await eventually_async(lambda: len(log.lines()) == 11)
        assert log.lines()[10] == "N WARNING: 490 lines dropped (flood)"
        reader.close()
        os.close(write_fd)


# -- floods of real workers ------------------------------------------------------------------------------------------

INSTALL = """
import os, sys
from guardian.worker.beat import BeatWriter
from guardian.worker.logs import install
writer = install(int(sys.argv[1]), BeatWriter(int(sys.argv[2])))
writer.context = "UP.run"
"""
FLOODS = {
    "print": "while True: print('flood', 1)",
    "giant": "while True: print('x' * 100000)",
    "yes": "while True: os.system('yes 2>/dev/null')",
    "raw": "b = b'y\\n' * 2048\nwhile True:\n  try: os.write(1, b)\n  except BlockingIOError: pass",
    "binary": "b = b'\\x1e\\0' * 2048\nwhile True:\n  try: os.write(1, b)\n  except BlockingIOError: pass",
    "small": "import time\nwhile True: time.sleep(0.0005); print('x')",
}


def flooding_worker(script: str, write_fd: int, page: int) -> subprocess.Popen[bytes]:
    """A worker in a session of its own, with the two descriptors, which are closed here."""
    child = subprocess.Popen(
        [sys.executable, "-c", script, str(write_fd), str(page)],
        pass_fds=(write_fd, page),
        cwd=REPO,
        stdin=subprocess.DEVNULL,
        start_new_session=True,
    )
    os.close(write_fd)
    os.close(page)
    return child


@pytest.mark.proc
@pytest.mark.parametrize("kind", FLOODS)
async def test_a_flood_costs_the_host_next_to_nothing(kind: str, log: Log):
    read_fd, write_fd = open_pipe()
    page = create_page()
    beat = BeatReader(page)
    reader = LogReader(read_fd, "N", log.sink, lost=lambda: beat.read().dropped)
    child = flooding_worker(INSTALL + FLOODS[kind], write_fd, page)
    try:
        await eventually_async(lambda: len(log.lines()) >= (5 if kind == "binary" else 1001), what="the burst")
        worst_s, cpu, start = 0.0, time.process_time(), time.perf_counter()
        while time.perf_counter() - start < 1.0:
            before = time.perf_counter()
            await asyncio.sleep(0.05)
            worst_s = max(worst_s, time.perf_counter() - before - 0.05)
        share = (time.process_time() - cpu) / (time.perf_counter() - start)
    finally:
        os.killpg(child.pid, 9)
        child.wait(30)
        reader.close()
    lines = log.done()
    print(f"{kind}: {share:.1%} of a core, loop late by {worst_s * 1e3:.1f} ms, worker lost {beat.read().dropped}")
    beat.close()
    told = [int(line.split()[2]) for line in lines if line.endswith("lines dropped (flood)")]
    assert kind == "binary" or sum(told) > 500
    assert len(lines) < 8000  # the burst and 200 a second, however slow this machine
    assert share < 0.15  # 1 to 2 % on an idle machine


# -- targets that fail -----------------------------------------------------------------------------------------------


def quick(act: Callable[[], object]) -> None:
    start = time.thread_time()
    act()
    assert time.thread_time() - start < 0.5


class TestSink:
    def test_a_file_in_a_new_directory_is_appended_to(self, tmp_path: Path):
        for n in range(2):
            sink = LogSink(tmp_path / "new" / "log")
            sink.line("N", f"line {n}")
            assert sink.trouble() is None
            assert sink.close() == 0
        text = (tmp_path / "new" / "log").read_text()
        assert [line.split()[1:] for line in text.splitlines()] == [["N", "line", "0"], ["N", "line", "1"]]

    def test_a_full_disk_is_told_and_nothing_that_waits_is_lost(self, tmp_path: Path):
        path = tmp_path / "log"
        path.symlink_to("/dev/full")
        sink = LogSink(path, most_lines=100, retry_s=0.05)
        quick(lambda: [sink.line("N", f"line {n}") for n in range(100)])
        trouble = eventually(sink.trouble, what="trouble")
        assert "No space left on device" in trouble
        assert str(path) in trouble
        quick(lambda: [sink.line("N", "too many") for _ in range(1000)])
        path.unlink()  # space is made
        text = eventually(lambda: path.exists() and "1000 lines" not in path.read_text() and path.read_text())
        eventually(lambda: sink.trouble() is None, what="no trouble")
        assert sink.close() == 0
        lines = [line.split(" ", 1)[1] for line in path.read_text().splitlines()]
        kept = [line for line in lines if line.startswith("N line")]
        assert kept == [f"N line {n}" for n in range(100)]
        more = lines.count("N too many")
        told = f"HOST WARNING: {1000 - more} lines dropped (N {1000 - more}): the log could not be written"
        assert f"{told} as fast as they came" in lines
        assert any("the log can be written again, after" in line for line in lines)
        assert len(lines) == 100 + more + 2
        assert text

    def test_a_full_disk_that_stays_full(self):
        full = os.open("/dev/full", os.O_WRONLY)
        sink = LogSink(full)
        for n in range(10):
            sink.line("N", f"line {n}")
        assert sink.close(0.2) == 10
        os.close(full)

    def test_a_closed_pipe(self):
        read_fd, write_fd = os.pipe()
        os.close(read_fd)
        sink = LogSink(write_fd, retry_s=0.05)
        sink.line("N", "to nobody")
        assert "Broken pipe" in eventually(sink.trouble, what="trouble")
        quick(lambda: [sink.line("N", "x") for _ in range(20_000)])
        assert "10000 lines wait, 10000 dropped" in sink.trouble()
        assert sink.close(0.2) == 20_001
        os.close(write_fd)

    @pytest.mark.parametrize("blocking", [True, False])
    def test_a_target_that_does_not_take_lines_for_a_while(self, blocking: bool):
        read_fd, write_fd = os.pipe()
        os.set_blocking(write_fd, blocking)
        sink = LogSink(write_fd, most_lines=500)
        sent = itertools.count()

        def trouble() -> str | None:
            """One line more: the first batch may tell of all that was dropped before it, and leave no trouble."""
            sink.line("N", f"line {next(sent):05d} " + "x" * 100)
            return sink.trouble()

        quick(lambda: [trouble() for _ in range(5000)])
        assert "too slow" in eventually(trouble, what="trouble")
        total = next(sent)
        os.set_blocking(read_fd, False)
        got = bytearray()

        def complete() -> bool:
            got.extend(os.read(read_fd, 1 << 20))
            lines = got.decode().splitlines()
            dropped = sum(int(line.split()[3]) for line in lines if "lines dropped" in line)
            numbers = [int(line.split()[3]) for line in lines if " N line " in line]
            assert numbers == sorted(numbers)
            return 0 < len(numbers) == total - dropped < total

        eventually(complete, what="the lines that fitted, and how many are missing")
        eventually(lambda: sink.trouble() is None, what="no trouble")
        assert sink.close() == 0
        os.close(write_fd)
        os.close(read_fd)

    def test_close_does_not_wait_longer_than_told(self):
        read_fd, write_fd = os.pipe()
        sink = LogSink(write_fd)
        for _ in range(3000):
            sink.line("N", "x" * 100)
        start = time.monotonic()
        left = sink.close(0.2)
        assert 0.2 <= time.monotonic() - start < 10
        assert 0 < left < 3000
        assert not sink._thread.is_alive()
        sink.line("N", "after close")  # harmless
        os.close(write_fd)
        os.close(read_fd)

    def test_cost_for_the_one_who_logs(self, log: Log):
        rounds = 5000
        start = time.thread_time()
        for n in range(rounds):
            log.sink.line("N", "a line of usual length, about this long", context="LOCKED.run", stamp_us=n)
        cost_us = (time.thread_time() - start) / rounds * 1e6
        print(f"a line costs {cost_us:.1f} us")
        assert len(log.done()) == rounds
        assert cost_us < 100
