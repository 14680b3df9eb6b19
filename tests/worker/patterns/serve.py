"""A caproto server with the channels that ``modules/SWITCHES.py`` uses. Run by ``python -m``, with the prefix."""

from __future__ import annotations

import sys
from typing import Any

from caproto import ChannelType
from caproto.server import PVGroup, pvproperty, run


class Plant(PVGroup):
    """The channels."""

    gain = pvproperty(name="VIS-T1_GAIN", value=1.0)
    count = pvproperty(name="VIS-T1_COUNT", value=0)
    switch = pvproperty(
        name="VIS-T1_OFFSET_SW", value="OFF", dtype=ChannelType.ENUM, enum_strings=["OFF", "ON", "AUTO"]
    )
    mode = pvproperty(name="VIS-T1_MODE", value="SAFE", dtype=ChannelType.STRING)
    ramp = pvproperty(name="VIS-T1_TRAMP", value=0.1)
    power = pvproperty(name="PSL-POWER", value=0.0)


async def _ready(_async_lib: Any) -> None:
    print("SERVER READY", flush=True)


if __name__ == "__main__":
    run(Plant(prefix=sys.argv[1]).pvdb, interfaces=["127.0.0.1"], startup_hook=_ready)
