"""The simulated plant on caproto: ``python -m ioc.plant --prefix X1: [--port N]``.

Serves the optics table of :mod:`ioc.optics` as PVs, with the same names, units, limits and descriptions as the real
EPICS IOC in ``db/`` (:mod:`ioc.epics_plant`). One asyncio loop steps the model every 0.1 s and publishes what changed.

As a real record does, a number beyond its limits is clamped, a label that does not exist is refused, and a readback
cannot be written. Cost: 1 % of a core; no ``record=`` fields, which take 150 kB and 2.5 ms each.
"""

from __future__ import annotations

import asyncio
import math
import os
import signal
import sys
import time
from typing import Any

import caproto

from guardian.errors import ExpectedError
from ioc.address import choose_port, options, server_environment, try_it
from ioc.cas.context import Context
from ioc.cas.sockets import bind
from ioc.optics import STEP_S, OpticsTable, Row

MAJOR = {"severity": caproto.AlarmSeverity.MAJOR_ALARM, "status": caproto.AlarmStatus.STATE}
NO_ALARM = {"severity": caproto.AlarmSeverity.NO_ALARM, "status": caproto.AlarmStatus.NO_ALARM}
NO_ALARM_LIMITS = ("upper_alarm_limit", "upper_warning_limit", "lower_warning_limit", "lower_alarm_limit")


class PlantChannel:
    """What the number and the enum have in common: a value that lives in the model."""

    row: Row
    part: object

    def bind(self, row: Row, part: object) -> None:
        """Say which attribute of the model this channel shows."""
        self.row, self.part = row, part

    @property
    def model_value(self) -> Any:
        """The value in the model, an enum as its number."""
        return getattr(self.part, self.row.name.lower())

    def check_access(self, hostname: str, username: str) -> caproto.AccessRights:
        rights = caproto.AccessRights.READ
        return rights | caproto.AccessRights.WRITE if self.row.writable else rights

    async def write_from_dbr(self, *args: Any, **kwargs: Any) -> None:
        """A client's put: the model gets what was accepted."""
        try:
            await super().write_from_dbr(*args, **kwargs)  # type: ignore[misc]
        except Exception:
            await self.alarm.write(**NO_ALARM)  # type: ignore[attr-defined]  # the fault is the writer's
            raise
        setattr(self.part, self.row.name.lower(), self.accepted())

    def accepted(self) -> Any:
        """The value of the channel as the model holds it."""
        raise NotImplementedError

    async def follow(self) -> None:
        """Publish the model's value if it has moved."""
        raise NotImplementedError


class NumberChannel(PlantChannel, caproto.ChannelDouble):
    """A number with units and limits."""

    async def verify_value(self, data: Any) -> Any:
        value = float(data[0] if hasattr(data, "__len__") else data)
        if self.row.writable and not math.isnan(value):
            value = min(max(value, self.row.low), self.row.high)
        return value

    def accepted(self) -> float:
        return float(self.value)

    async def follow(self) -> None:
        new, old = self.model_value, self.value
        if abs(new - old) > self.row.deadband or math.isnan(new) != math.isnan(old):
            await self.write(new)


class SwitchChannel(PlantChannel, caproto.ChannelEnum):
    """An enum; its alarm follows its label."""

    async def verify_value(self, data: Any) -> Any:
        label = await super().verify_value(data)
        if label not in self.enum_strings:
            raise ValueError(f"{data!r} is none of {', '.join(self.enum_strings)}")
        return label

    def accepted(self) -> int:
        return int(self.enum_strings.index(self.value))

    async def follow(self) -> None:
        label = self.row.labels[self.model_value]
        if label != self.value:
            await self.write(label, **(MAJOR if label == self.row.alarm else NO_ALARM))


def make_channel(row: Row, part: object) -> NumberChannel | SwitchChannel:
    """The channel of one row of the table."""
    value = getattr(part, row.name.lower())
    channel: NumberChannel | SwitchChannel
    if row.labels:
        channel = SwitchChannel(value=row.labels[value], enum_strings=row.labels)
    else:
        channel = NumberChannel(
            value=value,
            units=row.units,
            precision=row.precision,
            lower_disp_limit=row.low,
            upper_disp_limit=row.high,
            lower_ctrl_limit=row.low,
            upper_ctrl_limit=row.high,
            **dict.fromkeys(NO_ALARM_LIMITS, math.nan),
        )
    channel.bind(row, part)
    return channel


class ReadOnlyText(caproto.ChannelString):
    """A field that only tells."""

    def check_access(self, hostname: str, username: str) -> caproto.AccessRights:
        return caproto.AccessRights.READ


class PlantServer:
    """The model, and the channels that show it."""

    def __init__(self, table: OpticsTable, prefix: str) -> None:
        self.table = table
        self.channels: list[NumberChannel | SwitchChannel] = []
        self.pvdb: dict[str, caproto.ChannelData] = {}
        for name, row, part in table.channels():
            channel = make_channel(row, part)
            self.channels.append(channel)
            self.pvdb[prefix + name] = self.pvdb[f"{prefix}{name}.VAL"] = channel
            self.pvdb[f"{prefix}{name}.DESC"] = ReadOnlyText(value=row.text)
            self.pvdb[f"{prefix}{name}.EGU"] = ReadOnlyText(value=row.units)

    async def run(self) -> None:
        """Step the model at its rate, for ever. A late loop catches up for a second at most."""
        due = time.monotonic()
        while True:
            self.table.step()
            for channel in self.channels:
                await channel.follow()
            now = time.monotonic()
            due = max(due + STEP_S, now - 1.0)
            await asyncio.sleep(max(0.0, due - now))


async def serve(prefix: str, port: int, interface: str) -> None:
    """Serve the plant until it is cancelled by SIGTERM or SIGINT."""
    plant = PlantServer(OpticsTable(), prefix)

    async def started(_: object) -> None:
        print(f"plant: {len(plant.channels)} PVs named {prefix}* on {interface}:{port}", flush=True)
        print(try_it(port, f"{prefix}IMC-TRANS", interface), flush=True)
        await plant.run()

    context = Context(plant.pvdb, [interface], bound=bind([interface], port))
    server = asyncio.ensure_future(context.run(startup_hook=started))
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, server.cancel)
    await asyncio.wait([server])
    if not server.cancelled():
        server.result()


def main(arguments: list[str] | None = None) -> int:
    """Run the plant; 0 when it was stopped, 2 when it cannot start."""
    chosen = options(arguments, program="python -m ioc.plant", text="The simulated optics table, on caproto.")
    try:
        port = choose_port(chosen.port, chosen.interface)
    except ExpectedError as fault:
        print(f"plant: {fault}", file=sys.stderr)
        return 2
    os.environ.update(server_environment(port, chosen.interface))
    asyncio.run(serve(chosen.prefix, port, chosen.interface))
    return 0


if __name__ == "__main__":
    sys.exit(main())
