"""The archive of code, with real git: what is in it, and what it lives through."""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from guardian.cli.util import archived
from guardian.client.records.archived import Archive as Reader
from guardian.core.archived import states_document
from guardian.core.graph import Edge, Graph, StateInfo, SystemFacts
from guardian.core.sources import SourceFile, blob_id, pack
from guardian.errors import ExpectedError
from guardian.host import archive as module
from guardian.host import files
from guardian.host.archive import Archive, CodeLoad
from guardian.host.repository import LOCK_S, Repository, compare
from tests.support import eventually

STATES = [StateInfo(name="INIT", index=0), StateInfo(name="UP", index=10)]
Make = Callable[..., Archive]


@pytest.fixture
def make(tmp_path: Path) -> Iterator[Make]:
    made: list[Archive] = []

    def one(directory: Path = tmp_path / "archive.git", **options: object) -> Archive:
        made.append(Archive(directory, retry_s=(0.01, 0.05), **options))  # type: ignore[arg-type]
        return made[-1]

    yield one
    for archive in made:
        archive.close()


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 1 MB."""
    place = tmp_path / "disk"
    place.mkdir()
    done = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=1m", "none", place], capture_output=True, text=True, check=False
    )
    if done.returncode:
        pytest.skip(f"cannot mount a small file system here: {done.stderr.strip()}")
    yield place
    subprocess.run(["umount", "-l", place], check=True)


def load(
    node: str = "SUS", *, by: str = "", at: float = 1.5e9, told: bool = True, folder: str = "/nodes", **files: bytes
) -> CodeLoad:
    sources = tuple(
        SourceFile(
            path=f"{folder}/{name}.py",
            place=0,
            name=f"{name}.py",
            blob=blob_id(data),
            size=len(data),
            packed=pack(data) if told else None,
        )
        for name, data in files.items()
    )
    facts = SystemFacts(states=tuple(STATES), edges=(), module=f"/nodes/{node}.py", nominal="UP")
    graph = Graph.build(STATES, [Edge(start="INIT", end="UP")])
    states = states_document(node=node, ifo="X1", paths=["/nodes"], facts=facts, graph=graph, files=sources)
    return CodeLoad(node=node, by=by, at=at, states=states, files=sources)


def keep(archive: Archive, *loads: CodeLoad) -> str:
    """The ARCHIVE_ID of the last one."""
    for one in loads:
        archive.keep(one)
    assert archive.wait_written(60), archive.trouble()
    return archive.id(loads[-1].node)


def git(archive: Archive, *words: str) -> str:
    command = ["git", f"--git-dir={archive.directory}", *words]
    return subprocess.run(command, capture_output=True, check=True).stdout.decode()


def trouble(archive: Archive) -> str:
    return eventually(lambda: (one := archive.ailment()) and one.text, 30, "an ailment") or ""


def test_a_commit_holds_the_files_byte_for_byte_and_says_who_and_when(make: Make):
    archive = make()
    data = {"SUS": b"x = '\xe9'\r\n", "with space": b"", '"quoted"': b"\0"}
    id_ = keep(archive, load(by="alice <a@b>\n", at=1_500_000_000.7, **data))
    assert len(id_) == 12
    names = git(archive, "ls-tree", "-r", "-z", "--name-only", id_).split("\0")[:-1]
    assert set(names) == {"SUS.py", "with space.py", '"quoted".py', "states.json"}
    for name, content in data.items():
        command = ["git", f"--git-dir={archive.directory}", "show", f"{id_}:{name}.py"]
        assert subprocess.run(command, capture_output=True, check=True).stdout == content
    assert git(archive, "log", "-1", "--format=%an|%at|%s", "SUS").strip() == (
        "alice  a@b|1500000000|SUS loaded, by alice <a@b> : 3 files, the first that are archived"
    )
    document = json.loads(git(archive, "show", "SUS:states.json"))
    assert [(s["name"], s["index"]) for s in document["states"]] == [("INIT", 0), ("UP", 10)]
    assert git(archive, "fsck", "--strict") == ""


def test_the_same_code_is_the_same_commit_also_after_a_restart_and_by_another_host(make: Make):
    archive = make()
    first = keep(archive, load(SUS=b"1"))
    assert keep(archive, load(SUS=b"1", by="bob")) == first
    assert archive.close()
    again = make()
    assert again.id("SUS") == ""
    assert keep(again, load(SUS=b"1")) == first
    changed = keep(again, load(SUS=b"2", lib=b"3", by="bob"))
    assert keep(again, load(SUS=b"1")) not in (first, changed)  # put back: a load of its own
    assert git(again, "log", "--format=%s", "SUS").splitlines() == [
        "SUS loaded: SUS.py, lib.py (gone)",
        "SUS loaded, by bob: SUS.py, lib.py (new)",
        "SUS loaded: 1 file, the first that is archived",
    ]


def test_until_it_is_written_there_is_no_id_and_the_last_one_does_not_stand(make: Make, tmp_path: Path):
    archive = make()
    keep(archive, load(SUS=b"1"))
    archive.directory.rename(tmp_path / "elsewhere")
    archive.directory.write_text("no folder")
    archive.keep(load(SUS=b"2"))
    assert archive.id("SUS") == ""
    assert "is not archived in" in trouble(archive)
    assert archive.id("SUS") == ""
    archive.directory.unlink()
    (tmp_path / "elsewhere").rename(archive.directory)
    assert eventually(lambda: archive.id("SUS"), 30)
    eventually(lambda: archive.ailment() is None, 30, "nothing is wrong any more")
    assert git(archive, "show", "SUS:SUS.py") == "2"


def test_fifty_nodes_at_once_are_few_processes_and_a_content_they_share_is_there_once(
    make: Make, monkeypatch: pytest.MonkeyPatch
):
    runs: list[str] = []
    run = Repository.run
    monkeypatch.setattr(Repository, "run", lambda self, *w, **k: runs.append(w[0]) or run(self, *w, **k))
    archive = make(enabled=True)
    for number in range(50):
        archive.keep(load(f"SUS{number}", lib=b"shared", **{f"SUS{number}": b"%d" % number}))
    assert archive.wait_written(60)
    assert all(archive.id(f"SUS{n}") for n in range(50))
    assert runs.count("fast-import") <= 3
    shared = git(archive, "rev-list", "--all", "--objects").splitlines()
    assert sum(line.endswith(" lib.py") for line in shared) == 1


def test_a_content_that_was_told_before_is_taken_from_the_repository_or_from_the_disk_or_is_told_to_be_lost(
    make: Make, tmp_path: Path
):
    archive = make()
    keep(archive, load(SUS=b"1", lib=b"old"))
    id_ = keep(archive, load(SUS=b"2", lib=b"old", told=False))
    assert git(archive, "show", f"{id_}:lib.py") == "old"
    assert json.loads(git(archive, "show", f"{id_}:states.json"))["lost"] == ["SUS.py"]
    assert "Not kept, as nobody has them any more: SUS.py" in git(archive, "log", "-1", "--format=%b", id_)
    whole = keep(make(), load(SUS=b"2", lib=b"old"))  # the same code, and now it is told
    assert git(archive, "show", f"{whole}:SUS.py") == "2"


def test_what_waits_is_bounded_and_the_last_load_of_each_node_is_kept(
    make: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(module, "WAITING_LOADS", 10)
    monkeypatch.setattr(module, "WAITING_BYTES", 20_000)
    (tmp_path / "archive.git").write_text("no folder")
    archive = make()
    for number in range(100):
        archive.keep(load("SUS", SUS=b"%d" % number, lib=os.urandom(1000)))
        archive.keep(load("ITM", ITM=b"%d" % (number // 50)))
    assert "archive.git" in trouble(archive)
    assert len(archive._waiting) <= 10 and archive._waiting_bytes() <= 20_000
    (tmp_path / "archive.git").unlink()
    eventually(lambda: archive.id("SUS") and archive.id("ITM"), 30)
    assert git(archive, "show", "SUS:SUS.py") == "99"
    assert git(archive, "show", "ITM:ITM.py") == "1"
    assert "loads before this one could not be kept" in git(archive, "log", "--format=%b", "SUS")
    assert archive._packed == {} and archive._waiting == []


def test_without_git_it_is_told_and_done_when_there_is_one(make: Make, monkeypatch: pytest.MonkeyPatch):
    path = os.environ["PATH"]
    monkeypatch.setenv("PATH", "/nowhere")
    archive = make()
    archive.keep(load(SUS=b"1"))
    assert "there is no program git in PATH; install it" in trouble(archive)
    monkeypatch.setenv("PATH", path)
    assert eventually(lambda: archive.id("SUS"), 30)


@pytest.mark.parametrize("lock", ["refs/heads/SUS.lock", "packed-refs.lock"])
@pytest.mark.parametrize("age_s", [LOCK_S + 5, -86400])
def test_a_lock_that_was_left_is_removed_and_a_young_one_is_waited_for(make: Make, lock: str, age_s: float):
    archive = make()
    keep(archive, load(SUS=b"1"), load("ITM", ITM=b"1"))
    git(archive, "pack-refs", "--all")
    path = archive.directory / lock
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch()
    archive.keep(load(SUS=b"2"))
    if "SUS" in lock:
        assert "lock" in trouble(archive)
        archive.keep(load("ITM", ITM=b"2"))  # another branch is none of its business
        assert eventually(lambda: archive.id("ITM"), 30)
        assert archive.id("SUS") == "" and path.exists()
    if path.exists():
        os.utime(path, (time.time() - age_s,) * 2)  # also before a clock was set back
    assert eventually(lambda: archive.id("SUS"), 30)
    assert git(archive, "show", "SUS:SUS.py") == "2"


def test_a_damaged_repository_is_told_and_what_nodes_run_is_archived_when_it_is_repaired(make: Make, tmp_path: Path):
    archive = make()
    keep(archive, load(SUS=b"1"))
    objects = archive.directory / "objects"
    objects.rename(tmp_path / "saved")
    archive.keep(load(SUS=b"2"))
    assert "git fsck" in trouble(archive)
    (tmp_path / "saved").rename(objects)
    assert eventually(lambda: archive.id("SUS"), 30)
    head = git(archive, "rev-parse", "SUS").strip()
    path = objects / head[:2] / head[2:]
    path.chmod(0o644)
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    archive.keep(load(SUS=b"3"))
    assert archive.directory.name in trouble(archive)
    path.write_bytes(whole)
    assert eventually(lambda: archive.id("SUS"), 30)
    assert git(archive, "show", "SUS:SUS.py") == "3"


def test_a_branch_that_is_damaged_keeps_back_its_own_node_and_no_other(make: Make):
    archive = make()
    keep(archive, load(SUS=b"1"), *(load(f"ITM{n}", lib=b"1") for n in range(5)))
    tree = git(archive, "rev-parse", "SUS^{tree}").strip()
    (archive.directory / "objects" / tree[:2] / tree[2:]).unlink()
    for number in range(5):
        archive.keep(load("SUS", SUS=b"%d" % number))
        archive.keep(load(f"ITM{number}", lib=b"2"))
    assert "Can't load tree" in trouble(archive)
    for number in range(5):
        assert eventually(lambda n=number: archive.id(f"ITM{n}"), 30)
        assert git(archive, "show", f"ITM{number}:lib.py") == "2"
    assert archive.id("SUS") == ""
    git(archive, "update-ref", "-d", "refs/heads/SUS")
    assert eventually(lambda: archive.id("SUS"), 30)
    assert git(archive, "show", "SUS:SUS.py") == "4"
    eventually(lambda: archive.ailment() is None, 30, "nothing is wrong any more")
    assert not list(archive.directory.glob("fast_import_crash_*"))  # each failure was tried again, and left one


def test_all_that_runs_goes_into_a_new_repository_where_the_old_one_is_moved_away(make: Make, tmp_path: Path):
    def loads(node: str, data: bytes) -> CodeLoad:
        (tmp_path / f"{node}.py").write_bytes(data)
        return load(node, folder=str(tmp_path), **{node: data})

    archive = make()
    keep(archive, loads("SUS", b"1"), loads("ITM", b"1"))
    archive.directory.rename(tmp_path / "old")
    keep(archive, loads("ITM", b"2"))
    for node, data in (("SUS", "1"), ("ITM", "2")):
        assert git(archive, "show", f"{archive.id(node)}:{node}.py") == data
    shutil.rmtree(archive.directory)
    (tmp_path / "old").rename(archive.directory)  # back again, without the last load
    keep(archive, loads("OTHER", b"1"))
    for node, data in (("SUS", "1"), ("ITM", "2")):
        assert git(archive, "show", f"{archive.id(node)}:{node}.py") == data
    assert git(archive, "rev-list", "--count", "ITM").strip() == "2"


def test_on_a_full_disk_it_leaves_nothing_behind_that_would_keep_it_full(make: Make, disk: Path):
    archive = make(disk / "archive.git")
    keep(archive, load(SUS=b"1"))
    filler = disk / "filler"
    filler.write_bytes(b"x" * (shutil.disk_usage(disk).free - 40_000))
    free = shutil.disk_usage(disk).free
    for number in range(3):
        archive.keep(load(SUS=b"%d" % number, lib=os.urandom(60_000)))
    assert "diskspace" in trouble(archive)
    time.sleep(2)  # it is tried again and again
    eventually(lambda: shutil.disk_usage(disk).free > free - 10_000, 30, "no half packs")
    filler.unlink()
    assert eventually(lambda: archive.id("SUS"), 30)
    assert not list(archive.directory.glob("fast_import_crash_*")) + list(archive.directory.glob("objects/pack/tmp_*"))
    assert git(archive, "fsck") == ""


def test_a_subject_is_one_line_whatever_people_and_files_are_called(make: Make):
    archive = make()
    keep(archive, load(by="a\n\nb\x0c\u2028\x85 (1.2.3.4)", **{"SUS": b"1"}))
    keep(archive, load(by="bob", **{"SUS": b"1", "new\nline\x0c": b"2"}))
    second, first = Reader(archive.directory, "SUS").log(0)
    assert first.subject == "SUS loaded, by a  b    (1.2.3.4): 1 file, the first that is archived"
    assert second.subject == "SUS loaded, by bob: new line .py (new)"
    who = ("-c", "user.name=x", "-c", "user.email=y")
    other = git(archive, *who, "commit-tree", "SUS^{tree}", "-p", "SUS", "-m", "by hand\x0c\u2028").strip()
    git(archive, "update-ref", "refs/heads/SUS", other)
    assert [one.id for one in Reader(archive.directory, "SUS").log(0)] == [other, second.id, first.id]


def test_hooks_and_configuration_of_people_and_variables_do_not_matter(
    make: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    home = tmp_path / "home"
    home.mkdir()
    (home / ".gitconfig").write_text("[core]\n\thooksPath = /nowhere\n[user]\n\tuseConfigOnly = true\n[broken\n")
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("GIT_DIR", "/nowhere")
    monkeypatch.setenv("GIT_INDEX_FILE", "/nowhere")
    archive = make()
    keep(archive, load(SUS=b"1"))
    hooks = archive.directory / "hooks"
    hooks.mkdir(exist_ok=True)
    (hooks / "reference-transaction").write_text("#!/bin/sh\nexit 1\n")
    (hooks / "reference-transaction").chmod(0o755)
    assert keep(archive, load(SUS=b"2"))


def test_a_difference_is_of_the_files_themselves_also_in_the_middle_of_somebodys_repository(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    subprocess.run(["git", "init", "-q", tmp_path], check=True)
    subprocess.run(["git", "-C", tmp_path, "config", "diff.loud.textconv", "tr a-z A-Z <"], check=True)
    (tmp_path / ".git" / "info" / "attributes").write_text("*.py diff=loud\n")
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    told = compare(["a", "b"], [{"x.py": b"small\n"}, {"x.py": b"smaller\n"}], stat=False, color=False)
    assert told.endswith(b"-small\n+smaller\n")


def test_two_hosts_share_one_repository(make: Make, tmp_path: Path):
    shared = tmp_path / "net" / "shared.git"
    first, second = (make(shared, link=tmp_path / name / "archive.git") for name in ("one", "two"))
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
    for number in range(5):
        first.keep(load("SUS", SUS=b"%d" % number))
        second.keep(load("ITM", ITM=b"%d" % number))
    assert first.wait_written(60) and second.wait_written(60)
    moved = keep(second, load("SUS", SUS=b"moved"))  # a node that has moved to the other host
    assert git(first, "show", f"{moved}:SUS.py") == "moved"
    assert int(git(first, "rev-list", "--count", "SUS")) == 6
    assert (tmp_path / "one" / "archive.git").resolve() == shared
    assert git(first, "fsck") == ""


def test_the_state_directory_leads_to_the_archive_also_where_another_place_is_said_later(make: Make, tmp_path: Path):
    (tmp_path / "state").mkdir()
    link = tmp_path / "state" / "archive.git"
    keep(make(link, link=link), load(SUS=b"1"))
    keep(make(tmp_path / "state" / ".." / "state" / "archive.git", link=link), load(SUS=b"1"))
    assert not link.is_symlink()
    for name in ("new.git", "newer.git"):
        keep(make(tmp_path / name, link=link), load(SUS=b"2"))
        assert link.resolve() == tmp_path / name
    (aside,) = link.parent.glob("archive.git.until-*")
    assert [one.subject for one in Reader(aside, "SUS").log(0)] == ["SUS loaded: 1 file, the first that is archived"]


def test_that_a_file_is_another_one_is_archived_also_where_it_is_too_large_to_be_kept(make: Make):
    archive = make()
    first = keep(archive, load(SUS=b"1", huge=b"1" * 5_000_000))
    second = keep(archive, load(SUS=b"1", huge=b"2" * 5_000_000))
    assert git(archive, "log", "--format=%s", "SUS").splitlines() == [
        "SUS loaded: /nodes/huge.py",
        "SUS loaded: 2 files, the first that are archived",
    ]
    assert git(archive, "ls-tree", "--name-only", second).split() == ["SUS.py", "states.json"]
    reader = Reader(archive.directory, "SUS")
    assert [reader.unkept(reader.commit(one)) for one in (first, second)] == [
        {"/nodes/huge.py": blob_id(digit * 5_000_000)} for digit in (b"1", b"2")
    ]


def test_what_ran_then_is_known_to_the_archive_of_the_host_that_had_the_node(
    make: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    monkeypatch.setenv("GUARD_LOCK_DIR", str(tmp_path / "locks"))
    options = argparse.Namespace(node="SUS", site=None, state_dir=None)
    for host, at in (("b", 1.6e9), ("a", 1.5e9)):
        (tmp_path / "guardian" / host).mkdir(parents=True)
        keep(make(tmp_path / "guardian" / host / "archive.git"), load(at=at, SUS=host.encode()))
    for at, host in ((1.55e9, "a"), (1.65e9, "b")):
        archive, commit = archived.ran_at(options, at)
        assert (archive.path.parent.name, archive.files(commit)["SUS.py"][1]) == (host, host.encode())
    with pytest.raises(ExpectedError, match="first archived 2017-07-14 02:40:00Z"):
        archived.ran_at(options, 1.4e9)
    (tmp_path / "guardian" / "a" / "archive.git" / "objects").rename(tmp_path / "objects")
    assert archived.archive_of(options).path.parent.name == "b", "a damaged one keeps back no other"
    (tmp_path / "guardian" / "b" / "archive.git" / "objects").rename(tmp_path / "objects-b")
    with pytest.raises(ExpectedError, match=r"a/archive\.git: git for-each-ref: "):
        archived.archive_of(options)


def test_what_is_loose_is_packed_behind_everybody_else(make: Make, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(module, "_TIDY_COMMITS", 25)
    monkeypatch.setattr(
        "guardian.host.repository._OPTIONS", ("gc.autoPackLimit=5", "gc.autoDetach=false", "fastimport.unpackLimit=0")
    )
    archive = make()
    for number in range(30):
        keep(archive, load(SUS=b"%d" % number))
    packs = archive.directory / "objects" / "pack"
    eventually(lambda: len(list(packs.glob("*.pack"))) < 10, 60, "few packs")
    keep(archive, load(SUS=b"last"))
    assert int(git(archive, "rev-list", "--count", "SUS")) == 31
    assert git(archive, "fsck") == ""


def test_it_hangs_while_one_git_does_not_end_and_not_where_many_take_long_together(
    make: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """With 500 nodes that start git comes last, and no disk is to blame."""
    monkeypatch.setattr(files, "HANGS_S", 2.0)
    gate, slow = tmp_path / "gate", tmp_path / "bin" / "git"
    slow.parent.mkdir()
    real = shutil.which("git")
    slow.write_text(
        f'#!/bin/sh\ncase "$*" in *fast-import*) while [ ! -e {gate} ]; do sleep 0.05; done; rm {gate};; esac\n'
    )
    with slow.open("a") as script:
        script.write(f'exec {real} "$@"\n')
    slow.chmod(0o755)
    monkeypatch.setenv("PATH", f"{slow.parent}:{os.environ['PATH']}")
    monkeypatch.setattr(module, "_TOGETHER", 1)
    archive = make()
    for node in ("SUS", "IMC"):
        archive.keep(load(node, lib=b"1"))
    assert "waits for git" in trouble(archive)
    gate.touch()
    eventually(lambda: archive.ailment() is None, 30, "the first to be done, and the second not to last as long yet")
    assert archive.id("SUS") and not archive.id("IMC")
    gate.touch()
    assert archive.wait_written(60)
    assert archive.ailment() is None


def test_one_that_is_switched_off_does_nothing(make: Make):
    archive = make(enabled=False)
    archive.keep(load(SUS=b"1"))
    assert (archive.id("SUS"), archive.ailment(), archive.threads(), archive.directory.exists()) == (
        "",
        None,
        (),
        False,
    )
    assert archive.close()
