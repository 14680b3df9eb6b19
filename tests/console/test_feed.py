"""The socket of a page: the whole board first, then what changes, of real nodes that move, go, die and come back."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from starlette.websockets import WebSocketState
from websockets.sync.client import ClientConnection, connect

from guardian.client.names import Names
from guardian.console.board import Board
from guardian.console.feed import BEAT_S, Feed
from tests.console.consoling import GuardianConsole
from tests.console.test_board import says
from tests.support import eventually_async
from tests.system.hosting import Guardhost

OVEN = """\
from guardian import GuardState
nominal = request = 'COLD'
class COLD(GuardState):
    def run(self):
        notify('it is cold')
        return True
class HOT(GuardState):
    pass
edges = [('INIT', 'COLD'), ('COLD', 'HOT'), ('HOT', 'COLD')]
"""


class Page:
    """A page that keeps all messages, and what they add up to."""

    def __init__(self, console: GuardianConsole, socket: ClientConnection) -> None:
        self.console = console
        self.socket = socket
        self.messages: list[dict[str, Any]] = []
        self.cells: dict[str, dict[str, Any]] = {}
        self.rows: dict[str, dict[str, Any]] = {}

    def show(self, node: str | None) -> None:
        self.rows = {}
        self.socket.send(json.dumps({"show": node}))

    def next(self, timeout_s: float = 30) -> dict[str, Any]:
        try:
            message: dict[str, Any] = json.loads(self.socket.recv(timeout_s))
        except TimeoutError:
            raise AssertionError(f"no message in {timeout_s:g} s\n{self.console.report}") from None
        self.messages.append(message)
        for cell in message.get("cells", ()):
            self.cells[cell["node"]] = cell
        for node in message.get("gone", ()):
            del self.cells[node]
        self.rows |= message.get("rows", {})
        return message

    def until(self, there: Callable[[], object], timeout_s: float = 60) -> None:
        deadline = time.monotonic() + timeout_s
        while not there():
            left = deadline - time.monotonic()
            assert left > 0, f"not so in {timeout_s:g} s; cells: {self.cells}\nrows: {self.rows}\n{self.console.report}"
            self.next()


@contextmanager
def kitchen(folder: Path) -> Iterator[Guardhost]:
    with Guardhost(folder, {"OVEN": OVEN, "FRIDGE": OVEN}) as host:
        host.wait("OVEN", "STATUS", "DONE")
        host.wait("FRIDGE", "STATUS", "DONE")
        yield host


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Guardhost]:
    with kitchen(tmp_path_factory.mktemp("feed")) as host:
        yield host


@pytest.fixture
def console(house: Guardhost) -> Iterator[GuardianConsole]:
    house.put("OVEN", "REQUEST", "COLD")
    house.wait("OVEN", "STATE", "COLD")
    with GuardianConsole(house) as one:
        yield one


@contextmanager
def opened(console: GuardianConsole) -> Iterator[Page]:
    with connect(f"ws://{console.address}/feed", origin=f"http://{console.address}") as socket:  # type: ignore[arg-type]
        yield Page(console, socket)


@pytest.fixture
def page(console: GuardianConsole) -> Iterator[Page]:
    with opened(console) as one:
        yield one


@pytest.fixture
def at_stake(tmp_path: Path) -> Iterator[tuple[Guardhost, Page]]:
    """A host of its own."""
    with kitchen(tmp_path) as host, GuardianConsole(host) as console, opened(console) as page:
        yield host, page


def state(page: Page, node: str, state: str) -> Callable[[], object]:
    return lambda: node in page.cells and page.cells[node]["state"] == state


@pytest.mark.ca
@pytest.mark.proc
def test_first_comes_all_then_what_changes_and_a_beat_where_nothing_does(house: Guardhost, page: Page) -> None:
    assert page.next()["t"] == "snap"
    page.until(lambda: {*page.cells} == {"OVEN", "FRIDGE"} and all(one["ok"] for one in page.cells.values()))
    assert page.cells["OVEN"]["says"] == "it is cold" and page.cells["OVEN"]["severity"] == "MINOR"
    seen = len(page.messages)
    house.put("OVEN", "REQUEST", "HOT")
    page.until(state(page, "OVEN", "HOT"))
    deltas = [message for message in page.messages[seen:] if message["t"] == "delta"]
    assert {cell["node"] for delta in deltas for cell in delta["cells"]} == {"OVEN"}
    assert all(abs(message["at"] - time.time()) < 60 for message in page.messages)
    assert sorted(message["seq"] for message in page.messages) == [message["seq"] for message in page.messages]
    page.until(lambda: page.messages[-1]["t"] == "beat")
    asked = time.monotonic()
    assert page.next()["t"] == "beat" and time.monotonic() - asked < 10


@pytest.mark.ca
@pytest.mark.proc
def test_a_page_gets_the_rows_of_the_node_that_it_shows_also_those_that_somebody_has_read(
    house: Guardhost, page: Page
) -> None:
    page.show("OVEN")  # the console has just started, and may not know it yet
    page.until(lambda: page.rows.get("STATE", {}).get("text") == "COLD")
    page.show(None)
    page.console.wait("/api/nodes/OVEN", lambda node: node["graph"])
    page.show("OVEN")
    page.until(lambda: {"GRAPH", "DURATIONS", "LOAD_TIME", "STATE", "SUMMARY", "LOGLEVEL"} <= page.rows.keys())
    assert page.rows["NOTIFICATION"] == {
        "text": "True",
        "severity": 1,
        "stamp": page.rows["NOTIFICATION"]["stamp"],
    }
    house.put("OVEN", "REQUEST", "HOT")
    page.until(lambda: page.rows["STATE"]["text"] == "HOT")
    page.show("FRIDGE")
    page.until(lambda: page.rows.get("STATE", {}).get("text") == "COLD")
    assert page.messages[-1]["node"] == "FRIDGE"
    page.show("NOWHERE")
    house.put("OVEN", "REQUEST", "COLD")
    page.until(state(page, "OVEN", "COLD"))
    assert page.rows == {}


@pytest.mark.ca
@pytest.mark.proc
def test_a_node_that_is_removed_goes_and_one_that_is_added_comes(at_stake: tuple[Guardhost, Page]) -> None:
    house, page = at_stake
    page.until(lambda: all(one["there"] for one in page.cells.values()) and len(page.cells) == 2)
    house.ctrl("destroy", "FRIDGE", "--yes")
    page.until(lambda: {*page.cells} == {"OVEN"})
    assert [message["gone"] for message in page.messages if message.get("gone")] == [["FRIDGE"]]
    house.ctrl("create", "FRIDGE")
    page.until(state(page, "FRIDGE", "COLD"))


@pytest.mark.ca
@pytest.mark.proc
def test_nodes_whose_host_is_killed_stay_and_say_that_they_do_not_answer_until_it_is_back(
    at_stake: tuple[Guardhost, Page],
) -> None:
    house, page = at_stake
    page.until(lambda: len(page.cells) == 2 and all(one["there"] for one in page.cells.values()))
    page.show("OVEN")
    page.until(lambda: page.rows.get("STATE", {}).get("text") == "COLD")
    assert house.child is not None
    house.kill9()
    page.until(lambda: not any(one["there"] for one in page.cells.values()))
    assert {(one["why"], one["severity"], one["state"]) for one in page.cells.values()} == {
        ("does not answer", "INVALID", "?")
    }
    page.until(lambda: page.rows["STATE"]["severity"] == 3)
    house.child.close()
    house.start()
    page.until(lambda: len(page.cells) == 2 and all(one["there"] for one in page.cells.values()))
    page.until(lambda: page.rows["STATE"] | {"stamp": 0} == {"text": "COLD", "severity": 0, "stamp": 0})


@pytest.mark.ca
@pytest.mark.proc
def test_pages_that_come_and_go_while_others_read_and_shut_their_nodes_break_nothing(
    house: Guardhost, page: Page
) -> None:
    page.until(lambda: len(page.cells) == 2 and all(one["there"] for one in page.cells.values()))
    for _ in range(30):
        page.show("OVEN")
        assert page.console.told("/api/nodes/OVEN")["graph"]
        page.show(None)
        assert page.console.told("/api/nodes/OVEN")["graph"]
    with opened(page.console) as other:
        other.socket.send("nonsense")
        other.next()
    house.put("OVEN", "REQUEST", "HOT")
    page.until(state(page, "OVEN", "HOT"))


# --- without a network ------------------------------------------------------------------------------------------------


class SlowSocket:
    """Takes a message only when it is told to, and never says anything."""

    application_state = WebSocketState.CONNECTED

    def __init__(self) -> None:
        self.taken: list[dict[str, Any]] = []
        self.offered = 0
        self.reads = asyncio.Semaphore(0)
        self.closed = False

    async def send_text(self, text: str) -> None:
        self.offered += 1
        await self.reads.acquire()
        self.taken.append(json.loads(text))

    async def receive_text(self) -> str:
        await asyncio.Event().wait()
        return ""

    async def close(self) -> None:
        self.closed = True


async def test_a_slow_reader_gets_the_latest_and_nothing_is_kept_for_it() -> None:
    board, socket = Board(Names(ifo="X1")), SlowSocket()
    board.place(["SUS"])
    run = asyncio.create_task(Feed(socket, board).run())  # type: ignore[arg-type]
    await eventually_async(lambda: socket.offered == 1, 30, "the first message")
    for number in range(1000):
        says(board, "SUS", state=f"S{number}")
        if number % 100 == 0:
            await asyncio.sleep(0.01)
    assert socket.offered == 1
    socket.reads.release()
    socket.reads.release()
    await eventually_async(lambda: len(socket.taken) == 2, 30, "the second message")
    assert [message["t"] for message in socket.taken] == ["snap", "delta"]
    assert socket.taken[1]["cells"][0]["state"] == "S999"
    run.cancel()
    await asyncio.gather(run, return_exceptions=True)


async def test_a_page_that_reads_nothing_any_more_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("guardian.console.feed.STUCK_S", 0.1)
    socket = SlowSocket()
    await asyncio.wait_for(Feed(socket, Board(Names())).run(), 30)  # type: ignore[arg-type]
    assert socket.closed


async def test_changes_that_are_none_of_a_page_make_it_no_beats() -> None:
    board, socket = Board(Names(ifo="X1")), SlowSocket()
    for _ in range(1000):
        socket.reads.release()
    run = asyncio.create_task(Feed(socket, board).run())  # type: ignore[arg-type]
    until = time.monotonic() + BEAT_S
    while time.monotonic() < until:
        board.hear({})
        await asyncio.sleep(0.02)
    await eventually_async(lambda: len(socket.taken) > 1, 30, "a beat")
    assert [message["t"] for message in socket.taken] == ["snap", "beat"]
    run.cancel()
    await asyncio.gather(run, return_exceptions=True)
