"""How often a process may die, and how long is waited: tables and properties, without a clock."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from guardian.core.deaths import Deaths, RestartPolicy, Verdict, told
from guardian.enums import Restart


def dies(deaths: Deaths, *lives_s: float, innocent: bool = False, at: float = 100.0) -> list[Verdict]:
    """The verdicts over so many lives, each begun when the wait for it was over."""
    verdicts = []
    for lived_s in lives_s:
        deaths.born(at)
        deaths.ended(at := at + lived_s)
        verdicts.append(deaths.judge(innocent=innocent))
        at += verdicts[-1].delay_s
    return verdicts


def test_each_death_doubles_the_wait_until_the_longest_one() -> None:
    policy = RestartPolicy(restarts=9, delay_s=0.5, delay_max_s=3)
    assert [v.delay_s for v in dies(Deaths(policy), *[0.1] * 5)] == [0.5, 1, 2, 3, 3]


def test_never_gives_up_at_the_first_death() -> None:
    assert dies(Deaths(RestartPolicy(restart=Restart.NEVER)), 1000.0)[0].give_up


def test_on_failure_gives_up_when_it_has_died_too_often() -> None:
    assert [v.give_up for v in dies(Deaths(RestartPolicy(restarts=2)), 1, 1, 1)] == [False, False, True]


def test_always_never_gives_up_and_stays_at_the_longest_wait() -> None:
    policy = RestartPolicy(restart=Restart.ALWAYS, restarts=0, window_s=60, delay_max_s=120)
    verdicts = dies(Deaths(policy), *[0.1] * 500)
    assert not any(v.give_up for v in verdicts)
    assert {v.delay_s for v in verdicts[9:]} == {120}


def test_waiting_is_no_life_so_long_waits_hide_no_crash_loop() -> None:
    """With waits of up to 30 s there are never more than a few deaths in a minute of the clock."""
    verdicts = dies(Deaths(RestartPolicy(restarts=20, window_s=60, delay_max_s=30)), *[0.1] * 21)
    assert [v.give_up for v in verdicts] == [False] * 20 + [True]


def test_who_lived_for_a_window_begins_with_the_first_wait() -> None:
    policy = RestartPolicy(restart=Restart.ALWAYS, window_s=60)
    assert [v.delay_s for v in dies(Deaths(policy), 1, 1, 1, 61, 1)] == [0.5, 1, 2, 0.5, 1]


def test_bad_luck_is_waited_out_and_never_a_reason_to_give_up() -> None:
    deaths = Deaths(RestartPolicy(restart=Restart.NEVER))
    verdicts = dies(deaths, *[0.0] * 100, innocent=True)
    assert not any(v.give_up for v in verdicts)
    assert [v.delay_s for v in verdicts[:3]] == [0.5, 1, 2] and verdicts[-1].delay_s == 30
    assert dies(deaths, 0.1)[0].give_up


def test_a_pardon_forgets_all() -> None:
    deaths = Deaths(RestartPolicy(restarts=1))
    assert dies(deaths, 1, 1)[-1].give_up
    deaths.pardon()
    assert dies(deaths, 1)[-1] == Verdict(give_up=False, delay_s=0.5, deaths=1)


@pytest.mark.parametrize(
    ("restart", "lives", "says"),
    [
        (Restart.ON_FAILURE, 1, "; it is being started again, after 0.5 s"),
        (Restart.ON_FAILURE, 2, "; 2 times in 60 s; it is being started again, after 1 s"),
        (Restart.ON_FAILURE, 4, "; 4 times in 60 s; not started again"),
        (Restart.NEVER, 1, '; not started again (restart = "never")'),
    ],
)
def test_what_is_told(restart: Restart, lives: int, says: str) -> None:
    policy = RestartPolicy(restart=restart)
    assert told(dies(Deaths(policy), *[0.1] * lives)[-1], policy) == says


@settings(max_examples=100)
@given(
    st.sampled_from(Restart),
    st.integers(0, 5),
    st.floats(0, 1e4),
    st.floats(0, 1e4),
    st.lists(st.tuples(st.floats(-10, 1e5), st.booleans()), max_size=100),
)
def test_no_wait_is_longer_than_the_longest_whatever_the_clock_does(
    restart: Restart, restarts: int, delay_s: float, delay_max_s: float, lives: list[tuple[float, bool]]
) -> None:
    policy = RestartPolicy(restart=restart, restarts=restarts, delay_s=delay_s, delay_max_s=delay_max_s)
    deaths, now = Deaths(policy), 0.0
    for lived_s, innocent in lives:
        deaths.born(now)
        deaths.ended(now + lived_s)
        verdict = deaths.judge(innocent=innocent)
        assert 0 <= verdict.delay_s <= delay_max_s
        assert not (verdict.give_up and (innocent or restart is Restart.ALWAYS))
        now += max(0.0, lived_s)
