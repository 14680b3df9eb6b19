"""EZCA_CA and EZCA_TIMEOUT."""

from __future__ import annotations

import pytest

from guardian.access.environment import Use, timeout_s, use
from guardian.errors import EzcaError


@pytest.mark.parametrize("said", [None, "", "ENABLE", "true", "On", " enable "])
def test_channels_are_used_as_ever(said: str | None) -> None:
    assert use({} if said is None else {"EZCA_CA": said}) == Use()


@pytest.mark.parametrize(
    ("said", "reads", "writes", "fails"),
    [
        ("READONLY", True, False, True),
        ("readonly", True, False, True),
        ("DISABLE", False, False, True),
        ("FALSE", False, False, True),
        ("off", False, False, True),
        ("NOFAIL", True, True, False),
    ],
)
def test_what_is_switched_off_is_said(said: str, reads: bool, writes: bool, fails: bool) -> None:
    found = use({"EZCA_CA": said})
    assert (found.reads, found.writes, found.fails) == (reads, writes, fails) and found.said.startswith("EZCA_CA=")


def test_a_value_that_is_not_known_is_named_with_those_that_are() -> None:
    with pytest.raises(EzcaError, match=r"EZCA_CA='READ_ONLY' .* READONLY, DISABLE or NOFAIL"):
        use({"EZCA_CA": "READ_ONLY"})


@pytest.mark.parametrize(("said", "seconds"), [("", 2.0), ("5", 5.0), (" 0.25 ", 0.25)])
def test_the_timeout_is_a_number_of_seconds(said: str, seconds: float) -> None:
    assert timeout_s({"EZCA_TIMEOUT": said}) == seconds


@pytest.mark.parametrize("said", ["soon", "0", "-1", "nan", "inf", "1e9"])
def test_a_timeout_that_is_none_is_named(said: str) -> None:
    with pytest.raises(EzcaError, match=f"EZCA_TIMEOUT='{said}'"):
        timeout_s({"EZCA_TIMEOUT": said})
