"""A host under procServ, with the line that docs/howto/service.rst gives: restarts, its console, its end."""

from __future__ import annotations

import os
import re
import shutil
import signal
import socket
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from guardian.host.site import read_site
from tests.support import REPO, Child, alive, eventually, free_port
from tests.support.page import Page
from tests.support.shell import shell_environ
from tests.system.hosting import Guardhost
from tests.system.test_must_hold import GOOD

pytestmark = [
    pytest.mark.ca,
    pytest.mark.proc,
    pytest.mark.skipif(not shutil.which("procServ"), reason="there is no procServ; Debian has it in procserv"),
]
CTRL_C, CTRL_X = b"\x03", b"\x18"


class Console:
    """A connection to the console of procServ; keeps what it has shown."""

    def __init__(self, port: int) -> None:
        self._socket = socket.create_connection(("127.0.0.1", port), 10)
        self._socket.setblocking(False)
        self._shown = b""

    @property
    def shown(self) -> str:
        try:
            while data := self._socket.recv(65536):
                self._shown += data
        except BlockingIOError:
            pass
        return self._shown.decode(errors="replace")

    def type(self, keys: bytes) -> None:
        self._socket.sendall(keys)

    def wait(self, pattern: str, timeout_s: float = 60) -> None:
        try:
            eventually(lambda: re.search(pattern, self.shown), timeout_s, pattern, period_s=0.1)
        except AssertionError as error:
            raise AssertionError(f"{error}\nthe console has shown:\n{self.shown}") from None

    def close(self) -> None:
        self._socket.close()


class Served:
    """procServ with a host, as the page says; waits shorter, and on a free port."""

    def __init__(self, folder: Path, tools: Path) -> None:
        self.host = Guardhost(folder, {"GOOD": GOOD})
        (folder / "X1.toml").write_text(
            f'ifo = "{self.host.ifo}"\nnodes = ["GOOD"]\npath = ["."]\nport = {self.host.port}\nstate_dir = "state"\n'
        )
        assert read_site(folder / "X1.toml").nodes == ("GOOD",)
        steps = Page(REPO / "docs/howto/service.rst").steps
        (line,) = (step.text for step in steps if (step.kind, step.name) == ("start", "procserv"))
        self.port = free_port()
        line = line.replace(" 4051 ", f" {self.port} ").replace("--holdoff 5", "--holdoff 1")
        env = {**self.host.env, "PATH": shell_environ(self.host.port, tools)["PATH"]}
        self.child = Child(["sh", "-c", f"exec {line}"], env=env, cwd=folder)
        eventually(self._answers, 60, "procServ")
        self.console = Console(self.port)

    def _answers(self) -> bool:
        try:
            socket.create_connection(("127.0.0.1", self.port), 1).close()
        except OSError:
            return False
        return True

    def host_pid(self) -> int:
        (host,) = psutil.Process(self.child.pid).children()
        return host.pid

    def up_again(self, before: int) -> None:
        eventually(lambda: self._new(before), 60, "the next host", period_s=0.1)
        self.host.wait("GOOD", "OK", "True", 60)

    def _new(self, before: int) -> bool:
        found = psutil.Process(self.child.pid).children()
        return bool(found) and found[0].pid != before

    def close(self) -> None:
        self.console.close()
        if self.host.client is not None:
            self.host.client.close()
        family = psutil.Process(self.child.pid).children(recursive=True) if alive(self.child.pid) else []
        self.child.stop()
        for process in psutil.wait_procs(family, timeout=30)[1]:
            process.kill()


@pytest.fixture
def served(tmp_path: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    made = Served(tmp_path, tmp_path_factory.mktemp("tools"))
    yield made
    made.close()


def test_its_console_shows_the_log_and_a_host_that_dies_is_started_again(served: Served):
    served.console.wait(r"GOOD .*loaded")
    served.host.wait("GOOD", "OK", "True", 60)
    before = served.host_pid()
    os.kill(before, signal.SIGKILL)
    served.console.wait("Child process is shutting down|Restarting child")
    served.up_again(before)


@pytest.mark.parametrize("keys", [CTRL_C, CTRL_X], ids=["Ctrl-C", "Ctrl-X"])
def test_a_key_on_the_console_ends_the_host_in_good_order_and_a_new_one_starts(served: Served, keys: bytes):
    served.host.wait("GOOD", "OK", "True", 60)
    before = served.host_pid()
    served.console.type(keys)
    served.console.wait("GOOD the node has ended")
    served.up_again(before)


def test_who_ends_procserv_kills_the_host_and_nothing_of_it_is_left(served: Served):
    served.host.wait("GOOD", "OK", "True", 60)
    family = psutil.Process(served.child.pid).children(recursive=True)
    served.child.signal(signal.SIGTERM)
    assert len(family) >= 3 and not psutil.wait_procs(family, timeout=60)[1]


def test_user_code_can_end_what_it_starts_though_procserv_blocks_signals(served: Served):
    served.host.wait("GOOD", "OK", "True", 60)
    for process in psutil.Process(served.host_pid()).children(recursive=True):
        mask = re.search(r"^SigBlk:\s*(\w+)", Path(f"/proc/{process.pid}/status").read_text(), re.MULTILINE)
        assert mask is not None and not int(mask[1], 16) & 1 << signal.SIGTERM - 1, process
