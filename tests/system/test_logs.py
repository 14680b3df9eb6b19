"""The log of nodes that really run: in files and on stdout, as LOGLEVEL says, whoever floods and whatever stops."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from guardian.host.logfolder import node_files
from tests.support import Child, eventually
from tests.support.shifted_clock import ShiftedClock
from tests.system.hosting import Guardhost

pytestmark = [pytest.mark.ca, pytest.mark.proc]

#: Says something on each level, from within one call that lasts.
TALKS = """
    import ctypes, logging, time
    from guardian import GuardState
    request = nominal = "TALK"
    class TALK(GuardState):
        def main(self):
            for n in range(100_000):
                log(f"debug {n}", level="DEBUG")
                logging.debug("by logging %d", n)
                logging.getLogger("mine").debug("by mine %d", n)
                log(f"info {n}")
                log(f"warning {n}", level="WARNING")
                logging.error("error %d", n)
                time.sleep(0.05)
    edges = [("INIT", "TALK")]
"""

#: Floods, and more than that.
FLOODS = """
    from guardian import GuardState
    request = nominal = "FLOOD"
    class FLOOD(GuardState):
        def run(self):
            for n in range(20_000):
                print("flood", n, "x" * 100)
            return True
    edges = [("INIT", "FLOOD")]
"""

#: Counts its lines, ten a cycle of a tenth of a second at most.
COUNTS = """
    import time
    from guardian import GuardState
    request = nominal = "COUNT"
    class COUNT(GuardState):
        def main(self):
            self.n = 0
        def run(self):
            log(f"count {self.n}")
            self.n += 1
            return True
    edges = [("INIT", "COUNT")]
"""


def written(host: Guardhost, node: str) -> str:
    return "".join(file.path.read_text() for file in node_files(host.state_dir / "logs").get(node, []))


def seen(host: Guardhost, node: str, since: int) -> set[str]:
    """The kinds of lines of `node` that came behind a place of its file."""
    text = written(host, node)[since:]
    return set(
        re.findall(
            r"\] (?:[A-Z]+: )?(?:root: )?((?:mine: )?by logging|mine: by mine|debug|info|warning|error) ?\d", text
        )
    )


def becomes(host: Guardhost, kinds: set[str]) -> None:
    """After what is on the way, these kinds of lines are written and no other."""
    time.sleep(0.5)
    since = len(written(host, "TALKS"))
    eventually(lambda: len(re.findall("error", written(host, "TALKS")[since:])) > 5, what="some turns")
    assert seen(host, "TALKS", since) == kinds


ALL = {"debug", "by logging", "mine: by mine", "info", "warning", "error"}


def test_LOGLEVEL_counts_at_once_in_the_middle_of_a_call_and_over_a_restart_of_worker_and_host(tmp_path: Path) -> None:
    with Guardhost(tmp_path, {"TALKS": TALKS}) as host:
        host.wait("TALKS", "STATUS", "MAIN")
        assert host.get("TALKS", "LOGLEVEL") == "INFO"
        becomes(host, ALL - {"debug", "by logging", "mine: by mine"})
        host.put("TALKS", "LOGLEVEL", "DEBUG")
        becomes(host, ALL)
        assert "debug" in host.child.output  # on stdout, too
        host.put("TALKS", "LOGLEVEL", "ERROR")
        becomes(host, {"error"})
        text = written(host, "TALKS")
        assert "LOGLEVEL DEBUG by" in text and "LOGLEVEL ERROR by" in text
        assert not re.search(r"caproto|epics|asyncio", text)
        pid = host.workers()["TALKS"].pid
        os.kill(pid, signal.SIGKILL)
        eventually(lambda: "TALKS" in host.workers() and host.workers()["TALKS"].pid != pid, what="a new worker")
        host.wait("TALKS", "STATUS", "MAIN")
        becomes(host, {"error"})
    with host:
        host.wait("TALKS", "STATUS", "MAIN")
        assert host.get("TALKS", "LOGLEVEL") == "ERROR"
        becomes(host, {"error"})
        host.put("TALKS", "LOGLEVEL", "INFO")
        becomes(host, ALL - {"debug", "by logging", "mine: by mine"})


def test_the_level_of_the_site_and_a_process_that_checks_code(tmp_path: Path) -> None:
    says = 'log("while it loads", level="DEBUG")\nlog("also then")\n'
    (tmp_path / "QUIET.py").write_text(says + "from guardian import GuardState\nclass A(GuardState):\n    pass\n")
    (tmp_path / "site.toml").write_text(
        'nodes = ["QUIET"]\npath = ["."]\nstate_dir = "state"\nlog = "all.log"\n'
        '[logs]\nlevel = "WARNING"\ndir = "mine"\n'
    )
    host = Guardhost(tmp_path, {}, nodes=["QUIET"])
    host.command = ["--site", "site.toml", "--ifo", host.ifo, "--port", str(host.port)]
    with host:
        host.wait("QUIET", "WORKER", "RUN")
        assert host.get("QUIET", "LOGLEVEL") == "WARNING"
        host.put("QUIET", "LOGLEVEL", "DEBUG")
        host.put("QUIET", "LOAD", 1)
        path = tmp_path / "mine" / "QUIET.log"
        eventually(lambda: "[check] DEBUG: while it loads" in path.read_text(), what="the word of the check")
        eventually(lambda: "[check] DEBUG: while it loads" in (tmp_path / "all.log").read_text())
        assert "[load]" not in path.read_text().split("LOGLEVEL")[0], "below the level of the site"
        assert (tmp_path / "state" / "logs").resolve() == tmp_path / "mine"


def test_the_last_words_of_a_process_are_written_whatever_LOGLEVEL_says(tmp_path: Path) -> None:
    crash = (
        "import ctypes\nfrom guardian import GuardState\nrequest = 'GO'\nclass GO(GuardState):\n    def main(self):\n"
    )
    crash += "        ctypes.string_at(0)\nedges = [('INIT', 'GO')]\n"
    (tmp_path / "CRASH.py").write_text(crash)
    (tmp_path / "site.toml").write_text(
        'nodes = ["CRASH"]\npath = ["."]\nstate_dir = "state"\n'
        '[policy]\nrestart = "never"\n[logs]\nlevel = "CRITICAL"\n'
    )
    host = Guardhost(tmp_path, {}, nodes=["CRASH"])
    host.command = ["--site", "site.toml", "--ifo", host.ifo, "--port", str(host.port)]
    with host:
        eventually(lambda: "Segmentation fault" in written(host, "CRASH"), what="its last words")
        eventually(lambda: "CRASH.py" in written(host, "CRASH"))


def test_one_node_floods_and_every_line_of_the_other_arrives(tmp_path: Path) -> None:
    with Guardhost(tmp_path, {"FLOODS": FLOODS, "COUNTS": COUNTS}) as host:
        eventually(lambda: "lines dropped (flood)" in written(host, "FLOODS"), what="a flood", timeout_s=60)
        eventually(lambda: "count 150" in written(host, "COUNTS"), what="150 lines", timeout_s=60)
        for text in (written(host, "COUNTS"), "".join(re.findall(r".* COUNTS .*\n", host.child.output))):
            numbers = [int(n) for n in re.findall(r"COUNTS \[COUNT.run\] count (\d+)\n", text)]
            assert numbers == list(range(len(numbers))) and len(numbers) > 100


def test_who_reads_stdout_stops_and_the_files_go_on(tmp_path: Path) -> None:
    host = Guardhost(tmp_path, {"COUNTS": COUNTS, "FLOODS": FLOODS})
    code = "import os, subprocess, sys\nos.environ['PYTHONUNBUFFERED'] = '1'\n"
    code += "host = subprocess.Popen(sys.argv[1:], stdout=subprocess.PIPE)\nprint('host', host.pid, flush=True)\n"
    code += "for line in host.stdout:\n    pass\nsys.exit(host.wait())\n"
    with Child([sys.executable, "-c", code, *host.argv], env=host.env, cwd=tmp_path) as reader:
        reader.wait_for(r"on Channel Access port \d+", 60)
        eventually(lambda: "count 5" in written(host, "COUNTS"), what="some lines")
        os.kill(reader.pid, signal.SIGSTOP)
        try:
            time.sleep(2)  # the pipe is full by now
            before = max(map(int, re.findall(r"count (\d+)", written(host, "COUNTS"))))
            eventually(lambda: f"count {before + 60}\n" in written(host, "COUNTS"), what="lines all the same")
        finally:
            os.kill(reader.pid, signal.SIGCONT)
        numbers = [int(n) for n in re.findall(r"count (\d+)", written(host, "COUNTS"))]
        assert numbers == list(range(len(numbers)))
        found = re.search(r"host (\d+)", reader.output)
        assert found is not None
        os.kill(int(found[1]), signal.SIGTERM)
        assert reader.wait(60) == 0, reader.report()


def test_a_host_that_is_killed_loses_nothing_that_was_seen_and_appends(tmp_path: Path) -> None:
    with Guardhost(tmp_path, {"COUNTS": COUNTS}) as host:
        eventually(lambda: "count 30" in host.child.output, what="some lines")
        host.kill9()
        host.child.wait()
        last = int(re.findall(r"count (\d+)", host.child.output)[-1])
        assert f"count {last - 3}\n" in written(host, "COUNTS")
    before = written(host, "COUNTS")
    with host:
        eventually(lambda: "count 3\n" in written(host, "COUNTS")[len(before) :], what="new lines")
        assert written(host, "COUNTS").startswith(before)
        assert all(re.match(r"\d{4}-\d\d-\d\d_", line) for line in written(host, "COUNTS").splitlines())


def test_a_clock_that_is_set_back_leaves_files_that_can_be_searched(tmp_path: Path) -> None:
    clock = ShiftedClock(tmp_path)
    clock.set(7200)
    with Guardhost(tmp_path, {"COUNTS": COUNTS}, env=clock.env) as host:
        eventually(lambda: "count 20" in written(host, "COUNTS"), what="some lines")
        clock.set(0)
        eventually(lambda: len(node_files(tmp_path / "state" / "logs")["COUNTS"]) == 2, what="a new file")
        eventually(lambda: written(host, "COUNTS").count("count") > 60)
        argv = [sys.executable, "-m", "guardian.cli.guardlog", "--state-dir", str(host.state_dir), "COUNTS", "-n", "0"]
        shown = subprocess.run(argv, capture_output=True, text=True, check=True, timeout=60).stdout
        numbers = [int(n) for n in re.findall(r"count (\d+)", shown)]
        assert numbers == list(range(len(numbers))), "in the order in which they were written"


def test_lines_for_the_journal_of_systemd(tmp_path: Path) -> None:
    ours, theirs = socket.socketpair()
    status = os.fstat(theirs.fileno())
    host = Guardhost(tmp_path, {"COUNTS": COUNTS})
    env = {**os.environ, **host.env, "JOURNAL_STREAM": f"{status.st_dev}:{status.st_ino}"}
    process = subprocess.Popen(host.argv, stdout=theirs, stderr=subprocess.DEVNULL, env=env, cwd=tmp_path)
    theirs.close()
    try:
        ours.settimeout(60)
        text = b""
        while b"count 5" not in text:
            text += ours.recv(65536)
        lines = text.decode().splitlines()[:-1]
        assert all(re.match(r"<[2-7]>\d{4}-\d\d-\d\d_\d\d:\d\d:\d\d\.\d{6}Z [A-Z]", line) for line in lines)
        assert not re.search("^<", written(host, "COUNTS"), re.MULTILINE)
    finally:
        process.terminate()
        process.wait(60)
        ours.close()
