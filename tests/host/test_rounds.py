"""What a host does once a second for each of its nodes holds up nobody, and a fault with one harms no other."""

from __future__ import annotations

import asyncio
import time
from functools import partial

from guardian.host.rounds import SHARE, SLICE_S, Rounds


async def test_who_wants_the_loop_gets_it_between_two_rounds() -> None:
    made: list[int] = []
    seen: list[int] = []

    def slow(number: int) -> None:
        until = time.thread_time() + SLICE_S
        while time.thread_time() < until:
            pass
        made.append(number)

    async def another() -> None:
        while len(made) < 50:
            seen.append(len(made))
            await asyncio.sleep(0)

    other = asyncio.create_task(another())
    await Rounds().make({str(number): lambda number=number: slow(number) for number in range(50)})  # type: ignore[misc]
    await other
    assert made == list(range(50))
    assert seen == list(range(1, 50)), "after each"


async def test_rounds_get_their_share_of_a_loop_that_others_keep_for_long() -> None:
    """Else those of 500 nodes would last for 500 turns of a busy loop, and who watches the host takes it for hung."""
    count, busy_s = 100, 100 * SLICE_S
    turns = 0
    over = False

    async def busy() -> None:
        nonlocal turns
        while not over:
            turns += 1
            until = time.thread_time() + busy_s
            while time.thread_time() < until:
                pass
            await asyncio.sleep(0)

    other = asyncio.create_task(busy())
    rounds, made = Rounds(), list[int]()

    def one(number: int) -> None:
        until = time.thread_time() + SLICE_S
        while time.thread_time() < until:
            pass
        made.append(number)

    await rounds.make({str(number): partial(one, number) for number in range(count)})
    over = True
    await other
    assert made == list(range(count))
    # Each turn of theirs is followed by a tenth of it of ours, so by ten rounds; a busy machine only makes both longer.
    assert turns <= 2 * count * SLICE_S / (SHARE * busy_s), "not one for each round"


async def test_a_fault_in_one_round_is_told_until_it_goes_well_and_the_others_are_made() -> None:
    rounds, made = Rounds(), list[str]()

    def fails() -> None:
        raise ValueError("boom")

    await rounds.make({"SUS": fails, "IMC": lambda: made.append("IMC")})
    assert made == ["IMC"]
    [told] = rounds.ailments()
    assert told.what == "round of SUS" and "ValueError: boom" in told.text
    await rounds.make({"SUS": lambda: made.append("SUS")})
    assert not list(rounds.ailments())


async def test_a_fault_of_a_node_that_is_gone_is_forgotten() -> None:
    rounds = Rounds()

    def fails() -> None:
        raise ValueError

    await rounds.make({"SUS": fails})
    await rounds.make({"IMC": lambda: None})
    assert not list(rounds.ailments())
