"""A real host that speaks to a real notify socket, and hosts that nobody manages: nohup, setsid, a closed terminal."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from guardian.cli.output import OK
from tests.support import Child, alive, eventually
from tests.system.hosting import Guardhost
from tests.system.test_must_hold import GOOD

pytestmark = [pytest.mark.ca, pytest.mark.proc]
KEEPER = '[keeper]\nrestart = "on-failure"\nrestart_delay = 0.5\n'


class Manager:
    """What it has heard, in order."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "notify"
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind(str(self.path))
        self._socket.setblocking(False)
        self.said: list[str] = []

    def listen(self) -> list[str]:
        while True:
            try:
                self.said += self._socket.recv(65536).decode().splitlines()
            except BlockingIOError:
                return self.said

    def wait(self, line: str, timeout_s: float = 60) -> None:
        eventually(lambda: any(one.startswith(line) for one in self.listen()), timeout_s, line, period_s=0.05)

    def forget(self) -> None:
        self.listen()
        self.said = []

    def close(self) -> None:
        self._socket.close()


@pytest.fixture
def manager(tmp_path: Path) -> Iterator[Manager]:
    made = Manager(tmp_path)
    yield made
    made.close()


def of_site(folder: Path, manager: Manager | None = None, more: str = "") -> Guardhost:
    env = {} if manager is None else {"NOTIFY_SOCKET": str(manager.path), "WATCHDOG_USEC": "2000000"}
    host = Guardhost(folder, {"GOOD": GOOD}, env=env)
    (folder / "site.toml").write_text(
        f'ifo = "{host.ifo}"\nnodes = ["GOOD"]\npath = ["."]\nport = {host.port}\nstate_dir = "state"\n{more}'
    )
    host.command = ["--site", str(folder / "site.toml")]
    return host


def test_it_asks_for_time_is_ready_lives_and_stops(tmp_path: Path, manager: Manager):
    with of_site(tmp_path, manager) as host:
        manager.wait("READY=1")
        assert host.get("GOOD", "VERSION")  # the PVs are there
        said = manager.said
        assert said[0].startswith("EXTEND_TIMEOUT_USEC=") and said.index("READY=1") > 0
        manager.wait("STATUS=1 of 1 node OK")
        manager.forget()
        time.sleep(3)
        assert manager.listen().count("WATCHDOG=1") >= 4
        assert not [line for line in manager.said if line.startswith("STATUS=")]  # nothing has changed
        assert host.child is not None
        host.child.signal(signal.SIGSTOP)
        manager.forget()
        time.sleep(2)
        assert manager.listen() == []
        host.child.signal(signal.SIGCONT)
        manager.wait("WATCHDOG=1")
        host.child.signal(signal.SIGTERM)
        assert host.child.wait(60) == OK
        assert "STOPPING=1" in manager.listen()


def test_one_that_is_ended_while_it_imports_from_a_dead_disk_ends_at_once(tmp_path: Path):
    """It does not start all its nodes first, only to end them."""
    (tmp_path / "dead").mkdir()
    (tmp_path / "dead" / "sitecustomize.py").write_text(
        "import pathlib, sys, time\n"
        'if "guardian.worker.forkserver" in sys.orig_argv:\n'
        f'    pathlib.Path("{tmp_path}/imports").touch()\n'
        "    time.sleep(3600)\n"
    )
    host = Guardhost(tmp_path, {"GOOD": GOOD}, env={"PYTHONPATH": str(tmp_path / "dead")})
    with Child(host.argv, env=host.env, cwd=tmp_path) as child:
        eventually((tmp_path / "imports").exists, 60, "the process that makes workers")
        family = [one.pid for one in psutil.Process(child.pid).children(recursive=True)]
        child.signal(signal.SIGTERM)
        assert child.wait(30) == OK, child.report()  # it would have waited for the disk for a minute
        assert "Traceback" not in child.output
        eventually(lambda: not any(map(alive, family)), 10, "the end of all")


def test_between_two_hosts_their_keeper_says_that_it_lives(tmp_path: Path, manager: Manager):
    with of_site(tmp_path, manager, KEEPER) as host:
        manager.wait("READY=1")
        manager.forget()
        os.kill(psutil.Process(host.child.pid).children()[0].pid, signal.SIGKILL)  # type: ignore[union-attr]
        manager.wait("STATUS=the host (pid ")
        manager.wait("STATUS=there is no host; the next one starts in")
        manager.wait("READY=1")
        manager.wait("STATUS=1 of 1 node OK")


@pytest.mark.parametrize("more", ["", KEEPER], ids=["bare", "kept"])
def test_nohup_outlives_its_terminal(tmp_path: Path, more: str):
    host = of_site(tmp_path, more=more)
    with Child(["nohup", *host.argv], env=host.env, cwd=tmp_path) as child:
        child.wait_for(r"on Channel Access port \d+", 60)
        child.signal(signal.SIGHUP)
        for process in psutil.Process(child.pid).children():
            process.send_signal(signal.SIGHUP)
        time.sleep(2)
        assert child.returncode is None, child.report()
        child.signal(signal.SIGTERM)
        assert child.wait(60) == OK, child.report()


def test_a_terminal_that_is_closed_ends_its_host_in_good_order(tmp_path: Path):
    host = of_site(tmp_path, more='log = "host.log"\n')
    (tmp_path / "pid").write_text("")
    script = "import os, pty, sys\npid, fd = pty.fork()\nif not pid: os.execv(sys.argv[1], sys.argv[1:])\n"
    script += (
        "print('PID', pid, flush=True)\nwhile True: sys.stdout.buffer.write(os.read(fd, 4096)), sys.stdout.flush()"
    )
    with Child([sys.executable, "-c", script, *host.argv], env=host.env, cwd=tmp_path) as child:
        pid = int(child.wait_for(r"PID (\d+)", 30)[1])
        try:
            child.wait_for(r"on Channel Access port \d+", 60)
            child.kill9()  # the terminal is gone
            eventually(lambda: not alive(pid), 60, "the end of the host")
        finally:
            if alive(pid):
                os.kill(pid, signal.SIGKILL)
    assert "GOOD the node has ended" in (tmp_path / "host.log").read_text()


def test_one_that_is_started_with_no_streams_and_no_terminal_runs(tmp_path: Path):
    """As cron, at and some init scripts do."""
    host = of_site(tmp_path, more='log = "host.log"\n')
    line = 'setsid "$0" "$@" <&- >&- 2>&- & echo $! > pid'
    subprocess.run(["sh", "-c", line, *host.argv], env=host.env, cwd=tmp_path, check=True, timeout=60)
    pid = int((tmp_path / "pid").read_text())
    try:
        eventually((tmp_path / "host.log").exists, 60, "the log")
        host.wait("GOOD", "OK", "True", 60)
        os.kill(pid, signal.SIGTERM)
        eventually(lambda: not alive(pid), 60, "the end of the host")
        assert "GOOD the node has ended" in (tmp_path / "host.log").read_text()
    finally:
        if host.client is not None:
            host.client.close()
        if alive(pid):
            os.kill(pid, signal.SIGKILL)
