"""Hosts that all want one node, let go at the same instant; and what there is to see of it.

User code keeps a record of itself in a file that all machines share: when it began, and as long as it lives, that it
lives. So no moment in which two of them ran is missed, however short.
"""

from __future__ import annotations

import itertools
import json
import os
import random
import re
import signal
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import psutil

from tests.support import REPO, CaClient, Child, eventually, procs, random_prefix
from tests.support.lossy_wire import LossyWire
from tests.support.netns import Cable
from tests.support.shifted_clock import ShiftedClock
from tests.system.hosting import Guardhost
from tests.system.test_two_hosts import HostOn

NODE = "SUS"
#: INIT says who it is and since when; while the node lives, a file of its own says until when.
RECORDED = """
    import os, time
    from guardian import GuardState
    request = nominal = "UP"
    FOLDER = {folder!r}
    def lives():
        with open(f"{{FOLDER}}/{{os.environ['MACHINE']}}-{{os.getpid()}}", "r+b") as file:
            file.write(b"%20.6f" % time.monotonic())
    class INIT(GuardState):
        def main(self):
            with open(f"{{FOLDER}}/{{os.environ['MACHINE']}}-{{os.getpid()}}", "wb") as file:
                file.write(b"%20.6f %20.6f" % (time.monotonic(), time.monotonic()))
            return True
    class UP(GuardState):
        def run(self):
            lives()
            return True
    edges = [("INIT", "UP")]
"""
ALONE = """
    from guardian import GuardState
    request = nominal = "UP"
    class UP(GuardState):
        goto = True
"""
#: Between the word and the start.
LEAD_S = 0.05
#: What a host says when it knows.
VERDICT = rf"^guardhost: (.*\b{NODE}\b.* on Channel Access port \d+|{NODE} is not started: .*|nothing is left .*)"


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """A worker that ran the code of the node: from when to when, seconds of the monotonic clock."""

    machine: str
    pid: int
    began: float
    ended: float


class Record:
    """What user code wrote."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir()

    @property
    def source(self) -> str:
        return RECORDED.format(folder=str(self.folder))

    @property
    def runs(self) -> list[Run]:
        """By when they began."""
        found = []
        for file in self.folder.iterdir():
            machine, _, pid = file.name.partition("-")
            times = file.read_text().split()
            if len(times) == 2:  # else it begins just now
                found.append(Run(machine=machine, pid=int(pid), began=float(times[1]), ended=float(times[0])))
        return sorted(found, key=lambda run: run.began)

    def clear(self) -> None:
        for file in self.folder.iterdir():
            file.unlink()


@dataclass(slots=True)
class Tally:
    """What came of all rounds. Times in seconds since the word: until the winner serves, its code runs, and the last of
    the others knows better."""

    winners: list[str] = field(default_factory=list)
    served: list[float] = field(default_factory=list)
    ran: list[float] = field(default_factory=list)
    refused: list[float] = field(default_factory=list)

    def __str__(self) -> str:
        each = ", ".join(f"{name} {self.winners.count(name)}" for name in sorted(set(self.winners)))
        worst = f"{max(self.served):.2f} s to serve, {max(self.ran):.2f} s to run, {max(self.refused):.2f} s to refuse"
        return f"{len(self.winners)} rounds, each with one winner: {each}; worst times: {worst}"


class Rivals:
    """Hosts on machines A, B, ...; each wants the node.

    Parameters
    ----------
    hosts : by the name of the machine. client : makes one that reaches all of them.
    """

    def __init__(self, hosts: dict[str, Guardhost], record: Record, client: Callable[[], CaClient]) -> None:
        self.hosts = hosts
        self.record = record
        self.tally = Tally()
        self._make_client = client
        self._client: CaClient | None = None

    def round(self, delays_s: Sequence[float]) -> None:
        """All start at the same instant, or so many seconds later. Exactly one has the node, the others say who."""
        ifo = random_prefix().rstrip(":")
        self.record.clear()
        with ExitStack() as stack:
            children: dict[str, Child] = {}
            for name, host in self.hosts.items():
                host.ifo = ifo
                children[name] = host.child = stack.enter_context(
                    Child(host.argv, env=host.env, cwd=host.folder, stdin=True)
                )
            for child in children.values():
                child.wait_for("^LOADED$", 60)
            word = time.monotonic() + LEAD_S
            for child, delay_s in zip(children.values(), delays_s, strict=True):
                child.send(f"{word + delay_s}\n")
            self._judge(word, ifo, children)

    def _judge(self, word: float, ifo: str, children: dict[str, Child]) -> None:
        known: dict[str, tuple[float, str]] = {}

        def all_know() -> bool:
            for name, child in children.items():
                if name not in known and (said := _said(child)):
                    known[name] = time.monotonic() - word, said
            return len(known) == len(children)

        eventually(all_know, 60, "all hosts to decide")
        said = "\n".join(child.report() for child in children.values())
        winners = [name for name, (_, text) in known.items() if "on Channel Access port" in text]
        assert len(winners) == 1, f"{winners or 'nobody'} has the node\n{said}"
        winner, *_ = winners
        for name in set(children) - {winner}:
            assert children[name].wait(60) == 2, children[name].report()
            assert _told(name, children, known) == winner, f"{winner} has it\n{said}"
        pv = f"{ifo}:GRD-{NODE}"
        eventually(lambda: self.client.get(f"{pv}_STATE").value == "UP", 60, "the node to run")
        host = json.loads(self.client.get(f"{pv}_HOST", as_string=True).value)
        assert host["pid"] == children[winner].pid and host["runs"], host
        assert "dentical process variable" not in self.client.child.output, self.client.child.report()
        runs = self.record.runs
        assert [run.machine for run in runs] == [winner], f"{runs}\n{said}"
        self.tally.winners.append(winner)
        self.tally.served.append(known[winner][0])
        self.tally.ran.append(runs[0].began - word)
        self.tally.refused.append(max(at for name, (at, _) in known.items() if name != winner))

    @property
    def client(self) -> CaClient:
        """A new one now and then: libca goes on searching for the names of earlier rounds."""
        if self._client is not None and len(self.tally.winners) % 20 == 0 and self.tally.winners:
            self.close()
        if self._client is None:
            self._client = self._make_client()
        return self._client

    def close(self) -> None:
        if self._client is not None:
            self._client.close()
            self._client = None


def rounds(rivals: Rivals, number: int, *, jitter_s: float = 0.5) -> Tally:
    """Half of them at the same instant, half of them up to `jitter_s` apart."""
    chance = random.Random(number)
    for turn in range(number):
        late = [0.0 if turn % 2 == 0 else chance.uniform(0.0, jitter_s) for _ in rivals.hosts]
        try:
            rivals.round(late)
        except BaseException as error:
            error.add_note(f"round {turn}, late by {late}; so far: {rivals.tally if rivals.tally.winners else 'none'}")
            raise
    return rivals.tally


def _said(child: Child) -> str:
    found = re.search(VERDICT, child.output, re.MULTILINE)
    if found is None and child.returncode is not None:
        raise AssertionError(child.report())
    return found[0] if found else ""


def _told(name: str, children: dict[str, Child], known: dict[str, tuple[float, str]]) -> str:
    """Who has the node by what this one said. Of three, one may have been told of the second, and that of the third."""
    for _ in children:
        found = re.search(r", process (\d+) of ", known[name][1])
        if found is None:
            break
        (name,) = [other for other, child in children.items() if child.pid == int(found[1])]
    return name


class _Waits:
    """A host that waits for the word."""

    @property
    def argv(self) -> list[str]:
        argv: list[str] = super().argv  # type: ignore[misc]
        argv[argv.index("guardian.cli.guardhost")] = "tests.support.starting_line"
        return argv


class Rival(_Waits, Guardhost):
    """On this machine."""


class RivalOn(_Waits, HostOn):
    """On a machine of its own."""


def _env(machine: str, locks: Path, **more: str) -> dict[str, str]:
    path = ":".join(filter(None, (more.pop("PYTHONPATH", ""), str(REPO))))
    return {"MACHINE": machine, "GUARD_LOCK_DIR": str(locks), "PYTHONPATH": path, **more}


@contextmanager
def on_one_machine(folder: Path, *, locks: Sequence[str], lost: float = 0.0) -> Iterator[Rivals]:
    """As many hosts as `locks` are given, each with the lock folder of that name; all on loopback.

    Hosts with lock folders of their own see each other by the network only, as if they were on machines of their own.
    `lost` : of the datagrams between them, this part.
    """
    record = Record(folder / "record")
    hosts: dict[str, Guardhost] = {}
    with ExitStack() as stack:
        for name, lock in zip("ABCDEFG", locks, strict=False):
            (folder / name).mkdir()
            env = _env(name, folder / lock)
            hosts[name] = Rival(folder / name, {NODE: record.source}, env=env)
        reached = {name: host.port for name, host in hosts.items()}
        direct = " ".join(f"127.0.0.1:{port}" for port in reached.values())
        if lost:
            reached = {name: stack.enter_context(LossyWire(port, lost)).port for name, port in reached.items()}
        for name, host in hosts.items():
            others = [f"127.0.0.1:{host.port if other == name else port}" for other, port in reached.items()]
            host.env["EPICS_CA_ADDR_LIST"] = " ".join(others)
        env = {**next(iter(hosts.values())).env, "EPICS_CA_ADDR_LIST": direct}
        rivals = Rivals(hosts, record, lambda: CaClient(env))
        stack.callback(rivals.close)
        yield rivals


@contextmanager
def on_two_machines(folder: Path, *, clocks_s: tuple[float, float] = (0.0, 0.0)) -> Iterator[Rivals]:
    """Two network namespaces and a cable, the standard port and broadcasts; the clocks are wrong by so much."""
    record = Record(folder / "record")
    with Cable() as cable, ExitStack() as stack:
        hosts: dict[str, Guardhost] = {}
        for name, machine, shift_s in zip("AB", cable.machines, clocks_s, strict=True):
            (folder / name).mkdir()
            clock = ShiftedClock(folder / name)
            clock.set(shift_s)
            hosts[name] = RivalOn(machine, folder / name, {NODE: record.source}, nodes=[NODE], ifo="T")
            hosts[name].env |= _env(name, folder / f"locks-{name}", **clock.env)
        rivals = Rivals(hosts, record, lambda: CaClient(hosts["A"].env, within=cable.machines[0].enter))
        stack.callback(rivals.close)
        yield rivals


KEPT = """
ifo = "{ifo}"
nodes = ["SUS", "ONLY_{name}"]
path = ["."]
port = {port}
state_dir = "state"
[keeper]
restart = "on-failure"
restarts = 100000
restart_delay = 0.1
restart_delay_max = 0.1
"""


class KeptHosts:
    """Two hosts under keepers, A and B; each wants the node, and has one of its own."""

    def __init__(self, hosts: dict[str, Guardhost], record: Record) -> None:
        self.hosts = hosts
        self.record = record
        self.winners: list[str] = []
        self.back: list[float] = []

    def start(self) -> None:
        for host in self.hosts.values():
            host.child = Child(host.argv, env=host.env, cwd=host.folder)
        self._settled(dict.fromkeys(self.hosts, 0))

    def killed_at_once(self) -> None:
        """Both hosts are killed, and their keepers start them again. Exactly one has the node then, and not before the
        last one that had it is gone; the nodes that each has alone are back."""
        seen = {name: len(_child(host).output) for name, host in self.hosts.items()}
        victims = [process for host in self.hosts.values() for process in _hosts_of(host)]
        word = time.monotonic()
        for process in victims:
            os.kill(process, signal.SIGKILL)
        self._settled(seen)
        self.back.append(time.monotonic() - word)

    def _settled(self, seen: dict[str, int]) -> None:
        said = {
            name: _child(host).wait_for(r"^guardhost: (.*) on Channel Access port", 60, start=seen[name])[1]
            for name, host in self.hosts.items()
        }
        winners = [name for name, nodes in said.items() if NODE in nodes.split(", ")]
        report = "\n".join(_child(host).report() for host in self.hosts.values())
        assert len(winners) == 1, f"{winners or 'nobody'} has the node\n{report}"
        assert all(f"ONLY_{name}" in nodes for name, nodes in said.items()), report
        self.winners += winners
        eventually(lambda: len(self.record.runs) >= len(self.winners), 60, f"the node to run\n{report}")
        runs = self.record.runs
        assert [run.machine for run in runs] == self.winners, f"{runs}\n{report}"
        for before, after in itertools.pairwise(runs):
            assert before.ended < after.began, f"both at once: {before}, {after}\n{report}"

    def report(self) -> str:
        each = ", ".join(f"{name} {self.winners.count(name)}" for name in self.hosts)
        return f"{len(self.back)} times killed together; had it: {each}; back after {max(self.back):.2f} s at most"


@contextmanager
def kept_hosts(folder: Path, locks: Sequence[str]) -> Iterator[KeptHosts]:
    """Running, each with the lock folder of that name."""
    record, ifo = Record(folder / "record"), random_prefix().rstrip(":")
    hosts: dict[str, Guardhost] = {}
    for name, lock in zip("AB", locks, strict=True):
        (folder / name).mkdir()
        modules = {NODE: record.source, f"ONLY_{name}": ALONE}
        host = hosts[name] = Guardhost(folder / name, modules, env=_env(name, folder / lock), ifo=ifo)
        (folder / name / "site.toml").write_text(KEPT.format(ifo=ifo, name=name, port=host.port))
        host.command = ["--site", "site.toml"]
    for host in hosts.values():
        host.env["EPICS_CA_ADDR_LIST"] = " ".join(f"127.0.0.1:{one.port}" for one in hosts.values())
    kept = KeptHosts(hosts, record)
    try:
        kept.start()
        yield kept
    finally:
        for host in hosts.values():
            host.__exit__(None, None, None)


def _child(host: Guardhost) -> Child:
    assert host.child is not None
    return host.child


def _hosts_of(host: Guardhost) -> list[int]:
    """The process that its keeper has started."""
    started = psutil.Process(_child(host).pid).children()
    return [one.pid for one in started if "guardian.cli.guardhost" in procs.command_line(one.pid)]
