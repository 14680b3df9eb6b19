"""The channels of user code on a real EPICS IOC: reads, connections that come, go and never come, beside pyepics.

* A node that reads 300 channels each cycle, beside one that reads none: calls of run() a second, CPU of the worker.
* A read that the monitor answers, beside ``pyepics.PV.get()`` on the same channel, which is answered the same way.
* ``kill -9`` of the IOC: until CONNECT tells, for code that reads each cycle and for code that has read once, beside
  the limit of 1 s.
* 1,000 channels of which 50 do not exist: connected at once, and a fifth of them one by one, beside pyepics doing the
  same; what the search for the 50 costs the network and the worker afterwards.
"""

from __future__ import annotations

import json
import re
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from bench.figures import Report
from bench.machine import cpu_s
from tests.support import ca_env, eventually, free_port, random_prefix
from tests.support.caclient import Monitor
from tests.support.child import REPO
from tests.support.softioc import SoftIoc
from tests.system.hosting import Guardhost

CYCLE_HZ = 16
#: One of so many is used one by one: pyepics waits for each that is missing.
FEW = 5
LIMIT_S = 1.0

COUNTER = """
    import time
    from guardian import GuardState
    request = "COUNT"
    class COUNT(GuardState):
        calls = 0
        def run(self):
            for n in range({reads}):
                ezca["C%d" % n]
            self.calls += 1
            if self.calls % 16 == 0:
                log("calls= %d %.4f", self.calls, time.monotonic())
    edges = [("INIT", "COUNT")]
"""
READERS = {
    "EVERY": """
        from guardian import GuardState
        request = nominal = "WATCH"
        class WATCH(GuardState):
            def run(self):
                ezca["C0"]
                return True
        edges = [("INIT", "WATCH")]
    """,
    "SELDOM": """
        from guardian import GuardState
        request = nominal = "ONCE"
        class ONCE(GuardState):
            def main(self):
                ezca["C0"]
        edges = [("INIT", "ONCE")]
    """,
}
SEARCHER = """
    from guardian import GuardState
    request = "SEARCH"
    class SEARCH(GuardState):
        def run(self):
            for n in range({missing}):
                try:
                    ezca["GONE%d" % n]
                except Exception:
                    pass
            return True
    edges = [("INIT", "SEARCH")]
"""


@dataclass
class Ioc:
    """Channels C0, C1, ...; and so many GONE0, ... that are asked for, and are not there."""

    channels: int
    missing: int
    reads: int
    prefix: str = field(default_factory=random_prefix)
    port: int = field(default_factory=free_port)

    def start(self) -> SoftIoc:
        count = self.channels - self.missing
        records = "".join(f'record(ao, "$(P)C{n}") {{ field(PINI, "YES") }}\n' for n in range(count))
        return SoftIoc(records, self.port, macros=f"P={self.prefix}")

    def host(self, folder: str, modules: dict[str, str], more: str = "") -> Guardhost:
        host = Guardhost(Path(folder), modules, ifo=self.prefix.rstrip(":"))
        host.env["EPICS_CA_ADDR_LIST"] = f"127.0.0.1:{host.port} 127.0.0.1:{self.port} {more}"
        return host

    def ask(self, client: str, what: str) -> dict[str, float]:
        """Have a process of its own do it: a CA context is one a process."""
        share = FEW if what == "one by one" else 1
        there, gone = (self.channels - self.missing) // share, self.missing // share
        argv = [sys.executable, "-m", "bench.channels", client, what, self.prefix, str(there), str(gone)]
        done = subprocess.run(argv, env=ca_env(self.port), cwd=REPO, capture_output=True, text=True, check=True)
        return json.loads(done.stdout.splitlines()[-1])  # type: ignore[no-any-return]


def run(report: Report) -> None:
    """All of it on one IOC, but for its end."""
    ioc = Ioc(report.size(1000, 100), report.size(50, 5), report.size(300, 50))
    with ioc.start():
        reads(report, ioc)
        rate(report, ioc)
        many(report, ioc)
        searching(report, ioc)
    loss(report, Ioc(10, 0, 0))


# --- the measurements -------------------------------------------------------------------------------------------------


def reads(report: Report, ioc: Ioc) -> None:
    report.part("a read, CPU")
    theirs = report.figure("pyepics, PV.get()", ioc.ask("epics", "read")["each_s"] * 1e6, "us")
    report.figure("ezca", ioc.ask("ezca", "read")["each_s"] * 1e6, "us", beside=theirs)


def rate(report: Report, ioc: Ioc) -> None:
    modules = {"BUSY": COUNTER.format(reads=ioc.reads), "IDLE": COUNTER.format(reads=0)}
    seconds = report.size(20, 2)
    with tempfile.TemporaryDirectory() as folder, ioc.host(folder, modules) as host:
        assert host.child is not None
        for node in modules:
            host.child.wait_for(rf"{node}.*calls= 32 ", 60)
        workers = host.workers()
        before = {node: cpu_s(workers[node]) for node in modules}
        time.sleep(seconds)
        used = {node: (cpu_s(workers[node]) - before[node]) / seconds for node in modules}
        rates = {}
        for node in modules:
            said = re.findall(rf"{node}.*calls= (\d+) (\S+)", host.child.output)
            (first, began), (last, ended) = said[1], said[-1]
            rates[node] = (int(last) - int(first)) / (float(ended) - float(began))
    report.part(f"a node that reads {ioc.reads} channels each cycle")
    idle = report.figure("calls of run(), of one that reads none", rates["IDLE"], "/s")
    report.figure("calls of run()", rates["BUSY"], "/s", beside=idle)
    idle = report.figure("CPU, of one that reads none", used["IDLE"] * 100, "% of a core")
    report.figure("CPU", used["BUSY"] * 100, "% of a core", beside=idle)
    report.figure("CPU of a read", (used["BUSY"] - used["IDLE"]) / (ioc.reads * CYCLE_HZ) * 1e6, "us")


def many(report: Report, ioc: Ioc) -> None:
    for how, share in (("together", 1), ("one by one", FEW)):
        wanted = (ioc.channels - ioc.missing) // share
        report.part(f"{wanted} channels and {ioc.missing // share} that do not exist, {how}")
        own, theirs = (ioc.ask(client, how) for client in ("ezca", "epics"))
        peer = report.figure("pyepics", theirs["took_s"], "s")
        report.figure("ezca", own["took_s"], "s", beside=peer)
        report.check(f"{how}: all are there that exist", own["there"] == wanted, own)


def searching(report: Report, ioc: Ioc) -> None:
    seconds, heard = report.size(20, 2), [0, 0]
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as ear:
        ear.bind(("127.0.0.1", 0))

        def listen() -> None:
            while data := ear.recv(65536):
                heard[0] += 1
                heard[1] += len(data)

        thread = threading.Thread(target=listen)
        thread.start()
        modules = {"LOOKS": SEARCHER.format(missing=ioc.missing), "FINDS": COUNTER.format(reads=1)}
        port = ear.getsockname()[1]
        with tempfile.TemporaryDirectory() as folder, ioc.host(folder, modules, f"127.0.0.1:{port}") as host:
            host.wait("LOOKS", "STATUS", "DONE", 60)
            time.sleep(report.size(10, 1))  # the first search for a name is a burst
            workers = host.workers()
            before, begun = {node: cpu_s(workers[node]) for node in modules}, list(heard)
            time.sleep(seconds)
            used = {node: (cpu_s(workers[node]) - before[node]) / seconds * 100 for node in modules}
            datagrams, sent = ((now - then) / seconds for now, then in zip(heard, begun, strict=True))
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as mouth:
            mouth.sendto(b"", ("127.0.0.1", port))
        thread.join()
    report.part(f"searching for {ioc.missing} that never come")
    report.figure("datagrams", datagrams, "/s")
    report.figure("bytes", sent, "/s")
    finds = report.figure("CPU of a worker that misses none", used["FINDS"], "% of a core")
    report.figure("CPU of the worker", used["LOOKS"], "% of a core", beside=finds)


def loss(report: Report, ioc: Ioc) -> None:
    times = report.size(20, 1)
    running = ioc.start()
    try:
        with tempfile.TemporaryDirectory() as folder, ioc.host(folder, READERS) as host:
            took: dict[str, list[float]] = {node: [] for node in READERS}
            watch = {node: host.ca.monitor(host.pv(node, "CONNECT")) for node in READERS}
            for turn in range(times):
                for node in READERS:
                    host.wait(node, "CONNECT", "OK", 60)
                    host.wait(node, "STATUS", "DONE", 60)
                seen = {node: len(one.events) for node, one in watch.items()}
                began = time.monotonic()
                running.child.kill9()
                for node, one in watch.items():
                    eventually(partial(_more, one, seen[node]), period_s=0.001)
                    took[node].append(time.monotonic() - began)
                running.close()
                if turn < times - 1:
                    running = ioc.start()
    finally:
        running.close()
    report.part("kill -9 of the IOC until CONNECT tells")
    for node, what in (("EVERY", "code that reads each cycle"), ("SELDOM", "code that has read once")):
        report.figure(what, took[node], "s")
        report.figure(f"{what}, worst", max(took[node]), "s", n=times, limit=LIMIT_S)


def _more(monitor: Monitor, than: int) -> bool:
    return len(monitor.events) > than


# --- in a process of its own ------------------------------------------------------------------------------------------


class Ezca:
    """The channels of user code."""

    def __init__(self, prefix: str) -> None:
        from guardian.access.channels import Channels
        from guardian.errors import EzcaConnectError

        self._lost = EzcaConnectError
        self._ezca = Channels(prefix.rstrip(":"))
        self._ezca.calling()

    def read(self) -> None:
        self._ezca["C0"]

    def one_by_one(self, names: list[str]) -> int:
        """How many are there."""
        there = 0
        for name in names:
            try:
                self._ezca[name]
                there += 1
            except self._lost:
                pass
        return there

    def together(self, names: list[str]) -> int:
        """How many are there."""
        try:
            self._ezca.connect(*names)
        except self._lost as error:
            return len(names) - len(error.channels)
        return len(names)


class Pyepics:
    """The same with nothing of ours."""

    def __init__(self, prefix: str) -> None:
        import epics

        self._epics, self._prefix = epics, prefix
        self._first = epics.PV(f"{prefix}C0")

    def read(self) -> None:
        self._first.get()

    def one_by_one(self, names: list[str]) -> int:
        """How many are there."""
        return sum(self._epics.PV(self._prefix + name).wait_for_connection(2.0) for name in names)

    def together(self, names: list[str]) -> int:
        """How many are there."""
        pvs = [self._epics.PV(self._prefix + name) for name in names]
        until = time.monotonic() + 2.0
        while time.monotonic() < until and sum(pv.connected for pv in pvs) < len(names):
            self._epics.poll(0.01)
        return sum(pv.connected for pv in pvs)


def in_child(client: str, what: str, prefix: str, there: int, gone: int) -> dict[str, float]:
    """See :meth:`Ioc.ask`."""
    one = (Ezca if client == "ezca" else Pyepics)(prefix)
    if what == "read":
        one.read()
        rounds = []
        for _ in range(20):
            began = time.process_time()
            for _ in range(2000):
                one.read()
            rounds.append((time.process_time() - began) / 2000)
        return {"each_s": statistics.median(rounds)}
    names = [f"C{n}" for n in range(there)] + [f"GONE{n}" for n in range(gone)]
    began = time.monotonic()
    found = (one.together if what == "together" else one.one_by_one)(names)
    return {"took_s": time.monotonic() - began, "there": found}


if __name__ == "__main__":
    print(json.dumps(in_child(*sys.argv[1:4], *map(int, sys.argv[4:]))))
