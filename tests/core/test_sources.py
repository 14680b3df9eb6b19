"""The files of user code as an archive names them."""

from __future__ import annotations

import json
import subprocess

import pytest

from guardian.core.archived import states_document
from guardian.core.graph import Graph, StateInfo, SystemFacts
from guardian.core.sources import LARGEST_BYTES, SourceFile, blob_id, named, pack, unpack, what_changed


def file(path: str, place: int = 0, *, name: str = "", blob: str = "b" * 40, size: int = 1) -> SourceFile:
    return SourceFile(path=path, place=place, name=name or path.rpartition("/")[2], blob=blob, size=size)


@pytest.mark.parametrize("data", [b"", b"x = 1\n", b"\r\n\xe9\0", b"x" * 100_000])
def test_a_content_is_named_as_git_names_it_and_travels_whole(data: bytes):
    git = subprocess.run(["git", "hash-object", "--stdin"], input=data, capture_output=True, check=True)
    assert blob_id(data) == git.stdout.decode().strip()
    assert unpack(pack(data)) == data


def test_two_files_of_one_name_are_kept_apart_and_the_first_search_path_keeps_it():
    files = [
        file("/b/lib.py", 1),
        file("/a/lib.py"),
        file("/a/states.json"),
        file("/c/lib.py", 2),
        file("/l/lib.py", 2),
    ]
    assert {name: one.path for name, one in named(files).items()} == {
        "lib.py": "/a/lib.py",
        "path1/states.json": "/a/states.json",
        "path2/lib.py": "/b/lib.py",
        "path3/lib.py": "/c/lib.py",
        "2/path3/lib.py": "/l/lib.py",
    }


def test_a_file_that_is_too_large_is_named_and_not_kept():
    files = [file("/a/SUS.py"), file("/a/huge.py", size=LARGEST_BYTES + 1)]
    states = [StateInfo(name="INIT", index=0), StateInfo(name="UP", index=10)]
    document = json.loads(
        states_document(
            node="SUS",
            ifo="X1",
            paths=["/a"],
            facts=SystemFacts(states=tuple(states), edges=(), module="/a/SUS.py"),
            graph=Graph.build(states, ()),
            files=files,
        )
    )
    assert document["left_out"] == {"/a/huge.py": "b" * 40}
    assert document["files"] == {"SUS.py": {"path": "/a/SUS.py", "blob": "b" * 40}}
    assert [(state["name"], state["index"]) for state in document["states"]] == [("INIT", 0), ("UP", 10)]


def test_what_changed_is_said_in_words():
    before = {"SUS.py": "1", "old.py": "2", "lib.py": "3"}
    assert what_changed(before, before) == ""
    assert what_changed(before, {"SUS.py": "9", "lib.py": "3", "new.py": "4"}) == "SUS.py, new.py (new), old.py (gone)"
    assert what_changed({}, {f"{n}.py": "1" for n in range(7)}).endswith("4.py (new) and 2 more")
