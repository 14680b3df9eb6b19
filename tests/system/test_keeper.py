"""A host under its keeper: killed, hung, stopped, asked to end; real processes, signals and a terminal."""

from __future__ import annotations

import os
import resource
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path

import psutil
import pytest

from guardian.cli.output import FAILED, OK, WRONG_CALL
from tests.support import Child, eventually, procs
from tests.support.terminal import CTRL_C, on_terminal
from tests.system.hosting import Guardhost

pytestmark = [pytest.mark.ca, pytest.mark.proc]

MODULE = """
    from guardian import GuardState
    request = nominal = "UP"
    class UP(GuardState):
        goto = True
    class DOWN(GuardState):
        goto = True
    class SPAWNS(GuardState):
        def main(self):
            import subprocess
            subprocess.Popen(["setsid", "sleep", "3600"])
            return True
    edges = [("INIT", "UP"), ("UP", "SPAWNS")]
"""
SITE = """
ifo = "{ifo}"
nodes = {nodes}
path = ["."]
port = {port}
state_dir = "state"
[keeper]
{keeper}
"""
#: As sitecustomize.py: blocks the event loop of the host, and of no other process, while a file is there.
HANGS = """
import os, time
if os.environ.get("TEST_HANG") and os.environ.get("GUARD_KEPT"):
    import asyncio.base_events as b
    once = b.BaseEventLoop._run_once
    def _run_once(self):
        if os.path.exists(os.environ["TEST_HANG"]):
            while True:
                time.sleep(1)
        once(self)
    b.BaseEventLoop._run_once = _run_once
"""


class Kept(Guardhost):
    """A host under a keeper; ``child`` is the keeper."""

    def __init__(
        self,
        folder: Path,
        keeper: str = 'restart = "on-failure"',
        *,
        nodes: tuple[str, ...] = ("A", "B"),
        env: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(folder, dict.fromkeys(nodes, MODULE), env=env)
        self.keeper = keeper

    @property
    def argv(self) -> list[str]:
        site = self.folder / "site.toml"
        nodes = str(self.nodes).replace("'", '"')
        site.write_text(SITE.format(ifo=self.ifo, nodes=nodes, port=self.port, keeper=self.keeper))
        return [*super().argv[:3], "--site", str(site), *self.options]

    @property
    def host(self) -> psutil.Process:
        """The host itself."""
        assert self.child is not None
        (found,) = [
            each
            for each in psutil.Process(self.child.pid).children()
            if "guardian.cli.guardhost" in procs.command_line(each.pid)
        ]
        return found

    def said(self, pattern: str, start: int = 0) -> int:
        """Wait until it says that. Where in its output that ends."""
        assert self.child is not None
        return self.child.wait_for(pattern, 60, start=start).end()

    def again(self) -> None:
        """What is asked from now on is asked by another client: libca is in no hurry to find a server again."""
        if self.client is not None:
            self.client.close()
            self.client = None

    def ready(self) -> None:
        self.again()
        for node in self.nodes:
            self.wait(node, "OK", "True", 60)


def test_a_host_that_is_killed_comes_back_with_its_requests_on_its_port(tmp_path: Path) -> None:
    with Kept(tmp_path) as kept:
        kept.ready()
        kept.put("B", "REQUEST", "DOWN")
        kept.wait("B", "STATE", "DOWN")
        kept.put("A", "REQUEST", "SPAWNS")
        kept.wait("A", "STATE", "SPAWNS")
        eventually(
            lambda: "sleep" in [p.name() for p in kept.host.children(recursive=True)], 30, "a daemon of user code"
        )
        for turn in (1, 2):
            host, workers = kept.host, kept.workers()
            family = host.children(recursive=True)
            at = len(kept.child.output) if kept.child else 0
            host.kill()
            at = kept.said(rf"guardhost: the host \(pid {host.pid}\) was killed by SIGKILL after \d+\.\d s; ", at)
            alive = [each for each in family if procs.alive(each.pid)]
            assert not alive, f"{alive} of the dead host are there when the next one is decided on"
            kept.said("it is being started again", at - 2)
            kept.said(rf"HOST ERROR: this host is started by its keeper: the host \(pid {host.pid}\) was killed", at)
            kept.said(rf"on Channel Access port {kept.port}", at)
            kept.again()
            kept.wait("B", "STATE", "DOWN", 60)
            kept.wait("A", "STATE", "SPAWNS", 60)
            assert {p.pid for p in kept.workers().values()}.isdisjoint({p.pid for p in workers.values()}), turn
            assert kept.get("B", "REQUEST") == "DOWN"
        assert kept.child is not None and kept.child.stop() == OK


def test_a_host_that_hangs_says_where_and_is_replaced(tmp_path: Path) -> None:
    hooks = tmp_path / "hooks"
    hooks.mkdir()
    (hooks / "sitecustomize.py").write_text(HANGS)
    env = {"PYTHONPATH": str(hooks), "TEST_HANG": str(tmp_path / "hang")}
    with Kept(tmp_path, 'restart = "on-failure"\nhang_after = 2', nodes=("A",), env=env) as kept:
        kept.ready()
        host = kept.host
        (tmp_path / "hang").touch()
        kept.said(rf"the host \(pid {host.pid}\) has hung \(its event loop stood still for 2 s\); it writes")
        (tmp_path / "hang").unlink()
        at = kept.said(r"sitecustomize\.py\", line \d+ in _run_once")
        kept.said(rf"the host \(pid {host.pid}\) hung \(its .*\) and was killed by SIGKILL after .*; it is being", at)
        kept.said("on Channel Access port", at)
        kept.ready()
        assert kept.child is not None and kept.child.stop() == OK


def test_a_host_that_somebody_has_stopped_is_left_alone(tmp_path: Path) -> None:
    with Kept(tmp_path, 'restart = "always"\nhang_after = 2', nodes=("A",)) as kept:
        kept.ready()
        host, worker = kept.host, kept.workers()["A"].pid
        host.suspend()
        at = kept.said(rf"the host \(pid {host.pid}\) is stopped, by SIGSTOP or a debugger; .* `kill -CONT {host.pid}`")
        with pytest.raises(subprocess.TimeoutExpired):
            subprocess.run(["sleep", "30"], timeout=5, check=False)
        host.resume()
        kept.said(rf"the host \(pid {host.pid}\) goes on", at)
        kept.ready()
        assert kept.host.pid == host.pid and kept.workers()["A"].pid == worker
        assert kept.child is not None and "killed" not in kept.child.output


def test_a_keeper_that_was_stopped_itself_finds_nobody_hung(tmp_path: Path) -> None:
    with Kept(tmp_path, 'restart = "always"\nhang_after = 2', nodes=("A",)) as kept:
        kept.ready()
        host = kept.host
        assert kept.child is not None
        keeper = psutil.Process(kept.child.pid)
        for process in (keeper, host):
            process.suspend()
        with pytest.raises(subprocess.TimeoutExpired):
            subprocess.run(["sleep", "30"], timeout=5, check=False)
        host.resume()
        keeper.resume()
        kept.ready()
        assert kept.host.pid == host.pid and "hung" not in kept.child.output


def test_one_that_dies_again_and_again_is_given_up(tmp_path: Path) -> None:
    with Kept(tmp_path, 'restart = "on-failure"\nrestarts = 1\nrestart_delay = 0.2', nodes=("A",)) as kept:
        kept.ready()
        at = 0
        for _ in range(2):
            kept.host.kill()
            at = kept.said("was killed by SIGKILL", at)
            if "not started again" not in kept.child.output[at:] if kept.child else "":
                eventually(lambda: kept.child and (kept.child.returncode is not None or kept.host.is_running()), 60)
        assert kept.child is not None and kept.child.wait(30) == FAILED
        assert "2 times in 60 s; not started again\n" in kept.child.output
        assert "its nodes do not run. See its log" in kept.child.output


def test_SIGTERM_of_the_keeper_ends_all_and_of_the_host_too(tmp_path: Path) -> None:
    for whom in ("keeper", "host"):
        with Kept(tmp_path, 'restart = "always"', nodes=("A",)) as kept:
            kept.ready()
            assert kept.child is not None
            family = psutil.Process(kept.child.pid).children(recursive=True)
            os.kill(kept.child.pid if whom == "keeper" else kept.host.pid, signal.SIGTERM)
            assert kept.child.wait(30) == OK, "a host that was asked to end has not failed"
            assert [each for each in family if procs.alive(each.pid)] == []
            assert kept.child.output.count("A the node has ended") == 1


def test_SIGTERM_while_it_waits_ends_it_at_once(tmp_path: Path) -> None:
    with Kept(tmp_path, 'restart = "always"\nrestart_delay = 600\nrestart_delay_max = 600', nodes=("A",)) as kept:
        kept.ready()
        kept.host.kill()
        kept.said("being started again, after 600 s")
        assert kept.child is not None
        kept.child.signal(signal.SIGTERM)
        assert kept.child.wait(10) == OK


def test_without_its_keeper_the_host_ends_its_nodes_in_good_order(tmp_path: Path) -> None:
    with Kept(tmp_path, nodes=("A",)) as kept:
        kept.ready()
        assert kept.child is not None
        family = psutil.Process(kept.child.pid).children(recursive=True)
        kept.child.kill9()
        kept.said("A the node has ended")
        eventually(
            lambda: not [each for each in family if procs.alive(each.pid)], 30, "the host and its workers to end"
        )


def test_Ctrl_C_ends_both_once(tmp_path: Path) -> None:
    kept = Kept(tmp_path, nodes=("A",))
    with Child(on_terminal(kept.argv), env=kept.env, cwd=tmp_path, stdin=True) as child:
        child.wait_for(r"on Channel Access port \d+", 60)
        child.wait_for("EDGE: INIT -> UP", 60)
        child.send(CTRL_C)
        assert child.wait(30) == OK
        assert child.output.count("the node has ended") == 1
        assert "Traceback" not in child.output and "killed" not in child.output


def test_a_wrong_call_is_told_once_and_not_tried_again(tmp_path: Path) -> None:
    """What a second host finds: its nodes run already."""
    with Kept(tmp_path, nodes=("A",)) as kept:
        kept.ready()
        again = [word if word != "state" else "other" for word in kept.argv]
        with Child([*again, "--state-dir", str(tmp_path / "other")], env=kept.env, cwd=tmp_path) as second:
            assert second.wait(60) == WRONG_CALL
            assert "being started again" not in second.output and "A" in second.output


def test_a_port_that_is_taken_when_a_dead_host_comes_back_is_waited_for(tmp_path: Path) -> None:
    """The same call was right once: what keeps a host from its port, or from its site file, may be over soon."""
    with Kept(tmp_path, 'restart = "on-failure"\nrestarts = 30\nrestart_delay = 1', nodes=("A",)) as kept:
        kept.ready()
        assert kept.child is not None
        at = len(kept.child.output)
        kept.host.kill()
        at = kept.said("being started again, after 1 s", at)
        with socket.socket() as thief:
            thief.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            thief.bind(("127.0.0.1", kept.port))
            thief.listen()
            at = kept.said(rf"port {kept.port} on 127.0.0.1 cannot be served", at)
            at = kept.said(r"ended with exit code 2 after \d+\.\d s; 2 times in 60 s; it is being started again", at)
        kept.said(rf"on Channel Access port {kept.port}", at)
        kept.ready()


def test_a_keeper_without_descriptors_judges_nobody_and_tries_again(tmp_path: Path) -> None:
    """As when the files of the whole machine are used up, which may have killed the host."""
    with Kept(tmp_path, 'restart = "on-failure"\nrestarts = 1', nodes=("A",)) as kept:
        kept.ready()
        assert kept.child is not None
        keeper, host = kept.child.pid, kept.host
        before = resource.prlimit(keeper, resource.RLIMIT_NOFILE)
        resource.prlimit(keeper, resource.RLIMIT_NOFILE, (3, before[1]))
        time.sleep(3)  # in which it looks at the host three times
        assert host.is_running() and kept.child.returncode is None, kept.child.report()
        host.kill()
        at = kept.said("being started again")
        for _ in range(3):
            at = kept.said("no process can be made for the host: Too many open files; tried again, after", at)
        resource.prlimit(keeper, resource.RLIMIT_NOFILE, before)
        kept.said(rf"started by its keeper: the host \(pid {host.pid}\) was killed by SIGKILL", at)
        kept.ready()


def test_what_a_host_leaves_behind_is_ended_with_all_that_it_has_started(tmp_path: Path) -> None:
    """Who makes workers hangs, and cannot end what they have started; the next host must not meet it."""
    with Kept(tmp_path, nodes=("A",)) as kept:
        kept.ready()
        kept.put("A", "REQUEST", "SPAWNS")
        kept.wait("A", "STATE", "SPAWNS")
        host = kept.host
        eventually(lambda: "sleep" in [p.name() for p in host.children(recursive=True)], 30, "a daemon of user code")
        family = host.children(recursive=True)
        (forkserver,) = [p for p in family if "guardian.worker.forkserver" in procs.command_line(p.pid)]
        forkserver.suspend()
        assert kept.child is not None
        at = len(kept.child.output)
        host.kill()
        kept.said("being started again", at)
        assert [each for each in family if procs.alive(each.pid)] == [], kept.child.report()
        assert "do not die" not in kept.child.output


def test_the_keeper_is_small_and_has_one_thread(tmp_path: Path) -> None:
    with Kept(tmp_path, nodes=("A",)) as kept:
        kept.ready()
        assert kept.child is not None
        keeper = psutil.Process(kept.child.pid)
        assert keeper.num_threads() == 1
        own = keeper.memory_full_info().uss
        assert own < 15e6, f"the keeper takes {own / 1e6:.1f} MB"
        code = "import sys, guardian.cli.keeper; print({'asyncio', 'caproto', 'epics', 'argparse'} & {*sys.modules})"
        out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
        assert out.stdout == "{'argparse'}\n"


def test_fresh_is_said_of_the_first_host_only(tmp_path: Path) -> None:
    kept = Kept(tmp_path, nodes=("A",))
    kept.options = ("--fresh",)
    with kept:
        kept.ready()
        kept.put("A", "REQUEST", "DOWN")
        kept.wait("A", "STATE", "DOWN")
        kept.host.kill()
        kept.said("started by its keeper")
        kept.again()
        kept.wait("A", "STATE", "DOWN", 60)
