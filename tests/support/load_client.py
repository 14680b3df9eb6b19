"""A client that loads a server, on libca as pyepics carries it, without the layers above: C speed, a few us of Python.

Run by path, one of

* ``connect PREFIX COUNT``: connect so many PVs; says ``CONNECTED seconds``. Waits for a line on standard input first.
* ``watch PREFIX COUNT``: monitor FAN0 .. FAN{COUNT-1}; says ``COUNTED number longest`` each second: updates, and the
  longest time in seconds between two of them.
* ``beat PREFIX 1``: the same of BEAT.
* ``trip PREFIX COUNT``: put on PV0 and wait for its monitor, so many times; says ``TRIPS median p99`` in us.
* ``clear PREFIX COUNT``: monitor them; on a line on standard input clear all at once; says ``CLEARED``.

It ends with its standard input.
"""

from __future__ import annotations

import ctypes
import os
import sys
import threading
import time
from typing import Any

from guardian.access.libca import NORMAL, EventCallback

TIME_DOUBLE, DBE_VALUE = 20, 1


class Client:
    """One context of libca, with callbacks in its threads."""

    def __init__(self) -> None:
        from epics import ca

        self.lib = ctypes.CDLL(str(ca.find_libca()))
        self.lib.ca_pend_io.argtypes = [ctypes.c_double]
        self.lib.ca_create_channel.argtypes = [
            ctypes.c_char_p,
            ctypes.c_void_p,
            ctypes.c_void_p,
            ctypes.c_uint,
            ctypes.POINTER(ctypes.c_void_p),
        ]
        self._check(self.lib.ca_context_create(1))

    def connect(self, names: list[str], timeout_s: float = 120.0) -> list[ctypes.c_void_p]:
        """Connect all."""
        channels = [ctypes.c_void_p() for _ in names]
        for name, channel in zip(names, channels, strict=True):
            self._check(self.lib.ca_create_channel(name.encode(), None, None, 0, ctypes.byref(channel)))
        self._check(self.lib.ca_pend_io(timeout_s))
        return channels

    def monitor(self, channels: list[ctypes.c_void_p], called: object) -> None:
        """Monitor all, with an :data:`EventCallback`."""
        for channel in channels:
            self._check(
                self.lib.ca_create_subscription(
                    TIME_DOUBLE, 1, channel, DBE_VALUE, called, None, ctypes.byref(ctypes.c_void_p())
                )
            )
        self.lib.ca_flush_io()

    def put(self, channel: ctypes.c_void_p, value: float) -> None:
        """A plain put of a double."""
        self._check(self.lib.ca_array_put(6, 1, channel, ctypes.byref(ctypes.c_double(value))))
        self.lib.ca_flush_io()

    def _check(self, status: int) -> None:
        if status != NORMAL:
            raise SystemExit(f"libca said {status}")


def value_of(args: Any) -> float:
    """Of a TIME_DOUBLE: behind status, severity, stamp and padding."""
    return ctypes.c_double.from_address(args.data + 16).value


def connect(names: list[str]) -> None:
    client = Client()
    print("READY", flush=True)
    sys.stdin.readline()
    began = time.monotonic()
    client.connect(names)
    print(f"CONNECTED {time.monotonic() - began:.4f}", flush=True)
    sys.stdin.read()


def watch(names: list[str]) -> None:
    counted = 0
    last = time.monotonic()
    longest = 0.0

    @EventCallback
    def called(_: Any) -> None:
        nonlocal counted, last, longest
        now = time.monotonic()
        longest = max(longest, now - last)
        last = now
        counted += 1

    client = Client()
    client.monitor(client.connect(names), called)
    print("READY", flush=True)
    threading.Thread(target=lambda: (sys.stdin.read(), _end()), daemon=True).start()
    while True:
        before, longest, began = counted, 0.0, time.monotonic()
        time.sleep(1)
        took = time.monotonic() - began
        gap = max(longest, time.monotonic() - last)
        print(f"COUNTED {(counted - before) / took:.0f} {gap:.3f}", flush=True)


def trip(names: list[str], count: int) -> None:
    arrived = threading.Event()
    wanted = 0.0

    @EventCallback
    def called(args: Any) -> None:
        if value_of(args) == wanted:
            arrived.set()

    client = Client()
    channels = client.connect(names)
    client.monitor(channels, called)
    print("READY", flush=True)
    sys.stdin.readline()
    took = []
    for number in range(1, count + 50):
        wanted = float(number)
        arrived.clear()
        began = time.perf_counter()
        client.put(channels[0], wanted)
        if not arrived.wait(20):
            raise SystemExit("no update within 20 s")
        took.append(time.perf_counter() - began)
    took = sorted(took[49:])
    print(f"TRIPS {took[len(took) // 2] * 1e6:.0f} {took[int(len(took) * 0.99)] * 1e6:.0f}", flush=True)
    sys.stdin.read()


def clear(names: list[str]) -> None:
    client = Client()
    channels = client.connect(names)
    called = EventCallback(lambda _: None)  # lives as long as libca may call it
    client.monitor(channels, called)
    print("READY", flush=True)
    sys.stdin.readline()
    for channel in channels:
        client.lib.ca_clear_channel(channel)
    client.lib.ca_flush_io()
    print("CLEARED", flush=True)
    sys.stdin.read()


def _end() -> None:
    os._exit(0)


if __name__ == "__main__":
    verb, prefix, number = sys.argv[1], sys.argv[2], int(sys.argv[3])
    if verb == "trip":
        trip([f"{prefix}PV0"], number)
    else:
        kind = {"watch": "FAN", "beat": "BEAT"}.get(verb, "PV")
        names = [f"{prefix}{kind}{n if kind != 'BEAT' else ''}" for n in range(number)]
        {"connect": connect, "watch": watch, "beat": watch, "clear": clear}[verb](names)
    _end()
