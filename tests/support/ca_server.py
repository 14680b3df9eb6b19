"""A small caproto server with one PV of each kind the tools must deal with. Run by path: ``ca_server.py PREFIX``.

REQ refuses all but A and B at once; SLOW does the same after a while, in a task of its own, as caproto lets it; HANG
takes a put and never says that it is done.
"""

from __future__ import annotations

import asyncio
import sys

from caproto import ChannelType
from caproto.server import PVGroup, pvproperty, run


class Server(PVGroup):
    """The PVs."""

    number = pvproperty(name="X", value=1.5, units="mm", precision=2, upper_ctrl_limit=10.0, lower_ctrl_limit=-10.0)
    whole = pvproperty(name="N", value=4)
    fixed = pvproperty(name="RO", value=2.5, read_only=True)
    label = pvproperty(name="OP", value="EXEC", dtype=ChannelType.ENUM, enum_strings=["STOP", "PAUSE", "EXEC"])
    text = pvproperty(name="TXT", value="hallo µ", dtype=ChannelType.CHAR, max_length=2000, string_encoding="utf-8")
    array = pvproperty(name="ARR", value=[1.0, 2.0, 3.0], max_length=5)
    request = pvproperty(name="REQ", value="NONE", dtype=ChannelType.STRING)
    slow = pvproperty(name="SLOW", value="NONE", dtype=ChannelType.STRING)
    hang = pvproperty(name="HANG", value=0)

    @request.putter
    async def request(self, _instance, value):
        if value not in ("A", "B"):
            raise ValueError(f"no state {value}")

    @slow.putter
    async def slow(self, _instance, value):
        await asyncio.sleep(0.1)
        raise ValueError(f"no state {value}")

    @hang.putter
    async def hang(self, _instance, _value):
        await asyncio.sleep(3600)


async def _ready(_async_lib):
    print("CA SERVER READY", flush=True)


if __name__ == "__main__":
    run(Server(prefix=sys.argv[1]).pvdb, interfaces=["127.0.0.1"], startup_hook=_ready)
