"""A host as a service of a real systemd, as `guardctrl install` makes it."""

from __future__ import annotations

import shutil
import sys
import textwrap
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support import CaClient, ca_env, eventually, free_port, random_prefix, systemd
from tests.support.systemd import UserSystemd

_WHY_NOT = systemd.why_not()
pytestmark = [pytest.mark.ca, pytest.mark.proc, pytest.mark.skipif(bool(_WHY_NOT), reason=_WHY_NOT or "")]

GUARDCTRL = str(Path(sys.executable).with_name("guardctrl"))
MODULE = """
    from guardian import GuardState
    request = "DOWN"
    nominal = "UP"
    class DOWN(GuardState):
        goto = True
    class UP(GuardState):
        pass
    edges = [("INIT", "DOWN"), ("DOWN", "UP")]
"""
SLOW = "import time\ntime.sleep(20)\n" + textwrap.dedent(MODULE)


class Site:
    """A site X1 with some nodes, and the systemd of which it is a service."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.ifo = random_prefix().rstrip(":")
        self.port = free_port()
        env = {**ca_env(self.port), "GUARD_LOCK_DIR": str(folder / "locks")}
        self.systemd = UserSystemd(folder, env)
        self.ca = CaClient(env)
        self.service = "guardhost@X1.service"

    def write(self, *nodes: str, more: str = "", port: int | None = None) -> None:
        path = self.folder / "config" / "guardian" / "X1.toml"
        path.parent.mkdir(exist_ok=True)
        path.write_text(
            f'ifo = "{self.ifo}"\nnodes = {list(nodes)}\npath = ["{self.folder}"]\n'
            f"port = {self.port if port is None else port}\n{more}"
        )
        for node in nodes:
            (self.folder / f"{node}.py").write_text(textwrap.dedent(MODULE))

    def override(self, *lines: str) -> None:
        """What this machine has otherwise than the unit, as `systemctl edit` writes it. The log goes to a file."""
        log = f"append:{self.folder}/host.log"
        path = self.systemd.units / "guardhost@.service.d" / "test.conf"
        path.parent.mkdir(exist_ok=True)
        path.write_text("\n".join(["[Service]", f"StandardOutput={log}", f"StandardError={log}", *lines, ""]))

    def install(self, *words: str) -> str:
        done = self.systemd.run(GUARDCTRL, "install", "--user", *words)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def up(self, *overrides: str) -> None:
        """Install it and start it, with the very lines that `install` prints."""
        self.override(*overrides)
        lines = [line.strip() for line in self.install("X1").split("next:")[1].splitlines()]
        assert lines[1:3] == ["systemctl --user daemon-reload", "systemctl --user enable --now guardhost@X1"]
        for line in lines[1:3]:
            done = self.systemd.run("sh", "-c", line)
            assert done.returncode == 0, done.stderr + self.systemd.report()

    def get(self, node: str, row: str) -> str:
        return str(self.ca.get(f"{self.ifo}:GRD-{node}_{row}", as_string=True).value)

    def await_(self, node: str, row: str, value: str, timeout_s: float = 60) -> None:
        eventually(lambda: self.get(node, row) == value, timeout_s, f"{node}_{row} to be {value}", period_s=0.1)

    @property
    def log(self) -> str:
        return (self.folder / "host.log").read_text()

    def host_pid(self) -> int:
        """Of the process that serves, with or without a keeper; as the service sees it."""
        found = self.systemd.run("pgrep", "-f", "guardian.cli.guardhost --site|bin/guardhost --site").stdout.split()
        return int(found[-1])


@pytest.fixture
def tmp_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A short one: the path of a control socket has 107 bytes, and here it lies deep."""
    return tmp_path_factory.mktemp("s")


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    if not shutil.which("pgrep"):
        pytest.skip("there is no pgrep")
    made = Site(tmp_path)
    with made.systemd:
        yield made
    made.ca.close()


def test_it_is_up_when_its_pvs_are_and_says_how_its_nodes_are(site: Site):
    site.write("OVEN", "PUMP")
    site.up()
    assert site.get("OVEN", "VERSION")  # start has returned: the PVs are there
    assert site.systemd.show(site.service, "ActiveState") == "active"
    site.systemd.wait(site.service, "StatusText", "0 of 2 nodes OK; OVEN: ...")
    for node in ("OVEN", "PUMP"):
        site.ca.put(f"{site.ifo}:GRD-{node}_REQUEST", "UP")
    site.systemd.wait(site.service, "StatusText", "2 of 2 nodes OK")
    assert site.systemd.show(site.service, "UnitFileState") == "enabled"
    said = site.systemd.run(
        *(sys.executable, "-m", "guardian.cli.guardctrl", "--site", f"{site.folder}/config/guardian/X1.toml", "status")
    )
    unit, host, *nodes = said.stdout.splitlines()
    assert unit.startswith("guardhost@X1.service: active (running), enabled, pid "), said
    assert unit.endswith("; 2 of 2 nodes OK")
    assert ": running since " in host and [node.split()[:2] for node in nodes] == [["OVEN", "OK"], ["PUMP", "OK"]]
    began = time.monotonic()
    site.systemd.ctl("stop", site.service)
    assert time.monotonic() - began < 30
    assert site.systemd.show(site.service, "Result") == "success"
    assert "OVEN the node has ended" in site.log


@pytest.mark.parametrize(
    "keeper", ["", '[keeper]\nrestart = "on-failure"\nrestart_delay = 0.1\n'], ids=["bare", "kept"]
)
def test_a_host_that_is_killed_comes_back_with_its_requests(site: Site, keeper: str):
    site.write("OVEN", more=keeper)
    site.up("RestartSec=0.1")
    site.await_("OVEN", "STATE", "DOWN")
    site.ca.put(f"{site.ifo}:GRD-OVEN_REQUEST", "UP")
    site.await_("OVEN", "STATE", "UP")
    site.systemd.run("kill", "-9", str(site.host_pid()))
    eventually(lambda: site.log.count("on Channel Access port") == 2, 60, "the next host", period_s=0.1)
    site.await_("OVEN", "STATE", "UP")
    assert site.get("OVEN", "REQUEST") == "UP"
    site.systemd.wait(site.service, "StatusText", "1 of 1 node OK")
    assert site.systemd.show(site.service, "NRestarts") == ("0" if keeper else "1")


@pytest.mark.parametrize("keeper", ["", '[keeper]\nrestart = "on-failure"\n'], ids=["bare", "kept"])
def test_a_host_that_stands_still_is_ended_by_the_watchdog(site: Site, keeper: str):
    site.write("OVEN", more=keeper)
    site.up("RestartSec=0.1", "WatchdogSec=4")
    site.await_("OVEN", "STATE", "DOWN")
    time.sleep(6)
    assert site.systemd.show(site.service, "NRestarts") == "0"  # fed all the time
    site.systemd.run("kill", "-STOP", str(site.host_pid()))
    site.systemd.wait(site.service, "NRestarts", "1", 60)
    site.systemd.wait(site.service, "ActiveState", "active")
    site.await_("OVEN", "STATE", "DOWN")


def test_a_wrong_call_is_not_tried_again(site: Site):
    site.write("OVEN")
    site.override("RestartSec=0.1")
    site.install("X1")
    (site.folder / "config" / "guardian" / "X1.toml").write_text("nodes = []\n")
    site.systemd.ctl("daemon-reload")
    assert site.systemd.run("systemctl", "--user", "start", site.service).returncode
    time.sleep(1)
    assert site.systemd.show(site.service, "ActiveState") == "failed"
    assert site.systemd.show(site.service, "NRestarts") == "0"
    assert site.systemd.show(site.service, "ExecMainStatus") == "2"
    assert "nodes is missing" in site.log


def test_code_that_takes_long_to_load_is_waited_for(site: Site):
    site.write("OVEN")
    (site.folder / "OVEN.py").write_text(SLOW)
    site.up("TimeoutStartSec=10", "WatchdogSec=4")
    assert site.systemd.show(site.service, "ActiveState") == "active"
    assert site.get("OVEN", "STATE") == "INIT"
    site.await_("OVEN", "STATE", "DOWN", 90)
    assert site.systemd.show(site.service, "NRestarts") == "0"


def test_no_worker_and_nothing_that_it_starts_can_speak_for_the_host(site: Site):
    site.write("OVEN")
    (site.folder / "OVEN.py").write_text(
        textwrap.dedent(MODULE)
        + "import os, subprocess\n"
        + "log('ENVIRON ' + ' '.join({'NOTIFY_SOCKET', 'WATCHDOG_USEC', 'WATCHDOG_PID'} & set(os.environ)) + '.')\n"
        + "log('CHILD ' + subprocess.run('echo [$NOTIFY_SOCKET]', shell=True, capture_output=True, text=True).stdout)\n"
    )
    site.up()
    site.await_("OVEN", "STATE", "DOWN")
    assert "ENVIRON ." in site.log and "CHILD []" in site.log, site.log
