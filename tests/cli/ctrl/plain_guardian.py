"""An original Guardian, as far as guardctrl sees it: plain PVs without SUMMARY, in a small caproto server.

Run by path: ``plain_guardian.py PREFIX``. It goes where it is asked half a second later, and stays on the way to STUCK.
"""

from __future__ import annotations

import asyncio
import sys

from caproto import ChannelType
from caproto.server import PVGroup, pvproperty, run

STATES = ("DOWN", "UP", "STUCK")


class Node(PVGroup):
    """The PVs."""

    state = pvproperty(name="STATE", value="DOWN", dtype=ChannelType.STRING, read_only=True)
    target = pvproperty(name="TARGET", value="DOWN", dtype=ChannelType.STRING, read_only=True)
    request = pvproperty(name="REQUEST", value="DOWN", dtype=ChannelType.STRING)
    status = pvproperty(
        name="STATUS",
        value="DONE",
        dtype=ChannelType.ENUM,
        enum_strings=["ENTER", "MAIN", "RUN", "DONE", "JUMP", "REDIRECT", "EDGE", "INIT"],
        read_only=True,
    )
    stalled = pvproperty(name="STALLED", value="False", dtype=ChannelType.ENUM, enum_strings=["False", "True"])
    op = pvproperty(name="OP", value="EXEC", dtype=ChannelType.ENUM, enum_strings=["STOP", "PAUSE", "EXEC"])
    mode = pvproperty(name="MODE", value="AUTO", dtype=ChannelType.ENUM, enum_strings=["AUTO", "MANAGED", "MANUAL"])
    manager = pvproperty(name="MANAGER", value="", dtype=ChannelType.STRING)

    @request.putter
    async def request(self, _instance, value):
        if value not in STATES:
            raise ValueError(f"no state {value}")
        self.going = asyncio.create_task(self.go(value))

    async def go(self, value):
        await self.status.write("EDGE")
        await asyncio.sleep(0.5)
        if value == "STUCK":
            await self.stalled.write("True")
        else:
            await self.state.write(value)
            await self.status.write("DONE")


async def _ready(_async_lib):
    print("CA SERVER READY", flush=True)


if __name__ == "__main__":
    run(Node(prefix=sys.argv[1]).pvdb, interfaces=["127.0.0.1"], startup_hook=_ready)
