"""Journals are read forward and backward, by words and by times; whatever is in them, both ways tell the same."""

from __future__ import annotations

import gzip
import json
import os
import random
import time
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from guardian.host import history
from guardian.host.history import Query, Reading, open_file, word, word_like

NODES = ("SUS_MC1", "SUS_MC2", "IMC_LOCK")


def line(number: int, node: str, *, text: str = "", spaced: bool = False) -> bytes:
    record = {"node": node, "id": number, "stamp": 1e9 + number, "kind": "enter", "text": text}
    return json.dumps(record, separators=None if spaced else (",", ":")).encode()


lines = st.one_of(
    st.builds(line, st.integers(0, 5000), st.sampled_from(NODES), text=st.text(max_size=30), spaced=st.booleans()),
    st.binary(max_size=40).map(lambda data: data.replace(b"\n", b"")),
    st.sampled_from([b"", b"{", b'{"id":1', b'"}', b"[1]", b"\xff" * 300, b'{"a":1}{"b":2}']),
)


@pytest.fixture(params=[1 << 20, 64, 7], ids=lambda size: f"{size}-byte-blocks")
def _block(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(history, "_BLOCK", request.param)
    monkeypatch.setattr(history, "_NEAR", request.param)


@pytest.mark.usefixtures("_block")
@hypothesis_settings(max_examples=60)
@given(st.lists(lines, max_size=30), st.booleans())
def test_backward_is_forward_turned_round_and_words_keep_all_that_is_wanted(
    tmp_path_factory: pytest.TempPathFactory, content: list[bytes], ends: bool
) -> None:
    path = tmp_path_factory.mktemp("j") / "journal.jsonl"
    path.write_bytes(b"\n".join(content) + b"\n" * ends)
    forward, backward = Reading(path), Reading(path, Query(newest_first=True))
    whole = list(forward)
    assert list(backward) == whole[::-1] and backward.skipped == forward.skipped
    for node in NODES:
        mine = [one for one in whole if one.get("node") == node]
        for newest_first in (False, True):
            query = Query(words=((word(node),), (word("dropped"),)), newest_first=newest_first)
            found = [one for one in Reading(path, query) if one.get("node") == node]
            assert found == (mine[::-1] if newest_first else mine)
    found = [one for one in Reading(path, Query(words=((word_like("SUS_*"),),))) if str(one.get("node"))[:4] == "SUS_"]
    assert found == [one for one in whole if str(one.get("node"))[:4] == "SUS_"]


@pytest.fixture(scope="module")
def long_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path, dice = tmp_path_factory.mktemp("long") / "journal.jsonl", random.Random(2)
    with path.open("wb") as file:
        for number in range(0, 100_000, 10):
            file.write(line(number, dice.choice(NODES), text="x" * dice.randrange(100)) + b"\n")
            if not number % 9970:
                file.write(dice.choice([b"\xff" * 100_000, b"{", b"\n\n[1]", b'{"stamp": "late"}']) + b"\n")
    return path


@hypothesis_settings(max_examples=40)
@given(st.integers(-20_000, 120_000), st.integers(0, 60_000), st.booleans())
def test_what_lies_between_two_times_is_found_by_halving(
    long_file: Path, since: int, length: int, newest_first: bool
) -> None:
    begin, end = 1e9 + since, 1e9 + since + length
    whole = [
        one["id"] for one in Reading(long_file) if type(one.get("stamp")) is float and begin <= one["stamp"] <= end
    ]
    found = [one["id"] for one in Reading(long_file, Query(since=begin, until=end, newest_first=newest_first))]
    assert found == (whole[::-1] if newest_first else whole)


def test_a_line_of_megabytes_is_one_damage_both_ways_and_takes_no_memory(tmp_path: Path) -> None:
    path = tmp_path / "journal.jsonl"
    path.write_bytes(line(1, "A") + b"\n" + b"[" * 9_000_000 + b"\n" + line(2, "A") + b"\n7\n" + b"{" * 5_000_000)
    for newest_first in (False, True):
        reading = Reading(path, Query(newest_first=newest_first))
        assert [one["id"] for one in reading] == ([2, 1] if newest_first else [1, 2]) and reading.skipped == 3


def test_what_is_packed_is_read_both_ways(tmp_path: Path) -> None:
    path = tmp_path / "journal.jsonl.1.gz"
    path.write_bytes(gzip.compress(b"".join(line(number, "A") + b"\n" for number in range(5))))
    with open_file(path) as file:
        assert [one["id"] for one in Reading(file)] == [0, 1, 2, 3, 4]
        assert [one["id"] for one in Reading(file, Query(newest_first=True))] == [4, 3, 2, 1, 0]


def test_a_file_that_is_cut_while_it_is_read_ends_there(tmp_path: Path) -> None:
    path = tmp_path / "journal.jsonl"
    path.write_bytes(b"".join(line(number, "A", text="x" * 1000) + b"\n" for number in range(5000)))
    for newest_first in (False, True):
        reading: Any = Reading(path, Query(newest_first=newest_first))
        first = next(reading)
        os.truncate(path, 1000)
        assert first["id"] in (0, 4999) and len(list(reading)) < 5000
        path.write_bytes(b"".join(line(number, "A", text="x" * 1000) + b"\n" for number in range(5000)))


def test_a_pipe_in_the_place_of_a_journal_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "journal.jsonl")
    begun = time.monotonic()
    with pytest.raises(OSError):
        next(Reading(tmp_path / "journal.jsonl"))
    assert time.monotonic() - begun < 10
