"""Files that are put aside when they are large, and the oldest removed."""

from __future__ import annotations

from pathlib import Path

import pytest

from guardian.errors import ExpectedError
from guardian.host.rotation import Bounds, aside, make_room, put_aside
from guardian.host.site import read_site

AT = 1_795_921_912.5  # 2026-11-29 03:11:52.5 UTC


def test_a_file_that_is_put_aside_has_its_date_in_its_name(tmp_path: Path) -> None:
    file = tmp_path / "journal.jsonl"
    file.write_text("one")
    assert put_aside(file, AT).name == "journal.jsonl.20261129T031152Z"
    assert not file.exists()


def test_two_of_one_second_are_both_kept_and_in_order(tmp_path: Path) -> None:
    file = tmp_path / "journal.jsonl"
    for text in "abc":
        file.write_text(text)
        put_aside(file, AT)
    assert [one.read_text() for one in aside(file)] == list("abc")


def test_what_is_no_work_of_ours_is_left_alone(tmp_path: Path) -> None:
    file = tmp_path / "journal.jsonl"
    for name in ("", ".1", ".20261128.gz", ".damaged-20160823T081317Z", "x.20261129T031152Z"):
        file.with_name(file.name + name).write_bytes(bytes(1000))
    assert aside(file) == []
    assert make_room(file, 1) == []
    assert len(list(tmp_path.iterdir())) == 5


def test_the_oldest_are_removed_until_all_fit(tmp_path: Path) -> None:
    file = tmp_path / "journal.jsonl"
    for second in range(5):
        file.write_bytes(bytes(100))
        put_aside(file, AT + second)
    file.write_bytes(bytes(50))
    old = aside(file)
    assert make_room(file, 300) == old[:3]
    assert aside(file) == old[3:]
    assert make_room(file, 0) == old[3:], "the file that is written is never removed"
    assert file.exists()


def test_a_site_file_says_how_much_is_kept(tmp_path: Path) -> None:
    site = tmp_path / "x1.toml"
    site.write_text('nodes = ["A"]\n[journal]\nfile_mb = 0.5\ntotal_mb = 4\n')
    assert read_site(site).journal == Bounds(file_bytes=500_000, total_bytes=4_000_000)


@pytest.mark.parametrize(
    ("table", "told"),
    [
        ("file_mb = 0", "journal.file_mb = 0; use 0.01 to 1e+06 megabytes"),
        ("total_mb = 20", "journal.total_mb = 20 holds less than two files of file_mb = 16; say more, or smaller"),
        ("keep = 3", "journal.keep is unknown; known are file_mb, total_mb"),
    ],
)
def test_bounds_that_make_no_sense_are_refused(tmp_path: Path, table: str, told: str) -> None:
    site = tmp_path / "x1.toml"
    site.write_text(f'nodes = ["A"]\n[journal]\n{table}\n')
    with pytest.raises(ExpectedError) as found:
        read_site(site)
    assert told in str(found.value)


def test_the_newest_stays_the_last_when_others_of_its_second_are_gone_or_the_clock_was_set_back(tmp_path: Path) -> None:
    file = tmp_path / "journal.jsonl"
    for number in range(1200):
        file.write_text(str(number))
        put_aside(file, AT - number)
        for old in aside(file)[:-2]:
            old.unlink()
    assert [one.read_text() for one in aside(file)] == ["1198", "1199"]
