"""What must hold of the whole: a real guardhost, real workers, real Channel Access, and the worst user code."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

import psutil
import pytest

from tests.support import eventually
from tests.system.hosting import Guardhost, longest_gap_s

pytestmark = [pytest.mark.ca, pytest.mark.proc]

GOOD = """
    from guardian import GuardState
    request = nominal = "WORK"
    class REST(GuardState):
        goto = True
    class WORK(GuardState):
        pass
    edges = [("INIT", "REST"), ("REST", "WORK")]
"""

STUCK = """
    import ctypes, subprocess, time
    from guardian import GuardState
    class REST(GuardState):
        goto = True
    class SLEEPS(GuardState):
        def main(self):
            time.sleep(3600)
    class SPINS(GuardState):
        def main(self):
            while True:
                pass
    class HOLDS(GuardState):
        def main(self):
            subprocess.Popen(["sleep", "3600"])
            subprocess.Popen(["setsid", "sleep", "3600"])
            ctypes.PyDLL(None).sleep(3600)
    class FLOODS(GuardState):
        def main(self):
            while True:
                print("x" * 100)
                log("y" * 100)
    request = nominal = "REST"
    edges = [("INIT", "REST")] + [("REST", s) for s in ("SLEEPS", "SPINS", "HOLDS", "FLOODS")]
"""

#: An answer later than this is a frozen server, not a busy machine.
FROZEN_S = 3.0


@pytest.mark.parametrize("state", ["SLEEPS", "SPINS", "HOLDS", "FLOODS"])
def test_stop_ends_the_worst_code_and_nobody_else_notices(tmp_path: Path, state: str) -> None:
    """R10: OP=STOP while user code sleeps, spins, holds the GIL in C, or floods the log."""
    with Guardhost(tmp_path, {"BAD": STUCK, "GOOD": GOOD}) as host:
        host.wait("BAD", "STATUS", "DONE")
        host.wait("GOOD", "STATUS", "DONE")
        worker = host.workers()["BAD"]
        host.put("BAD", "REQUEST", state)
        host.wait("BAD", "STATE", state)
        host.wait("BAD", "STATUS", "MAIN")
        assert longest_gap_s(host.ca, host.pv("BAD", "STATE"), 1.0) < FROZEN_S
        assert worker.is_running()
        asked = time.monotonic()
        host.put("BAD", "OP", "STOP")
        host.wait("BAD", "WORKER", "STOP")
        took = time.monotonic() - asked
        assert took < 10, f"STOP took {took:.1f} s"
        assert not worker.is_running()
        assert host.ca.get(host.pv("BAD", "STATE")).severity == 3, "a value nobody keeps up to date is INVALID"
        assert host.get("BAD", "STATE") == state
        assert host.get("GOOD", "OK") == "True"
        host.put("BAD", "OP", "EXEC")
        host.wait("BAD", "WORKER", "RUN")


def test_redirect_leaves_blocking_code_and_kills_what_does_not_end(tmp_path: Path) -> None:
    """R8: Python code is interrupted; C code is killed, counted, named in the log, and TARGET is entered directly."""
    with Guardhost(tmp_path, {"BAD": STUCK}) as host:
        host.wait("BAD", "STATUS", "DONE")
        for state in ("SLEEPS", "SPINS"):
            host.put("BAD", "REQUEST", state)
            host.wait("BAD", "STATE", state)
            host.put("BAD", "REQUEST", "REST")
            host.wait("BAD", "STATUS", "DONE")
            assert host.get("BAD", "STATE") == "REST"
        assert host.get("BAD", "KILLS") in (0, "0")
        host.put("BAD", "REQUEST", "HOLDS")
        host.wait("BAD", "STATUS", "MAIN")
        entered = host.ca.monitor(host.pv("BAD", "STATE"))
        entered.wait_value("HOLDS")
        # It is in C only a moment after MAIN was shown, and would be interrupted before that.
        eventually(lambda: float(host.ca.get(host.pv("BAD", "EXECTIME")).value) > 0.5, 30, "the call to last")
        host.put("BAD", "REQUEST", "REST")
        host.wait("BAD", "STATE", "REST")
        assert entered.values == ["HOLDS", "REST"], "the new worker enters TARGET directly, not INIT"
        assert host.ca.get(host.pv("BAD", "KILLS")).value == 1
        assert host.child is not None
        host.child.wait_for(r'BAD.py", line \d+ in main')


def test_a_killed_worker_is_seen_at_once_and_comes_back(tmp_path: Path) -> None:
    """R12, R25: kill -9 of a worker: PVs stay up and say so, it comes back in INIT with its REQUEST."""
    with Guardhost(tmp_path, {"GOOD": GOOD, "OTHER": GOOD}) as host:
        host.wait("GOOD", "OK", "True")
        host.wait("OTHER", "OK", "True")
        workers, states = (
            host.ca.monitor(host.pv("GOOD", "WORKER"), as_string=True),
            host.ca.monitor(host.pv("GOOD", "STATE")),
        )
        other = host.ca.monitor(host.pv("OTHER", "STATE"))
        workers.wait_value("RUN")
        os.kill(host.workers()["GOOD"].pid, signal.SIGKILL)
        workers.wait_value("DEAD")
        assert "SIGKILL" in host.get("GOOD", "WHY") or host.get("GOOD", "WORKER") != "DEAD"
        states.wait_value("INIT", start=1)
        states.wait_value("WORK", start=2)
        host.wait("GOOD", "OK", "True")
        assert host.get("GOOD", "REQUEST") == "WORK"
        assert workers.connections == [True]
        assert other.values == ["WORK"]


def test_a_worker_that_dies_again_and_again_is_given_up(tmp_path: Path) -> None:
    """R12: 3 restarts in 60 s, then FAIL and an alarm; EXEC starts it again."""
    dies = GOOD.replace("pass\n    edges", "def main(self):\n            import os\n            os._exit(3)\n    edges")
    with Guardhost(tmp_path, {"DIES": dies}) as host:
        eventually(lambda: "not started again" in host.get("DIES", "WHY"), 60, "the host to give up")
        assert host.get("DIES", "WORKER") == "DEAD"
        assert host.ca.get(host.pv("DIES", "OK")).severity == 2
        host.write("DIES", GOOD)
        host.put("DIES", "OP", "EXEC")
        host.wait("DIES", "OK", "True")


def test_nothing_outlives_a_killed_host_and_settings_are_found_again(tmp_path: Path) -> None:
    """kill -9 of the host: no worker and no child of user code lives 2 s later; the next host resumes (R21)."""
    host = Guardhost(tmp_path, {"BAD": STUCK, "GOOD": GOOD})
    with host:
        host.wait("BAD", "STATUS", "DONE")
        host.wait("GOOD", "OK", "True")
        host.put("BAD", "REQUEST", "HOLDS")
        host.wait("BAD", "STATUS", "MAIN")
        host.put("GOOD", "REQUEST", "REST")
        host.wait("GOOD", "STATUS", "DONE")
        host.put("GOOD", "MODE", "MANUAL")
        host.put("GOOD", "MANAGER", "SOMEBODY")
        assert host.child is not None
        family = psutil.Process(host.child.pid).children(recursive=True)
        names = [p.name() for p in family]
        assert names.count("sleep") >= 2, names
        host.kill9()
        _, alive = psutil.wait_procs(family, timeout=2)
        assert not alive, [(p.pid, p.cmdline()) for p in alive]
    with host:
        host.child.wait_for("GOOD .*by root|GOOD .*by ")
        assert host.get("GOOD", "MODE") == "MANUAL"
        assert host.get("GOOD", "MANAGER") == "SOMEBODY"
        assert host.get("GOOD", "REQUEST") == "REST"
        assert host.get("BAD", "REQUEST") == "HOLDS"


def test_stop_and_exec_back_to_back_is_not_merged(tmp_path: Path) -> None:
    """R10: STOP directly followed by EXEC gives a new worker with new code, starting in INIT."""
    with Guardhost(tmp_path, {"GOOD": GOOD}) as host:
        host.wait("GOOD", "OK", "True")
        first = host.workers()["GOOD"].pid
        host.write(
            "GOOD", GOOD.replace("class WORK(GuardState):\n        pass", "class WORK(GuardState):\n        index = 77")
        )
        host.put("GOOD", "OP", "STOP", wait=False)
        host.put("GOOD", "OP", "EXEC", wait=False)
        eventually(lambda: host.ca.get(host.pv("GOOD", "STATE_N")).value == 77, 30, "the new code to run")
        host.wait("GOOD", "OK", "True")
        assert host.workers()["GOOD"].pid != first


def test_request_and_target_change_at_once_while_user_code_blocks(tmp_path: Path) -> None:
    """R7: the plan is shown while main() still sleeps; what is running goes on, REQUEST NONE included."""
    source = """
        import time
        from guardian import GuardState
        class A(GuardState):
            redirect = False
            def main(self):
                time.sleep(5)
                return True
        class B(GuardState): pass
        class C(GuardState): pass
        request = "A"
        edges = [("INIT", "A"), ("A", "B"), ("A", "C")]
    """
    with Guardhost(tmp_path, {"SLOW": source}) as host:
        host.wait("SLOW", "STATUS", "MAIN")
        for state in ("B", "C"):
            host.put("SLOW", "REQUEST", state)
            assert (host.get("SLOW", "REQUEST"), host.get("SLOW", "TARGET")) == (state, state)
        assert host.get("SLOW", "STATE") == "A"
        host.wait("SLOW", "STATE", "C")


def test_idle_code_is_called_without_waiting_for_the_tick(tmp_path: Path) -> None:
    """R7: with a cycle of 62.5 ms, a request to idle code is done sooner than ticks could do it, most of the time."""
    source = """
        from guardian import GuardState
        class A(GuardState): pass
        class B(GuardState): pass
        request = "A"
        edges = [("INIT", "A"), ("A", "B"), ("B", "A")]
    """
    with Guardhost(tmp_path, {"FAST": source}) as host:
        host.wait("FAST", "STATUS", "DONE")
        state = host.ca.monitor(host.pv("FAST", "STATE"))
        request = host.ca.monitor(host.pv("FAST", "REQUEST"))
        state.wait_value("A")
        for turn in range(40):
            target = "BA"[turn % 2]
            host.put("FAST", "REQUEST", target)
            state.wait_value(target, start=turn + 1)
            host.wait("FAST", "STATUS", "DONE")
        asked = {e.value + str(n // 2): e.stamp_utc for n, e in enumerate(request.events[1:])}
        reached = {e.value + str(n // 2): e.stamp_utc for n, e in enumerate(state.events[1:])}
        delays = sorted(reached[k] - asked[k] for k in asked)
        assert delays[len(delays) // 2] < 0.025, (
            f"half of the requests took longer than {delays[len(delays) // 2]:.3f} s"
        )


def test_bad_modules_are_up_and_say_why(tmp_path: Path) -> None:
    """Section 8: a module that is missing, or does not load, is a node with LOAD_STATUS=ERROR and the reason."""
    modules = {
        "GOOD": GOOD,
        "SYNTAX": "def :\n",
        "RAISES": "import sys\nsys.exit(3)\n",
        "LOST": GOOD + '    edges += [("REST", "NOWHERE")]\n',
        "TWICE": GOOD + "    class A(GuardState): index = 7\n    class B(GuardState): index = 7\n",
    }
    with Guardhost(tmp_path, modules, nodes=[*modules, "MISSING"]) as host:
        host.wait("GOOD", "OK", "True")
        for node, words in {
            "SYNTAX": "SYNTAX.py:1",
            "RAISES": "SystemExit",
            "LOST": "NOWHERE",
            "TWICE": "7",
            "MISSING": "no MISSING.py found",
        }.items():
            host.wait(node, "LOAD_STATUS", "ERROR")
            assert words in host.get(node, "GRDMSG"), node
            assert words in host.get(node, "WHY"), node
            assert host.ca.get(host.pv(node, "OK")).severity == 2
        host.write("SYNTAX", GOOD)
        host.put("SYNTAX", "OP", "EXEC")
        host.wait("SYNTAX", "OK", "True")


@pytest.mark.slow
def test_a_hundred_nodes_and_one_more(tmp_path: Path) -> None:
    """100 nodes start, reach their requests and stop cleanly; one is added meanwhile and nobody disconnects."""
    names = [f"N{i:03d}" for i in range(100)]
    with Guardhost(tmp_path, dict.fromkeys([*names, "MORE"], GOOD), nodes=names) as host:
        began = time.monotonic()
        status = [host.ca.monitor(host.pv(n, "STATUS"), as_string=True) for n in names]
        for monitor in status:
            monitor.wait_value("DONE", 120)
        took = time.monotonic() - began
        assert "added" in host.ctrl("create", "MORE")
        host.wait("MORE", "OK", "True")
        for name in names:
            host.put(name, "REQUEST", "REST", wait=False)
        for name in names:
            host.wait(name, "STATE", "REST", 60)
        assert "removed" in host.ctrl("destroy", "MORE")
        assert all(m.connections == [True] for m in status)
        assert len(host.workers()) == 100
        family = psutil.Process(host.child.pid).children(recursive=True)
        stopped = time.monotonic()
        assert host.child.stop(60) == 0
        _, alive = psutil.wait_procs(family, timeout=5)
        assert not alive
        print(
            f"100 nodes were DONE {took:.1f} s after the host served, and stopped in {time.monotonic() - stopped:.1f} s"
        )


@pytest.mark.slow
def test_fifty_rounds_of_stop_and_exec_leave_nothing_behind(tmp_path: Path) -> None:
    """Processes, threads, descriptors and memory of the host are the same after 50 rounds."""
    with Guardhost(tmp_path, {"GOOD": GOOD, "OTHER": GOOD}) as host:

        def rounds(count: int) -> None:
            for _ in range(count):
                host.put("GOOD", "OP", "STOP")
                host.wait("GOOD", "WORKER", "STOP")
                host.put("GOOD", "OP", "EXEC")
                host.wait("GOOD", "OK", "True")

        def held() -> tuple[int, int, int]:
            process = psutil.Process(host.child.pid)
            family = process.children(recursive=True)
            forkserver = next(p for p in family if "forkserver" in " ".join(p.cmdline()))
            return len(family), process.num_threads(), process.num_fds() + forkserver.num_fds()

        rounds(5)
        before, memory = held(), psutil.Process(host.child.pid).memory_info().rss
        rounds(50)
        eventually(lambda: held() == before, 20, f"the host to hold {before} processes, threads and descriptors again")
        grown = psutil.Process(host.child.pid).memory_info().rss - memory
        assert grown < 8e6, f"the host has grown by {grown / 1e6:.1f} MB"


def test_a_confirmed_write_survives_a_kill_in_the_same_instant(tmp_path: Path) -> None:
    """R21: what a put with callback has confirmed is found again, however soon the host is killed after it."""
    host = Guardhost(tmp_path, {"GOOD": GOOD})
    for turn in range(5):
        with host:
            host.wait("GOOD", "WORKER", "RUN")
            host.put("GOOD", "MANAGER", f"M{turn}")
            host.kill9()
            host.child.wait(30)
        with host:
            assert host.get("GOOD", "MANAGER") == f"M{turn}"
