"""README.rst cannot lie: its first system runs as it says, its tables are those of the code, its commands exist."""

from __future__ import annotations

import os
import re
import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from guardian.cli.wrappers import command
from guardian.core.interface import BY_NAME
from guardian.core.names import PV_TEMPLATE, pv_name
from guardian.host.site import read_site
from tests.support import REPO, CaClient, Child, eventually, free_port
from tests.support.shell import COMMANDS, shell_environ
from tests.support.terminal import CTRL_D, on_terminal
from tests.system import readme

MakeChild = Callable[..., Child]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A user's folder, with the files that the README tells to write there."""
    for name, text in readme.FILES.items():
        (tmp_path / name).write_text(text)
    return tmp_path


def test_every_block_of_code_is_run_or_written_by_a_test():
    assert not readme.UNMARKED
    assert set(readme.FILES) == {"OVEN.py", "site.toml"}
    here = {"oven", "oven-client", "oven-load", "try", "host", "orders", "ctrl"}
    tour = "look down up misalign waits again kick trip tripped reset kill stop refused knob who past"  # test_demo.py
    assert set(readme.RUN) - here == set(tour.split())


def test_the_first_system_has_ten_lines():
    assert len(readme.FILES["OVEN.py"].splitlines()) == 10


def test_the_table_of_pvs_is_that_of_the_interface():
    rows = readme.table("name")
    assert len(rows) > 10
    for name, access, text in rows:
        row = BY_NAME[name]
        assert (access, text) == (row.asg.value if row.writable else "read", row.text), name


def test_every_pv_that_is_named_exists():
    names = re.findall(r"X1:GRD-\w+", readme.TEXT)
    assert len(names) > 20
    known = {
        pv_name(PV_TEMPLATE, ifo="X1", node=node, name=row)
        for node in ("OVEN", "OVEN_2", "SUS_MC1", "SUS_MC2", "SUS_MC3", "IMC_LOCK", "ALIGN", "IFO")
        for row in BY_NAME
    }
    assert set(names) <= known


def test_every_make_target_that_is_named_exists():
    targets = set(re.findall(r"^([a-z-]+):", (REPO / "Makefile").read_text(), re.MULTILINE))
    named = set(re.findall(r"(?:``|^ {4})make ([a-z-]+)", readme.TEXT, re.MULTILINE))
    assert {"demo", "test"} <= named <= targets


def test_every_command_is_in_the_table():
    assert {row[0] for row in readme.table_below("Commands")} == set(COMMANDS)


def test_every_place_that_is_named_exists():
    places = re.findall(r"``([^`]+)``", " ".join(row[0] for row in readme.table_below("What is where")))
    files = re.findall(r"``((?:guardian|nodes|docs|tests|ioc|db)/[\w./]*)``", readme.TEXT)
    assert len(places) > 8 and len(files) > 3
    assert [place for place in (*places, *files) if not (REPO / place).exists()] == []


def test_the_site_file_is_one(folder: Path):
    site = read_site(folder / "site.toml")
    assert (site.ifo, site.nodes, site.on_start, site.resume_within_s) == ("X1", ("OVEN",), "resume", 600.0)


@pytest.mark.ca
@pytest.mark.proc
def test_the_first_system_runs_with_the_lines_given(folder: Path, tmp_path_factory, child: MakeChild):
    environ = shell_environ(free_port(), tmp_path_factory.mktemp("tools"))
    node = child(["sh", "-c", f"exec {readme.RUN['oven']}"], env=environ, cwd=folder)
    node.wait_for(r"^guardian: OVEN on Channel Access port", 60)
    with CaClient(environ) as ca:
        eventually(lambda: ca.get("X1:GRD-OVEN_STATUS") is not None, 30, "an answer")
        eventually(lambda: "loaded" in node.output, 60, "the module")
        # One terminal, in which the last line goes on until Ctrl-C.
        client = child(["sh", "-e"], env=environ, cwd=folder, stdin=True)
        client.send(readme.RUN["oven-client"])
        client.wait_for(r"^New : X1:GRD-OVEN_REQUEST +WARM", 60)
        client.wait_for(r"^X1:GRD-OVEN_TARGET +\w+", 60)
        client.wait_for(r"^X1:GRD-OVEN_STATE .*WARM", 60)
        client.wait_for(r"^X1:GRD-OVEN_OK .*True", 60)
        with child(["sh", "-e", "-c", readme.RUN["oven-load"]], env=environ, cwd=folder) as load:
            assert load.wait(60) == 0, load.report()
            assert re.search(r"^X1:GRD-OVEN_LOAD_STATUS +\w+", load.output, re.M), load.report()
        node.wait_for(r" OVEN the new code is good", 60)
        eventually(lambda: ca.get("X1:GRD-OVEN_LOAD_STATUS", as_string=True).value == "DONE", 30, "the new code")
        assert "= 1" in (folder / "OVEN.py").read_text()
    node.signal(signal.SIGINT)
    assert node.wait(30) == 0, node.report()


@pytest.mark.proc
def test_code_is_tried_with_the_lines_given(folder: Path, tmp_path_factory, child: MakeChild):
    environ = shell_environ(free_port(), tmp_path_factory.mktemp("tools"))
    trying = child(on_terminal(["sh", "-e", "-c", readme.RUN["try"]]), env=environ, cwd=folder, stdin=True)
    trying.wait_for(r"^>>> ", 60)
    assert trying.output.count("OVEN WARM.run() completed") == 2
    trying.send(f"ezca, log, notify, WARM\n{CTRL_D}")
    assert trying.wait(60) == 0, trying.report()
    assert "<class 'OVEN.WARM'>" in trying.output


@pytest.mark.ca
@pytest.mark.proc
def test_a_host_runs_from_the_site_file_and_takes_orders(folder: Path, tmp_path_factory, child: MakeChild):
    environ = shell_environ(free_port(), tmp_path_factory.mktemp("tools"))
    host = child(["sh", "-c", f"exec {readme.RUN['host']}"], env=environ, cwd=folder)
    host.wait_for(r"^guardhost: OVEN on Channel Access port", 60)
    orders = child(["sh", "-e", "-c", readme.RUN["orders"]], env=environ, cwd=folder)
    assert orders.wait(60) == 0, orders.report()
    assert re.search(r"^OVEN_2 is added", orders.output, re.M), orders.report()
    assert re.search(r"^OVEN_2 +EXEC", orders.output, re.M), orders.report()
    assert re.search(r"^OVEN_2 is removed", orders.output, re.M), orders.report()
    orders = child(["sh", "-e", "-c", readme.RUN["ctrl"]], env=environ, cwd=folder)
    assert orders.wait(120) == 0, orders.report()
    assert re.search(r"^OVEN +EXEC", orders.output, re.M), orders.report()
    assert re.search(r"^OVEN: INIT -> COLD -> WARM.*\nOVEN: arrived in WARM, after \d", orders.output, re.M), (
        orders.report()
    )
    assert re.search(r"^Who answers for X1:GRD-OVEN_STATE\n  127.0.0.1:\d+  process", orders.output, re.M), (
        orders.report()
    )
    host.signal(signal.SIGINT)
    assert host.wait(30) == 0, host.report()
    assert "OVEN" in (folder / "guardhost.log").read_text()
    assert (folder / "state" / "journal.jsonl").exists()


@pytest.mark.proc
@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_help(name: str, child: MakeChild):
    process = child([*command(COMMANDS[name]), "--help"])
    assert process.wait(60) == 0
    assert process.output.startswith(f"usage: {name}"), process.report()


@pytest.mark.proc
def test_without_python_of_the_right_age_make_says_so(tmp_path: Path, child: MakeChild):
    process = child(["make", "demo", "PYTHON=", f"VENV={tmp_path / 'venv'}"], cwd=REPO, env=no_make(os.environ))
    assert process.wait(30) == 2
    assert "needs Python 3.11 or newer" in process.output


def no_make(environ) -> dict[str, str]:
    """Without what a `make test` above us left there."""
    return {k: v for k, v in environ.items() if k not in ("MAKEFLAGS", "MAKELEVEL", "MFLAGS", "MAKEOVERRIDES")}
