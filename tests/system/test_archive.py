"""A real host archives what its nodes load, shows it, and shows edits; real guardutil reads it."""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support import Child, eventually
from tests.system.hosting import Guardhost

pytestmark = [pytest.mark.ca, pytest.mark.proc]

SUS = """
from guardian import GuardState
import helper
request = nominal = "WORK"
class WORK(GuardState):
    index = 10
class OTHER(GuardState):
    index = 20
    goto = True
    def main(self):
        import late
edges = [("INIT", "WORK"), ("OTHER", "WORK")]
"""
FILES = {"SUS": SUS, "ITM": SUS, "helper": "x = 1\n", "late": "y = 1\n"}


@pytest.fixture
def host(tmp_path: Path) -> Iterator[Guardhost]:
    with Guardhost(tmp_path, FILES, nodes=["SUS", "ITM"]) as made:
        made.wait("SUS", "STATE", "WORK")
        yield made


def archived(host: Guardhost, node: str = "SUS", *, but: str = "") -> str:
    """The ARCHIVE_ID, once it is another one."""
    return str(eventually(lambda: (id_ := host.get(node, "ARCHIVE_ID")) != but and id_, 30, "an ARCHIVE_ID"))


def git(host: Guardhost, *words: str) -> str:
    command = ["git", f"--git-dir={host.state_dir}/archive.git", *words]
    return subprocess.run(command, capture_output=True, check=True, text=True).stdout


def util(host: Guardhost, *words: str, code: int = 0, ask: bool = False) -> str:
    """Run guardutil on the state directory of the host, or have it `ask` the node."""
    where = ("--ifo", host.ifo) if ask else ("--state-dir", str(host.state_dir))
    with Child(
        [sys.executable, "-m", "guardian.cli.guardutil", *words, *where], env=host.env, cwd=host.folder
    ) as child:
        assert child.wait(60) == code, child.report()
        return child.output


def test_an_edit_shows_within_five_seconds_at_all_nodes_until_they_load(host: Guardhost):
    first = archived(host)
    host.write("helper", "x = 2\n")
    edited = time.monotonic()
    for node in ("SUS", "ITM"):
        host.wait(node, "CODE_CHANGED", "True")
    assert time.monotonic() - edited < 5
    host.put("SUS", "LOAD", 1)
    host.wait("SUS", "CODE_CHANGED", "False")
    second = archived(host, but=first)
    assert host.get("ITM", "CODE_CHANGED") == "True"
    assert git(host, "show", f"{second}:helper.py") == "x = 2\n"
    assert git(host, "show", f"{first}:helper.py") == "x = 1\n"
    assert "loaded, by " in git(host, "log", "-1", "--format=%s", second)
    assert f"DONE, {second}" in host.ctrl("status", "SUS")
    assert "changed on disk since: guardutil diff ITM" in host.ctrl("status", "ITM")


def test_bad_code_and_a_node_that_stands_still_change_nothing(host: Guardhost):
    first = archived(host)
    host.write("SUS", SUS + "1 +\n")
    host.wait("SUS", "CODE_CHANGED", "True")
    host.put("SUS", "LOAD", 1)
    host.wait("SUS", "LOAD_STATUS", "ERROR")
    host.put("SUS", "OP", "STOP")
    host.wait("SUS", "WORKER", "STOP")
    time.sleep(2.5)  # what would change, would by now
    assert (host.get("SUS", "CODE_CHANGED"), host.get("SUS", "ARCHIVE_ID")) == ("True", first)
    host.write("SUS", SUS + "# good again\n")
    host.put("SUS", "LOAD", 1)  # a stopped node learns its graph from the check
    second = archived(host, but=first)
    host.wait("SUS", "CODE_CHANGED", "False")
    host.put("SUS", "OP", "EXEC")
    host.wait("SUS", "WORKER", "RUN")
    assert archived(host) == second
    assert git(host, "show", f"{second}:SUS.py").endswith("# good again\n")


def test_what_a_method_imports_joins_and_the_load_after_that_is_without_it(host: Guardhost):
    first = archived(host)
    host.put("SUS", "REQUEST", "OTHER")
    host.wait("SUS", "STATE", "OTHER")
    second = archived(host, but=first)
    assert git(host, "show", f"{second}:late.py") == "y = 1\n"
    assert git(host, "log", "-1", "--format=%s", second) == "SUS imported: late.py (new)\n"
    (host.folder / "late.py").unlink()
    host.wait("SUS", "CODE_CHANGED", "True")
    assert "gone     " in util(host, "diff", "SUS", code=1)
    host.workers()["SUS"].kill()  # a new worker reads what is there
    host.wait("SUS", "CODE_CHANGED", "False")
    assert archived(host, but=second)


def test_what_was_compiled_is_archived_and_not_what_lay_there_a_moment_later(tmp_path: Path):
    vain = "import os, time\nold = open(__file__).read()\nopen(__file__, 'w').write('x = 3  # edited')\n"
    with Guardhost(tmp_path, {**FILES, "helper": vain}, nodes=["SUS"]) as host:
        id_ = archived(host)
        host.wait("SUS", "CODE_CHANGED", "True")
        assert git(host, "show", f"{id_}:helper.py") == vain
        told = util(host, "diff", "SUS", code=1, ask=True)
        assert "+x = 3  # edited" in told and f"--- {id_}/helper.py" in told


def test_guardutil_says_what_differs_and_what_was_when(host: Guardhost):
    first = archived(host)
    assert "as they were loaded" in util(host, "diff", "SUS", ask=True)
    host.write("SUS", SUS.replace("index = 10", "index = 11"))
    told = util(host, "diff", "SUS", code=1, ask=True)
    assert "-    index = 10" in told and "+    index = 11" in told
    facts = json.loads(util(host, "diff", "SUS", "--json", code=1))
    assert [(one["name"], one["how"]) for one in facts["files"]] == [("SUS.py", "changed")] and not facts["same"]
    time.sleep(1.1)  # the archive knows seconds
    between = time.time()
    time.sleep(1.1)
    host.put("SUS", "LOAD", 1)
    second = archived(host, but=first)
    assert util(host, "diff", "SUS") and util(host, "diff", "SUS", first, second, "--stat", code=1)
    assert [line.split()[0] for line in util(host, "log", "SUS").splitlines()] == [second, first]
    assert " 10 * WORK" in util(host, "states", "SUS", "--at", str(int(between)))
    (host.folder / "SUS.py").unlink()  # of that day, whatever is there now
    assert " 11 * WORK" in util(host, "states", "SUS", "--at", "0s")
    states = json.loads(util(host, "states", "SUS", "--at", "0s", "--json"))
    assert states["id"].startswith(second) and {s["name"]: s["index"] for s in states["states"]}["WORK"] == 11
    for early in ("2h", "1969-12-31"):
        assert "was first archived" in util(host, "states", "SUS", "--at", early, code=2)
    assert "nothing of it is archived" in util(host, "log", "NOBODY", code=2)
    assert "is no ARCHIVE_ID" in util(host, "diff", "SUS", "main", code=2)
    assert "is not in " in util(host, "diff", "SUS", "abcdef123456", code=2)


def test_guardutil_sees_what_is_no_file_any_more_and_what_is_too_large_to_be_kept(tmp_path: Path):
    (tmp_path / "huge.py").write_text("# 1\n" * 1_250_000)
    with Guardhost(tmp_path, {**FILES, "helper": "import huge\n"}, nodes=["SUS"]) as host:
        archived(host)
        assert "as they were loaded" in util(host, "diff", "SUS")
        (tmp_path / "huge.py").write_text("# 2\n" * 1_250_000)
        (tmp_path / "helper.py").unlink()
        (tmp_path / "helper.py").mkdir()
        told = util(host, "diff", "SUS", code=1)
        assert f"gone     {tmp_path}/helper.py\n" in told
        assert f"changed  {tmp_path}/huge.py (its lines are not kept)\n" in told
        facts = json.loads(util(host, "diff", "SUS", "--json", code=1))
        assert [(one["name"], one["how"]) for one in facts["files"]] == [
            ("helper.py", "gone"),
            (f"{tmp_path}/huge.py", "changed"),
        ]


def test_a_host_that_is_killed_while_it_writes_leaves_a_sound_archive(tmp_path: Path):
    dice = random.Random(1)
    for _ in range(6):
        with Guardhost(tmp_path, {}, nodes=["SUS", "ITM"]) as host:
            for name, source in FILES.items():
                host.write(name, source)
            host.wait("SUS", "STATE", "WORK")
            until = time.monotonic() + dice.uniform(0.2, 1.5)
            while time.monotonic() < until:
                host.write("helper", f"x = {dice.random()}\n")
                for node in host.nodes:
                    host.put(node, "LOAD", 1)
            host.kill9()
        eventually(lambda: "missing" not in git(host, "fsck", "--no-dangling"), 30, "a sound archive")
    with Guardhost(tmp_path, {}, nodes=["SUS", "ITM"]) as host:
        for node in host.nodes:
            assert git(host, "show", f"{archived(host, node)}:helper.py") == (tmp_path / "helper.py").read_text()
        assert not list((host.state_dir / "archive.git" / "refs" / "heads").glob("*.lock"))


def test_an_archive_that_cannot_be_written_is_an_alarm_of_its_host_and_none_of_its_nodes(tmp_path: Path):
    place = tmp_path / "no-folder"
    place.write_text("a file")
    site = tmp_path / "site.toml"
    with Guardhost(tmp_path, FILES, nodes=["SUS"]) as host:
        archived(host)
        os.kill(host.child.pid, 15) if host.child else None
        assert host.child is not None and host.child.wait(30) == 0
    site.write_text(
        f'ifo = "{host.ifo}"\nhost = "here"\nnodes = ["SUS"]\npath = ["{tmp_path}"]\nport = {host.port}\n'
        f'state_dir = "{tmp_path}/state2"\n[archive]\ndir = "{place}/archive.git"\n'
    )
    second = Guardhost(tmp_path, FILES, nodes=["SUS"], ifo=host.ifo)
    second.port, second.env = host.port, host.env
    second.command = ["--site", str(site)]
    with second:
        second.wait("SUS", "OK", "True")
        second.wait("HOST_here", "OK", "False")
        why = str(second.get("HOST_here", "WHY"))
        assert "is not archived in" in why and ("Not a directory" in why or "File exists" in why), why
        assert second.get("SUS", "ARCHIVE_ID") == ""
        told = util(second, "diff", "SUS", code=2, ask=True)
        assert "is not archived" in told
        place.unlink()
        second.wait("HOST_here", "OK", "True")
        assert archived(second)
        assert (tmp_path / "state2" / "archive.git").is_symlink()
