"""What others would write to have one channel follow another: the peers of :mod:`bench.reaction`, a process each.

``python -m bench.reactors NAME IN OUT``, one of the names in :data:`REACTORS`; says READY when it follows.
"""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable

READY = "REACTOR READY"


def pyepics(source: str, target: str) -> None:
    """A bare event loop: the callback wakes a thread, which writes."""
    import epics

    changed = threading.Event()
    channel = epics.PV(source, callback=lambda **_: changed.set(), auto_monitor=True)
    out = _connected(epics.PV(target))
    _connected(channel)
    print(READY, flush=True)
    while True:
        changed.wait()
        changed.clear()
        out.put(channel.value)


def poll(source: str, target: str) -> None:
    """A loop of 16 Hz, as that of LIGO's Guardian."""
    import epics

    channel, out, last = _connected(epics.PV(source, auto_monitor=True)), _connected(epics.PV(target)), None
    print(READY, flush=True)
    while True:
        began = time.monotonic()
        value = channel.get()
        if value != last:
            out.put(value)
            last = value
        time.sleep(max(0.0, 1 / 16 - (time.monotonic() - began)))


def pysmlib(source: str, target: str) -> None:
    """A state machine of pysmlib, by events of Channel Access, too."""
    from smlib import fsmBase, loader

    class Follow(fsmBase):  # type: ignore[misc]
        def __init__(self, name: str, **words: object) -> None:
            super().__init__(name, **words)
            self.source, self.target = self.connect(source), self.connect(target)
            self.gotoState("follow")

        def follow_eval(self) -> None:
            if self.source.changing():
                self.target.put(self.source.val(), use_complete=False)

    machines = loader()
    machines.setVerbosity("error")
    machine = machines.load(Follow, "follow")
    machines.start(blocking=False)
    while not (machine.source.connected() and machine.target.connected()):
        time.sleep(0.01)
    print(READY, flush=True)
    threading.Event().wait()


REACTORS: dict[str, Callable[[str, str], None]] = {"pysmlib": pysmlib, "pyepics": pyepics, "16 Hz": poll}


def _connected(channel: object) -> object:
    if not channel.wait_for_connection(20):  # type: ignore[attr-defined]
        raise SystemExit(f"{channel} is not connected")
    return channel


if __name__ == "__main__":
    REACTORS[sys.argv[1]](*sys.argv[2:])
