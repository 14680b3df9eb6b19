"""LOAD as its users see it (R11): a real host, a real client, files that are edited while the node runs."""

from __future__ import annotations

import threading
import time
from pathlib import Path

import psutil
import pytest

from tests.support import eventually
from tests.system.hosting import Guardhost

pytestmark = [pytest.mark.ca, pytest.mark.proc]

SUS = """\
from guardian import GuardState
from suslib import WORD
request = nominal = 'ALIGNED'
class SAFE(GuardState):
    pass
class ALIGNED(GuardState):
    index = len(WORD)
    def run(self):
        notify(WORD)
        return True
edges = [('INIT', 'SAFE'), ('SAFE', 'ALIGNED'), ('ALIGNED', 'SAFE')]
"""
LIB = "from sustools import WORD\n"
TOOLS = "from susbase import *\n"
BASE = "WORD = 'old'\n"
FILES = {"SUS": SUS, "suslib": LIB, "sustools": TOOLS, "susbase": BASE}


@pytest.fixture
def host(tmp_path: Path) -> Guardhost:
    return Guardhost(tmp_path, FILES, nodes=["SUS"])


def test_R11_a_library_three_imports_down_is_in_force_after_a_load(host: Guardhost) -> None:
    with host:
        host.wait("SUS", "OK", "True")
        host.wait("SUS", "USERMSG0", "old")
        host.write("susbase", "WORD = 'new'\n")
        entered = host.get("SUS", "STATE_TIME")
        host.put("SUS", "LOAD", 1)
        host.wait("SUS", "USERMSG0", "new")
        host.wait("SUS", "LOAD_STATUS", "DONE")
        assert host.get("SUS", "STATE_TIME") == entered  # nothing was entered again


def test_R11_under_a_long_main_twice_in_a_row_with_a_broken_file_and_with_a_state_that_went(host: Guardhost) -> None:
    slow = SUS + (
        "class SLOW(GuardState):\n"
        "    index = 7\n"
        "    def main(self):\n"
        "        import os, time\n"
        "        until = time.time() + 60\n"
        f"        while not os.path.exists({str(host.folder / 'gate')!r}) and time.time() < until:\n"
        "            time.sleep(0.05)\n"
        "        log('main has ended')\n"
        "edges += [('ALIGNED', 'SLOW'), ('SLOW', 'ALIGNED')]\n"
    )
    host.write("SUS", slow)
    with host:
        host.wait("SUS", "OK", "True")
        host.put("SUS", "REQUEST", "SLOW")
        host.wait("SUS", "STATE", "SLOW")
        host.wait("SUS", "STATUS", "MAIN")

        host.write("SUS", slow.replace("class SAFE(GuardState):", "class SAFE(GuardState:"))
        host.put("SUS", "LOAD", 1)
        host.wait("SUS", "LOAD_STATUS", "ERROR")
        assert "SyntaxError" in host.get("SUS", "GRDMSG") and "SUS.py:4" in host.get("SUS", "GRDMSG")

        host.write("SUS", SUS)
        host.put("SUS", "LOAD", 1)
        eventually(
            lambda: "SLOW, which the new code" in host.get("SUS", "GRDMSG"), 30, "the refusal of code without SLOW"
        )
        assert host.get("SUS", "LOAD_STATUS") == "ERROR"

        host.write("SUS", slow.replace("class SAFE", "class EXTRA(GuardState):\n    pass\nclass SAFE"))
        for _ in range(2):
            host.put("SUS", "LOAD", 1)
        host.wait("SUS", "LOAD_STATUS", "SET")
        assert host.get("SUS", "STATUS") == "MAIN" and "EXTRA" not in host.get("SUS", "STATES")
        (host.folder / "gate").touch()
        eventually(lambda: "EXTRA" in host.get("SUS", "STATES"), 30, "the new graph")
        host.wait("SUS", "LOAD_STATUS", "DONE")
        host.wait("SUS", "STATUS", "DONE")
        assert host.get("SUS", "STATE") == "SLOW" and host.get("SUS", "KILLS") in ("0", 0)
        assert host.child is not None
        assert host.child.output.count("main has ended") == 1


def test_R11_fifty_loads_leave_nothing_behind(host: Guardhost) -> None:
    with host:
        host.wait("SUS", "OK", "True")
        assert host.child is not None
        process = psutil.Process(host.child.pid)
        used: list[tuple[int, int, int]] = []
        for number in range(1, 51):
            host.write("susbase", f"WORD = {'x' * (3 + number)!r}\n")
            host.put("SUS", "LOAD", 1)
            eventually(lambda n=number: int(host.get("SUS", "STATE_N")) == 3 + n, 30, "the new number")  # type: ignore[misc]
            host.wait("SUS", "LOAD_STATUS", "DONE")
            if number in (5, 50):
                eventually(lambda: len(process.children(recursive=True)) <= 3, 30, "the checks to be gone")
                worker = host.workers()["SUS"]
                used.append((process.num_fds(), worker.num_fds(), worker.memory_info().rss))
        # Now and then the host asks the network who else runs its nodes, and has a socket more.
        eventually(lambda: process.num_fds() <= used[0][0], 30, f"the host to have its descriptors back: {used}")
        assert used[0][1] == used[1][1], used
        assert used[1][2] - used[0][2] < 3_000_000, used
        assert host.get("SUS", "OK") == "True" and host.get("SUS", "WORKER") == "RUN"


def test_R11_the_node_answers_and_runs_while_new_code_takes_its_time(host: Guardhost) -> None:
    with host:
        host.wait("SUS", "OK", "True")
        host.write("SUS", "import time\ntime.sleep(2)\n" + SUS)
        beats = {float(host.get("SUS", "HEARTBEAT"))}
        host.put("SUS", "LOAD", 1)
        host.wait("SUS", "LOAD_STATUS", "INPROGRESS")
        host.put("SUS", "REQUEST", "SAFE")
        host.wait("SUS", "STATE", "SAFE")
        assert host.get("SUS", "LOAD_STATUS") in ("INPROGRESS", "SET")
        host.wait("SUS", "LOAD_STATUS", "DONE", 60)
        beats.add(float(host.get("SUS", "HEARTBEAT")))
        assert len(beats) == 2 and host.get("SUS", "STATE") == "SAFE"


def test_R11_loads_from_many_hands_at_once_end_in_one_good_state(host: Guardhost) -> None:
    with host:
        host.wait("SUS", "OK", "True")
        stop = threading.Event()

        def edit() -> None:
            for number in range(1_000_000):
                if stop.is_set():
                    return
                host.write("susbase", f"WORD = 'w{number}'\n" if number % 3 else "WORD = (\n")
                time.sleep(0.003)

        editor = threading.Thread(target=edit)
        editor.start()
        try:
            for _ in range(60):
                host.put("SUS", "LOAD", 1)
                time.sleep(0.05)
        finally:
            stop.set()
            editor.join()
        host.write("susbase", "WORD = 'last'\n")
        host.put("SUS", "LOAD", 1)
        host.wait("SUS", "USERMSG0", "last")
        host.wait("SUS", "LOAD_STATUS", "DONE")
        host.wait("SUS", "OK", "True")
        assert host.get("SUS", "KILLS") in ("0", 0) and host.get("SUS", "ERROR") == "False"


def test_R11_what_the_check_says_is_in_the_log_and_writes_nothing(host: Guardhost) -> None:
    with host:
        host.wait("SUS", "OK", "True")
        host.write("SUS", "ezca['SOME-GAIN'] = 1\nprint('reading')\n" + SUS)
        host.put("SUS", "LOAD", 1)
        assert host.child is not None
        host.child.wait_for(r"\[check\] reading")
        assert "SOME-GAIN is not written while the code is only checked" in host.child.output
