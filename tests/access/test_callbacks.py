"""Callbacks of libca cannot wait for libca: what would hang for its timeout is refused at once. A real IOC."""

from __future__ import annotations

import sys
from collections.abc import Callable

import pytest

from tests.support import REPO, Child, SoftIoc, ca_env

pytestmark = [pytest.mark.ca, pytest.mark.proc]

DB = "".join(f'record(ao, "X1:{name}") {{ field(VAL, "{value}") }}\n' for value, name in enumerate("ABCDE"))
HEAD = """\
import threading, time
import epics
from guardian.access.channels import Channels
from guardian.errors import DeadlockDetectedError, ExosError
ezca = Channels("X1")
done = threading.Event()

def told(what, call):
    began = time.monotonic()
    try:
        answer = call()
    except Exception as error:
        answer = f"{type(error).__name__}: {error}"
    print(what, "|", "quick" if time.monotonic() - began < 1 else "slow", "|", answer, flush=True)
"""
INSIDE = (
    HEAD
    + """
ezca.read("C")

def changed(pvname, value, **_):
    told("known", lambda: ezca.read("C"))
    told("new", lambda: ezca.read("B"))
    told("missing", lambda: ezca.read("NOT-THERE"))
    told("fresh", lambda: ezca.read("C", fresh=True))
    told("write", lambda: ezca.write("C", 17))
    told("connect", lambda: ezca.connect("D", "E"))
    told("write on", lambda: ezca.write("C", 18, wait=False))
    done.set()

before = threading.active_count()
pv = epics.PV("X1:A", callback=changed)
assert done.wait(60)
told("afterwards", lambda: [ezca.read("B"), ezca.read("D"), ezca.read("C", fresh=True)])
"""
)
FIRST = (
    HEAD
    + """
def changed(pvname, value, **_):
    told("first", lambda: ezca.read("B"))
    done.set()

pv = epics.PV("X1:A", callback=changed)
assert done.wait(120)
told("afterwards", lambda: ezca.read("B"))
threading.Thread(target=told, args=("thread", lambda: ezca.read("C"))).start()
"""
)
RUN_HERE = (
    HEAD
    + """
pv = epics.PV("X1:A")
assert pv.wait_for_connection(30)
pv.add_callback(lambda **_: told("here", lambda: ezca.read("B")), run_now=True)
told("afterwards", lambda: ezca.read("B"))
"""
)


@pytest.fixture
def client(child: Callable[..., Child], ca_port: int) -> Callable[[str], dict[str, list[str]]]:
    """Run a program beside an IOC; what it told, by the first word."""

    def run(code: str) -> dict[str, list[str]]:
        with SoftIoc(DB, ca_port):
            program = child([sys.executable, "-c", code], env={**ca_env(ca_port), "PYTHONPATH": str(REPO)})
            assert program.wait(120) == 0, program.report()
        return {words[0]: words[1:] for line in program.output.splitlines() if len(words := line.split(" | ", 2)) == 3}

    return run


def test_what_would_wait_is_refused_and_what_need_not_works(client: Callable[[str], dict[str, list[str]]]) -> None:
    told = client(INSIDE)
    assert told["known"] == ["quick", "2.0"]
    for what, channel in {"new": "B", "missing": "NOT-THERE", "fresh": "C", "write": "C", "connect": "D"}.items():
        quick, answer = told[what]
        assert quick == "quick" and answer.startswith(f"DeadlockDetectedError: X1:{channel}: this is a callback"), told
    assert told["write on"] == ["quick", "None"]
    assert told["afterwards"] == ["quick", "[1.0, 3.0, 18.0]"]  # 17 was never written


def test_the_first_use_of_all_is_refused_as_well(client: Callable[[str], dict[str, list[str]]]) -> None:
    told = client(FIRST)
    assert told["first"][0] == "quick" and told["first"][1].startswith("DeadlockDetectedError: "), told
    assert told["afterwards"][1] == "1.0" and told["thread"][1] == "2.0"


def test_a_callback_that_is_run_in_a_thread_of_ours_may_wait(client: Callable[[str], dict[str, list[str]]]) -> None:
    told = client(RUN_HERE)
    assert told["here"][1] == told["afterwards"][1] == "1.0"
