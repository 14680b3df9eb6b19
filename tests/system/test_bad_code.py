"""What user code can do to itself, with a real host: each way is told on the node's PVs, and nobody else notices.

Code that hangs is in test_must_hold.py.
"""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.support import eventually
from tests.system.hosting import Guardhost, longest_gap_s

pytestmark = [pytest.mark.ca, pytest.mark.proc]

GOOD = """
    from guardian import GuardState
    request = nominal = "REST"
    class REST(GuardState):
        goto = True
    edges = [("INIT", "REST")]
"""
BAD = (
    GOOD
    + """
    import ctypes, os
    class DOES_IT(GuardState):
        def main(self):
            log("about to")
            {code}
            return True
    edges += [("REST", "DOES_IT")]
"""
)
CODE = {
    "RAISES": "self.nothing.here",
    "EXITS": "raise SystemExit(3)",
    "ENDS": "os._exit(3)",
    "CRASHES": "ctypes.string_at(8)",
    "FLOODS": "[print(i) for i in range(300_000)]",
}


def test_whatever_code_does_its_node_says_so_and_the_others_run(tmp_path: Path) -> None:
    modules = {name: BAD.format(code=code) for name, code in CODE.items()}
    with Guardhost(tmp_path, {"GOOD": GOOD, **modules}) as host:
        for node in host.nodes:
            host.wait(node, "OK", "True", 60)
        workers = {name: process.pid for name, process in host.workers().items()}
        for node in CODE:
            host.put(node, "REQUEST", "DOES_IT")
        for node, words in {"RAISES": "AttributeError", "EXITS": "SystemExit"}.items():
            host.wait(node, "ERROR", "True")
            assert words in host.get(node, "GRDMSG") and "main" in host.get(node, "GRDMSG"), node
            assert host.ca.get(host.pv(node, "OK")).severity == 2
            host.child.wait_for(rf" {node} .*{words}")
        for node, words in {"ENDS": "exit code 3", "CRASHES": "SIGSEGV"}.items():
            # Each time there is a new worker, which begins in INIT and goes the same way; after the third no more.
            host.wait(node, "WORKER", "DEAD", 60)
            eventually(
                lambda node=node: "reset-failed" in host.get(node, "WHY"), 60, f"the end of patience with {node}"
            )
            told = rf" {node} ERROR: .*{words}"
            eventually(lambda told=told: len(re.findall(told, host.child.output)) >= 4, 30, f"four lines of {node}")
            assert len(re.findall(told, host.child.output)) == 4, host.child.report()
            assert host.ca.get(host.pv(node, "OK")).severity == 2
        host.wait("FLOODS", "STATUS", "DONE", 60)
        host.child.wait_for(r" FLOODS WARNING: \d+ lines dropped", 60)
        assert longest_gap_s(host.ca, host.pv("GOOD", "STATE"), 1.0) < 10  # answered, while all that goes on
        kept = {name: process.pid for name, process in host.workers().items()}
        assert kept == {name: workers[name] for name in ("GOOD", "RAISES", "EXITS", "FLOODS")}
        for node in CODE:  # each comes back, asked for something that works
            host.put(node, "REQUEST", "REST")
            if node not in kept:
                host.put(node, "REENTER", 1)
            host.wait(node, "OK", "True", 60)
        assert host.get("GOOD", "OK") == "True"
