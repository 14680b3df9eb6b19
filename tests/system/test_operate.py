"""A real host, and its operator: the site file is followed, orders come from many shells, hosts are dead or stopped."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import signal
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psutil
import pytest

from guardian.cli.output import FAILED, OK, WRONG_CALL
from guardian.host.asking import NoHost, ask
from tests.cli.ctrl.calling import Called, Shell
from tests.support import Child, eventually
from tests.system.hosting import Guardhost
from tests.system.test_must_hold import GOOD

pytestmark = [pytest.mark.ca, pytest.mark.proc]
NODES = ("OVEN", "FAN", "LAMP", "PUMP")
KEEPER = '[keeper]\nrestart = "on-failure"\n'
#: Its code never ends, and takes no notice of anybody who wants it to.
HUNG = """
from guardian import GuardState
import time
request = nominal = 'HUNG'
class HUNG(GuardState):
    def main(self):
        while True:
            try:
                time.sleep(60)
            except BaseException:
                pass
edges = [('INIT', 'HUNG')]
"""


class Operated:
    """A host with a site file that this test writes, and a shell beside it."""

    def __init__(self, folder: Path) -> None:
        self.host = Guardhost(folder, {**dict.fromkeys(NODES, GOOD), "HUNG": HUNG})
        self.file = folder / "site.toml"
        self.host.command = ["--site", str(self.file)]
        self.shell = Shell({**self.host.env, "XDG_STATE_HOME": str(folder / "home")}, ifo=self.host.ifo)

    def write(self, *nodes: str, more: str = "") -> None:
        names = ", ".join(f'"{node}"' for node in nodes)
        head = f'ifo = "{self.host.ifo}"\nnodes = [{names}]\npath = ["."]\nport = {self.host.port}\n'
        if self.file.is_symlink() or not self.file.is_file():
            self._clear()
        self.file.write_text(f'{head}state_dir = "state"\n{more}')

    def _clear(self) -> None:
        if self.file.is_dir() and not self.file.is_symlink():
            self.file.rmdir()
        self.file.unlink(missing_ok=True)

    def become(self, make: Callable[[Path], object]) -> None:
        """Make something else of the site file."""
        self._clear()
        make(self.file)

    def __call__(self, *words: str, stdin: str = "") -> Called:
        return self.shell("--state-dir", str(self.host.state_dir), *words, stdin=stdin)

    @property
    def child(self) -> Child:
        assert self.host.child is not None
        return self.host.child

    @property
    def said(self) -> str:
        return self.child.output

    def hang_up(self) -> None:
        self.child.signal(signal.SIGHUP)

    def runs(self) -> set[str]:
        return {line.split()[0] for line in self("list").out.splitlines()}

    def end(self) -> None:
        self.child.signal(signal.SIGTERM)
        assert self.child.wait(60) == OK, self.child.report()


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Operated]:
    made = Operated(tmp_path_factory.mktemp("operate"))
    made.write("OVEN", "FAN")
    with made.host:
        made.host.wait("OVEN", "OK", "True", 60)  # its client is of the module, too
        yield made
        made.write("OVEN", "FAN")
        made.end()


@pytest.fixture
def at_rest(site: Operated) -> Operated:
    """OVEN and FAN run, as the file says."""
    site.write("OVEN", "FAN")
    told = site("reload", "--yes")
    assert told.code == OK and site.runs() == {"OVEN", "FAN"}, told
    for node in ("OVEN", "FAN"):
        assert site("start", node).code == OK
        site.host.wait(node, "OK", "True", 60)
    return site


def test_a_site_file_is_followed_and_the_others_notice_nothing(at_rest: Operated) -> None:
    site = at_rest
    pid = site.host.workers()["OVEN"].pid
    watched = site.host.ca.monitor(site.host.pv("OVEN", "STATE"))
    watched.wait_connection(True)
    site.write("OVEN", "LAMP", "PUMP", more="[node.OVEN]\nwatchdog = 30\n")
    told = site("reload", "--dry-run")
    lines = ["nodes to be added: LAMP, PUMP", "nodes to be removed: FAN", "policy of OVEN: watchdog 0 -> 30"]
    assert [line.strip() for line in told.out.splitlines()[1:]] == lines and site.runs() == {"OVEN", "FAN"}, told
    assert "nothing was done" in site("reload", stdin="no\n").err and site.runs() == {"OVEN", "FAN"}
    told = site("reload", stdin="y\n")
    done = ["policies: in force for 1 node", "FAN is removed; its settings are kept"]
    done += ["LAMP is added and starts", "PUMP is added and starts"]
    assert (told.code, told.out.splitlines()[4:]) == (OK, done), told
    assert site.runs() == {"OVEN", "LAMP", "PUMP"}
    assert site.host.workers()["OVEN"].pid == pid and watched.connections == [True]
    assert "nothing is otherwise" in site("reload").out


def test_sighup_writes_the_difference_before_it_does_anything(at_rest: Operated) -> None:
    site, start = at_rest, len(at_rest.said)
    site.write("OVEN", "LAMP")
    site.hang_up()
    site.child.wait_for("HOST LAMP is added and starts", 60, start=start)
    said = site.said[start:]
    assert said.index("read anew, by SIGHUP: nodes to be added: LAMP; nodes to be removed: FAN") < said.index(
        "FAN is removed from this host by SIGHUP"
    )
    assert site.runs() == {"OVEN", "LAMP"}


def test_a_storm_of_sighup_is_a_few_readings(at_rest: Operated) -> None:
    site, start, pids = at_rest, len(at_rest.said), {n: p.pid for n, p in at_rest.host.workers().items()}
    began = time.monotonic()
    for _ in range(1000):
        site.hang_up()
        time.sleep(0.002)
    site.child.wait_for("read anew, by SIGHUP: nothing is otherwise", 60, start=start)
    time.sleep(2)
    assert site.said[start:].count("is read anew, by SIGHUP") <= time.monotonic() - began + 2
    assert {n: p.pid for n, p in site.host.workers().items()} == pids


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda path: path.write_text('ifo = "X1"\nnod'), "Expected '='"),
        (lambda path: path.write_text("x = " + "[" * 100_000), "nested too deeply"),
        (os.mkfifo, "it is a pipe"),
        (lambda path: path.symlink_to("/dev/zero"), "more than 16000000 bytes"),
        (lambda path: None, "No such file"),
    ],
    ids=["half", "nested", "pipe", "endless", "gone"],
)
def test_a_file_with_a_fault_changes_nothing_and_is_an_alarm_until_it_is_good(
    at_rest: Operated, make: Callable[[Path], object], says: str
) -> None:
    site, start = at_rest, len(at_rest.said)
    site.become(make)
    told = site("reload", "--yes")
    assert told.code == FAILED and says in told.err and told.err.count("\n") == 1, told
    assert "please report" not in told.err
    time.sleep(1)  # between two signals
    site.hang_up()
    site.child.wait_for("SIGHUP: nothing was done: site file ", 60, start=start)
    assert site("destroy", "FAN").code == site("create", "FAN").code == OK, "orders do not need the file"
    assert says in eventually(lambda: (why := site("status").out.splitlines()[0]) and says in why and why, 30, says)
    assert site.runs() == {"OVEN", "FAN"}
    site.write("OVEN", "FAN")
    assert site("reload").code == OK
    eventually(lambda: says not in site("status").out, 30, "the alarm to be gone")


def test_a_node_that_is_renamed_keeps_no_pv(at_rest: Operated) -> None:
    site = at_rest
    shutil.copy(site.host.folder / "FAN.py", site.host.folder / "FAN_2.py")
    site.write("OVEN", "FAN_2")
    assert "FAN_2 is added and starts" in site("reload", "--yes").out
    site.host.wait("FAN_2", "OK", "True", 60)
    assert set(site.host.workers()) == {"OVEN", "FAN_2"}


def test_ten_shells_create_and_destroy_one_node(at_rest: Operated) -> None:
    site = at_rest
    with ThreadPoolExecutor(10) as shells:
        told = list(shells.map(lambda n: site("destroy" if n % 2 else "create", "LAMP"), range(30)))
    assert any(one.code == OK for one in told)
    assert not [one for one in told if "please report" in one.err], told
    assert site("reload", "--yes").code == OK and site.runs() == {"OVEN", "FAN"}
    assert eventually(lambda: set(site.host.workers()) == {"OVEN", "FAN"}, 30, "one worker each")


def test_code_that_does_not_end_is_restarted_and_destroyed(at_rest: Operated) -> None:
    site = at_rest
    assert site("create", "HUNG").code == OK
    site.host.wait("HUNG", "STATE", "HUNG", 60)
    for _ in range(2):
        told = site("restart", "HUNG")
        assert told.code == OK and re.match(r"HUNG: a new worker runs, process \d+\n", told.out), told
    pid = site.host.workers()["HUNG"].pid
    assert site("destroy", "HUNG").out.startswith("HUNG is removed")
    assert not psutil.pid_exists(pid)


def test_a_node_that_was_stopped_is_not_said_to_start(at_rest: Operated) -> None:
    site = at_rest
    for order in ("stop", "destroy"):
        assert site(order, "FAN").code == OK
    assert "FAN is added, and is stopped as before; guardctrl start FAN" in site("create", "FAN").out
    assert site("destroy", "FAN").code == OK
    assert "FAN is added, and is stopped as before; guardctrl start FAN" in site("reload", "--yes").out


def test_status_of_a_host_that_runs_is_stopped_and_is_dead(tmp_path: Path) -> None:
    site = Operated(tmp_path)
    site.write("OVEN", "FAN", "LAMP")
    site.host.start()
    try:
        for node in ("OVEN", "FAN", "LAMP"):
            site.host.wait(node, "OK", "True", 60)
        site("destroy", "LAMP")
        told = site("status")
        service, oven, fan, lamp = told.out.splitlines()
        assert told.code == FAILED and "2 nodes, 0 not OK" in service and oven.split()[:2] == ["OVEN", "OK"], told
        assert fan.split()[:2] == ["FAN", "OK"] and lamp.endswith("does not run; guardctrl create LAMP"), told
        site("create", "LAMP")
        site.host.wait("LAMP", "OK", "True", 60)
        assert site("status").code == OK
        site.child.signal(signal.SIGSTOP)
        for told in (site("status"), site.shell("status"), site.shell("destroy", "FAN")):
            stopped = f"process {site.child.pid} is stopped, by SIGSTOP or a debugger"
            assert told.code == FAILED and stopped in told.err, told
        site.child.signal(signal.SIGCONT)
        assert eventually(lambda: site("status").code == OK, 30, "all well again")
        site.host.kill9()
        site.child.wait(30)
        told = site("status", "--json")
        assert (told.code, told.facts["service"]["running"], len(told.facts["nodes"])) == (FAILED, False, 3), told
        assert site("status").out.startswith("not running since 20")
        assert "no host answers at" in site("destroy", "FAN").err
    finally:
        site.host.__exit__(None, None, None)


@pytest.mark.parametrize(("before", "more"), [([], KEEPER), (["nohup"], ""), (["nohup"], KEEPER)])
def test_sighup_reaches_a_host_with_a_keeper_and_under_nohup(tmp_path: Path, before: list[str], more: str) -> None:
    site = Operated(tmp_path)
    site.write("OVEN", more=more)
    with Child([*before, *site.host.argv], env=site.host.env, cwd=tmp_path) as child:
        child.wait_for(r"on Channel Access port \d+", 60)
        site.write("OVEN", "FAN", more=more)
        child.signal(signal.SIGHUP)
        child.wait_for("HOST FAN is added and starts", 60)
        child.signal(signal.SIGTERM)
        assert child.wait(60) == OK, child.report()


def test_sighup_while_a_host_ends_does_not_change_how_it_ends(tmp_path: Path) -> None:
    site = Operated(tmp_path)
    site.write("OVEN")
    site.host.start()
    try:
        site.child.signal(signal.SIGTERM)
        while psutil.Process(site.child.pid).status() != psutil.STATUS_ZOMBIE:
            site.hang_up()
            time.sleep(0.001)
        assert site.child.wait(60) == OK, site.child.report()
    finally:
        site.host.__exit__(None, None, None)


def test_a_host_ends_although_its_site_file_is_a_pipe_to_which_nobody_writes(tmp_path: Path) -> None:
    site = Operated(tmp_path)
    site.write("OVEN")
    with site.host:
        site.become(os.mkfifo)
        site.hang_up()
        site.child.wait_for("SIGHUP: nothing was done: .* is a pipe", 60)
        site.end()


def test_an_order_never_goes_to_another_host_because_the_one_that_is_meant_does_not_answer(tmp_path: Path) -> None:
    """Two hosts with a node of the same name and, without --ifo, no way to tell which one is meant."""
    (tmp_path / "one").mkdir()
    (tmp_path / "two").mkdir()
    one, two = Operated(tmp_path / "one"), Operated(tmp_path / "two")
    for site in (one, two):
        site.write("OVEN")
        site.host.env["GUARD_LOCK_DIR"] = str(tmp_path / "locks")
    plain = {"IFO": None, "GUARD_LOCK_DIR": str(tmp_path / "locks")}
    with one.host, two.host:
        told = one.shell("stop", "OVEN", env=plain)
        assert told.code == FAILED and "several hosts run on this machine; say which one" in told.err, told
        told = one.shell("status", env=plain)
        assert told.out.count(": running since ") == 2, told
        two.child.signal(signal.SIGSTOP)
        told = one.shell("stop", "OVEN", env=plain)
        assert told.code == FAILED and "say which one, with --state-dir" in told.err, told
        told = one.shell("status", env=plain)
        assert told.code == FAILED and f"process {two.child.pid} is stopped" in told.err, told
        assert told.out.count(": running since ") == 1, told
        two.child.signal(signal.SIGCONT)
        one.host.wait("OVEN", "OP", "EXEC")
        two.end()
        assert one.shell("stop", "OVEN", env=plain).code == OK
        one.end()


def test_a_site_file_with_a_fault_hides_no_host(tmp_path: Path) -> None:
    site = Operated(tmp_path)
    site.write("OVEN")
    with site.host:
        site.file.write_text("nodes = [")
        told = site.shell("--site", str(site.file), "status")
        assert told.code == WRONG_CALL and "reached without its site file, too: --state-dir DIR" in told.err, told
        assert "1 node" in site("status").out


def test_a_host_that_starts_is_not_said_to_lack_its_nodes(tmp_path: Path) -> None:
    """Neither by status, nor by a reload: an operator who believed it would create them by hand."""
    site = Operated(tmp_path)
    names = [f"N{number}" for number in range(60)]
    for name in names:
        site.host.write(name, GOOD)
    site.write(*names)
    site.host.child = Child(site.host.argv, env=site.host.env, cwd=tmp_path)
    try:
        eventually((tmp_path / "state/control.sock").is_socket, 60, "the control socket")
        said: list[tuple[int, int]] = []
        until = time.monotonic() + 60
        while said[-1:] != [(60, 0)] and time.monotonic() < until:
            with contextlib.suppress(NoHost):
                told = ask(tmp_path / "state/control.sock", {"do": "status"})
                assert told["missing"] == []
                look = ask(tmp_path / "state/control.sock", {"do": "reload", "step": "look"})
                assert look["lines"] == []
                said.append((len(told["nodes"]), len(told["coming"])))
        assert {sum(counts) for counts in said} == {60}, said
    finally:
        site.host.child.close()
