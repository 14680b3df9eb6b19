"""Two hosts that run one node: never. Real hosts, on one machine and as if on two, also when they start together.

Hosts of two machines have lock folders of their own, and addresses that lead to both; the rest is as on a network.
What user code did stands in a file, so that no moment in which both drove the hardware is missed.
"""

from __future__ import annotations

import contextlib
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from guardian.cli.wrappers import command
from ioc.cas import wire
from ioc.cas.search import found
from tests.support import CaClient, Child, SoftIoc, ca_env, eventually, free_port, random_prefix
from tests.system.hosting import Guardhost

pytestmark = [pytest.mark.ca, pytest.mark.proc]

DRIVES = """
    import os
    from guardian import GuardState
    request = nominal = "UP"
    class UP(GuardState):
        def main(self):
            with open({file!r}, "a") as file:
                file.write(os.environ["MACHINE"] + "\\n")
    edges = [("INIT", "UP")]
"""


class Machines:
    """Machines A and B on one network, with one host each; both run SUS and one node of their own."""

    def __init__(self, folder: Path, *, one_machine: bool = False) -> None:
        self.driven = folder / "driven"
        self.ifo = random_prefix().rstrip(":")
        self.hosts: dict[str, Guardhost] = {}
        for name in "AB":
            (folder / name).mkdir()
            modules = dict.fromkeys(("SUS", f"ONLY_{name}"), DRIVES.format(file=str(self.driven)))
            env = {"MACHINE": name, "GUARD_LOCK_DIR": str(folder / ("locks" if one_machine else f"locks-{name}"))}
            self.hosts[name] = Guardhost(folder / name, modules, env=env, ifo=self.ifo)
        self.reach(*(host.port for host in self.hosts.values()))

    def reach(self, *ports: int) -> None:
        """Searches of both hosts lead there."""
        for host in self.hosts.values():
            host.env["EPICS_CA_ADDR_LIST"] = " ".join(f"127.0.0.1:{port}" for port in ports)

    def child(self, name: str, *nodes: str) -> Child:
        """Start the host of a machine, with these nodes, and do not wait."""
        host = self.hosts[name]
        host.nodes = list(nodes)
        host.child = Child(host.argv, env=host.env, cwd=host.folder)
        return host.child

    def up(self, name: str, *nodes: str) -> Guardhost:
        """The same, and wait until all nodes are where they should be."""
        self.child(name, *nodes)
        host = self.hosts[name]
        host.child.wait_for(r"on Channel Access port \d+", 60)
        for node in nodes:
            host.wait(node, "STATUS", "DONE", 60)
        return host

    @property
    def drivers(self) -> list[str]:
        """The machines whose code has run, each time that it did."""
        return self.driven.read_text().split() if self.driven.exists() else []


@pytest.fixture
def machines(tmp_path: Path) -> Iterator[Callable[..., Machines]]:
    made: list[Machines] = []

    def make(**how: bool) -> Machines:
        made.append(Machines(tmp_path, **how))
        return made[-1]

    yield make
    for one in made:
        for host in one.hosts.values():
            host.__exit__(None, None, None)


def refused(child: Child, node: str) -> str:
    """The line in which a host said that it does not run this node."""
    found: str = child.wait_for(rf"^guardhost: ({node} is not started: .*)$", 60)[1]
    return found


@pytest.mark.parametrize("one_machine", [True, False], ids=["one machine", "two machines"])
def test_the_second_host_is_refused_and_says_who_has_the_node(
    machines: Callable[..., Machines], one_machine: bool
) -> None:
    both = machines(one_machine=one_machine)
    first = both.up("A", "SUS")
    second = both.child("B", "SUS")
    assert second.wait(60) == 2, second.report()
    line = refused(second, "SUS")
    where = "another host on this machine runs it" if one_machine else "another host runs it"
    assert line.startswith(f"SUS is not started: {where}, process {first.child.pid} of "), line
    assert f" on {socket.gethostname()}, port {first.port}, since " in line
    assert f"guardctrl --state-dir {first.state_dir} destroy SUS" in line
    assert one_machine or f"found at 127.0.0.1:{first.port}" in line
    assert len(second.output.splitlines()) == 1, second.report()  # and nothing else
    assert first.get("SUS", "STATUS") == "DONE" and both.drivers == ["A"]


def test_who_starts_a_host_twice_hears_of_its_nodes_and_changes_nothing(machines: Callable[..., Machines]) -> None:
    """Not that the port is taken, or the control socket: all of it is, and the node is what matters."""
    both = machines()
    host = both.up("A", "SUS")
    files = eventually(lambda: len(all_ := sorted(host.state_dir.rglob("*"))) > 4 and all_, 60, "SUS.json and its copy")
    with Child(host.argv, env=host.env, cwd=host.folder) as again:
        assert again.wait(60) == 2
        assert refused(again, "SUS").startswith("SUS is not started: another host on this machine runs it, process ")
        assert again.output.count("\n") == 1, again.report()
    assert sorted(host.state_dir.rglob("*")) == files
    assert both.drivers == ["A"] and host.get("SUS", "STATUS") == "DONE"


def test_guardian_says_it_too(machines: Callable[..., Machines]) -> None:
    both = machines()
    both.up("A", "SUS")
    host = both.hosts["B"]
    line = [*command("guardian"), "SUS", "--ifo", both.ifo, "--path", str(host.folder), "--port", str(host.port)]
    with Child([*line, "--state-dir", str(host.state_dir)], env=host.env, cwd=host.folder) as second:
        assert second.wait(60) == 2
        assert second.output.startswith("guardian: SUS is not started: another host runs it, process "), second.report()
        assert second.output.count("\n") == 1


def test_the_other_nodes_of_the_second_host_run(machines: Callable[..., Machines]) -> None:
    both = machines()
    first = both.up("A", "SUS")
    both.child("B", "SUS", "ONLY_B")
    second = both.hosts["B"]
    refused(second.child, "SUS")
    second.child.wait_for(r"^guardhost: ONLY_B on Channel Access port", 60)
    second.wait("ONLY_B", "STATUS", "DONE", 60)
    assert both.drivers == ["A", "B"]
    order = [sys.executable, "-m", "guardian.cli.guardctrl", "--state-dir", str(second.state_dir), "create", "SUS"]
    done = subprocess.run(order, env=second.env, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 1 and done.stdout == ""
    assert done.stderr.startswith(f"guardctrl: SUS is not started: another host runs it, process {first.child.pid} of")
    assert done.stderr.count("\n") == 1
    # As it says: remove it there. Then it can move.
    first.ctrl("destroy", "SUS")
    assert second.ctrl("create", "SUS").startswith("SUS is added")
    second.wait("SUS", "STATUS", "DONE", 60)
    assert both.drivers == ["A", "B", "B"]


def test_a_host_that_was_killed_is_back_at_once(machines: Callable[..., Machines]) -> None:
    """Its lock went with it, and nobody answers for it any more."""
    both = machines()
    host = both.up("A", "SUS")
    for times in range(2, 5):
        old = host.child
        host.kill9()
        old.wait(30)
        both.up("A", "SUS")
        assert "is not started" not in host.child.output
        assert both.drivers == ["A"] * times
        old.close()
    host.child.signal(signal.SIGTERM)
    assert host.child.wait(60) == 0
    both.up("B", "SUS")  # and another machine may have it now
    assert both.drivers == ["A"] * 4 + ["B"]


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize("one_machine", [True, False], ids=["one machine", "two machines"])
def test_of_two_that_start_together_exactly_one_has_the_node(
    machines: Callable[..., Machines], one_machine: bool
) -> None:
    both = machines(one_machine=one_machine)
    winners = []
    for number in range(20):
        children = {name: both.child(name, "SUS") for name in "AB"}
        ready = r"(on Channel Access port \d+|is not started)"
        for child in children.values():
            child.wait_for(ready, 60)
        (winner,) = [name for name, child in children.items() if "is not started" not in child.output]
        loser = children["AB".replace(winner, "")]
        assert loser.wait(60) == 2, loser.report()
        winners.append(winner)
        eventually(lambda: both.drivers == winners, 60, f"the code of {winner} alone in round {number}")
        children[winner].signal(signal.SIGTERM)
        assert children[winner].wait(60) == 0
        for child in children.values():
            child.close()


class Wire(threading.Thread):
    """Hands searches on to a server and its answers back, once it is plugged in."""

    def __init__(self, port: int) -> None:
        super().__init__(name="wire")
        self._server = ("127.0.0.1", port)
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.bind(("127.0.0.1", 0))
        self._socket.settimeout(0.1)
        self.port = self._socket.getsockname()[1]
        self.plugged_in = False
        self._over = False

    def run(self) -> None:
        client = None
        while not self._over:
            with contextlib.suppress(TimeoutError):
                data, sender = self._socket.recvfrom(65536)
                client = client if sender == self._server else sender
                if self.plugged_in:
                    self._socket.sendto(data, client if sender == self._server else self._server)

    def __enter__(self) -> Wire:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over = True
        self.join(30)
        self._socket.close()


@pytest.mark.slow
def test_hosts_that_meet_later_settle_it_and_the_older_one_stays(machines: Callable[..., Machines]) -> None:
    """The network between them was down when the second one started."""
    both = machines()
    older, younger = both.up("A", "SUS"), both.hosts["B"]
    with Wire(older.port) as network:
        younger.env["EPICS_CA_ADDR_LIST"] = f"127.0.0.1:{network.port}"
        both.child("B", "SUS", "ONLY_B")
        younger.child.wait_for(r"on Channel Access port \d+", 60)
        younger.env["EPICS_CA_ADDR_LIST"] = "127.0.0.1"  # for the client of this test
        younger.wait("SUS", "STATUS", "DONE", 60)
        younger.wait("ONLY_B", "STATUS", "DONE", 60)
        network.plugged_in = True
        said = younger.child.wait_for(r" SUS ERROR: (SUS is taken down: .*)$", 60)[1]
        assert said.startswith(f"SUS is taken down: an older host runs it too, process {older.child.pid} of ")
        younger.child.wait_for(r" SUS the node has ended$", 60)
        assert younger.get("ONLY_B", "STATUS") == "DONE" and list(younger.workers()) == ["ONLY_B"]
        assert "SUS" not in younger.ctrl("list")
        younger.child.signal(signal.SIGTERM)
        assert younger.child.wait(60) == 0
        # A host to which nothing is left ends, as if it had known from the beginning.
        network.plugged_in = False
        younger.child.close()
        younger.env["EPICS_CA_ADDR_LIST"] = f"127.0.0.1:{network.port}"
        last = both.child("B", "SUS")
        last.wait_for(r"on Channel Access port \d+", 60)
        network.plugged_in = True
        assert last.wait(60) == 2, last.report()
        assert "guardhost: nothing is left to run: SUS is taken down: an older host runs it too" in last.output
    assert older.get("SUS", "STATUS") == "DONE" and set(older.workers()) == {"SUS"}


CAPROTO = """
from caproto.server import pvproperty, PVGroup, run
class Ioc(PVGroup):
    state = pvproperty(name="STATE", value="UP")
run(Ioc(prefix={prefix!r}).pvdb, interfaces=["127.0.0.1"])
"""


@pytest.mark.parametrize("kind", ["EPICS", "caproto"])
def test_a_foreign_server_with_the_pv_is_named_and_left_alone(machines: Callable[..., Machines], kind: str) -> None:
    both, port = machines(), free_port()
    prefix = f"{both.ifo}:GRD-SUS_"
    with contextlib.ExitStack() as stack:
        if kind == "EPICS":
            stack.enter_context(SoftIoc(f'record(stringin, "{prefix}STATE") {{ field(VAL, "UP") }}', port))
        else:
            stack.enter_context(Child([sys.executable, "-c", CAPROTO.format(prefix=prefix)], env=ca_env(port)))
        with CaClient(ca_env(port)) as client:
            eventually(lambda: client.get(f"{prefix}STATE", as_string=True).value == "UP", 60, "the server")
        both.reach(port)
        host = both.child("A", "SUS")
        assert host.wait(60) == 2, host.report()
        line = refused(host, "SUS")
    assert line.startswith(
        f"SUS is not started: 127.0.0.1:{port} serves {prefix}STATE too, and is no host of this kind"
    )
    assert line.endswith("stop it, or give the node another name") and both.drivers == []


@pytest.mark.parametrize("says", [b"", b"SSH-2.0-OpenSSH_9.6\r\n" * 99, None], ids=["hangs", "garbage", "refuses"])
def test_who_answers_a_search_and_not_who_it_is_keeps_no_node_from_running(
    machines: Callable[..., Machines], says: bytes | None
) -> None:
    both = machines()
    over = threading.Event()
    with (
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as searches,
        socket.socket(socket.AF_INET, socket.SOCK_STREAM) as circuits,
    ):
        searches.bind(("127.0.0.1", 0))
        circuits.bind(("127.0.0.1", 0))
        if says is not None:
            circuits.listen(8)
        for one in (searches, circuits):
            one.settimeout(0.1)

        def answer() -> None:
            while not over.is_set():
                with contextlib.suppress(TimeoutError):
                    data, client = searches.recvfrom(65536)
                    for message in wire.Parser().feed(data):
                        if message.command == wire.SEARCH:
                            searches.sendto(found(circuits.getsockname()[1], message.one), client)

        def accept() -> None:
            with contextlib.ExitStack() as stack:
                while not over.is_set():
                    with contextlib.suppress(OSError):
                        client = stack.enter_context(circuits.accept()[0])
                        client.sendall(says or b"")

        threads = [threading.Thread(target=answer), threading.Thread(target=accept)]
        for thread in threads:
            thread.start()
        try:
            both.reach(searches.getsockname()[1])
            host = both.child("A", "SUS")
            host.wait_for(r"on Channel Access port \d+", 60)
            name = f"{both.ifo}:GRD-SUS_"
            at = f"127.0.0.1:{circuits.getsockname()[1]}"
            host.wait_for(rf" HOST WARNING: .*{at} answers to {name}(HOST|STATE), and not when asked who it is", 60)
        finally:
            over.set()
            for thread in threads:
                thread.join(30)
    eventually(lambda: both.drivers == ["A"], 60, "the node")


@pytest.mark.slow
@pytest.mark.timeout(400)
def test_three_hundred_nodes_are_asked_for_in_one_go(machines: Callable[..., Machines]) -> None:
    """What it costs is in bench/nodes.py. Here: all of one host are refused by the other one, at once."""
    both = machines()
    names = [f"N{i:03d}" for i in range(300)]
    for host in both.hosts.values():
        for name in names:
            host.write(name, DRIVES.format(file=str(both.driven)))
    first = both.child("A", *names)
    eventually(lambda: both.drivers == ["A"] * 300, 120, "all nodes of the first host", 0.2)
    second = both.child("B", *names)
    assert second.wait(120) == 2, second.report()
    lines = second.output.splitlines()
    assert len(lines) == 300
    assert all(f"is not started: another host runs it, process {first.pid} of" in line for line in lines)
    assert "B" not in both.drivers
