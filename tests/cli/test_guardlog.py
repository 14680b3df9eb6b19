"""``guardlog audit``: who wrote what, from the journals of hosts; what is damaged, missing or not there is said."""

from __future__ import annotations

import gzip
import json
import os
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from guardian.cli.guardlog import main
from guardian.cli.log import WrongCall
from guardian.cli.times import shown, span
from guardian.client.records import journals
from guardian.core.audit import write_record
from guardian.core.durations import Spans, StateTimes
from guardian.core.interface import BY_NAME
from guardian.core.view import View
from guardian.core.who import Who
from guardian.host.durations import encode
from guardian.host.rotation import put_aside

ANN = Who("ann", "ws3", "10.1.2.3")
GUARDIAN = Who("guardian", "h1guard1", "10.1.0.1")
EVE = Who("eve", "office", "10.0.0.9")
FRESH = View()


def at(text: str) -> float:
    return datetime.fromisoformat(f"2026-11-{text}").replace(tzinfo=UTC).timestamp()


def write(stamp: str, node: str, row: str, value: Any, who: Who, view: View = FRESH, **more: Any) -> dict[str, Any]:
    count = {key: more.pop(key) for key in ("count", "since") if key in more}
    record = write_record(
        node=node, pv=f"X1:GRD-{node}_{row}", row=BY_NAME[row], value=value, who=who, view=view, id=1, stamp=at(stamp),
        **more,
    )  # fmt: skip
    return record | count


COMMAND = json.dumps({"state": "ALIGNED", "manager": "IMC_LOCK", "id": "x"})
NIGHT = [
    write("27 23:10", "SUS_MC1", "REQUEST", "ALIGNED", ANN, View(request="SAFE")),
    write("28 02:59:30", "IMC_LOCK", "REQUEST", "NOWHERE", EVE, refused="no such state. The menu is LOCKED"),
    {"id": 5, "stamp": at("28 03:02:11"), "kind": "mode", "node": "IMC_LOCK", "text": "MODE AUTO -> MANUAL"},
    write("28 03:02:11", "IMC_LOCK", "MODE", 2, ANN, View(manager="IFO")),
    write("28 03:02:12", "SUS_MC1", "REQUEST_CMD", COMMAND, GUARDIAN, View(request="SAFE", manager="IMC_LOCK")),
    write("28 03:05", "SUS_MC1", "OP", "STOP", Who("ann", "", "guardctrl")),
    write("28 03:06", "SUS_MC1", "STATE", 3, EVE, refused="it is read only", count=70, since=at("28 03:05:59")),
]


def journal(folder: Path, records: list[dict[str, Any]], name: str = "journal.jsonl") -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).write_text("".join(json.dumps(record) + "\n" for record in records))
    return folder


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return journal(tmp_path / "host", NIGHT)


Said = tuple[int, list[str], str]


@pytest.fixture
def says(folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setattr("time.time", lambda: at("28 08:00"))

    def call(*words: str, where: Path | None = folder, order: str = "audit") -> Said:
        try:
            code = main([order, *words, *(("--state-dir", str(where)) if where else ())])
        except SystemExit as ended:
            code = ended.code  # type: ignore[assignment]
        out, err = capsys.readouterr()
        return code, out.splitlines(), err

    return call


def test_who_turned_IMC_LOCK_to_MANUAL_at_three(says: Any) -> None:
    code, lines, err = says("IMC_LOCK", "--since", "02:00")
    assert (code, err) == (0, "")
    assert lines == [
        "2026-11-28 02:59:30Z X1:GRD-IMC_LOCK_REQUEST NONE -> NOWHERE REFUSED by eve@office (10.0.0.9): "
        "no such state. The menu is LOCKED",
        "2026-11-28 03:02:11Z X1:GRD-IMC_LOCK_MODE AUTO -> MANUAL by ann@ws3 (10.1.2.3) (MANAGER was IFO)",
    ]


def test_all_nodes_with_managers_local_orders_and_counts(says: Any) -> None:
    assert says("--since", "6h", "--until", "2026-11-28T03:07:00Z")[1][2:] == [
        "2026-11-28 03:02:12Z X1:GRD-SUS_MC1_REQUEST_CMD SAFE -> ALIGNED "
        "by manager IMC_LOCK at guardian@h1guard1 (10.1.0.1)",
        "2026-11-28 03:05:00Z X1:GRD-SUS_MC1_OP EXEC -> STOP by ann (guardctrl)",
        "2026-11-28 03:06:00Z X1:GRD-SUS_MC1_STATE INIT -> 3 REFUSED by eve@office (10.0.0.9) "
        "70 times, since 2026-11-28 03:05:59Z: it is read only",
    ]


@pytest.mark.parametrize(
    ("words", "which"),
    [
        ((), [0, 1, 3, 4, 5, 6]),
        (("SUS_*", "--user", "ann"), [0, 5]),
        (("--refused",), [1, 6]),
        (("--refused", "--user", "a*"), []),
        (("--pv", "REQUEST*"), [0, 1, 4]),
        (("--pv", "X1:GRD-IMC_LOCK_MODE"), [3]),
        (("--pv", "SUS_MC1_OP"), [5]),
        (("--until", "2026-11-28"), [0]),
        (("--since", "23:00", "--until", "03:00"), [0, 1]),
        (("--since", "2026-11-27 23:10:01", "--until", "2026-11-28 03:00Z"), [1]),
        (("--since", "1h"), []),
    ],
)
def test_what_is_asked_for_is_shown_and_nothing_else(says: Any, words: tuple[str, ...], which: list[int]) -> None:
    code, lines, err = says(*words, "--json")
    assert code == 0 and [json.loads(line) for line in lines] == [NIGHT[number] for number in which]
    assert ("no such write" in err) is (which == [])


def test_a_node_that_the_journal_does_not_know_is_named(says: Any) -> None:
    code, lines, err = says("IMC")
    assert (code, lines) == (0, []) and "IMC is not in this journal" in err and "begins 2026-11-27 23:10:00Z" in err


def test_damage_and_gaps_are_counted_and_told(says: Any, folder: Path) -> None:
    dropped = {"id": 0, "node": "", "stamp": at("28 04:00"), "kind": "dropped", "count": 12}
    with (folder / "journal.jsonl").open("ab") as file:
        file.write(b'\xff\xfe nonsense\n{"kind":\n[1]\n{"kind": 5}\n{"kind": "write", "stamp": 1e300}\n')
        file.write(b'{"kind": "write", "stamp": 1764300000.0, "node": ["SUS"], "row": 3}\n')
        file.write(json.dumps(dropped).encode() + b"\n")
        file.write(b'{"kind": "write", "stamp": 17643')  # torn, or being written
    code, lines, err = says()
    assert code == 0 and len(lines) == 6
    assert "damaged lines that were passed over: 7" in err and "some may be writes: 12" in err


def test_a_time_that_can_be_none_is_damage(says: Any, tmp_path: Path) -> None:
    lines = [f'{{"stamp": {stamp}, "kind": "write", "node": "SUS"}}\n' for stamp in ("1" + "0" * 400, "NaN", "1e999")]
    (tmp_path / "odd").mkdir()
    (tmp_path / "odd" / "journal.jsonl").write_text("".join(lines))
    code, out, err = says(where=tmp_path / "odd")
    assert (code, out) == (0, []) and "passed over: 3" in err and "it is empty" in err


def test_what_was_rotated_away_is_read_too_and_what_was_put_aside_is_not(says: Any, folder: Path) -> None:
    old = write("20 10:00", "SUS_MC1", "OP", 0, ANN)
    older = write("10 10:00", "SUS_MC1", "OP", 1, ANN)
    journal(folder, [old], "journal.jsonl.1")
    (folder / "journal.jsonl.2.gz").write_bytes(gzip.compress(json.dumps(older).encode() + b"\n"))
    (folder / "journal.jsonl.damaged-20261101T000000Z").write_text("half a line")
    for name, stamp in ((".1", "20 10:00"), (".2.gz", "10 10:00")):
        os.utime(folder / f"journal.jsonl{name}", (at(stamp), at(stamp)))
    code, lines, err = says("--json")
    assert [json.loads(line) for line in lines] == [older, old, *(one for one in NIGHT if one["kind"] == "write")]
    assert (code, err) == (0, "")
    (folder / "journal.jsonl.2.gz").write_bytes(b"\x1f\x8b no gzip")
    os.utime(folder / "journal.jsonl.2.gz", (at("10 10:00"), at("10 10:00")))
    code, lines, err = says("--json")
    assert code == 0 and len(lines) == 7 and "journal.jsonl.2.gz" in err
    (folder / "journal.jsonl.2.gz").rename(folder / "journal.jsonl.2.xz")
    code, lines, err = says("--json")
    assert code == 0 and len(lines) == 7 and "journal.jsonl.2.xz: what is packed is read if it is .gz" in err
    assert says("--since", "2026-11-27")[2] == "", "what is older by far is not even opened"


def test_without_options_all_hosts_of_this_user_are_read_as_one(
    says: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("GUARD_LOCK_DIR", str(tmp_path / "locks"))
    code, _, err = says(where=None)
    assert code == 1 and "no host has run here (in " in err
    journal(tmp_path / "home/guardian/x1", NIGHT[:2])
    journal(tmp_path / "home/guardian/x1-oven", [write("28 01:00", "OVEN", "OP", 1, ANN)])
    (tmp_path / "home/guardian/empty").mkdir()
    assert [json.loads(line)["node"] for line in says("--json", where=None)[1]] == ["SUS_MC1", "OVEN", "IMC_LOCK"]


def test_a_site_file_says_where(says: Any, folder: Path) -> None:
    site = folder.parent / "site.toml"
    site.write_text('nodes = ["IMC_LOCK"]\nstate_dir = "host"\n')
    assert len(says("--site", str(site), where=None)[1]) == 6
    site.write_text("nodes = 3\n")
    code, lines, err = says("--site", str(site), where=None)
    assert (code, lines) == (2, []) and "nodes = 3 is of the wrong type" in err


@pytest.mark.parametrize(
    ("words", "code", "says_so"),
    [
        (("--since", "yesterday"), 2, "--since 'yesterday' is no time; write 02:00"),
        (("--since", "25:00"), 2, "is no time"),
        (("--since", "1h", "--until", "2h"), 2, "before --since"),
        (("--pv", ""), 2, "--pv is empty"),
        (("--wrong",), 2, "see guardlog"),
        (("--state-dir", "/nowhere/at/all"), 1, "no journal.jsonl in /nowhere/at/all"),
    ],
)
def test_what_cannot_be_done_is_said_in_one_line(says: Any, words: tuple[str, ...], code: int, says_so: str) -> None:
    ended, lines, err = says(*words, where=None)
    assert (ended, lines) == (code, []) and says_so in err and err.count("\n") == 1


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read anything")
def test_a_journal_that_may_not_be_read_is_named(says: Any, folder: Path) -> None:
    (folder / "journal.jsonl").chmod(0)
    code, lines, err = says()
    assert (code, lines) == (1, []) and "Permission denied" in err


def test_a_folder_in_the_place_of_a_journal_is_named(says: Any, tmp_path: Path) -> None:
    (tmp_path / "odd/journal.jsonl").mkdir(parents=True)
    code, lines, err = says(where=tmp_path / "odd")
    assert (code, lines) == (1, []) and "Is a directory" in err and "none of the journals could be read" in err


def test_what_a_client_wrote_does_nothing_to_the_terminal(says: Any, tmp_path: Path) -> None:
    evil = "\x1b[2J\r\n2026-11-28 X1:GRD-SUS_OP EXEC -> STOP by the director"
    records = [write("28 01:00", "SUS", "REQUEST", evil, EVE, refused=f"{evil} is no state")]
    _, lines, _ = says(where=journal(tmp_path / "evil", records))
    assert len(lines) == 1 and all(line.isprintable() for line in lines)
    assert "'\\x1b[2J\\r\\n2026" in lines[0]


def test_a_name_of_several_words_does_not_read_like_a_sentence(says: Any, tmp_path: Path) -> None:
    asked = json.dumps({"state": "SAFE", "person": "ann at ws3"})
    records = [
        write("28 01:00", "SUS", "OP", 1, Who("manager IFO at guardian", "h1 (10.1.0.1)", "10.0.0.9")),
        write("28 01:01", "SUS", "REQUEST_CMD", asked, EVE),
    ]
    _, lines, _ = says(where=journal(tmp_path / "sly", records))
    assert 'by "manager IFO at guardian"@"h1 (10.1.0.1)" (10.0.0.9)' in lines[0]
    assert 'by "ann at ws3" at eve@office (10.0.0.9)' in lines[1]


def test_a_long_value_tells_its_length_and_one_that_cannot_be_read_says_so(says: Any, tmp_path: Path) -> None:
    records = [
        write("28 01:00", "SUS", "REQUEST", "x" * 5000, EVE, refused="too long"),
        write("28 01:01", "SUS", "MANAGER", "", EVE, View(manager="IFO")),
        write("28 01:02", "SUS", "OP", None, EVE, refused="it is not UTF-8"),
        write("28 01:03", "SUS", "GRAPH", "[]", EVE, refused="it is read only"),
    ]
    _, lines, _ = says(where=journal(tmp_path / "long", records))
    assert "... (5000 bytes) REFUSED" in lines[0] and " IFO -> '' by eve" in lines[1]
    assert "EXEC -> what cannot be read REFUSED" in lines[2] and "_GRAPH -> [] REFUSED" in lines[3]


# --- times ------------------------------------------------------------------------------------------------------------

NOW = at("28 08:00")


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("02:00", at("28 02:00")),
        ("2:00", at("28 02:00")),
        ("02:00Z", at("28 02:00")),
        ("23:00:30", at("27 23:00:30")),
        ("08:00", NOW),
        ("2h", NOW - 7200),
        ("1.5 h", NOW - 5400),
        ("30min", NOW - 1800),
        ("1w", NOW - 7 * 86400),
        ("2026-11-28", at("28 00:00")),
        ("2026-11-28 02:00+01:00", at("28 01:00")),
        ("1764300000.5", 1764300000.5),
    ],
)
def test_times_that_people_write(text: str, moment: float) -> None:
    assert span(text, None, now=NOW, local=False) == (moment, None)


def test_local_times(monkeypatch: pytest.MonkeyPatch) -> None:
    import time

    monkeypatch.setenv("TZ", "Europe/Rome")
    time.tzset()
    try:
        assert span("02:00", "2026-11-28 02:00Z", now=NOW, local=True) == (at("28 01:00"), at("28 02:00"))
        assert shown(at("28 01:00"), True) == "2026-11-28 02:00:00+01:00"
    finally:
        monkeypatch.undo()
        time.tzset()


def test_the_end_of_a_night_may_be_a_clock_time_after_midnight() -> None:
    now = at("28 01:00")
    assert span("23:00", "02:00", now=now, local=False) == (at("27 23:00"), at("28 02:00"))
    with pytest.raises(WrongCall):
        span("2026-11-28", "2026-11-27", now=now, local=False)


# --- events -------------------------------------------------------------------------------------------------------


def event(number: int, node: str, kind: str, text: str, by: str = "") -> dict[str, Any]:
    stamp = at("28 03:00") + number
    return {"id": number, "stamp": stamp, "kind": kind, "node": node, "text": text, "by": by}


@pytest.fixture
def morning(tmp_path: Path) -> Path:
    """A journal that was put aside twice."""
    kinds = ("request", "edge")
    events = [event(i, f"SUS_MC{i % 3 + 1}", kinds[i % 2], f"event {i}", by="ann@ws3" * (i % 2)) for i in range(30)]
    journal(tmp_path, [*events[:10], NIGHT[3]], "journal.jsonl.20261128T030010Z")
    journal(tmp_path, events[10:20], "journal.jsonl.20261128T030020Z")
    return journal(
        tmp_path, [*events[20:], {"id": 0, "stamp": at("28 03:01"), "kind": "dropped", "node": "", "count": 7}]
    )


def test_the_events_of_a_node_are_shown_from_all_that_is_kept(says: Any, morning: Path) -> None:
    code, lines, err = says("SUS_MC2", order="events", where=morning)
    assert (code, err) == (0, "")
    assert lines[0] == "2026-11-28 03:00:01Z SUS_MC2 1 edge: event 1 (by ann@ws3)"
    assert len(lines) == 11 and "7 records could not be written" in lines[-1]


def test_the_newest_events_come_last_and_it_is_said_that_there_are_older_ones(says: Any, morning: Path) -> None:
    code, lines, err = says("SUS_*", "-n", "3", order="events", where=morning)
    assert code == 0 and "older ones are not shown" in err
    assert [line.split()[3] for line in lines[:2]] == ["28", "29"]
    code, lines, err = says("SUS_*", "-n", "0", order="events", where=morning)
    assert (len(lines), err) == (31, "")


def test_a_copy_that_has_lost_the_times_of_its_files_is_read_in_order(says: Any, tmp_path: Path) -> None:
    names = ["journal.jsonl.20260810T060000Z-9", "journal.jsonl.20260810T060000Z-10", "journal.jsonl"]
    for number, name in reversed(list(enumerate(names))):
        journal(tmp_path, [event(number, "SUS_MC1", "enter", f"number {number}")], name)
        os.utime(tmp_path / name, (at("20 00:00") - number, at("20 00:00") - number))
    code, lines, _ = says("SUS_MC1", order="events", where=tmp_path)
    assert code == 0 and [line[-1] for line in lines] == ["0", "1", "2"]


def test_events_of_one_kind_since_a_time(says: Any, morning: Path) -> None:
    since = "2026-11-28T03:00:24"
    code, lines, err = says("SUS_*", "--kind", "edge", "--since", since, "--json", order="events", where=morning)
    assert (code, err) == (0, "")
    assert [json.loads(line)["id"] for line in lines] == [25, 27, 29]


def test_that_there_are_no_such_events_is_said(says: Any, morning: Path) -> None:
    code, lines, err = says("NOPE", "--kind", "load", order="events", where=morning)
    assert (code, lines) == (0, []) and "no such event is in the journal (it begins 2026-11-28 03:00:00Z)" in err
    assert says("SUS_MC1", "-n", "-1", order="events", where=morning)[0] == 2


# --- what is read, and what it costs ------------------------------------------------------------------------------


def test_the_newest_writes_are_shown_and_it_is_said_that_there_are_older_ones(says: Any, folder: Path) -> None:
    code, lines, err = says("-n", "2", "--json")
    assert code == 0 and [json.loads(line) for line in lines] == NIGHT[-2:] and "older ones are not shown" in err
    assert says("-n", "6")[2] == ""


def test_a_file_that_is_put_aside_while_the_journal_is_read_is_neither_missed_nor_read_twice(
    says: Any, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It happens each time between the list of the folder and the opening of a file, at the worst moment."""
    path, left = folder / "journal.jsonl", [3]
    opened = journals.open_file

    def open_late(one: Path) -> Any:
        if one == path and left[0]:
            left[0] -= 1
            put_aside(path, at("28 07:00") + left[0])
            journal(folder, [write(f"28 07:0{left[0]}", "SUS_MC1", "OP", "EXEC", ANN)])
        return opened(one)

    monkeypatch.setattr(journals, "open_file", open_late)
    lines = says("--json")[1]
    stamps = [json.loads(line)["stamp"] for line in lines]
    assert left == [0] and len(stamps) == len(set(stamps)) == 9


def test_a_file_that_is_removed_while_the_journal_is_read_is_not_missed(
    says: Any, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    gone = journal(folder, [write("20 10:00", "SUS_MC1", "OP", 0, ANN)], "journal.jsonl.20261120T100000Z")
    opened = journals.open_file

    def remove_first(one: Path) -> Any:
        (gone / "journal.jsonl.20261120T100000Z").unlink(missing_ok=True)
        return opened(one)

    monkeypatch.setattr(journals, "open_file", remove_first)
    assert (len(says("--json")[1]), says()[2]) == (6, "")


# --- times --------------------------------------------------------------------------------------------------------


def entered(stamp: str, state: str, node: str = "SUS_MC1", kind: str = "enter", status: str = "ENTER") -> Any:
    return {"id": 1, "stamp": at(stamp), "kind": kind, "node": node, "state": state, "status": status, "text": kind}


SHIFT = [
    entered("28 00:00", "INIT"),
    entered("28 00:00:10", "SAFE"),
    entered("28 02:00:10", "LOCKED"),
    entered("28 02:30", "SAFE", node="SUS_MC2"),
    entered("28 03:00:10", "SAFE"),
    entered("28 03:30:10", "SAFE", kind="end"),
    entered("28 04:00:10", "INIT", kind="worker", status="INIT"),
    entered("28 04:00:10", "INIT"),
    entered("28 04:00:20", "LOCKED"),
    entered("28 06:00:20", "LOCKED", kind="notify", status="DONE"),
]


@pytest.fixture
def shift(tmp_path: Path) -> Path:
    (tmp_path / "shift" / "durations").mkdir(parents=True)
    known = {"LOCKED": StateTimes(done=Spans().and_one(200.0).and_one(240.0).and_one(660.0))}
    (tmp_path / "shift" / "durations" / "SUS_MC1.json").write_bytes(encode(known))
    return journal(tmp_path / "shift", SHIFT)


def test_how_long_a_node_was_in_which_state(says: Any, shift: Path) -> None:
    code, lines, err = says("SUS_MC1", order="times", where=shift)
    assert (code, err) == (0, "")
    assert [" ".join(line.split()) for line in lines] == [
        "SUS_MC1, from 2026-11-28 00:00:00Z to 2026-11-28 06:00:20Z, of which its host was away 30 min",
        "STATE SHARE TOTAL TIMES STAY DONE AFTER AT MOST",
        "LOCKED 54.5 % 3 h 2 90 min 4 min 11 min",
        "SAFE 45.4 % 2.5 h 2 75 min - -",
        "INIT 0.1 % 20 s 2 10 s - -",
    ]


def test_and_in_a_part_of_the_night(says: Any, shift: Path) -> None:
    where = ("--since", "2026-11-28 02:30", "--until", "2026-11-28 03:15:10", "--json")
    rows = [json.loads(line) for line in says("SUS_MC1", *where, order="times", where=shift)[1]]
    assert [(row["state"], row["total_s"], row["count"]) for row in rows] == [("LOCKED", 1810.0, 1), ("SAFE", 900.0, 1)]
    assert rows[0]["done"] == {"count": 3, "usual_s": 240.0, "p90_s": 660.0, "most_s": 660.0}
    assert sum(row["share"] for row in rows) == pytest.approx(1)
    assert (
        says("SUS_MC1", "--since", "2026-11-28 03:40", "--until", "2026-11-28 03:50", order="times", where=shift)[0]
        == 1
    )


def test_a_host_that_lives_is_where_it_was_until_now(says: Any, shift: Path) -> None:
    (shift / ".alive-abc").write_text(f"{at('28 07:59:57'):017.3f}\n")
    (row, *_) = [json.loads(line) for line in says("SUS_MC1", "--json", order="times", where=shift)[1]]
    assert (row["state"], row["total_s"]) == ("LOCKED", 3600.0 + 3600 * 4 - 20)
    assert len(says("SUS_MC1", "SUS_MC2", order="times", where=shift)[1]) == 5 + 1 + 3


def test_times_of_a_node_that_is_not_there(says: Any, shift: Path) -> None:
    code, lines, err = says("NOPE", order="times", where=shift)
    assert (code, lines) == (1, []) and "NOPE was in no state at that time" in err
