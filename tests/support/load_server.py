"""A server under load, in a process of its own. Run by path: ``load_server.py KIND PREFIX COUNT``.

KIND is ``cheap`` (channels of :mod:`ioc.cas`), ``plain`` (caproto's own, on the same Context), ``caproto`` (caproto's
own on caproto's Context) or ``rsrv`` (a C IOC's server, of the package ``softioc``).

PVs, all doubles: ``{PREFIX}PV0`` .. ``PV{COUNT-1}``, which nobody writes but clients. ``{PREFIX}FAN0`` .. ``FAN99``,
written by the server, round robin, ``{PREFIX}RATE`` times a second in all; ``{PREFIX}WRITTEN``: how many were really
made. ``{PREFIX}BEAT`` counts 20 times a second.
It ends with its standard input.
"""

from __future__ import annotations

import asyncio
import os
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

sys.path[0] = str(Path(__file__).resolve().parents[2])  # not this folder: it has a softioc.py of its own

READY = "LOAD SERVER READY"
FANS = 100
TICK_S = 0.005


class Owed:
    """How many writes are due at a rate; what could not be made within a tenth of a second is given up."""

    def __init__(self) -> None:
        self._last = time.monotonic()
        self._due = 0.0

    def now(self, rate: float) -> int:
        now = time.monotonic()
        self._due = min(self._due + rate * (now - self._last), rate / 10)
        self._last = now
        whole = int(self._due)
        self._due -= whole
        return whole


def caproto_server(kind: str, prefix: str, count: int) -> None:
    """Ours, or caproto's own."""
    import resource

    import caproto
    from caproto.asyncio.server import Context as CaprotoContext

    from ioc.cas import cheap
    from ioc.cas.context import Context

    double = cheap.ChannelDouble if kind == "cheap" else caproto.ChannelDouble

    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, min(4096, hard)), hard))  # as guardhost does

    async def serve() -> None:
        pvdb: dict[str, Any] = {f"{prefix}PV{n}": double(value=0.0) for n in range(count)}
        fans = [double(value=0.0) for _ in range(FANS)]
        rate, written, beat = (double(value=0.0) for _ in range(3))
        pvdb |= {f"{prefix}FAN{n}": pv for n, pv in enumerate(fans)}
        pvdb |= {f"{prefix}RATE": rate, f"{prefix}WRITTEN": written, f"{prefix}BEAT": beat}

        async def produce() -> None:
            owed, at, made = Owed(), 0, 0
            while True:
                for _ in range(owed.now(rate.value)):
                    made += 1
                    at = (at + 1) % FANS
                    await fans[at].write(float(made))
                await asyncio.sleep(TICK_S)
                written._data["value"] = float(made)

        async def count_up() -> None:
            while True:
                await beat.write(beat.value + 1)
                await asyncio.sleep(0.05)

        async def started(_: object) -> None:
            print(READY, flush=True)
            await asyncio.gather(produce(), count_up())

        kind_of = CaprotoContext if kind == "caproto" else Context
        server = asyncio.ensure_future(kind_of(pvdb, ["127.0.0.1"]).run(startup_hook=started))
        end_with_stdin(asyncio.get_running_loop(), server.cancel)
        await asyncio.wait([server])
        if not server.cancelled():
            server.result()

    asyncio.run(serve())


def rsrv_server(prefix: str, count: int) -> None:
    """A C IOC's server, its records written from Python."""
    from softioc import asyncio_dispatcher, builder, softioc

    builder.SetDeviceName(prefix.rstrip(":"))
    fans = [builder.aIn(f"FAN{n}", initial_value=0.0) for n in range(FANS)]
    rate = builder.aOut("RATE", initial_value=0.0)
    written, beat = (builder.aIn(name, initial_value=0.0) for name in ("WRITTEN", "BEAT"))
    builder.LoadDatabase()
    with tempfile.NamedTemporaryFile("w", suffix=".db") as file:
        file.writelines(f'record(ao, "{prefix}PV{n}") {{}}\n' for n in range(count))
        file.flush()
        softioc.dbLoadDatabase(file.name)
    softioc.iocInit(asyncio_dispatcher.AsyncioDispatcher())
    print(READY, flush=True)

    def produce() -> None:
        owed, at, made = Owed(), 0, 0
        while True:
            for _ in range(owed.now(rate.get())):
                made += 1
                at = (at + 1) % FANS
                fans[at].set(float(made))
            written.set(float(made))
            time.sleep(TICK_S)

    def count_up() -> None:
        while True:
            beat.set(beat.get() + 1)
            time.sleep(0.05)

    for work in (produce, count_up):
        threading.Thread(target=work, daemon=True).start()
    sys.stdin.read()
    os._exit(0)


def end_with_stdin(loop: asyncio.AbstractEventLoop, end: Callable[[], object]) -> None:
    """Call `end` in the loop when standard input is closed."""

    def wait() -> None:
        sys.stdin.read()
        loop.call_soon_threadsafe(end)

    threading.Thread(target=wait, daemon=True).start()


if __name__ == "__main__":
    _kind, _prefix, _count = sys.argv[1:]
    if _kind == "rsrv":
        rsrv_server(_prefix, int(_count))
    else:
        caproto_server(_kind, _prefix, int(_count))
