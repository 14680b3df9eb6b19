"""The rule of names, as ezca's ``ligo_channel_prefix``."""

from __future__ import annotations

import pytest

from guardian.access.channels import Channels
from guardian.access.prefix import channel_prefix, full_name


@pytest.mark.parametrize(
    ("ifo", "prefix", "full"),
    [
        ("X1", "", "X1:"),
        ("x1:", "", "X1:"),
        ("X1", "SUS", "X1:SUS-"),
        ("X1", "SUS-", "X1:SUS-"),
        ("X1", "SUS_", "X1:SUS_"),
        ("X1", "sus-etmx", "X1:SUS-ETMX_"),
        ("X1", "SUS-ETMX_", "X1:SUS-ETMX_"),
        ("X1", "SUS-ETMX-", "X1:SUS-ETMX-"),
        ("X1", "SUS-ETMX_M0", "X1:SUS-ETMX_M0_"),
        ("X1", "SUS-ETMX-M0", "X1:SUS-ETMX_"),
        ("X1", "-", "X1:"),
        ("X1", "Y2:SUS", "X1:SUS-"),
        ("", "Y2:SUS", "Y2:SUS-"),
        ("", "SUS-ETMX", "SUS-ETMX_"),
        ("", "", ""),
    ],
)
def test_prefix(ifo: str, prefix: str, full: str) -> None:
    assert channel_prefix(ifo, prefix) == full
    assert Channels(ifo, prefix).prefix == full


@pytest.mark.parametrize(
    ("ifo", "prefix", "name", "full"),
    [
        ("X1", "SUS", "GAIN", "X1:SUS-GAIN"),
        ("X1", "SUS", ":PSL-POWER", "X1:PSL-POWER"),
        ("", "SUS", ":PSL-POWER", "PSL-POWER"),
        ("X1", "SUS", "X1:SUS-GAIN", "X1:SUS-X1:SUS-GAIN"),
        ("", "", "X1:SUS-GAIN", "X1:SUS-GAIN"),
    ],
)
def test_full_name(ifo: str, prefix: str, name: str, full: str) -> None:
    assert full_name(ifo, channel_prefix(ifo, prefix), name) == full
