"""The code of one node, put together from what its processes tell in whatever order."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from msgspec.structs import replace

from guardian.core.engine import Engine, Limits, Start
from guardian.core.events import Loaded, Sources, Step
from guardian.core.graph import Graph, StateInfo, SystemFacts
from guardian.core.sources import SourceFile, blob_id, pack
from guardian.host.archive import Archive
from guardian.host.edits import Edits
from guardian.host.loaded import LoadedCode

STATES = (StateInfo(name="INIT", index=0), StateInfo(name="UP", index=10))


@pytest.fixture
def archive(tmp_path: Path) -> Iterator[Archive]:
    archive = Archive(tmp_path / "archive.git")
    yield archive
    archive.close()


@pytest.fixture
def code(archive: Archive) -> Iterator[LoadedCode]:
    edits = Edits()
    yield LoadedCode("SUS", "X1", ["/nodes"], archive, edits)
    edits.close()


def told(text: str, *names: str, more: bool = False, late: bool = False) -> Sources:
    files = tuple(
        SourceFile(path=f"/{n}", place=0, name=n, blob=blob_id(data), size=len(data), packed=pack(data))
        for n in names
        if (data := f"{text} {n}".encode())
    )
    return Sources(files=files, more=more, late=late)


def good(code: LoadedCode, nominal: str = "") -> None:
    code.good(Loaded(facts=SystemFacts(states=STATES, edges=(), module="/SUS.py", nominal=nominal or None)))


def counts(code: LoadedCode, at: float = 1.0) -> None:
    view = replace(Engine("SUS", Start(), Limits()).view, load_time=at, graph=Graph.build(STATES, ()))
    code.step(Step(view=view, kind="load", text=""))


def kept(archive: Archive) -> dict[str, str]:
    """The first word of each file of the last load, by its name; and what is nominal."""
    assert archive.wait_written(60)
    run = archive._repository.run
    document = json.loads(run("show", "SUS:states.json"))
    words = {name: run("show", f"SUS:{name}").decode().split()[0] for name in document["files"]}
    return words | ({"nominal": document["nominal"]} if document["nominal"] else {})


def test_a_process_that_dies_in_the_middle_of_telling_leaves_nothing_to_the_next(code: LoadedCode, archive: Archive):
    code.hear(1, told("old", "SUS.py", "gone.py", more=True))
    code.hear(2, told("new", "SUS.py", more=True))
    code.hear(2, told("new", "lib.py"))
    good(code)
    counts(code)
    assert kept(archive) == {"SUS.py": "new", "lib.py": "new"}


def test_a_check_and_a_method_that_imports_may_tell_at_the_same_time(code: LoadedCode, archive: Archive):
    code.hear(1, told("old", "SUS.py"))
    good(code, "UP")
    counts(code)
    code.hear(1, told("new", "SUS.py", "other.py", more=True), check=True)
    code.hear(1, told("old", "SUS.py", "late.py", late=True))
    assert kept(archive) == {"SUS.py": "old", "late.py": "old", "nominal": "UP"}
    code.hear(1, told("new", "lib.py"), check=True)
    good(code, "INIT")
    code.hear(1, told("old", "SUS.py", "later.py", late=True))  # what was checked does not count yet
    assert kept(archive) == {"SUS.py": "old", "later.py": "old", "nominal": "UP"}
    code.hear(1, told("new", "SUS.py", "lib.py"))
    counts(code, 2.0)
    assert kept(archive) == {"SUS.py": "new", "lib.py": "new", "nominal": "INIT"}
