"""What a host owes its keeper (``keeper.py``): it dies with it, and shows that its event loop turns."""

from __future__ import annotations

import asyncio
import contextlib
import faulthandler
import json
import os
import signal
import sys
from collections.abc import AsyncIterator
from dataclasses import dataclass

from guardian.host.pulse import BEAT_S, KEPT, Pulse
from guardian.worker.interrupt import DUMP_SIGNAL
from guardian.worker.system_calls import die_with_parent


@dataclass(frozen=True, slots=True, kw_only=True)
class Kept:
    """What the keeper has left for its host.

    Parameters
    ----------
    last : how the host before this one ended, a sentence; "": this is the first one.
    """

    pulse: Pulse
    last: str

    @contextlib.asynccontextmanager
    async def beating(self) -> AsyncIterator[None]:
        """Beat for as long as the loop turns and this lasts."""
        task = asyncio.create_task(self._beat(), name="pulse")
        try:
            yield
        finally:
            task.cancel()
            await asyncio.wait([task])

    async def _beat(self) -> None:
        while True:
            self.pulse.beat()
            await asyncio.sleep(BEAT_S)


def kept() -> Kept | None:
    """What the keeper of this process has left for it; None if it has none. To be asked once, early.

    From now on SIGTERM comes when the keeper dies, even by kill -9: the host ends its nodes as when it is asked to.
    """
    text = os.environ.pop(KEPT, "")
    if not text:
        return None
    told = json.loads(text)
    if not die_with_parent(told["keeper"], signal.SIGTERM):
        raise SystemExit("the keeper of this host died while it started it")  # exit code 1
    pulse = Pulse(told["pulse"])
    os.close(told["pulse"])
    with contextlib.suppress(AttributeError, ValueError, OSError):  # no stderr that has a descriptor
        faulthandler.register(DUMP_SIGNAL, file=sys.stderr, all_threads=True)
    return Kept(pulse=pulse, last=told["last"])
