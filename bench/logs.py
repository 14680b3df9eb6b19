"""The log of nodes: what a line costs, what a million take on disk, and how long ``guardlog`` looks for one.

A day of 50 busy nodes is simulated as a million lines in files that are put aside as they grow. The limits: the disk
that was allowed, a second for each query at worst, and no memory that grows with the number of lines.
"""

from __future__ import annotations

import asyncio
import os
import resource
import subprocess
import sys
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path

from bench.figures import Report
from guardian.host.logfiles import LogFiles
from guardian.host.logfolder import node_files
from guardian.host.logline import LogLine
from guardian.host.logrules import LogBudget
from guardian.host.logs import LogReader, open_pipe
from guardian.host.logsink import LogSink
from guardian.host.rotation import Bounds
from guardian.worker.beat import BeatWriter, create_page
from tests.support.child import REPO

MILLION, NODES = 1_000_000, 50
DISK_MB, MEMORY_MB, QUERY_S = 200.0, 50.0, 1.0
LINE = "the cavity is locked, transmission 1.0234 mW, error signal 0.0031 V, after %d attempts"
WIDE = LogBudget(lines_per_s=1e9, burst_lines=1e9, turn_bytes=1 << 20, turn_reads=10_000)

SPEAKS = """
import os, sys
from guardian.worker.beat import BeatWriter
from guardian.worker import logs
log_fd, beat_fd, count = map(int, sys.argv[1:])
writer = logs.install(log_fd, BeatWriter(beat_fd))
writer.context = "LOCKED.run"
os.set_blocking(writer._fd, True)  # here all are to arrive
for n in range(count):
    writer.log("the cavity is locked, transmission 1.0234 mW, error signal 0.0031 V, after %d attempts", n)
"""


def run(report: Report) -> None:
    """A day of lines, the way of one, and the questions."""
    lines = report.size(MILLION, 20_000)
    with tempfile.TemporaryDirectory() as folder:
        state, began_at = Path(folder) / "state", time.time() - 86400
        day(report, state / "logs", lines, began_at)
        way(report, Path(folder), report.size(50_000, 2000))
        questions(report, state, lines, began_at)


def day(report: Report, folder: Path, lines: int, began_at: float) -> None:
    total_mb = DISK_MB * lines / MILLION  # so that files are put aside all the same
    bounds = Bounds(file_bytes=report.size(1_000_000, 50_000), total_bytes=int(total_mb * 1e6))
    files = LogFiles(folder, bounds, most_lines=20_000)
    before_mb, cpu, began = memory_mb(), time.process_time(), time.perf_counter()
    fill(files, lines, nodes=NODES, begin=began_at)
    lost = files.close(120)
    took_s, cpu_s = time.perf_counter() - began, time.process_time() - cpu
    report.part(f"{lines} lines of {NODES} nodes")
    report.figure("written", lines / took_s, "lines/s")
    report.figure("CPU", cpu_s / lines * 1e6, "us a line")
    report.figure("disk", disk(folder) / 1e6, "MB", limit=total_mb)
    report.figure("memory, more than before", memory_mb() - before_mb, "MB", limit=MEMORY_MB)
    report.check("no line of the day is lost", lost == 0, lost)
    report.check("no more on the disk than is allowed", disk(folder) <= bounds.total_bytes, disk(folder))


def fill(files: LogFiles, lines: int, *, nodes: int, begin: float, days: float = 1.0) -> None:
    """Have so many lines written, of nodes in turn, with times that are spread over some days from `begin` on.

    Parameters
    ----------
    begin : epoch seconds. The clock of `files` must not be behind the last line.
    """
    names = [f"SUS_N{n:02}" for n in range(nodes)]
    step_us = days * 86400e6 / lines
    for n in range(lines):
        if n % 2000 == 0:
            while len(files._queue) > 8000:
                time.sleep(0.001)
        text = LINE % n
        stamp_us = int(begin * 1e6 + n * step_us)
        level = "WARNING" if n % 5000 == 0 else "INFO"
        files.put(LogLine(stamp_us=stamp_us, node=names[n % nodes], text=text, level=level, context="LOCKED.run"))


def disk(folder: Path) -> int:
    """Bytes of all files in a folder."""
    return sum(one.stat().st_size for one in folder.iterdir())


def memory_mb() -> float:
    """That this process had at most."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1000


# --- the way of a line ------------------------------------------------------------------------------------------------


def way(report: Report, folder: Path, lines: int) -> None:
    report.part("the way of a line")
    rate, cpu_us, found = asyncio.run(through_pipe(folder / "pipe", lines))
    report.figure("worker, pipe, reader, file", rate, "lines/s", n=lines)
    report.figure("CPU of the loop: reader, handing over", cpu_us, "us a line", n=lines)
    report.check("no line is lost on its way from worker to file", found == lines, f"{found} of {lines} arrived")
    sink = LogSink(os.open(os.devnull, os.O_WRONLY), files=LogFiles(folder / "hand"), most_lines=10**6)
    began = time.thread_time()
    for n in range(lines):
        sink.line("SUS_MC1", LINE % n, context="LOCKED.run")
    report.figure("CPU of handing over alone", (time.thread_time() - began) / lines * 1e6, "us a line", n=lines)
    sink.close(30)


async def through_pipe(folder: Path, count: int) -> tuple[float, float, int]:
    """From a worker through its pipe into files: lines a second, us of the loop a line, lines that arrived."""
    read_fd, write_fd = open_pipe()
    page = create_page()
    for fd in (write_fd, page):
        os.set_inheritable(fd, True)
    files = LogFiles(folder, most_lines=10 * count)
    sink = LogSink(os.open(os.devnull, os.O_WRONLY), files=files, most_lines=10 * count)
    BeatWriter(page)
    ended = asyncio.Event()
    LogReader(read_fd, "SUS_MC1", sink, budget=WIDE, on_eof=ended.set)
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", SPEAKS, str(write_fd), str(page), str(count), pass_fds=(write_fd, page), cwd=REPO
    )
    os.close(write_fd)
    began, cpu = time.perf_counter(), time.thread_time()
    await ended.wait()
    cpu_us = (time.thread_time() - cpu) / count * 1e6
    await process.wait()
    lost = sink.close(60)
    took_s = time.perf_counter() - began
    (file,) = node_files(folder)["SUS_MC1"]
    found = file.path.read_bytes().count(b" after ") - lost
    return found / took_s, cpu_us, found


# --- the questions ----------------------------------------------------------------------------------------------------


def questions(report: Report, state: Path, lines: int, began_at: float) -> None:
    times = {"NOON": began_at + 43200, "LATER": began_at + 43260}
    named = {word: datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%d %H:%M:%S") for word, at in times.items()}
    named["SOMEWHERE"] = f"after {lines // 3} attempts"
    report.part("guardlog, the start of Python included, at worst")
    for words in (
        "SUS_N07",
        "*",
        "* --since NOON --until LATER",
        "SUS_N07 --since NOON -n 20",
        "* --grep SOMEWHERE",
        "* --grep nowhere",
        "* --level ERROR",
        "* --level WARNING -n 0",
    ):
        argv = [named.get(word, word) for word in words.split()]
        took = [query_s(state, *argv) for _ in range(report.size(5, 1))]
        report.figure(words, max(took), "s", n=len(took), limit=QUERY_S)


def query_s(state: Path, *words: str) -> float:
    """Seconds that ``guardlog`` takes as a process of its own."""
    argv = [sys.executable, "-m", "guardian.cli.guardlog", "--state-dir", str(state), *words]
    began = time.perf_counter()
    subprocess.run(argv, capture_output=True, check=True, cwd=REPO, timeout=300)
    return time.perf_counter() - began
