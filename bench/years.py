"""A day of a large machine, simulated: what it leaves on the disk and in memory, and how soon it can be asked.

A hundred nodes and a million events go through the real journal and the real log files, as fast as these take them,
with the times of a whole day; so all is put aside and removed as in weeks. With them the nodes load code that somebody
has edited, one load in a thousand events, into the real archive. Then people ask, by real ``guardlog`` and
``guardutil`` processes, the start of Python included.

* disk: the most that was taken at any moment, beside the bound. The archive loses nothing, so its bound is one for each
  load: as much as the file that was edited has, in plain text.
* memory: how much the writing process has grown since the first twentieth, beside the limit of 50 MB.
* asked: each question three times, the worst beside the limit of 1 s. One node has few events, far back.

With fewer events the bounds are smaller by the same factor, so that files are full all the same. What else runs for
years has its place in :data:`PARTS`.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil

from bench.figures import Report
from guardian.core.archived import states_document
from guardian.core.audit import write_record
from guardian.core.durations import Spans, StateTimes
from guardian.core.graph import Edge, Graph, StateInfo, SystemFacts
from guardian.core.interface import BY_NAME
from guardian.core.sources import SourceFile, blob_id, pack
from guardian.core.view import View
from guardian.core.who import Who
from guardian.host import durations, logfiles
from guardian.host.archive import Archive, CodeLoad
from guardian.host.journal import Journal
from guardian.host.logfiles import LogFiles
from guardian.host.logline import lines_of
from guardian.host.places import ARCHIVE, DURATIONS, JOURNAL
from guardian.host.rotation import Bounds, taken

DAY_S, LIMIT_MB, QUESTION_S = 86400.0, 50.0, 1.0
NODES = 100
FULL = 1_000_000  #: events for which the bounds are those of a real host
STATES = ("INIT", "DOWN", "ALIGNED", "LOCKING", "LOCKED")
RARE = "RARE"
ANN = Who("ann", "ws3", "10.1.2.3")


def run(report: Report) -> None:
    """All parts, of one day and in one folder."""
    with tempfile.TemporaryDirectory() as folder:
        day = Day(report, Path(folder), report.size(FULL, 10_000), report.size(NODES, 10))
        for part in PARTS:
            part(day)


@dataclass
class Day:
    """What is simulated."""

    report: Report
    folder: Path
    events: int
    nodes: int
    end: float = field(default_factory=time.time)

    def __post_init__(self) -> None:
        self.names = [f"SUS_MC{number}" for number in range(self.nodes)]

    def bounds(self, full: Bounds) -> Bounds:
        """What is kept, as much less as there are fewer events."""
        part = min(1.0, self.events / FULL)
        return Bounds(file_bytes=int(full.file_bytes * part), total_bytes=int(full.total_bytes * part))

    def stamp(self, number: int) -> float:
        return self.end - DAY_S * (1 - number / self.events)

    def written(self, part: str, per_s: float, disk_b: float, bound_b: float, grown_mb: float) -> None:
        """What it took to write it; the disk is bounded, however fast all was."""
        self.report.part(part)
        self.report.figure("written", per_s, "/s")
        self.report.figure("disk, at most", disk_b / 1e6, "MB", limit=bound_b / 1e6)
        self.report.figure("memory", grown_mb, "MB", limit=LIMIT_MB)
        self.report.check(f"{part.partition(':')[0]}: no more on the disk than is allowed", disk_b <= bound_b, disk_b)


class Growth:
    """How much memory this process has come to need, since :meth:`begin`."""

    def __init__(self) -> None:
        self._process = psutil.Process()
        self._begin = 0

    def begin(self) -> None:
        self._begin = self._process.memory_info().rss

    @property
    def mb(self) -> float:
        return max(0.0, (self._process.memory_info().rss - self._begin) / 1e6)


# --- the journal --------------------------------------------------------------------------------------------------


def records(day: Day) -> Iterator[dict[str, Any]]:
    """The events of the day: mostly transitions, some requests and the writes that made them, some notifications."""
    dice, where, rare_every = random.Random(8), dict.fromkeys(day.names, 0), max(1, day.events // 100)
    for number in range(day.events):
        node, stamp = dice.choice(day.names), round(day.stamp(number), 6)
        if number % rare_every == rare_every // 2 and number < 0.9 * day.events:
            node = RARE
            where.setdefault(node, 0)
        before = STATES[where[node]]
        kind = dice.choices(("enter", "request", "notify", "write"), (80, 8, 8, 4))[0]
        if kind == "write":
            yield write_record(
                node=node, pv=f"X1:GRD-{node}_REQUEST", row=BY_NAME["REQUEST"], value="LOCKED", who=ANN, view=View(),
                id=number, stamp=stamp,
            )  # fmt: skip
            continue
        if kind == "enter":
            where[node] = (where[node] + 1) % len(STATES)
        state = STATES[where[node]]
        text = {
            "enter": f"EDGE: {before} -> {state} ({10 * where[node]}), target {state}: {before}.run() completed",
            "request": f"REQUEST LOCKED by {ANN}",
            "notify": "notify: the power in the arms is low, the alignment of the input is to be looked at",
        }[kind]
        yield {
            "node": node, "id": number, "stamp": stamp, "kind": kind, "text": text,
            "by": str(ANN) if kind == "request" else "", "via": "EDGE" if kind == "enter" else "", "state": state,
            "target": state, "status": "ENTER" if kind == "enter" else "RUN", "request": "LOCKED", "op": "EXEC",
            "mode": "AUTO", "worker": "RUN",
        }  # fmt: skip


def journal(day: Day) -> None:
    """Events through the real journal, then what people ask of it."""
    path, now = day.folder / JOURNAL, [day.stamp(0)]
    bounds, most, growth = day.bounds(Bounds()), 0, Growth()
    written = Journal(path, bounds=bounds, clock=lambda: now[0])
    began, twentieth = time.monotonic(), max(1, day.events // 20)
    for number, record in enumerate(records(day)):
        now[0] = record["stamp"]
        written.append(record)
        if number == twentieth:
            growth.begin()
        if number % 2000 == 0:
            assert written.flush(60, durable=False), written.trouble()
            most = max(most, taken(path))
    assert written.flush(60), written.trouble()
    took_s, grown_mb = time.monotonic() - began, growth.mb
    assert written.close(60) and written.trouble() is None, written.trouble()
    part = f"journal: {day.events} events of {day.nodes} nodes"
    day.written(part, day.events / took_s, max(most, taken(path)), bounds.total_bytes, grown_mb)
    (day.folder / DURATIONS).mkdir(exist_ok=True)
    usual = {state: StateTimes(done=Spans().and_one(3.0)) for state in STATES}
    (day.folder / DURATIONS / "SUS_MC1.json").write_bytes(durations.encode(usual))
    ask(day, "events SUS_MC1")
    ask(day, "events SUS_MC1 -n 0")
    ask(day, "events SUS_MC1 --since 1h")
    ask(day, "events SUS_MC1 --since 20h")
    ask(day, "events SUS_MC1 --since 12h --until 11h")
    ask(day, "events *")
    ask(day, "events * --since 10m")
    ask(day, "events * --until 12h -n 1000")
    ask(day, f"events {RARE}")
    ask(day, f"events {RARE} --since 20h --json")
    ask(day, "audit")
    ask(day, "audit SUS_MC1 -n 0")
    ask(day, "audit --refused")
    ask(day, "audit SUS_MC1 --since 3h")
    ask(day, "times SUS_MC1")
    ask(day, "times SUS_MC1 --since 2h")
    ask(day, f"times {RARE}")


# --- the log files of nodes ---------------------------------------------------------------------------------------


def logs(day: Day) -> None:
    """As many lines of nodes and their code through the real log files."""
    now = [day.stamp(0)]
    bounds, most, growth, folder = day.bounds(logfiles.BOUNDS), 0, Growth(), day.folder / "logs"
    files = LogFiles(folder, bounds, clock=lambda: now[0])
    began, twentieth, dice = time.monotonic(), max(1, day.events // 20), random.Random(9)
    for number in range(day.events):
        now[0] = day.stamp(number)
        text = f"the power in the arms is {dice.random():.6f} W, the offset is {dice.random():.6f}, the gain is 0.3"
        for line in lines_of(dice.choice(day.names), text, context="LOCKING.run", stamp_us=int(now[0] * 1e6)):
            files.put(line)
        if number == twentieth:
            growth.begin()
        if number % 5000 == 0:
            time.sleep(0)
            most = max(most, size(folder))
        while len(files._queue) > 10_000:
            time.sleep(0.001)
    grown_mb = growth.mb
    files.close(60)
    took_s = time.monotonic() - began
    part = f"logs: {day.events} lines of {day.nodes} nodes"
    day.written(part, day.events / took_s, max(most, size(folder)), bounds.total_bytes, grown_mb)
    ask(day, "log SUS_MC1")
    ask(day, "log SUS_MC1 --since 1h")
    ask(day, "log * --since 1m")


# --- the archive of code ------------------------------------------------------------------------------------------

#: Bytes of a module, how many helper files all nodes share, and every how many loads one of these was edited.
MODULE_B, SHARED, SHARED_EVERY = 10_000, 10, 20


@dataclass
class Code:
    """The user code of the site, as people edit it."""

    day: Day
    dice: random.Random = field(default_factory=lambda: random.Random(10))
    files: dict[str, list[str]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for name in (*self.day.names, *(f"lib{number}" for number in range(SHARED))):
            self.files[name] = [self._line() for _ in range(MODULE_B // len(self._line()))]

    def _line(self) -> str:
        gain, offset = self.dice.random(), self.dice.random()
        return f"ezca['LSC-DARM_GAIN'], ezca['LSC-DARM_OFFSET'] = {gain:.6f}, {offset:.6f}\n"

    def edit(self, name: str) -> None:
        self.files[name][self.dice.randrange(len(self.files[name]))] = self._line()

    def load(self, node: str, at: float) -> CodeLoad:
        names = (node, *(f"lib{number}" for number in range(SHARED)))
        files = tuple(self._source(name) for name in names)
        states = [StateInfo(name=name, index=10 * number) for number, name in enumerate(STATES)]
        facts = SystemFacts(states=tuple(states), edges=(), module=f"/nodes/{node}.py", nominal="LOCKED")
        graph = Graph.build(states, [Edge(start=a, end=b) for a, b in itertools.pairwise(STATES)])
        told = states_document(node=node, ifo="X1", paths=["/nodes"], facts=facts, graph=graph, files=files)
        return CodeLoad(node=node, by=str(ANN), at=at, states=told, files=files)

    def _source(self, name: str) -> SourceFile:
        data = "".join(self.files[name]).encode()
        file = f"{name}.py"
        return SourceFile(
            path=f"/nodes/{file}", place=0, name=file, blob=blob_id(data), size=len(data), packed=pack(data)
        )


def archive(day: Day) -> None:
    """Each node loads what was edited, and what it shares with others; then what people ask."""
    loads, most, growth, code = max(1, day.events // 1000), 0, Growth(), Code(day)
    path, began, twentieth = day.folder / ARCHIVE, time.monotonic(), max(1, day.events // 20000)
    written = Archive(path, retry_s=(0.1, 1.0))
    for name in day.names:
        written.keep(code.load(name, day.stamp(0)))
    assert written.wait_written(60), written.trouble()
    began_b = size(path)
    for number in range(loads):
        node = day.names[number % day.nodes]
        code.edit(f"lib{number % SHARED}" if number % SHARED_EVERY == 0 else node)
        written.keep(code.load(node, day.stamp(1000 * number)))
        if number % 20 == 0:
            assert written.wait_written(60), written.trouble()
            most = max(most, size(path))
        if number == twentieth:
            growth.begin()
    assert written.wait_written(60), written.trouble()
    took_s, grown_mb = time.monotonic() - began, growth.mb
    id_ = written.id("SUS_MC0")
    assert written.close() and written.trouble() is None, written.trouble()
    part = f"archive: {loads} loads of {day.nodes} nodes"
    day.written(part, loads / took_s, max(most, size(path)) - began_b, loads * MODULE_B, grown_mb)
    ask(day, "log SUS_MC0", tool="guardutil")
    ask(day, "log SUS_MC0 -n 0", tool="guardutil")
    ask(day, "states SUS_MC0 --at 12h", tool="guardutil")
    ask(day, "states SUS_MC0 --at 1m", tool="guardutil")
    first = git(path, "rev-list", "--max-parents=0", "SUS_MC0").strip()
    ask(day, "diff SUS_MC0 FIRST LAST", tool="guardutil", fine=(0, 1), FIRST=first, LAST=id_)
    ask(day, "diff SUS_MC0 FIRST", tool="guardutil", fine=(0, 1), FIRST=first)


def git(repository: Path, *words: str) -> str:
    return subprocess.run(["git", f"--git-dir={repository}", *words], capture_output=True, text=True, check=True).stdout


def size(folder: Path) -> int:
    """Bytes of all files in a folder."""
    total = 0
    for top, _, names in os.walk(folder):
        for name in names:
            with contextlib.suppress(OSError):  # it has been removed meanwhile
                total += os.lstat(os.path.join(top, name)).st_size
    return total


# --- asking -------------------------------------------------------------------------------------------------------


def ask(day: Day, words: str, *, tool: str = "guardlog", fine: tuple[int, ...] = (0,), **named: str) -> None:
    """The worst time of a question; `named` are words in it that are another one in each run."""
    argv = [sys.executable, "-m", f"guardian.cli.{tool}", *(named.get(word, word) for word in words.split())]
    took, times = [], day.report.size(3, 1)
    for _ in range(times):
        began = time.monotonic()
        done = subprocess.run([*argv, "--state-dir", str(day.folder)], capture_output=True, check=False)
        took.append(time.monotonic() - began)
        well = done.returncode in fine and b"damaged" not in done.stderr
        day.report.check("each question is answered", well, f"{tool} {words}: {done.returncode}, {done.stderr!r:.300}")
    day.report.figure(f"{tool} {words}", max(took), "s", n=times, limit=QUESTION_S)


PARTS: tuple[Callable[[Day], None], ...] = (journal, logs, archive)
