"""What a host does once a second for each of its nodes holds up nobody, and a fault with one harms no other."""

from __future__ import annotations

import asyncio
import time

from guardian.host.rounds import SLICE_S, Rounds


async def test_who_wants_the_loop_gets_it_between_two_rounds() -> None:
    made: list[int] = []
    seen: list[int] = []

    def slow(number: int) -> None:
        until = time.monotonic() + SLICE_S
        while time.monotonic() < until:
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
