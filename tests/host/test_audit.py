"""Every write that reaches a host is in its journal; a flood of refused ones is counted there, and does not fill it."""

from __future__ import annotations

import getpass
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from guardian.core.interface import Asg
from guardian.core.security import Everybody, Level, Verdict
from guardian.core.who import Who
from guardian.errors import RefusedError
from guardian.host import history
from guardian.host.audit import DIFFERENT, LONGEST_S, MOST, WINDOW_S, Audit
from guardian.host.face import Unreadable
from guardian.host.journal import Journal
from guardian.host.logsink import LogSink
from tests.host.dict_face import ANNA, EVE
from tests.host.house import House, house


@pytest.fixture
async def home(tmp_path: Path) -> AsyncIterator[House]:
    async with house(tmp_path) as made:
        yield made


async def test_what_is_taken_is_kept_with_the_id_of_its_step(home: House) -> None:
    await home.aligned()
    home.face.put("SUS", "MODE", "MANUAL", ANNA)
    home.face.put("SUS", "REENTER", 0, ANNA)
    home.face.put("SUS", "LOAD", 1, EVE)
    mode, reenter, load = await home.journal(kind="write", least=3)
    (step,) = await home.journal(kind="mode")
    assert (mode["id"], mode["stamp"]) == (step["id"], step["stamp"])
    assert (mode["row"], mode["old"], mode["new"], mode["user"]) == ("MODE", "AUTO", "MANUAL", "anna")
    assert (mode["host"], mode["address"], mode["taken"]) == ("control", "10.1.2.3", True)
    assert (reenter["id"], reenter["old"], reenter["new"]) == (0, "False", "False")  # it made no step
    assert (load["new"], load["user"], load["asg"]) == ("True", "eve", "EXPERT")


async def test_a_write_for_somebody_is_of_its_own_row_and_names_the_person(home: House) -> None:
    await home.aligned()
    home.face.put("SUS", "WRITE_CMD", '{"row": "OP", "value": "PAUSE", "person": "bob", "reason": "lunch"}', ANNA)
    (record,) = await home.journal(kind="write")
    (step,) = await home.journal(kind="op")
    assert record["id"] == step["id"] and "bob at anna@control (10.1.2.3)" in step["by"]
    assert (record["row"], record["new"], record["user"], record["person"]) == ("OP", "PAUSE", "anna", "bob")
    assert (record["reason"], record["taken"]) == ("lunch", True)


async def test_a_write_for_somebody_that_is_refused_names_the_person_too(home: House) -> None:
    await home.aligned()
    with pytest.raises(RefusedError, match="'FLY' is none of STOP, PAUSE, EXEC"):
        home.face.put("SUS", "WRITE_CMD", '{"row": "OP", "value": "FLY", "person": "bob"}', ANNA)
    with pytest.raises(RefusedError, match='"row": "NAME"'):
        home.face.put("SUS", "WRITE_CMD", '{"row": "OP"}', ANNA)
    flight, nonsense = await home.journal(kind="write", least=2)
    assert (flight["row"], flight["person"], flight["taken"]) == ("OP", "bob", False)
    assert (nonsense["row"], nonsense["new"], nonsense["taken"]) == ("WRITE_CMD", '{"row": "OP"}', False)


async def test_a_write_for_somebody_takes_the_rights_of_its_own_row(home: House) -> None:
    home.host._security = NobodyLoads()
    await home.aligned()
    home.face.put("SUS", "WRITE_CMD", '{"row": "OP", "value": "PAUSE"}', ANNA)
    with pytest.raises(RefusedError, match="may not write LOAD"):
        home.face.put("SUS", "WRITE_CMD", '{"row": "LOAD", "value": "1"}', ANNA)


class NobodyLoads(Everybody):
    """Nor anything else of experts."""

    def judge(self, asg: Asg, who: Who) -> Verdict:
        return Verdict(Level.READ, "nobody may") if asg is Asg.EXPERT else super().judge(asg, who)


async def test_what_is_taken_gathers_with_nothing_as_its_client_is_told_that_it_is_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("guardian.host.journal.GATHER_S", 3600.0)
    async with house(tmp_path) as home:
        await home.aligned()
        for number in range(1, 4):
            home.face.put("SUS", "MODE", "MANUAL" if number % 2 else "AUTO", ANNA)
            assert len(await home.journal(kind="write", least=number)) == number


async def test_an_order_of_the_control_socket_is_a_write_too(home: House) -> None:
    from guardian.host.orders import Order, Orders

    await home.aligned()
    orders = Orders(home.host, None, None, 0)
    await orders.known["stop"](Order("stop", "SUS", Who(getpass.getuser(), "", "guardctrl"), {}))
    (record,) = await home.journal(kind="write")
    assert (record["row"], record["old"], record["new"]) == ("OP", "EXEC", "STOP")
    assert (record["user"], record["host"], record["address"]) == (getpass.getuser(), "", "guardctrl")


async def test_what_cannot_be_read_is_kept_without_a_value(home: House) -> None:
    await home.aligned()
    with pytest.raises(RefusedError):
        home.face.put("SUS", "OP", Unreadable("OP: b'\\xff' is not UTF-8"), EVE)
    (record,) = await home.journal(kind="write")
    assert (record["new"], record["taken"]) == (None, False) and "UTF-8" in record["why"]


async def test_the_rows_of_the_host_are_watched_too(home: House) -> None:
    await home.aligned()
    with pytest.raises(RefusedError, match="NODES is of the host"):
        home.host._no_put("NODES", "[]", EVE)
    (record,) = await home.journal(kind="write")
    assert (record["pv"], record["user"], record["taken"]) == ("X1:GRD-HOST_NODES", "eve", False)


class OnlyAnna(Everybody):
    """Eve may read."""

    def judge(self, asg: Asg, who: Who) -> Verdict:
        return super().judge(asg, who) if who == ANNA else Verdict(Level.READ, "only anna@control may write")


async def test_who_may_not_write_is_kept_and_makes_no_step(home: House) -> None:
    home.host._security = OnlyAnna()
    await home.aligned()
    steps = len(home.face.events("SUS"))
    for _ in range(50):
        with pytest.raises(RefusedError, match=r"eve@office.* may not write OP; the log of its host says why"):
            home.face.put("SUS", "OP", "STOP", EVE)
    home.face.put("SUS", "OP", "PAUSE", ANNA)
    first, taken, rest = await home.journal(kind="write", least=3)
    assert (first["user"], first["taken"], first["why"], first["id"]) == (
        "eve",
        False,
        "only anna@control may write",
        0,
    )
    assert (taken["user"], taken["taken"]) == ("anna", True)
    assert (rest["user"], rest["count"], rest["taken"]) == ("eve", 49, False)
    assert rest["since"] <= rest["stamp"]
    assert len(home.face.events("SUS")) == steps + 1
    line = await home.logged("49 more writes of OP were refused")
    assert "eve@office (10.0.0.9)" in line
    assert home.log_file.read_text().count("may not write OP") == 1


async def test_a_flood_of_bad_values_is_a_handful_of_records_and_lines(home: House) -> None:
    await home.aligned()
    before = (home.site.state_dir / "journal.jsonl").stat().st_size
    for number in range(2000):
        with pytest.raises(RefusedError):
            home.face.put("SUS", "REQUEST", f"NOWHERE{number}", EVE)
    home.host._audit.close()  # type: ignore[union-attr]
    records = await home.journal(kind="write", least=DIFFERENT + 1)
    assert sum(record.get("count", 1) for record in records) == 2000
    assert len(records) <= 3 * (DIFFERENT + 1)  # it took a second or two, at most
    assert records[-1]["new"] == "NOWHERE1999"
    assert (home.site.state_dir / "journal.jsonl").stat().st_size - before < 20_000
    assert home.log_file.read_text().count("REQUEST=NOWHERE") <= 3 * (DIFFERENT + 1)


async def test_what_was_counted_is_kept_at_the_end(tmp_path: Path) -> None:
    async with house(tmp_path) as home:
        await home.aligned()
        for _ in range(10):
            with pytest.raises(RefusedError):
                home.face.put("SUS", "STATE", "SAFE", EVE)
    records = [r for r in history.read(tmp_path / "state" / "journal.jsonl") if r["kind"] == "write"]
    assert [r.get("count", 1) for r in records] == [1, 9]


# --- the counting by itself -------------------------------------------------------------------------------------------


class Bench:
    """An Audit on real files, and a clock of its own."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "journal.jsonl"
        self.journal, self.sink = Journal(self.path), LogSink(folder / "log")
        self.audit = Audit(self.journal, self.sink)
        self.now = 1000.0

    def refused(self, *, row: str = "OP", new: str = "9", who: Who = EVE, person: str = "") -> bool:
        record = {"id": 0, "node": "SUS", "kind": "write", "stamp": self.now, "row": row, "new": new, "why": "no"}
        record |= {"person": person} if person else {}
        return self.audit.refused(record | {"user": who.user, "host": who.host, "address": who.address}, who)

    def after(self, seconds: float) -> None:
        self.now += seconds
        self.audit.tick(self.now)

    def records(self) -> list[dict[str, Any]]:
        assert self.journal.flush(20, durable=False)
        return list(history.read(self.path))


@pytest.fixture
def bench(tmp_path: Path) -> Any:
    made = Bench(tmp_path)
    yield made
    made.journal.close()
    made.sink.close()


def test_each_client_and_each_pv_is_counted_by_itself(bench: Bench) -> None:
    assert [bench.refused(), bench.refused(row="MODE"), bench.refused(who=ANNA), bench.refused()] == [
        True,
        True,
        True,
        False,
    ]
    bench.after(WINDOW_S)
    assert [(r["row"], r["user"], r.get("count")) for r in bench.records()] == [
        ("OP", "eve", None),
        ("MODE", "eve", None),
        ("OP", "anna", None),
        ("OP", "eve", 1),
    ]


def test_two_people_at_one_console_are_told_apart(bench: Bench) -> None:
    assert [bench.refused(person=name) for name in ("alice", "bob", "alice", "bob")] == [True, True, False, False]
    bench.after(WINDOW_S)
    assert [(r["person"], r.get("count")) for r in bench.records()] == [
        ("alice", None),
        ("bob", None),
        ("alice", 1),
        ("bob", 1),
    ]
    bench.sink.close()
    assert "the last one, by alice at eve@office (10.0.0.9): no" in (bench.path.parent / "log").read_text()


def test_a_console_of_a_thousand_people_fills_neither_disk_nor_memory(bench: Bench) -> None:
    for second in range(30):
        for number in range(3 * MOST):
            bench.refused(person=f"p{second}.{number}")
        bench.after(WINDOW_S - 0.01)
    assert len(bench.audit._windows) <= MOST + 1
    bench.after(WINDOW_S)
    records = bench.records()
    assert sum(r.get("count", 1) for r in records) == 30 * 3 * MOST
    assert len(records) < 8 * MOST


def test_the_same_a_second_later_is_told_anew(bench: Bench) -> None:
    assert bench.refused()
    bench.after(WINDOW_S)
    assert bench.refused()
    assert [r.get("count") for r in bench.records()] == [None, None]


def test_who_goes_on_and_on_is_told_ever_more_rarely_and_soon_after_the_end(bench: Bench) -> None:
    for _ in range(300 * 4):
        for _ in range(10):
            bench.refused()
        bench.after(WINDOW_S / 4)
    counts = [r.get("count", 1) for r in bench.records()]
    assert counts[0] == 1 and len(counts) < 12 and max(counts) <= LONGEST_S * 40
    bench.after(WINDOW_S)
    assert sum(r.get("count", 1) for r in bench.records()) == 300 * 40
    bench.after(WINDOW_S)
    assert bench.audit._windows == {}  # nothing is kept of who has stopped


def test_who_writes_nonsense_on_all_pvs_under_ever_new_names_does_not_fill_the_disk(bench: Bench) -> None:
    for second in range(300):
        for number in range(3 * MOST):
            bench.refused(
                row=f"R{number % 97}", new=str(number), who=Who(f"eve{second}.{number}", "office", "10.0.0.9")
            )
            bench.refused(row=f"R{number % MOST}", new=f"{second}.{number}", who=Who("eve", "office", "10.0.0.8"))
        bench.after(WINDOW_S - 0.01)
    assert bench.refused(who=ANNA), "somebody at another address is not lost among them"
    bench.after(WINDOW_S)
    records = bench.records()
    assert sum(r.get("count", 1) for r in records) == 300 * 6 * MOST + 1
    assert len(records) < 300 * 40  # by and by, 20 a second


def test_a_handful_that_differ_are_all_kept(bench: Bench) -> None:
    assert [bench.refused(new=str(number % 7)) for number in range(14)] == [True] * DIFFERENT + [False] * 9
    bench.after(WINDOW_S)
    assert sum(r.get("count", 1) for r in bench.records()) == 14


def test_a_client_of_a_thousand_names_fills_neither_disk_nor_memory(bench: Bench) -> None:
    kept = [bench.refused(who=Who(f"eve{number}", "office", "10.0.0.9")) for number in range(10 * MOST)]
    assert sum(kept) == MOST and len(bench.audit._windows) == MOST + 1
    bench.after(WINDOW_S)
    *_, others = bench.records()
    assert (others["others"], others["count"]) == (True, 9 * MOST)
    bench.after(WINDOW_S)
    assert bench.audit._windows == {}


def test_a_clock_that_is_set_back_holds_nothing_back(bench: Bench) -> None:
    bench.refused()
    bench.refused()
    bench.after(-3600)
    assert [r.get("count") for r in bench.records()] == [None, 1]
