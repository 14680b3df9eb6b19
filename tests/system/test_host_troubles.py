"""What breaks round a host while its nodes go on: the disk, the descriptors, the clock. With real ones.

Each is an alarm of the host with a sentence, told once when it begins and once when it is over; REQUEST still moves
states; and nothing is lost that was accepted, once all is well again.
"""

from __future__ import annotations

import contextlib
import json
import resource
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests.support import eventually
from tests.support.shifted_clock import ShiftedClock
from tests.system.hosting import Guardhost
from tests.system.test_must_hold import GOOD

pytestmark = [pytest.mark.ca, pytest.mark.proc]

#: Its timer takes a second.
TIMED = """
    from guardian import GuardState
    request = nominal = "WAITED"
    class INIT(GuardState):
        goto = True
    class WAITS(GuardState):
        def main(self):
            self.timer["a second"] = 1
        def run(self):
            return self.timer["a second"]
    class WAITED(GuardState):
        pass
    edges = [("INIT", "WAITS"), ("WAITS", "WAITED")]
"""

#: Of the file systems that are to be full: 256 kB.
SIZE = "size=256k"


class Disk:
    """A small file system of its own, that can be full, or read-only."""

    def __init__(self, place: Path) -> None:
        place.mkdir(exist_ok=True)
        self.place = place
        self._mounted = 0
        self.mount(SIZE)

    def mount(self, options: str) -> None:
        command = ["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(self.place)]
        ended = subprocess.run(command, capture_output=True, text=True, timeout=20, check=False)
        if ended.returncode:
            pytest.skip(f"no file system can be mounted here: {ended.stderr.strip()}")
        self._mounted += 1

    def fill(self) -> None:
        """No byte is left."""
        with contextlib.suppress(OSError), (self.place / "filler").open("ab", buffering=0) as file:
            while True:
                file.write(bytes(4096))

    def make_room(self) -> None:
        (self.place / "filler").unlink()

    @contextlib.contextmanager
    def read_only(self) -> Iterator[None]:
        """What is written to its path meets a file system that is read-only."""
        self.mount("ro")
        try:
            yield
        finally:
            self._unmount()

    def remount(self, how: str) -> None:
        """Read-only ("ro") or not ("rw"), the same file system; nobody may have a file open for writing."""
        subprocess.run(["mount", "-o", f"remount,{how}", str(self.place)], check=True, timeout=20)

    def _unmount(self) -> None:
        subprocess.run(["umount", "-l", str(self.place)], check=True, timeout=20)
        self._mounted -= 1

    def close(self) -> None:
        while self._mounted:
            self._unmount()


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Disk]:
    made = Disk(tmp_path / "disk")
    yield made
    made.close()


class Host(Guardhost):
    """One whose own PVs are asked for."""

    @property
    def name(self) -> str:
        return f"HOST_{json.loads(self.get('GOOD', 'HOST'))['host']}"

    def why(self) -> str:
        return str(self.get(self.name, "WHY"))

    def ails(self, *words: str, severity: int = 2) -> str:
        """Wait until the host is not OK, with this severity and a sentence that has these words."""
        name = self.pv(self.name, "OK")

        def found() -> str:
            why = self.why()
            return why if all(word in why for word in words) and self.ca.get(name).severity == severity else ""

        try:
            return eventually(found, 30, f"a sentence with {words}, severity {severity}")
        except AssertionError as error:
            raise AssertionError(f"{error}\nWHY is {self.why()!r}\n{self.child and self.child.report()}") from None

    def is_well(self) -> None:
        self.wait(self.name, "OK", "True")
        assert self.why() == ""

    def moves(self) -> None:
        """A REQUEST still moves states."""
        for state in ("REST", "WORK"):
            self.put("GOOD", "REQUEST", state)
            self.wait("GOOD", "STATE", state)

    def told(self, *words: str) -> int:
        """How many lines of the log have all these words."""
        assert self.child is not None
        return sum(all(word in line for word in words) for line in self.child.output.splitlines())


def records(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / "journal.jsonl").read_text().splitlines()]


def test_a_disk_that_is_full_stops_no_node_and_loses_nothing(tmp_path: Path, disk: Disk) -> None:
    """Settings and journal have no room for a while. Then they have, and a kill -9 shows that nothing was lost."""
    with Host(tmp_path, {"GOOD": GOOD}, options=("--state-dir", str(disk.place))) as host:
        host.wait("GOOD", "OK", "True")
        host.is_well()
        disk.fill()
        for _ in range(10):  # the last page of the journal has room
            host.moves()
        why = host.ails("settings in", "journal", "No space left on device (ENOSPC)", "make room")
        assert why.count("since 20") == 2
        host.put("GOOD", "REQUEST", "REST")
        host.wait("GOOD", "STATE", "REST")
        time.sleep(2.5)
        assert host.told("ERROR", "settings in", "ENOSPC") == host.told("ERROR", "journal", "ENOSPC") == 1
        disk.make_room()
        host.is_well()
        assert host.told("settings: well again") == host.told("journal: well again") == 1
        taken = [r for r in records(disk.place) if r["kind"] == "request" and "REQUEST" in r["text"]]
        assert [r["request"] for r in taken] == ["REST", "WORK"] * 10 + ["REST"]
        host.kill9()
        host.child.wait(30)
        host.start()
        host.wait("GOOD", "REQUEST", "REST")


def test_a_disk_that_is_read_only_stops_no_node_and_loses_nothing(tmp_path: Path, disk: Disk) -> None:
    """So a kernel leaves a disk in which it has found a fault."""
    with Host(tmp_path, {"GOOD": GOOD}, options=("--state-dir", str(disk.place))) as host:
        host.wait("GOOD", "OK", "True")
        with disk.read_only():
            host.moves()
            host.put("GOOD", "REQUEST", "REST")
            host.wait("GOOD", "STATE", "REST")
            host.ails("settings in", "journal", "Read-only file system (EROFS)", "since 20")
        host.is_well()
        host.kill9()
        assert host.child is not None
        host.child.wait(30)
        requests = [r["request"] for r in records(disk.place) if r["kind"] == "request"]
        assert requests == ["REST", "WORK", "REST"]
        host.start()
        host.wait("GOOD", "REQUEST", "REST")


def test_a_host_comes_back_on_a_disk_that_is_read_only(tmp_path: Path, disk: Disk) -> None:
    with Host(tmp_path, {"GOOD": GOOD}, options=("--state-dir", str(disk.place))) as host:
        host.wait("GOOD", "OK", "True")
        host.put("GOOD", "REQUEST", "REST")
        host.wait("GOOD", "STATE", "REST")
        time.sleep(1.1)  # what is accepted is on the disk at once, and the rest in a second
        host.kill9()
        assert host.child is not None
        host.child.wait(30)
        disk.remount("ro")
        host.start()
        host.wait("GOOD", "STATE", "REST")
        host.ails("settings in", "journal", severity=2)
        host.ails(f"control socket {disk.place / 'control.sock'} cannot be made: Read-only file system.", severity=2)
        disk.remount("rw")
        host.is_well()
        assert "GOOD" in host.ctrl("--state-dir", str(disk.place), "list")


def test_a_log_whose_disk_is_full_is_an_alarm_and_no_more(tmp_path: Path, disk: Disk) -> None:
    with Host(tmp_path, {"GOOD": GOOD}, options=("--log", str(disk.place / "log"))) as host:
        host.wait("GOOD", "OK", "True")
        disk.fill()
        for _ in range(20):
            host.moves()
        host.ails(f"log to {disk.place / 'log'}: No space left on device", "since 20", severity=1)
        host.moves()
        disk.make_room()
        host.is_well()
        log = (disk.place / "log").read_text()
        assert "the log can be written again" in log and log.count("GOOD REQUEST REST by") == 21


def test_a_full_disk_under_the_locks_stops_no_host(tmp_path: Path, disk: Disk) -> None:
    disk.fill()
    with Host(tmp_path, {"GOOD": GOOD}, env={"GUARD_LOCK_DIR": str(disk.place / "locks")}) as host:
        host.wait("GOOD", "OK", "True")
        host.is_well()  # a lock needs no room
        host.moves()


def test_locks_that_cannot_be_taken_are_an_alarm_until_they_can(tmp_path: Path, disk: Disk) -> None:
    folder = disk.place / "locks"
    with contextlib.ExitStack() as stack:
        with disk.read_only():
            host = stack.enter_context(Host(tmp_path, {"GOOD": GOOD}, env={"GUARD_LOCK_DIR": str(folder)}))
            host.wait("GOOD", "OK", "True")
            host.ails("locks in", "Read-only file system", "GUARD_LOCK_DIR", severity=1)
            host.moves()
        host.is_well()
        assert len(list(folder.glob("*.lock"))) == 2  # of the node, and of the name of the host


def limit(pid: int, descriptors: int | None) -> int:
    """Give a process so many descriptors; None: those that it has, and no more. Returns how many it may have then."""
    _, hard = resource.prlimit(pid, resource.RLIMIT_NOFILE)
    most = psutil.Process(pid).num_fds() if descriptors is None else descriptors
    resource.prlimit(pid, resource.RLIMIT_NOFILE, (most, hard))
    return most


def test_without_descriptors_what_runs_goes_on_and_what_failed_is_tried_again(tmp_path: Path) -> None:
    """None is left at all: no worker can be started, which is no fault of its node, and no one is let in."""
    with Host(tmp_path, {"GOOD": GOOD, "OTHER": GOOD}) as host:
        host.wait("GOOD", "OK", "True")
        host.wait("OTHER", "OK", "True")
        for node in ("GOOD", "OTHER"):  # what is opened for a while at the start is closed again
            eventually(lambda node=node: host.get(node, "ARCHIVE_ID"), 30, f"the code of {node} to be archived")
        host.is_well()
        assert host.child is not None
        before, _ = resource.prlimit(host.child.pid, resource.RLIMIT_NOFILE)
        limit(host.child.pid, None)
        host.moves()
        host.ails("descriptors are used: soon new clients are turned away", severity=1)
        assert int(host.get(host.name, "FD_FREE")) < 50
        with socket.create_connection(("127.0.0.1", host.port), 10):
            host.ails("descriptors are used up")  # by the kernel, or by us with the last that there was
        host.workers()["OTHER"].kill()
        time.sleep(0.2)  # the descriptors that were its own are free, and it is not started again yet
        limit(host.child.pid, None)
        host.ails("OTHER could not be started", "ulimit -n")
        assert host.ca.get(host.pv(host.name, "FD_FREE")).severity == 2
        time.sleep(5)  # longer than a node that dies as often is given
        host.moves()
        assert "Too many open files" in host.get("OTHER", "WHY")
        assert host.get("OTHER", "WORKER") in ("DEAD", "INIT")
        limit(host.child.pid, before)
        host.wait("OTHER", "OK", "True")
        host.is_well()
        assert host.ctrl("list")


def test_clients_do_not_get_the_last_descriptors(tmp_path: Path) -> None:
    """Many connections use them up; the host keeps some for its control socket, its files and its workers."""
    with Host(tmp_path, {"GOOD": GOOD}) as host:
        host.wait("GOOD", "OK", "True")
        assert host.child is not None
        limit(host.child.pid, 200)
        with contextlib.ExitStack() as crowd:
            for _ in range(300):
                crowd.enter_context(contextlib.closing(socket.create_connection(("127.0.0.1", host.port), 10)))
            host.ails("of 200 descriptors are used up", "a client was turned away", "CA_CLNT_CNT")
            host.moves()
            assert "GOOD" in host.ctrl("list")
            assert 100 < int(host.get(host.name, "CA_CLNT_CNT")) < 200
            host.workers()["GOOD"].kill()
            host.wait("GOOD", "WORKER", "DEAD")
            host.wait("GOOD", "OK", "True")
            host.put("GOOD", "LOAD", 1)
            host.wait("GOOD", "LOAD_STATUS", "DONE")
        host.is_well()
        assert host.told("ERROR", "descriptors") <= 2  # a line of the host, one of its server


def test_a_forkserver_that_is_stopped_is_an_alarm_and_a_dead_worker_is_no_good_one(tmp_path: Path) -> None:
    """Nobody tells the host of a death then, nor makes a worker. Who lives goes on, and is not restarted."""
    with Host(tmp_path, {"GOOD": GOOD, "OTHER": GOOD}) as host:
        host.wait("GOOD", "OK", "True")
        host.wait("OTHER", "OK", "True")
        worker, other = host.workers()["GOOD"], host.workers()["OTHER"]
        forkserver = worker.parent()
        assert forkserver is not None
        forkserver.suspend()
        worker.kill()
        host.wait("GOOD", "OK", "False")
        assert "its worker is ending" in host.get("GOOD", "WHY")
        host.ails("does not answer", f"`kill -CONT {forkserver.pid}`")
        host.put("OTHER", "REQUEST", "REST")
        host.wait("OTHER", "STATE", "REST")
        forkserver.resume()
        host.is_well()
        host.wait("GOOD", "OK", "True")
        assert "its link to the host" in host.get("GOOD", "LAST_EXIT")
        assert host.workers()["OTHER"].pid == other.pid


def test_a_clock_that_is_set_back_an_hour_is_told_and_nothing_else(tmp_path: Path) -> None:
    """Nothing waits by it: states move, timers run, a worker that dies is restarted, and settings are resumed."""
    clock = ShiftedClock(tmp_path)
    with Host(tmp_path, {"GOOD": GOOD, "TIMED": TIMED}, env=clock.env) as host:
        host.wait("GOOD", "OK", "True")
        host.wait("TIMED", "STATE", "WAITED")
        clock.set(-3600)
        host.ails("the clock of this machine was set back by 60 min", "chronyc", severity=1)
        host.moves()
        host.put("TIMED", "REQUEST", "INIT")
        host.wait("TIMED", "STATE", "INIT")
        begun = time.monotonic()
        host.put("TIMED", "REQUEST", "WAITED")
        host.wait("TIMED", "STATE", "WAITED")
        assert 0.9 < time.monotonic() - begun < 10
        host.workers()["GOOD"].kill()
        host.wait("GOOD", "WORKER", "DEAD")
        host.wait("GOOD", "OK", "True")
        host.put("GOOD", "REQUEST", "REST")
        host.wait("GOOD", "STATE", "REST")
        host.kill9()
        assert host.child is not None
        host.child.wait(30)
        host.start()
        host.wait("GOOD", "REQUEST", "REST")
        host.child.wait_for("restored after")
        clock.set(0)
        host.ails("the clock of this machine was set forward by 60 min", severity=1)
        host.kill9()
        host.child.wait(30)
        host.start()
        host.wait("GOOD", "REQUEST", "REST")
        host.child.wait_for("restored after")
        host.is_well()
