"""``guardian-console``: what it makes of its environment."""

from __future__ import annotations

import pytest

from guardian.cli.console import silence


@pytest.mark.parametrize(
    ("exported", "used"),
    [
        ("", "5"),
        ("30", "5"),
        ("30.0", "5"),
        ("5", "5"),
        ("2.5", "2.5"),
        ("0", "5"),
        ("-1", "5"),
        ("nan", "5"),
        ("x", "5"),
    ],
)
def test_a_server_that_hangs_is_noticed_in_time_whatever_a_site_exports(exported: str, used: str) -> None:
    assert silence(exported) == used
