"""What an import costs: the automaton needs neither EPICS nor numpy, and `from guardian import GuardState` is light."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from tests.support import REPO

#: Import, then every module that is there.
_LOOK = "import sys, json; {}; print(json.dumps(sorted(sys.modules)))"
_HEAVY = {"caproto", "epics", "numpy", "asyncio", "rich", "msgspec", "epicscorelibs", "softioc", "multiprocessing"}


def modules_after(code: str) -> set[str]:
    done = subprocess.run(
        [sys.executable, "-c", _LOOK.format(code)], cwd=REPO, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr
    return set(json.loads(done.stdout))


@pytest.mark.parametrize(
    "module", ["engine", "commands", "events", "explain", "graph", "interface", "settings", "view"]
)
def test_core_is_light(module: str) -> None:
    found = modules_after(f"import guardian.core.{module}")
    assert not found & (_HEAVY - {"msgspec"})  # a library of C without dependencies; views are its structs
    ours = {name for name in found if name.startswith("guardian.")}
    assert all(name.startswith(("guardian.core", "guardian.enums", "guardian.errors", "guardian._v")) for name in ours)


@pytest.mark.parametrize("module", ["core.names", "host.places", "host.asking", "worker.finding", "host.alive"])
def test_facts_that_every_command_needs_are_light(module: str) -> None:
    found = modules_after(f"import guardian.{module}")
    assert not found & {*_HEAVY, "logging", "tomllib"}
    core = {name for name in found if name.startswith("guardian.core.")}
    assert core <= {"guardian.core.names", "guardian.core.who"}, core


def test_who_only_asks_the_network_needs_no_server() -> None:
    found = modules_after("import ioc.cas.ask")
    assert not found & {*_HEAVY - {"asyncio"}, "ioc.cas.context"}


def test_guardian_is_light() -> None:
    found = modules_after("import guardian")
    assert {n for n in found if n.startswith("guardian")} == {"guardian", "guardian._version"}
    found = modules_after("from guardian import GuardState, GuardStateDecorator")
    assert not found & _HEAVY and not any(n.startswith("guardian.core") for n in found)


def test_what_watches_is_light_until_it_speaks():
    found = modules_after(
        "from guardian.health import HealthMonitor, MonitoredThreadPool; HealthMonitor('x').send_heartbeat()"
    )
    assert not found & {*_HEAVY, "ssl", "http.client", "psutil"}
    found = modules_after("from guardian.health import *; Hub()")
    assert not found & {*_HEAVY, "ssl", "http.client", "psutil"}


def test_names_that_only_a_node_gives() -> None:
    code = "import guardian\ntry: from guardian import ezca\nexcept ImportError as e: assert 'guardian NODE' in str(e)"
    modules_after(f"exec({code!r})")
    code += "\nimport builtins; builtins.ezca = 7\nfrom guardian import ezca; assert ezca == 7"
    modules_after(f"exec({code!r})")
