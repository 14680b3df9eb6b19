"""``guardlog NODE...``: which lines it shows of which files, at once however much there is, and as they come."""

from __future__ import annotations

import json
import os
import re
import signal
import sys
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from guardian.cli.guardlog import main, order_words
from guardian.client.records.linefile import Wanted, backward, forward
from guardian.host.logfiles import LogFiles
from guardian.host.logfolder import log_path, node_files
from guardian.host.logline import LogLine, lines_of
from guardian.host.logsink import LogSink
from guardian.host.rotation import Bounds, put_aside
from tests.support import Child
from tests.support.terminal import on_terminal

NOW = datetime(2026, 11, 28, 8, tzinfo=UTC).timestamp()


def line(before_s: float, node: str, text: str, *, level: str = "INFO", context: str = "") -> str:
    stamp_us = round((NOW - before_s) * 1e6)
    return f"{LogLine(stamp_us=stamp_us, node=node, text=text, level=level, context=context)}\n"


def write(folder: Path, node: str, *lines: str, put: float | None = None) -> Path:
    """Append to the file of a node; put it aside then, at a time."""
    folder.mkdir(parents=True, exist_ok=True)
    path = log_path(folder, node)
    with path.open("a", encoding="utf-8") as file:
        file.writelines(lines)
    return path if put is None else put_aside(path, put)


@pytest.fixture
def state(tmp_path: Path) -> Path:
    """A host with two nodes, one of which has an older file."""
    folder = tmp_path / "host" / "logs"
    write(folder, "SUS_MC1", line(7200, "SUS_MC1", "two hours ago"), put=NOW - 7000)
    write(
        folder,
        "SUS_MC1",
        line(60, "SUS_MC1", "oops", level="ERROR", context="LOCKED.run"),
        line(30, "SUS_MC1", "details", level="DEBUG", context="LOCKED.run"),
        line(10, "SUS_MC1", "the last one"),
    )
    write(
        folder, "IMC_LOCK", line(3600, "IMC_LOCK", "locking", context="LOCK.main"), line(20, "IMC_LOCK", "hm: \x1b[31m")
    )
    write(folder, "IMC_LOCK", line(5, "IMC_LOCK", "take care", level="WARNING"))
    write(folder, "HOST", line(40, "HOST", "the host"))
    return tmp_path / "host"


Says = Callable[..., tuple[int, list[str], str]]


@pytest.fixture
def says(state: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Says:
    monkeypatch.setattr("time.time", lambda: NOW)

    def call(*words: str, where: tuple[str, ...] = ("--state-dir", str(state))) -> tuple[int, list[str], str]:
        try:
            code = main([*where, *words])
        except SystemExit as ended:
            code = ended.code  # type: ignore[assignment]
        out, err = capsys.readouterr()
        return code, out.splitlines(), err

    return call


def texts(lines: list[str]) -> list[str]:
    return [one.split(" ", 1)[1] for one in lines]


def test_lines_of_a_node_with_what_was_put_aside(says: Says) -> None:
    code, out, err = says("SUS_MC1")
    assert (code, err) == (0, "")
    assert texts(out) == [
        "SUS_MC1 two hours ago",
        "SUS_MC1 [LOCKED.run] ERROR: oops",
        "SUS_MC1 [LOCKED.run] DEBUG: details",
        "SUS_MC1 the last one",
    ]
    assert out[0].startswith("2026-11-28_06:00:00.000000Z ")
    assert says("log", "SUS_MC1")[1] == out, "the order may be said"


def test_lines_of_several_nodes_come_in_the_order_of_their_times(says: Says) -> None:
    out = says("*", "--since", "2h")[1]
    assert [text.split()[0] for text in texts(out)] == [
        "SUS_MC1",
        "IMC_LOCK",
        "SUS_MC1",
        "HOST",
        "SUS_MC1",
        "IMC_LOCK",
        "SUS_MC1",
        "IMC_LOCK",
    ]
    assert out == sorted(out)
    assert says("*", "-n", "0")[1] == out
    assert says("*", "-n", "3")[1] == out[-3:]
    assert says("SUS_*", "HOST", "-n", "2")[1] == [out[4], out[6]]


def test_a_span_of_time(says: Says) -> None:
    assert texts(says("SUS_MC1", "IMC_LOCK", "--since", "1m", "--until", "15s")[1]) == [
        "SUS_MC1 [LOCKED.run] ERROR: oops", "SUS_MC1 [LOCKED.run] DEBUG: details", "IMC_LOCK hm: \\x1b[31m",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("level", "found"),
    [("debug", 7), ("INFO", 6), ("WARNING", 2), ("ERROR", 1), ("CRITICAL", 0)],
)
def test_levels(says: Says, level: str, found: int) -> None:
    assert len(says("SUS_MC1", "IMC_LOCK", "--level", level)[1]) == found


@pytest.mark.parametrize(
    ("pattern", "found"),
    [("oops", 1), ("o+p", 1), ("(?i)OOPS", 1), ("^2026.*LOCKED", 2), ("one$", 1), ("nothing", 0), ("last|locking", 2)],
)
def test_a_pattern(says: Says, pattern: str, found: int) -> None:
    assert len(says("*", "--grep", pattern)[1]) == found


def test_objects(says: Says) -> None:
    (one,) = says("SUS_MC1", "--grep", "oops", "--json")[1]
    assert json.loads(one) == {
        "stamp": NOW - 60, "time": "2026-11-28_07:59:00.000000Z", "node": "SUS_MC1", "context": "LOCKED.run",
        "level": "ERROR", "text": "oops",
    }  # fmt: skip


def test_local_times(says: Says, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TZ", "Asia/Tokyo")
    time.tzset()
    try:
        assert says("HOST", "--local")[1] == ["2026-11-28_16:59:20.000000+0900 HOST the host"]
        assert len(says("SUS_MC1", "--local", "--since", "16:59:15")[1]) == 2
    finally:
        monkeypatch.undo()
        time.tzset()


def test_a_node_that_is_not_there_is_named_with_those_that_are(says: Says) -> None:
    code, out, err = says("SUS_MC2")
    assert (code, out) == (1, [])
    assert "no log of SUS_MC2 in" in err and "there are HOST, IMC_LOCK, SUS_MC1" in err
    code, out, err = says("SUS_MC2", "HOST")
    assert (code, len(out)) == (0, 1) and "no log of SUS_MC2" in err


def test_no_such_line_is_said_with_where_the_log_begins(says: Says) -> None:
    assert says("SUS_MC1", "--grep", "zebra") == (
        0, [], "guardlog: no such line is in the log (it begins 2026-11-28 06:00:00Z)\n"
    )  # fmt: skip


@pytest.mark.parametrize("how", [(), ("--json",), ("--local",), ("--json", "--local"), ("--level", "INFO")])
def test_lines_that_a_kill_has_cut_or_a_disk_has_damaged_are_shown_as_far_as_they_go(
    says: Says, state: Path, how: tuple[str, ...]
) -> None:
    stamp = "2026-11-28_08:00:00.000000Z"
    cut = [f"{stamp} ", f"{stamp} N", f"{stamp} N [RUN.main]", f"{stamp}  x", "2026-99-99_99:99:99.000000Z N x"]
    cut += ["9999-12-31_23:59:59.999999Z N x"]
    write(state / "logs", "N", *(f"{one}\n" for one in cut), stamp[:20])
    code, out, err = says("N", *how)
    assert (code, len(out), err) == (0, len(cut), "")
    if "--json" in how:
        assert [json.loads(one)["node"] for one in out] == ["", "N", "N", "", "N", "N"]
        assert [json.loads(one)["stamp"] is None for one in out] == [False] * 4 + [True, False]


def test_a_log_that_cannot_be_read_is_not_called_empty(
    says: Says, state: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, real = state / "logs" / "HOST.log", os.open

    def refused(name: Any, *options: Any) -> int:
        if Path(name) == path:
            raise PermissionError(13, "Permission denied", str(name))
        return real(name, *options)

    monkeypatch.setattr("os.open", refused)
    assert says("HOST") == (1, [], f"guardlog: {path}: Permission denied; it is read as far as it can be\n")
    code, out, err = says("HOST", "SUS_MC1")
    assert (code, len(out), err.count("\n")) == (0, 4, 1)


@pytest.mark.proc
def test_more_nodes_than_files_may_be_open_by_default(tmp_path: Path) -> None:
    for number in range(200):
        write(tmp_path / "logs", f"N{number:03}", line(number, "N", "here"))
    argv = ["-m", "guardian.cli.guardlog", "*", "--state-dir", str(tmp_path), "-n"]
    for most in ("0", "200"):
        with Child(["bash", "-c", 'ulimit -Sn 100 && exec "$0" "$@"', sys.executable, *argv, most]) as child:
            assert child.wait() == 0
            assert child.output.count("here") == 200 and "guardlog:" not in child.output


def test_what_is_no_file_is_no_log(says: Says, state: Path) -> None:
    os.mkfifo(state / "logs" / "FIFO.log")
    (state / "logs" / "DIR.log").mkdir()
    (state / "logs" / "ZERO.log").symlink_to("/dev/zero")
    assert says("*") == says("SUS_MC1", "IMC_LOCK", "HOST")
    assert says("DIR")[0] == 1


def test_numbers_and_bytes_of_any_size(says: Says) -> None:
    assert says("SUS_MC1", "-n", "9" * 30) == says("SUS_MC1", "-n", "0")
    assert says("SUS_MC1", "--grep", "\udcff")[:2] == (0, [])


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (("SUS_MC1", "--grep", "("), "'(' is no regular expression"),
        (("SUS_MC1", "-n", "-3"), "'-3' is no number of lines"),
        (("SUS_MC1", "-n", "few"), "'few' is no number of lines"),
        (("SUS_MC1", "--level", "LOUD"), "invalid choice"),
        (("SUS_MC1", "--since", "soon"), "'soon' is no time"),
        (("SUS_MC1", "-f", "--until", "1h"), "leave out one of them"),
        (("log",), "NODE"),
        (("sus",), "invalid choice: 'sus'"),
    ],
)
def test_wrong_calls(says: Says, words: tuple[str, ...], complaint: str) -> None:
    code, out, err = says(*words)
    assert (code, out) == (2, []) and complaint in err and err.count("\n") == 1


def test_the_first_word_that_is_no_order_is_a_node() -> None:
    orders = ["log", "audit"]
    for words in (
        ["A"],
        ["-f", "A"],
        ["--site", "x", "A", "-n", "3"],
        ["--site=x", "A"],
        ["*"],
        ["--state-dir", "d", "-f"],
    ):
        ordered = order_words(words, orders)
        assert [word for word in ordered if word != "log"] == words and "log" in ordered
    for words in (["audit", "A"], ["log", "A"], ["--site", "A", "audit"], ["-h"], ["--version"], ["bogus"], []):
        assert order_words(words, orders) == words


class TestSites:
    def site(self, folder: Path, more: str) -> tuple[str, ...]:
        (folder / "site.toml").write_text(f'nodes = ["A"]\nstate_dir = "state"\n{more}')
        return ("--site", str(folder / "site.toml"))

    def test_a_folder_of_its_own(self, says: Says, tmp_path: Path) -> None:
        write(tmp_path / "elsewhere", "A", line(1, "A", "hello"))
        assert len(says("A", where=self.site(tmp_path, '[logs]\ndir = "elsewhere"'))[1]) == 1

    def test_without_files_the_one_file_of_all_nodes_is_read(self, says: Says, tmp_path: Path) -> None:
        path = tmp_path / "all.log"
        path.write_text(line(9, "A", "old") + line(8, "B", "old"))
        put_aside(path, NOW - 7)
        path.write_text(line(6, "A", "new") + line(5, "B", "new"))
        where = self.site(tmp_path, 'log = "all.log"\n[logs]\nfiles = false')
        assert texts(says("A", where=where)[1]) == ["A old", "A new"]
        assert texts(says("*", "--since", "7s", where=where)[1]) == ["A new", "B new"]
        _, out, err = says("C", where=where)
        assert (out, err) == ([], "guardlog: no such line is in the log (it begins 2026-11-28 07:59:51Z)\n")

    def test_without_any_file_what_to_do_is_said(self, says: Says, tmp_path: Path) -> None:
        code, _, err = says("A", where=self.site(tmp_path, "[logs]\nfiles = false"))
        assert code == 1 and "journalctl -u" in err and "files = false" in err
        code, _, err = says("A", where=self.site(tmp_path, ""))
        assert code == 1 and "has this host run on this machine?" in err
        code, _, err = says("A", where=("--site", str(tmp_path / "none.toml")))
        assert code == 2 and "none.toml" in err
        code, _, err = says("A", where=("--state-dir", str(tmp_path)))
        assert code == 1 and "journalctl" in err

    def test_all_hosts_of_this_user(self, says: Says, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "xdg"))
        monkeypatch.setenv("GUARD_LOCK_DIR", str(tmp_path / "locks"))
        code, _, err = says("A", where=())
        assert code == 1 and "no host has log files here (in " in err
        for host in ("one", "two"):
            write(tmp_path / "xdg" / "guardian" / host / "logs", f"N_{host.upper()}", line(1, "N", host))
        assert texts(says("N_*", where=())[1]) == ["N one", "N two"]


class TestLargeFiles:
    @pytest.fixture
    def large(self, tmp_path: Path) -> Path:
        """Four hours, 15 MB; some lines are late, some are no lines."""
        with (write(tmp_path, "A")).open("w") as file:
            for n in range(150_000):
                late = 3.0 if n % 7 == 0 else 0.0
                file.write(line(15_000 - n / 10 + late, "A", f"line {n:06} {'x' * 50}"))
                if n % 1000 == 0:
                    file.write("what is no line\n" * (1 + n % 3))
        return tmp_path

    def numbers(self, lines: Iterator[bytes] | list[bytes]) -> list[int]:
        return [int(one.split()[3]) for one in lines]

    @pytest.mark.parametrize("since_s", [20_000.0, 15_000.0, 9_123.4, 77.0, 1.0, 0.0, -5.0])
    @pytest.mark.parametrize("span_s", [0.5, 200.0, None])
    def test_no_line_is_missed_from_either_end(self, large: Path, since_s: float, span_s: float | None) -> None:
        (file,) = node_files(large)["A"]
        since = NOW - since_s
        until = None if span_s is None else since + span_s
        wanted = Wanted(since=since, until=until)
        stamps = [NOW - 15_000 + n / 10 - (3.0 if n % 7 == 0 else 0.0) for n in range(150_000)]
        right = [n for n, at in enumerate(stamps) if at >= since - 1e-7 and (until is None or at <= until + 1e-7)]
        assert self.numbers(forward(file, wanted)) == right
        assert self.numbers(backward(file, wanted)) == right[::-1]

    def test_only_a_little_is_read(self, large: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        read, real = [0], os.pread

        def counted(fd: int, size: int, at: int) -> bytes:
            data = real(fd, size, at)
            read[0] += len(data)
            return data

        monkeypatch.setattr("os.pread", counted)
        (file,) = node_files(large)["A"]
        assert len(list(forward(file, Wanted(since=NOW - 7000, until=NOW - 6999)))) > 9
        next(backward(file, Wanted()))
        assert read[0] < 1_500_000 < file.size / 8

    def test_a_file_that_is_put_aside_meanwhile_is_read_on(self, large: Path) -> None:
        (file,) = node_files(large)["A"]
        put_aside(file.path, NOW)
        write(large, "A", line(0, "A", "another"))
        assert len(self.numbers(backward(file, Wanted()))) == 150_000


class TestFollow:
    @pytest.fixture
    def follow(self, tmp_path: Path) -> Iterator[Callable[..., Child]]:
        (tmp_path / "state" / "logs").mkdir(parents=True)
        made: list[Child] = []

        def start(*words: str, terminal: bool = False, **env: str) -> Child:
            argv = [sys.executable, "-m", "guardian.cli.guardlog", "--state-dir", str(tmp_path / "state"), *words]
            made.append(Child(on_terminal(argv) if terminal else argv, env=env, stdin=terminal))
            return made[-1]

        yield start
        for child in made:
            child.close()

    def said(self, child: Child) -> list[str]:
        return re.findall(r"Z [A-Z0-9]+ (.*)", child.output)

    def test_over_files_that_are_put_aside_hosts_that_start_anew_and_new_nodes(
        self, follow: Callable[..., Child], tmp_path: Path
    ) -> None:
        folder = tmp_path / "state" / "logs"
        write(folder, "A", *(line(100 - n, "A", f"old {n}") for n in range(30)))
        child = follow("A", "B*", "-f")
        child.wait_for("old 29")
        child.wait_for("no log of B")
        assert self.said(child) == [f"old {n}" for n in range(20, 30)]
        count = 0
        for host in range(3):
            files = LogFiles(folder, Bounds(file_bytes=5000, total_bytes=10_000_000))
            sink = LogSink(os.open(os.devnull, os.O_WRONLY), files=files)
            for _ in range(300):
                sink.line("A", f"new {count}")
                sink.line("C", "not this one")
                count += 1
                time.sleep(0.001)
            if host == 2:
                sink.line("B1", "a new node")
            assert sink.close() == 0
        child.wait_for("a new node")
        child.wait_for(f"new {count - 1}\\b")
        assert [one for one in self.said(child) if one.startswith("new ")] == [f"new {n}" for n in range(count)]
        assert len(node_files(folder)["A"]) > 5
        child.signal(signal.SIGINT)
        assert child.wait() == 130
        assert "Traceback" not in child.output

    def test_a_reader_that_was_stopped_shows_all_that_is_still_there(
        self, follow: Callable[..., Child], tmp_path: Path
    ) -> None:
        folder = tmp_path / "state" / "logs"
        write(folder, "A", line(100, "A", "begun"))
        child = follow("A", "-f")
        child.wait_for("begun")
        for turn in range(8):  # inodes of files that are removed are used again by those that come
            child.signal(signal.SIGSTOP)
            files = LogFiles(folder, Bounds(file_bytes=2000, total_bytes=20_000))
            sink = LogSink(os.open(os.devnull, os.O_WRONLY), files=files)
            for n in range(500):
                sink.line("A", f"turn {turn} line {n:03}")
                if n % 50 == 0:
                    time.sleep(0.03)
            assert sink.close() == 0
            there = [text for file in node_files(folder)["A"] for text in re.findall("turn.*", file.path.read_text())]
            child.signal(signal.SIGCONT)
            child.wait_for(f"turn {turn} line 499")
            mine = [text for text in there if text.startswith(f"turn {turn}")]
            shown = [text for text in self.said(child) if text.startswith(f"turn {turn}")]
            assert len(mine) < 500 and shown == mine

    def test_another_file_may_have_the_inode_and_the_size_of_the_one_before(
        self, follow: Callable[..., Child], tmp_path: Path
    ) -> None:
        folder = tmp_path / "state" / "logs"
        path = write(folder, "A", line(100, "A", "the first"))
        child = follow("A", "-f")
        child.wait_for("the first")
        child.signal(signal.SIGSTOP)
        before = path.stat()
        path.write_text(line(50, "A", "the other"))
        assert (path.stat().st_ino, path.stat().st_size) == (before.st_ino, before.st_size)
        child.signal(signal.SIGCONT)
        child.wait_for("the other")

    def test_only_what_is_wanted_and_whole_lines(self, follow: Callable[..., Child], tmp_path: Path) -> None:
        folder = tmp_path / "state" / "logs"
        write(folder, "A", line(5, "A", "before"))
        child = follow("A", "-f", "--level", "WARNING", "--grep", "pump")
        time.sleep(0.5)
        text = line(1, "A", "the pump is hot", level="WARNING")
        write(folder, "A", line(1, "A", "the pump runs"), line(1, "A", "a door", level="ERROR"), text[:50])
        time.sleep(0.5)
        assert "pump" not in child.output
        write(folder, "A", text[50:])
        child.wait_for("the pump is hot")
        assert self.said(child) == ["WARNING: the pump is hot"]

    def test_it_ends_when_nobody_reads(self, follow: Callable[..., Child], tmp_path: Path) -> None:
        write(tmp_path / "state" / "logs", "A", line(5, "A", "hello"))
        code = "import subprocess, sys\np = subprocess.Popen(sys.argv[1:], stdout=subprocess.PIPE)\n"
        code += "print(p.stdout.readline()); p.stdout.close(); print('ended', p.wait(30))"
        argv = [sys.executable, "-m", "guardian.cli.guardlog", "--state-dir", str(tmp_path / "state"), "A", "-f"]
        with Child([sys.executable, "-c", code, *argv]) as child:
            child.wait_for("ended 1")
            assert child.wait() == 0
            assert "Traceback" not in child.output and "Broken" not in child.output

    def test_colours_are_for_terminals_alone(self, follow: Callable[..., Child], tmp_path: Path) -> None:
        write(tmp_path / "state" / "logs", "A", line(5, "A", "hot", level="ERROR"), line(4, "A", "fine"))
        shown = {}
        for name, terminal, env in (
            ("terminal", True, {"TERM": "xterm"}),
            ("no color", True, {"TERM": "xterm", "NO_COLOR": "1"}),
            ("pipe", False, {}),
        ):
            child = follow("A", terminal=terminal, **env)
            assert child.wait() == 0
            shown[name] = child.output
        assert "\x1b[31m2026" in shown["terminal"] and shown["terminal"].count("\x1b") == 2
        assert "\x1b" not in shown["no color"] + shown["pipe"]


def test_what_a_sink_writes_is_what_is_read(says: Says, tmp_path: Path) -> None:
    files = LogFiles(tmp_path / "state" / "logs")
    for one in lines_of("A", "a\nb\x07\té\ud800", level="WARNING", context="S.run", stamp_us=int(NOW * 1e6)):
        files.put(one)
    assert files.close() == 0
    where = ("--state-dir", str(tmp_path / "state"))
    assert texts(says("A", where=where)[1]) == ["A [S.run] WARNING: a", "A [S.run] WARNING: b\\x07\té\\ud800"]
    found: list[dict[str, Any]] = [json.loads(one) for one in says("A", "--json", where=where)[1]]
    assert [one["text"] for one in found] == ["a", "b\\x07\té\\ud800"]
