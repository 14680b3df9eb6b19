"""What of a node survives: kill -9, torn files, full and slow disks; and with what it starts again (R21)."""

from __future__ import annotations

import asyncio
import json
import os
import random
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from guardian.enums import Mode, Op
from guardian.errors import ExpectedError
from guardian.host import files
from guardian.host.settings import DamagedError, Saved, decode, encode
from guardian.host.store import MOST_WAIT, Settings, Store, resume
from tests.support import REPO, Child, eventually

NOW = 1_700_000_000.0
SET = Settings(
    op=Op.PAUSE,
    mode=Mode.MANAGED,
    manager="IMC_LOCK",
    request="ALIGNED",
    request_by="anna@ops3",
    request_at=NOW - 5000,
    mode_by="IMC_LOCK",
    request_id=7,
    event_id=1234,
    indices={"UP": -2, "DOWN": -3},
    saved_at=NOW - 4000,
    alive_at=NOW - 20,
)

settings_values = st.builds(
    Settings,
    op=st.sampled_from(Op),
    mode=st.sampled_from(Mode),
    manager=st.text(),
    request=st.none() | st.text(),
    request_by=st.text(),
    request_at=st.floats(allow_nan=False, allow_infinity=False),
    request_id=st.integers(),
    indices=st.dictionaries(st.text(), st.integers(-999, 999)),
)


class Clock:
    """Epoch seconds that stand still until they are moved."""

    def __init__(self) -> None:
        self.now = NOW

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def tiny_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 64 kB."""
    place = tmp_path / "disk"
    place.mkdir()
    done = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=64k", "none", place], capture_output=True, text=True, check=False
    )
    if done.returncode:
        pytest.skip(f"cannot mount a small file system here: {done.stderr.strip()}")
    yield place
    subprocess.run(["umount", "-l", place], check=True)


def reloaded(directory: Path, node: str = "SUS_MC1") -> Settings:
    """What a fresh reader of the files finds, without a complaint."""
    store = Store(directory)
    try:
        settings, warnings = store.load(node)
    finally:
        assert store.close(30)
    assert warnings == []
    assert settings is not None
    return settings


# ---- the file


@given(settings_values, st.none() | st.floats(0, 1e10))
def test_what_is_encoded_is_read_again(settings: Settings, left_at: float | None) -> None:
    saved = Saved(settings=settings, session="5e55", left_at=left_at)
    assert decode(encode(saved)) == saved


@given(st.binary() | st.text().map(str.encode) | st.recursive(st.integers(), st.lists).map(repr).map(str.encode))
def test_bytes_that_are_no_settings_are_damage_and_nothing_else(data: bytes) -> None:
    with pytest.raises(DamagedError):
        decode(data)


def test_every_beginning_of_a_file_is_damage() -> None:
    whole = encode(Saved(settings=SET, session="5e55"))
    for length in range(len(whole) - 1):  # the last byte is a newline
        for rest in (b"", b"\0" * 20):
            with pytest.raises(DamagedError):
                decode(whole[:length] + rest)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("op", "GO"),
        ("op", 2),
        ("mode", None),
        ("manager", 3),
        ("request", ["A"]),
        ("request_id", True),
        ("request_id", "7"),
        ("event_id", 1.5),
        ("saved_at", float("nan")),
        ("saved_at", 10**400),
        ("indices", {"A": "1"}),
        ("indices", ["A"]),
        ("session", "../../etc/x"),
        ("format", "1"),
    ],
)
def test_a_field_of_a_wrong_type_is_damage_and_named(name: str, value: object) -> None:
    values = json.loads(encode(Saved(settings=SET, session="5e55")))
    with pytest.raises(DamagedError, match=name):
        decode(json.dumps(values | {name: value}).encode())


def test_fields_of_a_newer_and_of_an_older_version() -> None:
    read = decode(b'{"format": 2, "colour": {"deep": []}, "request": "ALIGNED"}')
    assert read.settings == Settings(request="ALIGNED")


# ---- the store


def test_settings_come_back(tmp_path: Path) -> None:
    clock = Clock()
    store = Store(tmp_path / "made" / "when needed", clock=clock)
    assert store.load("SUS_MC1") == (None, [])
    store.save("SUS_MC1", replace(SET, request="OLD"))
    store.save("SUS_MC1", SET)
    store.save("SUS-MC2", Settings())
    assert store.load("SUS_MC1")[0] == replace(SET, saved_at=NOW, alive_at=NOW)
    clock.now += 100
    assert store.close(30)
    assert store.trouble() is None
    found = reloaded(store.directory)
    assert found == replace(SET, saved_at=NOW, alive_at=NOW + 100)
    assert reloaded(store.directory, "SUS-MC2").request is None


@pytest.mark.parametrize("name", ["", "sus", "../SUS", "A/B", "A.B", "A\n", "1A"])
def test_names_that_are_no_nodes_make_no_files(tmp_path: Path, name: str) -> None:
    store = Store(tmp_path)
    for call in (lambda: store.load(name), lambda: store.save(name, SET)):
        with pytest.raises(ExpectedError, match="cannot be stored"):
            call()
    assert store.close(30)


def test_a_torn_file_is_kept_aside_and_the_safe_copy_used(tmp_path: Path) -> None:
    path = tmp_path / "SUS_MC1.json"
    store = Store(tmp_path)
    store.save("SUS_MC1", SET)
    assert store.close(30)
    whole = path.read_bytes()
    assert (tmp_path / "SUS_MC1.json.safe").read_bytes() == whole
    store = Store(tmp_path)
    for length in range(0, len(whole) - 1, 7):
        path.write_bytes(whole[:length])
        settings, warnings = store.load("SUS_MC1")
        assert settings is not None and settings.request == "ALIGNED"
        moved = max(tmp_path.glob("SUS_MC1.json.damaged-*"), key=lambda found: found.stat().st_ctime_ns)
        assert moved.read_bytes() == whole[:length]
        assert moved.name in warnings[0] and "SUS_MC1.json.safe" in warnings[1]
        assert not path.exists()
        moved.unlink()
    for torn in (path, tmp_path / "SUS_MC1.json.safe"):
        torn.write_bytes(whole[:50])
    settings, warnings = store.load("SUS_MC1")
    assert settings is None and len(warnings) == 3 and "for the first time" in warnings[2]
    assert store.load("SUS_MC1") == (None, [])
    assert store.close(30)


def test_what_is_no_file_at_all_is_moved_aside(tmp_path: Path) -> None:
    (tmp_path / "A.json").mkdir()
    os.mkfifo(tmp_path / "B.json")
    store = Store(tmp_path)
    for node in "AB":
        settings, warnings = store.load(node)
        assert settings is None and "not a file of settings" in warnings[0]
        store.save(node, SET)
    assert store.close(30)
    assert reloaded(tmp_path, "A").request == reloaded(tmp_path, "B").request == "ALIGNED"


def test_time_away_counts_from_the_end_of_the_host_that_ran_the_node(tmp_path: Path) -> None:
    clock = Clock()

    def age(node: str) -> float:
        store = Store(tmp_path, clock=clock)
        settings, _ = store.load(node)
        assert settings is not None
        assert store.close(30)
        return clock.now - settings.alive_at

    store = Store(tmp_path, clock=clock, alive_every_s=0.01)
    stamp = tmp_path / f".alive-{store.session}"
    for node in ("STAYS", "LEAVES"):
        store.save(node, SET)
    assert store.flush(30)
    clock.now += 5000
    store.leave("LEAVES")
    clock.now += 1000
    # From here on the files are as a kill would leave them: the stamp is written without anybody asking.
    eventually(lambda: float(stamp.read_bytes()) == clock.now, what="the stamp of the host follows the clock")
    left = {path: path.read_bytes() for path in tmp_path.glob("*.json")} | {stamp: stamp.read_bytes()}
    clock.now += 60
    assert store.close(30)
    for path, content in left.items():
        path.write_bytes(content)
    assert age("STAYS") == pytest.approx(60)
    assert age("LEAVES") == pytest.approx(1060)
    clock.now += 300  # a host that ran another node meanwhile does not count, also not if it crashed
    assert age("STAYS") == pytest.approx(360)
    stamp.write_bytes(b"torn")
    assert age("STAYS") == pytest.approx(6360)  # then the last save is what is known


def test_stamps_of_old_sessions_do_not_pile_up(tmp_path: Path) -> None:
    for number in range(300):
        (tmp_path / f".alive-{number:x}").write_text(f"{NOW + number}")
    assert Store(tmp_path).close(30)
    left = {path.name for path in tmp_path.glob(".alive-*")}
    assert len(left) == 65 and {".alive-12b", ".alive-ec"} <= left


# ---- the disk


WRITER = """
import sys
from pathlib import Path
from guardian.host.store import Settings, Store
store = Store(Path(sys.argv[1]))
number = int(sys.argv[2])
while True:
    number += 1
    name = f"S{number}" * (1 + number % 300)
    store.save("SUS_MC1", Settings(request=name, request_id=number, indices={name: number}))
    if number % 3 == 0 and store.flush(60, durable=number % 30 == 0):
        print(f"kept {number}.", flush=True)
"""


@pytest.mark.proc
def test_kill_9_loses_nothing_that_was_handed_over(tmp_path: Path) -> None:
    number = 0
    for _ in range(6):
        with Child([sys.executable, "-c", WRITER, tmp_path, str(number)], cwd=REPO) as child:
            child.wait_for(r"kept \d+\.", 60)
            time.sleep(random.uniform(0, 0.1))  # the moment of death is the point of the test
            child.kill9()
            told = [int(word[:-1]) for word in child.output.split() if word.endswith(".")]
        found = reloaded(tmp_path)
        assert found.request_id >= told[-1] > number
        name = f"S{found.request_id}" * (1 + found.request_id % 300)
        assert (found.request, found.indices) == (name, {name: found.request_id})
        number = found.request_id
    assert not list(tmp_path.glob("*damaged*"))


@pytest.mark.proc
def test_a_full_disk_is_told_and_nothing_is_lost(tiny_disk: Path) -> None:
    store = Store(tiny_disk, retry_s=(0.01, 0.1))
    store.save("SUS_MC1", replace(SET, request="BEFORE"))
    assert store.flush(30)
    (tiny_disk / "filler").write_bytes(b"x" * 4096)
    with pytest.raises(OSError, match="No space"), open(tiny_disk / "filler", "ab", buffering=0) as filler:
        while True:
            filler.write(b"x" * 512)
    for number in range(100):
        store.save("SUS_MC1", replace(SET, request=f"AFTER{number}"))
    text = eventually(store.trouble, what="the full disk is told")
    assert "ENOSPC" in text and str(tiny_disk) in text and "since" in text
    assert not store.flush(0.05)
    assert decode((tiny_disk / "SUS_MC1.json").read_bytes()).settings.request == "BEFORE"
    assert store.load("SUS_MC1")[0].request == "AFTER99"  # type: ignore[union-attr]
    (tiny_disk / "filler").unlink()
    assert store.flush(30)
    assert store.trouble() is None
    assert decode((tiny_disk / "SUS_MC1.json").read_bytes()).settings.request == "AFTER99"

    subprocess.run(["mount", "-o", "remount,ro", tiny_disk], check=True)
    store.save("SUS_MC1", replace(SET, request="READ_ONLY"))
    assert "EROFS" in eventually(store.trouble, what="the read-only disk is told")
    subprocess.run(["mount", "-o", "remount,rw", tiny_disk], check=True)
    assert store.close(30)
    assert reloaded(tiny_disk).request == "READ_ONLY"


def test_a_directory_that_cannot_be_is_told_until_it_can(tmp_path: Path) -> None:
    place = tmp_path / "state"
    place.write_text("in the way")
    store = Store(place, retry_s=(0.01, 0.05))
    assert store.load("SUS_MC1") == (None, [])
    store.save("SUS_MC1", SET)
    assert "not written since" in eventually(store.trouble, what="the file in the way is told")
    assert not store.flush(0.05)
    place.unlink()
    assert store.flush(30)
    assert store.trouble() is None
    assert store.close(30)
    assert reloaded(place).request == "ALIGNED"


async def test_those_who_wait_for_a_disk_that_hangs_do_not_pile_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    works, real = threading.Event(), os.replace

    def hangs(*words: Any) -> None:
        assert works.wait(30)
        real(*words)

    store = Store(tmp_path)
    monkeypatch.setattr(os, "replace", hangs)
    futures = []
    for number in range(3 * MOST_WAIT):
        store.save("SUS", replace(SET, request_id=number))
        futures.append(store.kept())
    await asyncio.sleep(0.1)
    assert sum(not future.done() for future in futures) == MOST_WAIT
    works.set()
    await asyncio.wait_for(asyncio.gather(*futures), 30)
    store.save("SUS", SET)
    again = store.kept()
    assert not again.done()
    await asyncio.wait_for(again, 30)
    assert store.close(30)


def test_a_slow_disk_delays_neither_the_loop_nor_the_kernel(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    go_on = threading.Event()
    stuck = threading.Event()

    def fsync(fd: int) -> None:
        stuck.set()
        assert go_on.wait(60)

    monkeypatch.setattr(files.os, "fsync", fsync)
    store = Store(tmp_path)
    try:
        store.save("SUS_MC1", SET)
        assert stuck.wait(30)
        spent = []
        for number in range(1000):
            begun = time.perf_counter()
            store.save("SUS_MC1", replace(SET, request_id=number))
            spent.append(time.perf_counter() - begun)
        print(f"save: median {sorted(spent)[500] * 1e6:.0f} us, worst {max(spent) * 1e6:.0f} us")
        assert sorted(spent)[500] < 1e-3
        assert store.flush(30, durable=False)  # kill -9 would lose nothing, although the disk hangs
        assert decode((tmp_path / "SUS_MC1.json").read_bytes()).settings.request_id == 999
        assert not store.flush(0.05)
        assert not store.close(0.05)
    finally:
        go_on.set()
    eventually(lambda: not any(thread.name == "settings-sync" for thread in threading.enumerate()))
    assert decode((tmp_path / "SUS_MC1.json.safe").read_bytes()).settings.request_id == 999


def test_a_node_that_cannot_be_encoded_does_not_keep_others_from_being_saved(tmp_path: Path) -> None:
    store = Store(tmp_path)
    store.save("BAD", replace(SET, indices={"A": object()}))  # type: ignore[dict-item]
    store.save("GOOD", SET)
    assert "please report" in eventually(store.trouble, what="the fault is told")
    store.save("BAD", SET)
    assert store.close(30)
    assert reloaded(tmp_path, "GOOD").request == reloaded(tmp_path, "BAD").request == "ALIGNED"


# ---- the start (R21)

KEPT = {"request_id": 7, "event_id": 1234, "indices": {"UP": -2, "DOWN": -3}}
MODULE = (Op.EXEC, Mode.AUTO, "", None)


def started(settings: Settings) -> tuple[Op, Mode, str, str | None]:
    return settings.op, settings.mode, settings.manager, settings.request


@pytest.mark.parametrize(
    ("policy", "fresh", "away_s", "start", "told"),
    [
        ("resume", False, 20, (Op.PAUSE, Mode.MANAGED, "IMC_LOCK", "ALIGNED"), "restored after 20 s"),
        ("resume", False, 600, (Op.PAUSE, Mode.MANAGED, "IMC_LOCK", "ALIGNED"), "restored after 10 min"),
        ("resume", False, -9999, (Op.PAUSE, Mode.MANAGED, "IMC_LOCK", "ALIGNED"), "restored after 0 s"),
        ("resume", False, 601, MODULE, "10 min ago, more than 10 min"),
        ("resume", False, 200_000, MODULE, "2.31 days ago"),
        ("resume", True, 20, MODULE, "fresh"),
        ("request", False, 20, MODULE, "on_start = request"),
        ("hold", False, 20, (Op.PAUSE, Mode.MANAGED, "IMC_LOCK", "NONE"), "on_start = hold"),
        ("hold", False, 200_000, (Op.PAUSE, Mode.MANAGED, "IMC_LOCK", "NONE"), "on_start = hold"),
        ("hold", True, 20, MODULE, "fresh"),
    ],
)
def test_R21_start(policy: str, fresh: bool, away_s: float, start: tuple[object, ...], told: str) -> None:
    settings, sentence = resume(SET, SET.alive_at + away_s, policy=policy, fresh=fresh)  # type: ignore[arg-type]
    assert started(settings) == start
    assert {name: getattr(settings, name) for name in KEPT} == KEPT
    assert told in sentence
    for word in ("OP PAUSE", "MANAGED", "set by IMC_LOCK", "ALIGNED", "set by anna@ops3 at 2023-11-14 20:50:00Z"):
        assert word in sentence


def test_R21_alive_at_of_the_caller_counts() -> None:
    settings, _ = resume(SET, NOW, alive_at=NOW - 601)
    assert started(settings) == MODULE
    settings, _ = resume(SET, NOW, alive_at=NOW - 601, resume_within_s=700)
    assert settings == SET


def test_R21_first_start() -> None:
    assert started(resume(None, NOW)[0]) == MODULE
    held, sentence = resume(None, NOW, policy="hold")
    assert started(held) == (Op.EXEC, Mode.AUTO, "", "NONE")
    assert "hold" in sentence and "first start" in sentence
