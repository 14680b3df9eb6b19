"""The worker's end of the log path: all that user code says goes in, and nothing of it blocks or raises."""

from __future__ import annotations

import os
import re
import select
import subprocess
import sys
import time
from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from guardian.worker.beat import Beat, BeatReader, create_page
from guardian.worker.logs import LEVELS, MAX_CHARS, Frame, frames, message, parse_frame
from tests.support import REPO


class Silent:
    def __str__(self) -> str:
        raise ValueError("no")

    __repr__ = __str__


class TestMessage:
    @pytest.mark.parametrize(
        ("text", "args", "shown"),
        [
            ("plain", (), "plain"),
            ("50%", (), "50%"),
            (3.5, (), "3.5"),
            (None, (), "None"),
            ("x %s", (3,), "x 3"),
            ("%d of %d", (1, 2), "1 of 2"),
            ("%(a)s", ({"a": 1},), "1"),
            ("x", (3,), "x 3"),
            ("x %d", ("three",), "x %d three"),
            ("%s %s", (1,), "%s %s 1"),
            ("100% of %s", (1,), "100% of %s 1"),
            (Silent(), (), "<Silent that cannot be shown: ValueError>"),
            ("x %s", (Silent(),), "x %s <Silent that cannot be shown: ValueError>"),
        ],
    )
    def test_form(self, text: object, args: tuple[object, ...], shown: str):
        assert message(text, args) == shown

    def test_an_interrupt_is_not_swallowed(self):
        class Slow:
            def __str__(self) -> str:
                raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            message("%s", (Slow(),))


class TestFrames:
    @given(
        text=st.text(st.characters(codec=None), max_size=60),
        repeat=st.sampled_from([1, 40, 200]),
        level=st.sampled_from(LEVELS),
    )
    def test_any_text_comes_out_again_and_fits_the_pipe(self, text: str, repeat: int, level: str):
        text *= repeat
        made = list(frames(text, stamp_us=1234, level=level, context="LOCKED.run"))
        lines = text.removesuffix("\n").split("\n")
        assert len(made) == len(lines)
        for frame, line in zip(made, lines, strict=True):
            assert len(frame) <= select.PIPE_BUF
            assert frame.find(b"\n") == len(frame) - 1
            back = parse_frame(b"left over from C" + frame[:-1])
            assert back is not None
            assert (back.stamp_us, back.level, back.context, back.at) == (1234, level, "LOCKED.run", 16)
            whole = line.encode("utf-8", "backslashreplace").decode()
            if " ... [cut, " in back.text:
                assert whole.startswith(back.text[: back.text.rindex(" ... [cut, ")])
            else:
                assert back.text == whole

    def test_long_lines_are_cut_with_a_mark(self):
        (frame,) = frames("x" * 5321, stamp_us=1)
        assert parse_frame(frame[:-1]).text == "x" * MAX_CHARS + " ... [cut, 5321 characters]"
        (frame,) = frames("\N{SNOWMAN}" * 1999, stamp_us=1)  # few enough characters, too many bytes
        assert len(frame) <= select.PIPE_BUF
        assert re.fullmatch("\N{SNOWMAN}{1300,} ... \\[cut, 1999 characters\\]", parse_frame(frame[:-1]).text)

    @pytest.mark.parametrize(
        "line",
        [
            b"", b"plain", b"\x1e", b"\x1ex\x1fINFO\x1f\x1fx", b"\x1e1\x1finfo\x1f\x1fx",
            b"\x1e1\x1fLOUD\x1f\x1fno such level", b"\x1e1\x1fINFO\x1f\x1b[2J\x1fa terminal would obey",
            b"\x1e99999999999999999\x1fINFO\x1f\x1fin the year 5138",
        ],
    )  # fmt: skip
    def test_what_is_no_frame(self, line: bytes):
        assert parse_frame(line) is None


# -- a real process ------------------------------------------------------------------------------------------------

INSTALL = """
import ctypes, faulthandler, logging, os, subprocess, sys, threading, time
from guardian.worker.beat import BeatWriter
from guardian.worker.logs import install
writer = install(int(sys.argv[1]), BeatWriter(int(sys.argv[2])))
log = writer.log
"""


@dataclass(frozen=True)
class Said:
    """What a process said until its end."""

    code: int
    raw: bytes
    beat: Beat

    @property
    def lines(self) -> list[Frame | bytes]:
        return [parse_frame(line) or line for line in self.raw.removesuffix(b"\n").split(b"\n")]

    @property
    def texts(self) -> list[str | bytes]:
        return [line.text if isinstance(line, Frame) else line for line in self.lines]


def said_by(script: str, *, read_late: bool = False) -> Said:
    """Run `script` as a worker would; `read_late` leaves the pipe alone until the process has ended."""
    read_fd, write_fd = os.pipe()
    page = create_page()
    beat = BeatReader(page)
    child = subprocess.Popen(
        [sys.executable, "-c", INSTALL + script, str(write_fd), str(page)],
        pass_fds=(write_fd, page),
        cwd=REPO,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    os.close(write_fd)
    os.close(page)
    raw = b""
    deadline = time.monotonic() + 60
    try:
        if read_late:
            child.wait(60)
        while True:
            ready, _, _ = select.select([read_fd], [], [], max(0.0, deadline - time.monotonic()))
            assert ready, f"still running after 60 s; it said {raw[-2000:]!r}"
            data = os.read(read_fd, 65536)
            if not data:
                return Said(child.wait(30), raw, beat.read())
            raw += data
    finally:
        child.kill()
        child.wait(30)
        os.close(read_fd)
        beat.close()


@pytest.mark.proc
def test_everything_user_code_says_arrives_in_order():
    before_us = time.time_ns() // 1000
    said = said_by("""
writer.context = "LOCKED.run"
log("from log %s", 3)
log("two\\nlines", level="ERROR")
log("odd level", level=17)
print("from", "print")
print("to stderr", file=sys.stderr)
print("no newline", end="")
writer.flush()
writer.context = ""
sys.stdout.buffer.write(b"bytes \\xff\\n")
sys.stdout.writelines(["a\\n", "b\\n"])
os.write(1, b"descriptor 1\\n")
os.write(2, b"descriptor 2\\n")
libc = ctypes.CDLL(None)
libc.printf(b"from C\\n")                      # line-buffered: in order without fflush
os.system("echo from a shell")
subprocess.run(["echo", "from a child"], stdout=sys.stdout, check=True)
logging.getLogger().info("logging %d", 7)
logging.getLogger("lib").warning("bad %d", "x")
try:
    1 / 0
except ZeroDivisionError:
    logging.exception("it failed")
log(""), log("after an empty line")
""")
    assert said.code == 0, said.raw
    texts = said.texts
    assert re.fullmatch('  File "<string>", line \\d+, in <module>', texts.pop(19))
    assert texts == [
        "from log 3", "two", "lines", "odd level", "from print", "to stderr", "no newline",
        "bytes \\xff", "a", "b", b"descriptor 1", b"descriptor 2", b"from C", b"from a shell", b"from a child",
        "logging 7", "lib: bad %d x", "it failed", "Traceback (most recent call last):",
        "ZeroDivisionError: division by zero", "", "after an empty line",
    ]  # fmt: skip
    framed = [line for line in said.lines if isinstance(line, Frame)]
    assert [line.context for line in framed[:8]] == ["LOCKED.run"] * 7 + [""]
    assert [line.level for line in framed[:6]] == ["INFO", "ERROR", "ERROR", "INFO", "INFO", "WARNING"]
    stamps = [line.stamp_us for line in framed]
    assert stamps == sorted(stamps)
    assert before_us <= stamps[0] <= stamps[-1] <= time.time_ns() // 1000
    assert said.beat.dropped == 0


@pytest.mark.proc
def test_a_pipe_that_nobody_reads_costs_lines_not_time():
    said = said_by(
        """
slowest = 0.0
for n in range(20000):
    start = time.monotonic()
    log("line %d", n)
    print("print", n)
    slowest = max(slowest, time.monotonic() - start)
os.write  # plain descriptors fail instead of blocking
try:
    while True: os.write(1, b"x" * 1000)
except BlockingIOError: pass
ctypes.CDLL(None).puts(b"x" * 3000)
assert slowest < 10, slowest
os._exit(5)
""",
        read_late=True,
    )
    assert said.code == 5, said.raw[-2000:]
    arrived = sum(isinstance(line, Frame) for line in said.lines)
    assert 500 < arrived < 20_000
    assert arrived + said.beat.dropped == 40_000  # not one uncounted
    assert said.texts[:4] == ["line 0", "print 0", "line 1", "print 1"]


@pytest.mark.proc
def test_one_endless_line_costs_time_in_proportion():
    said = said_by("""
start = time.process_time()
print("y" * 30_000_000, end="")
writer.flush()
assert time.process_time() - start < 20
os._exit(5)
""")
    assert said.code == 5, said.raw[-2000:]
    assert len(said.lines) + said.beat.dropped == 15_000


@pytest.mark.proc
def test_neither_faults_nor_tricks_of_user_code_break_it():
    said = said_by("""
class Silent:
    def __str__(self): raise RuntimeError
log(Silent()); log("%d", "x"); log("\\udc80"); log("x" * 100000); log("nul \\0 mark \\x1e unit \\x1f")
assert sys.stdout.fileno() == 1 and not sys.stdout.isatty() and sys.stdout.encoding == "utf-8"
try: sys.stdout.write(b"bytes")
except TypeError: log("type error")
sys.stdout.reconfigure(line_buffering=True)
sys.stdout.close(); print("after close")
sys.stdout = sys.__stdout__; print("after restore")
os.set_blocking(1, True)                        # what some children do to the descriptors they share
devnull = os.open(os.devnull, os.O_WRONLY); os.dup2(devnull, 1); os.dup2(devnull, 2)
log("after dup2")
os.close(1), os.close(2)
log("after close of 1 and 2")
""")
    assert said.code == 0, said.raw
    assert said.texts == [
        "<Silent that cannot be shown: RuntimeError>", "%d x", "\\udc80", "x" * 2000 + " ... [cut, 100000 characters]",
        "nul \0 mark \x1e unit \x1f", "type error", "after close", "after restore", "after dup2",
        "after close of 1 and 2",
    ]  # fmt: skip


@pytest.mark.proc
def test_threads_and_forks():
    said = said_by("""
def chatter(name):
    for n in range(200):
        print(name, end=" "); print(n)
    print(name, "ends here", end="")
threads = [threading.Thread(target=chatter, args=(name,)) for name in "ABC"]
for t in threads: t.start()
child = os.fork()
if child == 0:
    print("the child prints"); log("the child logs"); logging.info("the child uses logging")
    os._exit(0)
os.waitpid(child, 0)
for t in threads: t.join()
writer.flush()
""")
    assert said.code == 0, said.raw
    assert said.beat.dropped == 0
    texts = said.texts
    for name in "ABC":
        assert [t for t in texts if t.startswith(name)] == [*(f"{name} {n}" for n in range(200)), f"{name} ends here"]
    assert {"the child prints", "the child logs", "the child uses logging"} < set(texts)
    assert len(texts) == 606


@pytest.mark.proc
def test_a_crash_leaves_its_last_words():
    said = said_by("""
writer.context = "UP.run"
log("before")
faulthandler._sigsegv()
""")
    assert said.code < 0
    assert said.texts[0] == "before"
    assert b"Fatal Python error: Segmentation fault" in said.raw
    assert b'File "<string>"' in said.raw


@pytest.mark.proc
def test_a_host_that_is_gone_is_no_fault_of_user_code():
    read_fd, write_fd = os.pipe()
    page = create_page()
    script = "sys.stdin.read()\nfor _ in range(100): log('x'); print('x'); logging.info('x')\nos._exit(7)"
    child = subprocess.Popen(
        [sys.executable, "-c", INSTALL + script, str(write_fd), str(page)],
        pass_fds=(write_fd, page),
        cwd=REPO,
        stdin=subprocess.PIPE,
    )
    try:
        os.close(write_fd)
        os.close(read_fd)
        child.stdin.close()
        assert child.wait(60) == 7
        beat = BeatReader(page)
        assert beat.read().dropped == 300
        beat.close()
    finally:
        os.close(page)
        child.kill()
        child.wait(30)
