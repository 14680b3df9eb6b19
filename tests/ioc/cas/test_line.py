"""The line of one client, with a transport and a loop that only do what the test says: no time passes by itself."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import nullcontext
from types import SimpleNamespace
from typing import Any
from unittest import mock

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ioc.cas import line as module
from ioc.cas.line import ALIVE_BYTES, CROWDED_BYTES, FULL_S, MANY, MUCH, STEPS, Line


class Loop:
    """Calls soon in :meth:`turn` and later in :meth:`passes`."""

    def __init__(self) -> None:
        self.now = 0.0
        self._soon: list[Callable[[], None]] = []
        self._later: list[Any] = []

    def call_soon(self, what: Callable[[], None]) -> None:
        self._soon.append(what)

    def call_later(self, delay_s: float, what: Callable[..., None], *args: Any) -> Any:
        call = SimpleNamespace(when=self.now + delay_s, what=what, args=args)
        call.cancel = lambda: self._later.remove(call)
        self._later.append(call)
        return call

    @property
    def waits(self) -> int:
        """Calls that are to be made later."""
        return len(self._later)

    def turn(self) -> None:
        """The end of one turn."""
        soon, self._soon = self._soon, []
        for what in soon:
            what()

    def passes(self, seconds: float) -> None:
        """Time passes."""
        self.now += seconds
        for call in [call for call in self._later if call.when <= self.now]:
            self._later.remove(call)
            call.what(*call.args)


class Transport:
    """A socket that takes `room` bytes (None: all), and asyncio's buffer behind it with a limit of 0."""

    def __init__(self) -> None:
        self.batches: list[bytes] = []
        self.room: int | None = None
        self.line: Line
        self._waiting = 0

    def write(self, data: bytes) -> None:
        assert data and not self._waiting, "written while it was full"
        self.batches.append(data)
        took = len(data) if self.room is None else min(self.room, len(data))
        self._waiting = len(data) - took
        if self.room is not None:
            self.room -= took
        if self._waiting:
            self.line.pause()

    def get_write_buffer_size(self) -> int:
        return self._waiting

    def takes(self, count: int) -> None:
        """The client has read so much."""
        if self._waiting:
            self._waiting = max(0, self._waiting - count)
            if not self._waiting:
                self.line.resume()

    def takes_all(self, room: int | None = None) -> None:
        """The client has read all, and now there is `room`."""
        self.room = room
        self.takes(self._waiting)


class Sub:
    """A subscription."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.place: int | None = None
        self.alive = True


class Client:
    """A line with what is round it."""

    def __init__(self) -> None:
        self.loop, self.transport, self.stuck = Loop(), Transport(), list[str]()
        with mock.patch.object(module, "asyncio", SimpleNamespace(get_running_loop=lambda: self.loop)):
            self.line = self.transport.line = Line(self.transport, self.stuck.append)  # type: ignore[arg-type]

    def post(self, to: Sub, value: object) -> None:
        """A step of its own, unless one is open."""
        STEPS.next()
        self.line.update(to, f"{to.name}=".encode(), f"{value};".encode())

    def answer(self, value: object) -> None:
        self.line.answer(f"{value};".encode())

    @property
    def got(self) -> list[list[str]]:
        """What was written, by batches."""
        return [batch.decode().split(";")[:-1] for batch in self.transport.batches]

    def fill(self) -> None:
        """Make its socket full; what did that is no longer in :attr:`got`."""
        self.transport.room = 0
        self.answer("filling")
        self.line.flush()
        self.transport.batches.clear()


@pytest.fixture
def client() -> Client:
    return Client()


A, B, C = "A", "B", "C"

# -- batches -----------------------------------------------------------------------------------------------------------


def test_what_comes_in_one_turn_goes_out_at_its_end_in_one_piece(client: Client) -> None:
    a, b = Sub(A), Sub(B)
    client.post(a, 1)
    client.answer("read")
    client.post(b, 1)
    client.post(a, 2)
    assert client.got == []
    client.loop.turn()
    assert client.got == [["A=1", "read", "B=1", "A=2"]]
    client.post(a, 3)
    client.loop.turn()
    client.loop.turn()
    assert client.got[1:] == [["A=3"]]


def test_a_corked_line_waits_for_whoever_corked_it(client: Client) -> None:
    client.line.corked = True
    client.answer(1)
    client.loop.turn()
    client.post(Sub(A), 1)
    client.loop.turn()
    assert client.got == []
    client.line.corked = False
    client.line.flush()
    assert client.got == [["1", "A=1"]]


def test_who_is_cancelled_before_the_end_of_the_turn_gets_nothing(client: Client) -> None:
    a, b = Sub(A), Sub(B)
    client.post(a, 1)
    client.post(b, 1)
    a.alive = False
    client.loop.turn()
    assert client.got == [["B=1"]]
    client.post(a, 2)
    client.loop.turn()
    assert len(client.got) == 1, "an empty batch was written"


# -- a full socket -----------------------------------------------------------------------------------------------------


def test_who_is_a_little_late_misses_nothing(client: Client) -> None:
    a = Sub(A)
    client.fill()
    for n in range(MANY):
        client.post(a, n)
    client.line.flush()  # whoever corks it does
    client.loop.turn()
    assert client.got == []
    client.transport.takes_all()
    assert client.got == [[f"A={n}" for n in range(MANY)]]


@pytest.mark.parametrize("padding", ["", "x" * (MUCH // 50)], ids=["many", "much"])
def test_who_is_later_gets_the_last_values_each_where_its_first_stood(client: Client, padding: str) -> None:
    subs = [Sub(name) for name in (A, B, C)]
    client.fill()
    client.post(subs[1], "first")
    for n in range(MANY + 10 if not padding else 60):
        client.post(subs[n % 2 * 2], f"{n}{padding}")
    client.transport.takes_all()
    (batch,) = client.got
    assert [text.partition("=")[0] for text in batch] == [B, A, C]
    last = MANY + 9 if not padding else 59
    assert batch == ["B=first", f"A={last - 1}{padding}", f"C={last}{padding}"]


def test_after_it_was_sent_the_next_batch_starts_empty(client: Client) -> None:
    a, b = Sub(A), Sub(B)
    client.fill()
    for n in range(MANY + 10):
        client.post(a, n)
        client.post(b, n)
    client.transport.takes_all(room=0)
    for n in range(2):  # few: they are kept whole again, and in their own order
        client.post(b, n)
        client.post(a, n)
    client.transport.takes_all()
    assert client.got[1:] == [["B=0", "A=0", "B=1", "A=1"]]


@given(st.lists(st.integers(0, 9), max_size=150), st.integers(0, 8))
def test_a_merging_line_is_never_longer_than_subscriptions_and_answers(script: list[int], many: int) -> None:
    client, subs, answers, posted = Client(), [Sub(f"S{n}") for n in range(8)], 0, 0
    client.fill()
    with mock.patch.object(module, "MANY", many):
        for n in script:
            if n < len(subs):
                client.post(subs[n], "x")
                posted += 1
                assert len(client.line._items) <= max(many, len(subs) + answers)
            else:
                client.answer(f"answer {answers}")
                answers += 1
            assert client.line._bytes == sum(len(head) + len(rest) for _, head, rest, _ in client.line._items)
        client.transport.takes_all()
    said = [text for batch in client.got for text in batch if text.startswith("answer")]
    assert said == [f"answer {n}" for n in range(answers)], "an answer was lost, or overtaken by another"


def test_answers_are_neither_merged_nor_lost_by_merging(client: Client) -> None:
    a = Sub(A)
    client.fill()
    for n in range(MANY + 100):
        client.post(a, n)
        if n % 100 == 0:
            client.answer(f"the same {n % 200}")
    client.transport.takes_all()
    (batch,) = client.got
    assert batch[0] == f"A={MANY + 99}"
    assert batch[1:] == [f"the same {n % 200}" for n in range(0, MANY + 100, 100)]


def test_the_dead_are_not_sent_from_a_merging_line(client: Client) -> None:
    before, after, alive = Sub("before"), Sub("after"), Sub("alive")
    client.fill()
    client.post(before, 1)
    before.alive = False
    for n in range(MANY + 10):
        client.post(after, n)
        client.post(alive, n)
    assert len(client.line._items) == 2
    after.alive = False
    client.transport.takes_all()
    assert client.got == [[f"alive={MANY + 9}"]]


def test_only_who_does_not_read_is_crowded(client: Client) -> None:
    large = "x" * (CROWDED_BYTES // 2)
    for _ in range(3):
        client.answer(large)
    assert not client.line.crowded  # its socket has room
    client.loop.turn()
    client.fill()
    for _ in range(2):
        assert not client.line.crowded
        client.answer(large)
    assert client.line.crowded
    client.transport.takes_all()
    assert not client.line.crowded and len(client.got[0]) == 2


# -- a socket that stays full ------------------------------------------------------------------------------------------


def test_who_takes_nothing_is_stuck_and_it_is_said_once(client: Client) -> None:
    client.fill()
    client.post(Sub(A), 1)
    client.loop.passes(FULL_S * 0.9)
    assert not client.stuck
    client.loop.passes(FULL_S * 0.2)
    (sentence,) = client.stuck
    assert "took 0 bytes" in sentence and "1 messages of 4 bytes" in sentence
    client.loop.passes(FULL_S * 10)
    assert len(client.stuck) == 1


@pytest.mark.parametrize(("taken", "stuck"), [(ALIVE_BYTES - 1, True), (ALIVE_BYTES, False)])
def test_who_takes_a_little_is_alive(client: Client, taken: int, stuck: bool) -> None:
    client.transport.room = 100  # of which nothing counts: it was taken before the socket was full
    client.answer("x" * 10 * ALIVE_BYTES)
    client.loop.turn()
    for _ in range(5):
        client.transport.takes(taken)
        client.loop.passes(FULL_S)
        assert bool(client.stuck) == stuck
        if stuck:
            break


def test_each_time_is_judged_by_itself(client: Client) -> None:
    client.transport.room = 0
    client.answer("x" * 10 * ALIVE_BYTES)
    client.loop.turn()
    client.transport.takes(5 * ALIVE_BYTES)
    client.loop.passes(FULL_S)
    assert not client.stuck
    client.loop.passes(FULL_S)
    assert client.stuck


def test_a_line_that_drains_is_never_stuck_however_little_goes_through_it(client: Client) -> None:
    for _ in range(20):
        client.fill()  # 8 bytes
        client.loop.passes(FULL_S * 0.9)
        client.transport.takes_all()
        assert client.loop.waits == 0
    client.loop.passes(FULL_S * 10)
    assert not client.stuck


def test_a_closed_line_drops_all_and_looks_no_more(client: Client) -> None:
    a = Sub(A)
    client.fill()
    client.post(a, 1)
    client.answer("late")
    client.line.close()
    client.post(a, 2)
    client.answer("later")
    client.transport.takes_all()
    client.line.flush()
    client.line.pause()
    client.loop.turn()
    client.loop.passes(FULL_S * 2)
    assert client.got == [] and not client.stuck and client.loop.waits == 0


# -- the promise -------------------------------------------------------------------------------------------------------


def shown(client: Client) -> Iterator[dict[str, str]]:
    """What a screen shows, after each message that was written since the last look."""
    screen = dict[str, str]()
    while True:
        for text in (text for batch in client.got for text in batch):
            name, _, screen[name] = text.partition("=")
            yield {**screen, "new": name}
        client.transport.batches.clear()
        yield {**screen, "new": ""}


def play(script: list[str], many: int, *, at_once: bool) -> Iterator[tuple[str, str, str]]:
    """Play a script; whenever all was sent, the screen must show what is.

    "step" is what a machine posts next: EDGE, ENTER, the STATE; `at_once`: all three. "RUN" and "DONE" it posts only
    between two steps. Yields STATE as it is shown, STATUS beside it, and the state that this STATUS is of.
    """
    client, now, step, waiting = Client(), dict[str, str](), 0, list[tuple[str, str]]()
    subs = {name: Sub(name) for name in ("STATUS", "STATE", "OTHER")}
    screens = shown(client)
    for word in [*script, "resume", "turn"]:
        posts = []
        if word == "step":
            if not waiting:
                step += 1
                waiting = [("STATUS", f"EDGE {step}"), ("STATUS", f"ENTER {step}"), ("STATE", f"{step}")]
            posts = [waiting.pop(0) for _ in range(3 if at_once else 1)]
        elif word in ("RUN", "DONE") and not waiting:
            posts = [("STATUS", f"{word} {step}")]
        elif word == "OTHER":
            posts = [("OTHER", f"{step}")]
        elif word == "pause":
            client.transport.room = 0  # from the next batch on
        elif word == "resume":
            client.transport.takes_all()
        elif word == "turn":
            client.loop.turn()
        with mock.patch.object(module, "MANY", many), STEPS.one() if at_once else nullcontext():
            for name, value in posts:
                now[name] = value
                client.post(subs[name], value)
        while (screen := next(screens))["new"]:
            if screen["new"] == "STATE":
                yield screen["STATE"], *screen["STATUS"].split(" ")  # type: ignore[misc]
        if not client.line._items:
            assert {name: value for name, value in screen.items() if name != "new"} == now
    assert not client.line._items


SCRIPTS = st.lists(
    st.sampled_from(["step", "step", "step", "RUN", "DONE", "OTHER", "pause", "resume", "turn", "turn"]), max_size=80
)
BOUNDED = settings(max_examples=300)


@BOUNDED
@given(SCRIPTS, st.integers(0, 12))
def test_no_new_state_is_shown_with_the_status_of_the_old_one(script: list[str], many: int) -> None:
    """A batch may start between any two posts; then a screen may still show ENTER of a state that was passed over."""
    for state, status, of in play(script, many, at_once=False):
        assert status not in ("RUN", "DONE") or int(of) >= int(state), f"STATE {state} with {status} of {of}"


@BOUNDED
@given(SCRIPTS, st.integers(0, 12))
def test_a_step_posted_at_once_is_shown_with_its_own_status(script: list[str], many: int) -> None:
    """Each batch that has STATE has STATUS before it; where steps are posted in one turn, that is of this state."""
    for state, _, of in play(script, many, at_once=True):
        assert of == state


TABLE = ("STATUS", "TARGET", "STATE", "REST", "SUMMARY")


@BOUNDED
@given(st.lists(st.sets(st.sampled_from(TABLE), min_size=1), min_size=1, max_size=60), st.integers(0, 6))
def test_what_comes_of_one_step_comes_in_its_order(steps: list[set[str]], many: int) -> None:
    """Any part of the table may be posted in a step; each PV is sent once, with its latest value."""
    client, subs, latest = Client(), {name: Sub(name) for name in TABLE}, dict[str, int]()
    client.fill()
    with mock.patch.object(module, "MANY", many):
        for number, step in enumerate(steps):
            with STEPS.one():
                for name in TABLE:
                    if name in step:
                        latest[name] = number
                        client.post(subs[name], number)
        if not client.line._merging:  # it was short enough to keep all
            client.line._merge()
        client.transport.takes_all()
    (batch,) = client.got
    came = [(text.partition("=")[0], int(text.partition("=")[2])) for text in batch]
    assert dict(came) == latest and len(came) == len(latest)
    for number in set(latest.values()):
        of_it = [name for name, value in came if value == number]
        assert of_it == [name for name in TABLE if name in of_it]


def test_places_that_were_left_do_not_pile_up(client: Client) -> None:
    early, late = Sub("early"), Sub("late")
    client.fill()
    for number in range(5 * MANY):
        with STEPS.one():  # "late" stands behind "early", and is posted before it
            client.post(late, number)
            client.post(early, number)
            client.post(late, number)
    assert len(client.line._items) < 3 * MANY
    client.transport.takes_all()
    last = 5 * MANY - 1
    assert client.got == [[f"early={last}", f"late={last}"]]
