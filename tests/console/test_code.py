"""The code that a node runs, from the archive of its host, beside what is on disk; and that no other file is shown."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.console.consoling import GuardianConsole
from tests.console.ovens import OVEN, PLAIN
from tests.system.hosting import Guardhost

pytestmark = [pytest.mark.ca, pytest.mark.proc]


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Guardhost]:
    modules = {"OVEN": f"import helper\n{OVEN}", "helper": "NUMBER = 1\n"}
    with Guardhost(tmp_path_factory.mktemp("co"), modules, nodes=["OVEN"]) as host:
        host.wait("OVEN", "STATE", "COLD")
        yield host


@pytest.fixture(scope="module")
def console(house: Guardhost) -> Iterator[GuardianConsole]:
    with GuardianConsole(house) as one:
        one.wait("/api/nodes/OVEN/code", lambda code: code["files"] and code["archive_id"] and code["says"] == [])
        yield one


def test_the_code_that_runs_is_shown_and_not_what_is_on_disk(house: Guardhost, console: GuardianConsole) -> None:
    told = console.told("/api/nodes/OVEN/code")
    assert [one["name"] for one in told["files"]] == ["OVEN.py", "helper.py"]
    assert not any(one["differs"] for one in told["files"]) and told["code_changed"] is False
    assert len(told["loads"]) == 1 and told["loads"][0]["id"].startswith(told["archive_id"])
    house.write("helper", "NUMBER = 2\n")
    house.wait("OVEN", "CODE_CHANGED", "True")
    told = console.wait("/api/nodes/OVEN/code", lambda code: code["code_changed"])
    helper = told["files"][1]
    assert (helper["loaded"], helper["differs"], helper["how"]) == ("NUMBER = 1\n", True, "changed")
    assert helper["diff"][-2:] == ["-NUMBER = 1", "+NUMBER = 2"]
    house.put("OVEN", "LOAD", 1)
    told = console.wait("/api/nodes/OVEN/code", lambda code: len(code["loads"]) == 2 and not code["code_changed"])
    assert told["files"][1]["loaded"] == "NUMBER = 2\n" and "helper.py" in told["loads"][0]["text"]
    (house.folder / "helper.py").unlink()
    gone = console.told("/api/nodes/OVEN/code")["files"][1]
    assert (gone["loaded"], gone["how"], gone["diff"][-1]) == ("NUMBER = 2\n", "gone", "-NUMBER = 2")
    house.write("helper", "NUMBER = 2\n")


def test_names_that_are_no_nodes_lead_nowhere(console: GuardianConsole) -> None:
    for name in ("..%2F..%2Fetc%2Fpasswd", "--help", "oven", "%2e%2e", "A" * 100, "HOST%00"):
        answer = console.get(f"/api/nodes/{name}/code")
        assert answer.status in (400, 404), (name, answer.body)
    told = console.told("/api/nodes/NOBODY/code")
    assert told["files"] == [] and "nothing of NOBODY is archived" in told["says"][0]


def test_a_folder_that_only_the_network_names_is_not_read(tmp_path: Path, house: Guardhost) -> None:
    with GuardianConsole(house, options=("--state-dir", str(tmp_path))) as console:
        told = console.wait(
            "/api/nodes/OVEN/code", lambda code: "which this console does not read" in str(code["says"])
        )
        assert told["files"] == [] and str(house.state_dir) in told["says"][0]


def test_a_folder_may_be_called_otherwise_than_its_host_calls_it(tmp_path: Path, house: Guardhost) -> None:
    (tmp_path / "other").symlink_to(house.state_dir)
    with GuardianConsole(house, options=("--state-dir", str(tmp_path / "other"))) as console:
        console.wait("/api/nodes/OVEN/code", lambda code: code["files"] and code["says"] == [])


def test_what_a_node_ran_last_is_shown_when_its_host_has_ended(tmp_path: Path) -> None:
    with Guardhost(tmp_path, {"LAMP": PLAIN}) as host, GuardianConsole(host) as console:
        console.wait("/api/nodes/LAMP/code", lambda code: code["files"] and code["archive_id"] and code["says"] == [])
        assert host.child is not None
        host.child.close()
        told = console.wait("/api/nodes/LAMP/code", lambda code: code["says"])
        assert told["files"][0]["loaded"] == PLAIN and "what it has loaded last" in told["says"][0]
