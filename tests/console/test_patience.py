"""Slow clients and many of them at a real console: they are let go in time, and nobody else waits for them."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from collections.abc import Iterator

import psutil
import pytest

from guardian.console.guard import BODY_S, MOST_FEEDS
from guardian.console.patience import CLOSE_S, MOST, Phase
from guardian.console.people import Role
from tests.console.consoling import GuardianConsole
from tests.console.visiting import Raw, Visitor, alone, enrol
from tests.support import eventually

pytestmark = [pytest.mark.ca, pytest.mark.proc]
ASKED_S = Phase.ASKED.value
#: Somebody sends as much as he can, for so long at most.
FLOOD_MB, FLOOD_S = 100.0, 20.0
#: An answer that nobody holds up is there at once, and after this on the slowest of machines.
SOON_S = 20.0


@pytest.fixture(scope="module")
def tokens(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    folder = tmp_path_factory.mktemp("users")
    return {"": str(folder / "users"), **enrol(folder / "users", oscar=Role.OPERATOR)}


@pytest.fixture(scope="module")
def console(tmp_path_factory: pytest.TempPathFactory, tokens: dict[str, str]) -> Iterator[GuardianConsole]:
    nodes = [f"N{number}" for number in range(1500)]
    with alone(tmp_path_factory.mktemp("slow"), "--allow-write", "--users", tokens[""], nodes=nodes) as console:
        yield console


@pytest.fixture(autouse=True)
def unhurt(console: GuardianConsole) -> Iterator[None]:
    """After each test the console serves all, and has no fault of its own in its log."""
    said = len(console.report)
    yield
    served(console)
    assert "Traceback" not in (news := console.report[said:]), news


def served(console: GuardianConsole) -> None:
    """Somebody new gets pages, and sees nodes."""
    begun = time.monotonic()
    assert console.get("/").status == console.get("/api/about").status == 200
    with Raw(console) as raw:
        assert raw.open_feed() == 101
        assert raw.message()["t"] == "snap"
    assert time.monotonic() - begun < SOON_S, console.report


# --- slow -------------------------------------------------------------------------------------------------------------


def dribbled(raw: Raw, text: str, every_s: float = 0.3, most_s: float = 60) -> float:
    """Send a byte at a time until the server closes; after how many seconds it did."""
    begun = time.monotonic()
    with contextlib.suppress(ConnectionError):
        for letter in text * 1000:
            raw.send(letter)
            raw.sock.settimeout(every_s)
            with contextlib.suppress(TimeoutError):
                if not (block := raw.sock.recv(65536)):
                    break
                raw._left += block
            assert time.monotonic() - begun < most_s, f"still open\n{raw.console.report}"
    return time.monotonic() - begun


def test_a_head_that_comes_a_byte_at_a_time_is_not_waited_for(console: GuardianConsole):
    with Raw(console) as fresh, Raw(console) as used:
        used.request("GET", "/api/about")
        assert used.answer()[0] == 200
        raws = [fresh, used]
        times = [0.0, 0.0]

        def attack(number: int) -> None:
            times[number] = dribbled(raws[number], "GET / HTTP/1.1\r\nX: a")

        threads = [threading.Thread(target=attack, args=(number,)) for number in range(2)]
        for thread in threads:
            thread.start()
        served(console)
        for thread in threads:
            thread.join(90)
        assert all(ASKED_S - 1 < took < ASKED_S + SOON_S for took in times), times
        assert all(b"408" in raw._left and b"not complete within" in raw._left for raw in raws)


def test_a_body_that_does_not_come_is_not_waited_for(console: GuardianConsole):
    head = {"Origin": f"http://{console.address}", "Content-Type": "application/json", "Content-Length": "50"}
    with Raw(console) as nothing, Raw(console) as slow, Raw(console) as rest:
        nothing.request("POST", "/api/login", head)
        slow.request("POST", "/api/login", head)
        rest.request("POST", "/api/login", {**head, "Content-Length": "1000000000"})
        begun = time.monotonic()
        assert rest.answer()[0] == 413
        took = dribbled(slow, " ", every_s=0.5)  # fewer than 50 until it is over
        assert b"HTTP/1.1 408" in slow._left or took < BODY_S + ASKED_S + SOON_S
        assert nothing.answer()[0] == 408
        rest.ended(SOON_S)  # what is left of a request that is answered is not waited for either
        assert time.monotonic() - begun < BODY_S + 2 * ASKED_S + SOON_S


def sockets(console: GuardianConsole) -> int:
    """How many connections the console has open."""
    assert console.child is not None
    process = psutil.Process(console.child.pid)
    return sum(
        each.status == "ESTABLISHED" and each.laddr.port == console.port for each in process.net_connections("tcp")
    )


@pytest.mark.slow
def test_pages_that_read_nothing_are_given_up_and_cost_no_memory(console: GuardianConsole):
    assert console.child is not None
    process = psutil.Process(console.child.pid)
    served(console)
    memory = process.memory_info().rss
    with contextlib.ExitStack() as stack:
        for number in range(25):
            raw = stack.enter_context(Raw(console, window=2048))
            if number % 5:
                assert raw.open_feed() == 101
            else:
                for _ in range(100):
                    raw.request("GET", "/api/tree")  # much, and nobody reads it
        for _ in range(5):
            served(console)
            time.sleep(1)
        assert process.memory_info().rss - memory < 200e6
        eventually(lambda: sockets(console) == 0, Phase.ANSWER.value + CLOSE_S + SOON_S, "all of them to be given up")


# --- many -------------------------------------------------------------------------------------------------------------


def test_two_hundred_pages_are_served_and_the_next_is_told_why_not(console: GuardianConsole):
    with contextlib.ExitStack() as stack:
        feeds = [stack.enter_context(Raw(console)) for _ in range(MOST_FEEDS)]
        for raw in feeds:
            assert raw.open_feed() == 101
        with Raw(console) as one_more:
            assert one_more.open_feed() == 503
        assert console.get("/").status == console.get("/api/about").status == 200
        for raw in feeds:
            assert raw.message()["t"] == "snap"
        feeds[0].close()

        def again() -> bool:
            with Raw(console) as raw:
                return raw.open_feed() == 101

        eventually(again, SOON_S, "a place to be free")


def test_sockets_that_say_nothing_keep_nobody_out(console: GuardianConsole):
    with contextlib.ExitStack() as stack:
        page = stack.enter_context(Raw(console))
        assert page.open_feed() == 101
        for number in range(MOST + 200):
            raw = stack.enter_context(Raw(console))
            if number % 2:
                raw.send("GET / HTTP/1.1\r\nX: a")
        for _ in range(3):
            served(console)
        eventually(lambda: sockets(console) <= MOST, SOON_S, "the oldest to be let go")
        assert page.message()["t"] == "snap" and page.message()["t"] == "beat"


def test_a_visitor_is_served_while_others_come_and_go(console: GuardianConsole, tokens: dict[str, str]):
    over = threading.Event()

    def rush() -> None:
        while not over.is_set():
            with contextlib.suppress(OSError), socket.create_connection((console.host, console.port), 5) as sock:
                sock.send(b"GET / HTTP/1.1\r\n")
            time.sleep(0.003)

    threads = [threading.Thread(target=rush) for _ in range(3)]
    for thread in threads:
        thread.start()
    try:
        for _ in range(3):
            served(console)
            assert Visitor(console).login("oscar", tokens["oscar"]).status == 200
    finally:
        over.set()
        for thread in threads:
            thread.join(30)


# --- much -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("path", "more"),
    [
        ("/feed", {"X-A": "a" * 9000}),
        ("/feed", {f"X-{number}": "a" for number in range(200)}),
        ("/feed?" + "a" * 9000, {}),
        ("/feed", {"Content-Length": "2"}),
        ("/feed", {"Transfer-Encoding": "chunked"}),
    ],
    ids=["a long header", "many headers", "a long query", "a body", "chunks"],
)
def test_a_request_for_a_socket_that_nobody_can_read_is_refused_and_not_left_open(
    console: GuardianConsole, path: str, more: dict[str, str]
):
    with Raw(console) as raw:
        raw.ask_feed(path, more)
        said = raw.ended(SOON_S)
        assert said.startswith(b"HTTP/1.1 400 ") and b"could be understood" in said


def flood(raw: Raw, what: bytes, *, reads: bool) -> float:
    """Send this again and again, whole, until the server ends it, or so much is sent; how many MB were sent."""
    sent, deadline = 0, time.monotonic() + FLOOD_S
    raw.sock.setblocking(False)
    with contextlib.suppress(ConnectionError):
        while sent < FLOOD_MB * 1e6 and time.monotonic() < deadline:
            try:
                sent += raw.sock.send(what[sent % len(what) :])
            except BlockingIOError:
                time.sleep(0.002)
            with contextlib.suppress(BlockingIOError):
                if reads and not raw.sock.recv(1 << 20):
                    break
    return sent / 1e6


def resident_mb(console: GuardianConsole) -> float:
    """Of the console, once it grows no more of itself, as it does at first."""
    assert console.child is not None
    process, seen = psutil.Process(console.child.pid), [0.0]

    def steady() -> bool:
        served(console)
        seen.append(process.memory_info().rss / 1e6)
        return seen[-1] - seen[-2] < 0.5

    eventually(steady, 3 * SOON_S, "a size that stays", period_s=2)
    return seen[-1]


@pytest.mark.slow
@pytest.mark.parametrize("reads", [True, False], ids=["reads", "reads nothing"])
def test_who_sends_requests_without_waiting_for_the_answers_fills_no_memory(console: GuardianConsole, *, reads: bool):
    ask = f"GET /static/main.js HTTP/1.1\r\nHost: {console.address}\r\n\r\n".encode()
    before = resident_mb(console)
    with Raw(console) as raw:
        sent = flood(raw, ask * 500, reads=reads)
        assert resident_mb(console) < before + 40, f"after {sent:.0f} MB"


@pytest.mark.slow
def test_who_asks_a_socket_whether_it_lives_and_reads_no_answer_fills_no_memory(console: GuardianConsole):
    before = resident_mb(console)
    with Raw(console, window=2048) as raw:
        assert raw.open_feed() == 101
        sent = flood(raw, (b"\x89\xfd" + bytes(4) + b"a" * 125) * 1000, reads=False)
        assert resident_mb(console) < before + 20, f"after {sent:.0f} MB"
