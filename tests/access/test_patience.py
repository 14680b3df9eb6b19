"""How long channels are waited for that are not there."""

from __future__ import annotations

import pytest

from guardian.access.patience import MOMENT_S, Patience


def missing(patience: Patience, channels: int) -> float:
    """Seconds that a call spends on so many channels that are not there."""
    spent_s = 0.0
    for _ in range(channels):
        left_s = patience.left_s
        patience.in_vain(left_s)
        spent_s += left_s
    return spent_s


def test_the_only_missing_channel_gets_the_whole_timeout() -> None:
    patience = Patience(2.0)
    patience.calling()
    assert patience.left_s == 2.0


def test_all_missing_channels_of_a_call_use_up_one_timeout_and_then_a_moment_each() -> None:
    patience = Patience(2.0)
    patience.calling()
    assert missing(patience, 50) == pytest.approx(2.0 + 49 * MOMENT_S)


def test_a_short_wait_in_vain_leaves_the_rest_to_the_others() -> None:
    patience = Patience(2.0)
    patience.calling()
    patience.in_vain(0.5)
    assert patience.left_s == 1.5


def test_the_next_call_has_a_timeout_of_its_own() -> None:
    patience = Patience(2.0)
    patience.calling()
    missing(patience, 3)
    patience.calling()
    assert patience.left_s == 2.0


def test_a_timeout_below_a_moment_is_never_exceeded() -> None:
    patience = Patience(0.05)
    patience.calling()
    assert missing(patience, 4) == pytest.approx(4 * 0.05)


def test_where_nobody_tells_of_calls_every_first_use_waits_in_full() -> None:
    patience = Patience(2.0)
    assert missing(patience, 3) == 6.0
