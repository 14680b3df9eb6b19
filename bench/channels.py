"""The channels of user code, on a real EPICS IOC.

* A node that reads 300 channels each cycle, beside one that reads none: calls of run() a second, CPU of the worker.
* A read that the monitor answers, beside ``pyepics.PV.get()`` on the same channel, which is answered the same way.
* ``kill -9`` of the IOC: until CONNECT tells, for code that reads each cycle and for code that has read once, beside
  the limit of 1 s.
* 1,000 channels of which 50 do not exist: connected at once, and a fifth of them one by one, beside pyepics doing the
  same; what the search for the 50 costs the network and the worker afterwards.
"""

from __future__ import annotations

import argparse
import json
import re
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from functools import partial
from pathlib import Path

import psutil

from tests.support import ca_env, eventually, free_port, random_prefix
from tests.support.caclient import Monitor
from tests.support.child import REPO
from tests.support.softioc import SoftIoc
from tests.system.hosting import Guardhost

CYCLE_HZ = 16
CHANNELS, MISSING = 1000, 50
#: One of so many is used one by one: pyepics waits for each that is missing.
FEW = 5
READS = 300
LIMIT_S = 1.0
#: The first search for a name is a burst.
SETTLED_S = 10.0

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


def database() -> str:
    return "".join(f'record(ao, "$(P)C{n}") {{ field(PINI, "YES") }}\n' for n in range(CHANNELS - MISSING))


def cpu_s(process: psutil.Process) -> float:
    times = process.cpu_times()
    return times.user + times.system


# --- in a process of its own: a CA context is one a process ---------------------------------------------------------


def in_child(prefix: str, what: str) -> None:
    share = 1 if what.endswith("together") else FEW
    names = [f"C{n}" for n in range((CHANNELS - MISSING) // share)] + [f"GONE{n}" for n in range(MISSING // share)]
    if what.startswith("ezca"):
        from guardian.access.channels import Channels
        from guardian.errors import EzcaConnectError

        ezca = Channels(prefix.rstrip(":"))
        ezca.calling()

        def read() -> None:
            ezca["C0"]

        def one_by_one() -> int:
            there = 0
            for name in names:
                try:
                    ezca[name]
                    there += 1
                except EzcaConnectError:
                    pass
            return there

        def together() -> int:
            try:
                ezca.connect(*names)
            except EzcaConnectError as error:
                return len(names) - len(error.channels)
            return len(names)
    else:
        import epics

        first = epics.PV(f"{prefix}C0")

        def read() -> None:
            first.get()

        def one_by_one() -> int:
            return sum(epics.PV(prefix + name).wait_for_connection(2.0) for name in names)

        def together() -> int:
            pvs = [epics.PV(prefix + name) for name in names]
            until = time.monotonic() + 2.0
            while time.monotonic() < until and sum(pv.connected for pv in pvs) < len(names):
                epics.poll(0.01)
            return sum(pv.connected for pv in pvs)

    if what.endswith("read"):
        read()
        rounds = []
        for _ in range(20):
            began = time.process_time()
            for _ in range(2000):
                read()
            rounds.append((time.process_time() - began) / 2000)
        print(json.dumps({"each_s": statistics.median(rounds)}))
        return
    began = time.monotonic()
    there = (together if what.endswith("together") else one_by_one)()
    print(json.dumps({"took_s": time.monotonic() - began, "there": there}))


def ask(prefix: str, port: int, what: str) -> dict[str, float]:
    argv = [sys.executable, "-m", "bench.channels", "--child", prefix, what]
    done = subprocess.run(argv, env=ca_env(port), cwd=REPO, capture_output=True, text=True, timeout=300, check=True)
    return json.loads(done.stdout.splitlines()[-1])  # type: ignore[no-any-return]


# --- the measurements ------------------------------------------------------------------------------------------------


def rate(prefix: str, ioc_port: int, seconds: float) -> None:
    modules = {"BUSY": COUNTER.format(reads=READS), "IDLE": COUNTER.format(reads=0)}
    with tempfile.TemporaryDirectory() as folder, host_of(Path(folder), modules, prefix, ioc_port) as host:
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
    each_us = (used["BUSY"] - used["IDLE"]) / (READS * CYCLE_HZ) * 1e6
    print(
        f"{READS} reads a cycle: {rates['BUSY']:.2f} calls/s = {rates['BUSY'] / rates['IDLE']:.3f} of the node that "
        f"reads none; it takes {used['BUSY']:.1%} of a core, the other {used['IDLE']:.1%}: {each_us:.1f} us each"
    )


def reads(prefix: str, port: int) -> None:
    own, theirs = (ask(prefix, port, what)["each_s"] for what in ("ezca read", "epics read"))
    print(f"a read: {own * 1e6:.1f} us of CPU = {own / theirs:.2f} of pyepics' PV.get() ({theirs * 1e6:.1f} us)")


def loss(prefix: str, times: int) -> None:
    port, db = free_port(), database()
    with tempfile.TemporaryDirectory() as folder:
        ioc = SoftIoc(db, port, macros=f"P={prefix}")
        with host_of(Path(folder), READERS, prefix, port) as host:
            took: dict[str, list[float]] = {node: [] for node in READERS}
            watch = {node: host.ca.monitor(host.pv(node, "CONNECT")) for node in READERS}
            for turn in range(times):
                for node in READERS:
                    host.wait(node, "CONNECT", "OK", 60)
                    host.wait(node, "STATUS", "DONE", 60)
                seen = {node: len(one.events) for node, one in watch.items()}
                began = time.monotonic()
                ioc.child.kill9()
                for node, one in watch.items():
                    eventually(partial(_more, one, seen[node]), period_s=0.001)
                    took[node].append(time.monotonic() - began)
                ioc.close()
                if turn < times - 1:
                    ioc = SoftIoc(db, port, macros=f"P={prefix}")
    for node, values in took.items():
        print(
            f"kill -9 of the IOC, {node}: CONNECT tells after {statistics.median(values) * 1000:.0f} ms (median), "
            f"{max(values) * 1000:.0f} ms at worst = {max(values) / LIMIT_S:.1%} of the limit"
        )


def _more(monitor: Monitor, than: int) -> bool:
    return len(monitor.events) > than


def many(prefix: str, port: int) -> None:
    for how, share in (("together", 1), ("one by one", FEW)):
        own, theirs = (ask(prefix, port, f"{client} {how}") for client in ("ezca", "epics"))
        print(
            f"{CHANNELS // share} channels of which {MISSING // share} do not exist, {how}: {own['there']:.0f} there "
            f"after {own['took_s']:.1f} s, {own['took_s'] / theirs['took_s']:.2f} of pyepics'"
        )


def searching(prefix: str, ioc_port: int, seconds: float) -> None:
    heard = [0, 0]
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as ear:
        ear.bind(("127.0.0.1", 0))

        def listen() -> None:
            while data := ear.recv(65536):
                heard[0] += 1
                heard[1] += len(data)

        thread = threading.Thread(target=listen)
        thread.start()
        modules = {"LOOKS": SEARCHER.format(missing=MISSING), "FINDS": COUNTER.format(reads=1)}
        port = ear.getsockname()[1]
        with (
            tempfile.TemporaryDirectory() as folder,
            host_of(Path(folder), modules, prefix, ioc_port, f"127.0.0.1:{port}") as host,
        ):
            host.wait("LOOKS", "STATUS", "DONE", 60)
            time.sleep(SETTLED_S)
            workers = host.workers()
            before, begun = {node: cpu_s(workers[node]) for node in modules}, list(heard)
            time.sleep(seconds)
            used = {node: (cpu_s(workers[node]) - before[node]) / seconds for node in modules}
            sent = [(now - then) / seconds for now, then in zip(heard, begun, strict=True)]
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as mouth:
            mouth.sendto(b"", ("127.0.0.1", port))
        thread.join()
    print(
        f"searching for {MISSING} that never come: {sent[0]:.2f} datagrams/s, {sent[1]:.0f} bytes/s; the worker takes "
        f"{used['LOOKS']:.2%} of a core, one that misses none {used['FINDS']:.2%}"
    )


def host_of(folder: Path, modules: dict[str, str], prefix: str, ioc_port: int, more: str = "") -> Guardhost:
    host = Guardhost(folder, modules, ifo=prefix.rstrip(":"))
    host.env["EPICS_CA_ADDR_LIST"] = f"127.0.0.1:{host.port} 127.0.0.1:{ioc_port} {more}"
    return host


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=20)
    parser.add_argument("--kills", type=int, default=5)
    parser.add_argument("--child", nargs=2, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        in_child(*options.child)
        return
    prefix, port = random_prefix(), free_port()
    with SoftIoc(database(), port, macros=f"P={prefix}"):
        reads(prefix, port)
        rate(prefix, port, options.seconds)
        many(prefix, port)
        searching(prefix, port, options.seconds)
    loss(random_prefix(), options.kills)


if __name__ == "__main__":
    main()
