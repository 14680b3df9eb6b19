"""The log of nodes: what a line costs, what a million take on disk, and how long ``guardlog`` looks for one.

A day of 50 busy nodes is simulated as a million lines in files that are put aside as they grow. The limits: the disk
that was allowed, a second for each query, and no memory that grows with the number of lines.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path

from guardian.host.logfiles import LogFiles
from guardian.host.logfolder import node_files
from guardian.host.logline import LogLine
from guardian.host.logrules import LogBudget
from guardian.host.logs import LogReader, open_pipe
from guardian.host.logsink import LogSink
from guardian.host.rotation import Bounds
from guardian.worker.beat import BeatWriter, create_page
from tests.support.child import REPO

MILLION = 1_000_000
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


def memory() -> float:
    """Megabytes that this process had at most."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1000


def query_s(state: Path, *words: str) -> tuple[float, int]:
    """Seconds that ``guardlog`` takes as a process of its own, and how many lines it prints."""
    argv = [sys.executable, "-m", "guardian.cli.guardlog", "--state-dir", str(state), *words]
    began = time.perf_counter()
    shown = subprocess.run(argv, capture_output=True, check=True, cwd=REPO, timeout=300).stdout
    return time.perf_counter() - began, shown.count(b"\n")


async def through_pipe(folder: Path, count: int) -> tuple[float, float]:
    """Lines a second from a worker through its pipe into files, and microseconds of the loop a line."""
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
    found = file.path.read_bytes().count(b" after ")
    if lost or found != count:
        print(f"  {count - found} of {count} lines are missing")
    return found / took_s, cpu_us


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--lines", type=int, default=MILLION, help="lines that are simulated (a million)")
    parser.add_argument("--nodes", type=int, default=50, help="of so many nodes (50)")
    parser.add_argument("--times", type=int, default=5, help="each query (5)")
    parser.add_argument("--total-mb", type=float, default=200.0, help="disk that is allowed (200)")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        state = Path(folder) / "state"
        bounds = Bounds(file_bytes=1_000_000, total_bytes=int(options.total_mb * 1e6))
        files = LogFiles(state / "logs", bounds, most_lines=20_000)
        began_at, before, cpu, began = time.time() - 86400, memory(), time.process_time(), time.perf_counter()
        fill(files, options.lines, nodes=options.nodes, begin=began_at)
        assert files.close(120) == 0
        print(
            f"{options.lines} lines of {options.nodes} nodes: {time.perf_counter() - began:.0f} s, "
            f"{(time.process_time() - cpu) / options.lines * 1e6:.1f} us of processor a line"
        )
        used = disk(state / "logs")
        print(f"disk                         {used / 1e6:8.0f} MB, {used / bounds.total_bytes:.2f} of what is allowed")
        print(f"memory                       {memory() - before:8.0f} MB more than before, at most")
        rate, cpu_us = asyncio.run(through_pipe(Path(folder) / "pipe", 50_000))
        print(f"worker, pipe, reader, file   {rate:8.0f} lines/s")
        print(f"cost for the loop            {cpu_us:8.1f} us a line (its reader, and handing over)")
        sink = LogSink(os.open(os.devnull, os.O_WRONLY), files=LogFiles(Path(folder) / "hand"), most_lines=10**6)
        began = time.thread_time()
        for n in range(20_000):
            sink.line("SUS_MC1", LINE % n, context="LOCKED.run")
        print(f"handing over alone           {(time.thread_time() - began) / 20_000 * 1e6:8.1f} us a line")
        sink.close(30)

        noon = datetime.fromtimestamp(began_at + 43200, UTC).strftime("%Y-%m-%d %H:%M:%S")
        later = datetime.fromtimestamp(began_at + 43260, UTC).strftime("%Y-%m-%d %H:%M:%S")
        for words in (
            ("SUS_N07",),
            ("*",),
            ("*", "--since", noon, "--until", later),
            ("SUS_N07", "--since", noon, "-n", "20"),
            ("*", "--grep", f"after {options.lines // 3} attempts"),
            ("*", "--grep", "nowhere to be found"),
            ("*", "--level", "ERROR"),
            ("*", "--level", "WARNING", "-n", "0"),
        ):
            took = [query_s(state, *words) for _ in range(options.times)]
            seconds = [one for one, _ in took]
            print(
                f"guardlog {' '.join(words):62} {took[0][1]:6} lines, {statistics.median(seconds):.2f} s (median), "
                f"{max(seconds):.2f} (worst), limit 1"
            )


if __name__ == "__main__":
    main()
