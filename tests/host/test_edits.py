"""CODE_CHANGED: whether files are still what was loaded, looked at by a thread."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from guardian.core.sources import blob_id
from guardian.host.edits import Edits
from tests.support import eventually

CODE = b"x = 1\n"


@pytest.fixture
def edits() -> Iterator[Edits]:
    made = Edits(round_s=0.02)
    yield made
    made.close()


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "lib.py"
    path.write_bytes(CODE)
    return path


def rounds(edits: Edits, count: int = 3) -> None:
    """Wait until all was looked at anew."""
    for _ in range(count):
        edits._lane.wake()
        assert edits._lane.wait_done(30)


def watch(edits: Edits, *files: Path, node: str = "SUS") -> None:
    edits.watch(node, {str(path): blob_id(CODE) for path in files})
    rounds(edits)


def test_an_edit_shows_one_that_was_put_back_does_not_nor_does_a_touch(edits: Edits, file: Path):
    watch(edits, file)
    assert not edits.changed("SUS")
    os.utime(file, (1, 1))
    rounds(edits)
    assert not edits.changed("SUS")
    file.write_bytes(b"x = 2\n")
    eventually(lambda: edits.changed("SUS"), 30)
    file.write_bytes(CODE)
    eventually(lambda: not edits.changed("SUS"), 30)


def test_an_edit_of_the_same_length_within_a_tick_of_the_clock_shows(edits: Edits, file: Path):
    watch(edits, file)
    facts = file.stat()
    file.write_bytes(b"x = 2\n")
    os.utime(file, ns=(facts.st_atime_ns, facts.st_mtime_ns))
    eventually(lambda: edits.changed("SUS"), 30)


def test_an_edit_before_the_first_look_shows(edits: Edits, file: Path):
    file.write_bytes(b"x = 2\n")
    watch(edits, file)
    assert edits.changed("SUS")


def test_a_file_that_is_gone_and_one_that_is_something_else_show(edits: Edits, file: Path, tmp_path: Path):
    watch(edits, file)
    file.unlink()
    eventually(lambda: edits.changed("SUS"), 30)
    file.write_bytes(CODE)
    eventually(lambda: not edits.changed("SUS"), 30)
    file.unlink()
    os.mkfifo(file)  # nobody writes there: an open would wait for ever
    eventually(lambda: edits.changed("SUS"), 30)
    file.unlink()
    file.mkdir()
    rounds(edits)
    assert edits.changed("SUS")


def test_all_nodes_that_have_loaded_it_show_it_until_they_load_anew(edits: Edits, file: Path, tmp_path: Path):
    other = tmp_path / "other.py"
    other.write_bytes(CODE)
    for number in range(500):
        edits.watch(f"SUS{number}", {str(file): blob_id(CODE)})
    watch(edits, other, node="OTHER")
    file.write_bytes(b"x = 2\n")
    eventually(lambda: all(edits.changed(f"SUS{n}") for n in range(500)), 30)
    assert not edits.changed("OTHER")
    edits.watch("SUS0", {str(file): blob_id(b"x = 2\n")})
    rounds(edits)
    assert [edits.changed("SUS0"), edits.changed("SUS1")] == [False, True]


def test_a_file_that_cannot_be_looked_at_stands_as_it_was(edits: Edits, file: Path, monkeypatch: pytest.MonkeyPatch):
    watch(edits, file)
    file.write_bytes(b"x = 2\n")
    eventually(lambda: edits.changed("SUS"), 30)
    monkeypatch.setattr(edits, "_content", lambda _path: "?")
    rounds(edits)
    assert edits.changed("SUS")


def test_a_node_that_has_left_is_forgotten(edits: Edits, file: Path):
    watch(edits, file)
    file.unlink()
    eventually(lambda: edits.changed("SUS"), 30)
    edits.forget("SUS")
    rounds(edits)
    assert not edits.changed("SUS")
