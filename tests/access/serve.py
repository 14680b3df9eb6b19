"""A caproto server for the tests of `guardian.access`: the records of ``records.db`` and some that misbehave."""

from __future__ import annotations

import os
import sys

os.environ.setdefault("CAPROTO_SERVER_HIGH_LOAD_TIMEOUT_SEC", "0")

import asyncio

from caproto import ChannelType
from caproto.server import PVGroup, pvproperty, run


async def _put_slowly(self, instance, value):
    print("PUT BEGUN", flush=True)
    await asyncio.sleep(60)


class Plant(PVGroup):
    num = pvproperty(value=1.5, name="NUM", precision=2)
    wave = pvproperty(value=[1.0, 2.0, 3.0], name="WAVE", max_length=10, dtype=ChannelType.DOUBLE)
    count = pvproperty(value=7, name="COUNT", dtype=ChannelType.LONG)
    switch = pvproperty(value="OFF", name="SWITCH", dtype=ChannelType.ENUM, enum_strings=["OFF", "ON", "AUTO"])
    text = pvproperty(value="SAFE", name="TEXT", dtype=ChannelType.STRING)
    long = pvproperty(value="a long text", name="LONG", max_length=200, dtype=ChannelType.CHAR)
    readonly = pvproperty(value=3.0, name="READONLY", read_only=True)
    pulsed = pvproperty(value=0.0, name="FILT_RSET")
    single = pvproperty(value=0.0, name="SINGLE", dtype=ChannelType.FLOAT)
    refuse = pvproperty(value=3.0, name="REFUSE")
    slow0 = pvproperty(value=0.0, name="SLOW0", put=_put_slowly)
    slow1 = pvproperty(value=0.0, name="SLOW1", put=_put_slowly)
    slow2 = pvproperty(value=0.0, name="SLOW2", put=_put_slowly)
    slow3 = pvproperty(value=0.0, name="SLOW3", put=_put_slowly)

    @refuse.putter
    async def refuse(self, instance, value):
        raise ValueError("not today")


class Changed(PVGroup):
    """What is there after a restart: a channel of another kind, one that was missing, and other values."""

    num = pvproperty(value="now a text", name="NUM", dtype=ChannelType.STRING)
    later = pvproperty(value=1.0, name="LATER")
    count = pvproperty(value=8, name="COUNT", dtype=ChannelType.LONG)
    switch = pvproperty(value="ON", name="SWITCH", dtype=ChannelType.ENUM, enum_strings=["OFF", "ON", "AUTO"])


async def _ready(_async_lib) -> None:
    print("SERVER READY", flush=True)


if __name__ == "__main__":
    group = {"plant": Plant, "changed": Changed}[sys.argv[2]]
    run(group(prefix=sys.argv[1]).pvdb, interfaces=["127.0.0.1"], startup_hook=_ready)
