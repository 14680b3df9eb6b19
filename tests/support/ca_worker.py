"""The child side of :mod:`tests.support.caclient`: reads requests, one JSON object a line, answers with "@" + JSON."""

from __future__ import annotations

import json
import os
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

KINDS = ("STRING", "INT", "FLOAT", "ENUM", "CHAR", "LONG", "DOUBLE")
STRING, ENUM, CHAR = 0, 3, 4
_out = threading.Lock()


def say(message: dict[str, Any]) -> None:
    """One line, in one write."""
    with _out:
        data = b"@" + json.dumps(message).encode() + b"\n"
        while data:
            data = data[os.write(1, data) :]


class NotConnected(Exception):
    """The answer of both kinds to a name that is not there."""


class Refused(Exception):
    """The answer of both kinds to a put that the server rejects."""


def to_wire(kind: int, count: int, value: Any) -> tuple[int, list[Any]]:
    """Type and elements to send. Text is not checked here: the server is to judge it."""
    if isinstance(value, str) and kind == CHAR and count > 1:
        return CHAR, [*value.encode(), 0][:count]
    values = value if isinstance(value, list) else [value]
    if kind == STRING or any(isinstance(v, str) for v in values):
        return STRING, [str(v).encode() for v in values]
    return kind, values


def from_wire(kind: int, count: int, values: list[Any], as_string: bool) -> Any:
    """What a test compares: a scalar, a list, or text."""
    if as_string and kind == CHAR:
        return bytes(v & 0xFF for v in values).split(b"\0")[0].decode()
    return values[0] if count == 1 and values else values


class PyepicsClient:
    """libca as pyepics loads it."""

    def __init__(self) -> None:
        from guardian.client import ca

        self._module = ca
        self._session = ca.Session()
        self._channels: dict[str, Any] = {}
        self._listeners: dict[str, list[Callable[[bool], None]]] = {}

    def _channel(self, name: str, timeout_s: float) -> Any:
        channel = self._channels.get(name)
        if channel is None:
            listeners = self._listeners[name] = []

            def connection(up: bool) -> None:
                for listener in tuple(listeners):
                    listener(up)

            channel = self._channels[name] = self._session.channel(name, connection)
        self._session.connect([channel], timeout_s)
        if not channel.connected:
            raise NotConnected(f"{name} not connected in {timeout_s:g} s")
        return channel

    def get(self, name: str, as_string: bool, timeout_s: float) -> dict[str, Any]:
        channel = self._channel(name, timeout_s)
        return self._shown(channel, as_string, channel.get(self._form(channel, as_string), timeout_s=timeout_s))

    def put(self, name: str, value: Any, wait: bool, timeout_s: float) -> dict[str, Any]:
        channel = self._channel(name, timeout_s)
        try:
            channel.put(*to_wire(channel.kind, channel.count, value), wait=wait, timeout_s=timeout_s)
        except self._module.Refused as error:
            raise Refused(str(error)) from None
        return {}

    def objection(self, name: str, timeout_s: float) -> dict[str, Any]:
        return {"text": self._channel(name, timeout_s).objection(timeout_s)}

    def info(self, name: str, timeout_s: float) -> dict[str, Any]:
        channel = self._channel(name, timeout_s)
        return {
            "name": name,
            "kind": KINDS[channel.kind],
            "count": channel.count,
            "host": channel.host,
            "readable": channel.readable,
            "writable": channel.writable,
            "details": channel.details(timeout_s),
        }

    def monitor(self, name: str, as_string: bool, monitor: int, timeout_s: float) -> dict[str, Any]:
        channel = self._channel(name, timeout_s)
        say({"monitor": monitor, "up": True})
        self._listeners[name].append(lambda up: say({"monitor": monitor, "up": up}))

        def told(reading: Any) -> None:
            shown = self._shown(channel, as_string, reading)
            del shown["kind"]
            say({"monitor": monitor, **shown})

        channel.monitor(self._form(channel, as_string), 0, told)
        return {}

    def _form(self, channel: Any, as_string: bool) -> int | None:
        return STRING if as_string and channel.kind == ENUM else None

    def _shown(self, channel: Any, as_string: bool, reading: Any) -> dict[str, Any]:
        return {
            "name": channel.name,
            "value": from_wire(channel.kind, channel.count, list(reading.values), as_string),
            "kind": KINDS[channel.kind],
            "severity": reading.severity,
            "status": reading.status,
            "stamp_utc": reading.stamp_utc,
        }


class CaprotoClient:
    """caproto's threading client. It drops error responses, so a refused write would time out: they are caught here."""

    def __init__(self) -> None:
        import caproto
        from caproto.threading import client

        self._caproto = caproto
        self._objections: dict[int, str] = {}
        self._objected = threading.Condition()
        self._callbacks: list[Any] = []  # caproto holds them weakly
        handled = client.VirtualCircuitManager._process_command

        def process(manager: Any, command: Any) -> None:
            if isinstance(command, caproto.ErrorResponse):
                self._error(manager, command)
            else:
                handled(manager, command)

        client.VirtualCircuitManager._process_command = process
        self._context = client.Context(timeout=None)

    def _error(self, manager: Any, command: Any) -> None:
        request = command.original_request
        pending = manager.ioids.pop(request.parameter2, None)
        if pending is not None and request.command in (15, 19):  # read notify, write notify: somebody waits
            manager.circuit._ioids.pop(request.parameter2, None)
            pending["response"] = command
            pending["event"].set()
            return
        with self._objected:
            self._objections[command.cid] = self._words(command)
            self._objected.notify_all()

    @staticmethod
    def _words(command: Any) -> str:
        text = bytes(command.error_message).split(b"\0")[0].decode(errors="replace")
        return text or str(command.status.description)

    def _pv(self, name: str, timeout_s: float, callback: Any = None) -> Any:
        (pv,) = self._context.get_pvs(name, connection_state_callback=callback)
        try:
            pv.wait_for_connection(timeout=timeout_s)
        except TimeoutError:
            raise NotConnected(f"{name} not connected in {timeout_s:g} s") from None
        return pv

    def get(self, name: str, as_string: bool, timeout_s: float) -> dict[str, Any]:
        pv = self._pv(name, timeout_s)
        response = pv.read(data_type=self._form(pv, as_string), timeout=timeout_s)
        if isinstance(response, self._caproto.ErrorResponse):
            raise Refused(self._words(response))
        return self._shown(pv, as_string, response)

    def put(self, name: str, value: Any, wait: bool, timeout_s: float) -> dict[str, Any]:
        pv = self._pv(name, timeout_s)
        channel = pv.channel
        kind, values = to_wire(int(channel.native_data_type), channel.native_data_count, value)
        self._objections.pop(channel.cid, None)
        response = pv.write(values, data_type=self._caproto.ChannelType(kind), wait=wait, timeout=timeout_s)
        if isinstance(response, self._caproto.ErrorResponse):
            raise Refused(self._words(response))
        if response is not None and not response.status.success:
            raise Refused(response.status.description)
        return {}

    def objection(self, name: str, timeout_s: float) -> dict[str, Any]:
        cid = self._pv(name, timeout_s).channel.cid
        with self._objected:
            self._objected.wait_for(lambda: cid in self._objections, timeout_s)
            return {"text": self._objections.get(cid)}

    def info(self, name: str, timeout_s: float) -> dict[str, Any]:
        pv = self._pv(name, timeout_s)
        channel = pv.channel
        rights = pv.access_rights
        return {
            "name": name,
            "kind": KINDS[int(channel.native_data_type)],
            "count": channel.native_data_count,
            "host": "{}:{}".format(*pv.circuit_manager.circuit.address),
            "readable": bool(rights & 1),
            "writable": bool(rights & 2),
            "details": self._details(pv, timeout_s),
        }

    def _details(self, pv: Any, timeout_s: float) -> dict[str, Any]:
        if int(pv.channel.native_data_type) == STRING:
            return {}
        head = pv.read(data_type="control", timeout=timeout_s).metadata
        found = {}
        for limit in ("disp", "alarm", "warning", "ctrl"):
            for side in ("upper", "lower"):
                name = f"{side}_{limit}_limit"
                if hasattr(head, name):
                    found[name] = getattr(head, name)
        if hasattr(head, "precision"):
            found["precision"] = head.precision
        if hasattr(head, "units"):
            found["units"] = head.units.decode(errors="replace")
        if hasattr(head, "enum_strings"):
            found["labels"] = [label.decode() for label in head.enum_strings]
        return found

    def monitor(self, name: str, as_string: bool, monitor: int, timeout_s: float) -> dict[str, Any]:
        def connection(pv: Any, state: str) -> None:
            if state in ("connected", "disconnected"):
                say({"monitor": monitor, "up": state == "connected"})

        def told(subscription: Any, response: Any) -> None:
            shown = self._shown(pv, as_string, response)
            del shown["kind"]
            say({"monitor": monitor, **shown})

        pv = self._pv(name, timeout_s, connection)
        self._callbacks += (connection, told)
        pv.subscribe(data_type=self._form(pv, as_string)).add_callback(told)
        return {}

    def _form(self, pv: Any, as_string: bool) -> Any:
        enum = int(pv.channel.native_data_type) == ENUM
        return self._caproto.ChannelType.TIME_STRING if as_string and enum else "time"

    def _shown(self, pv: Any, as_string: bool, response: Any) -> dict[str, Any]:
        channel, head = pv.channel, response.metadata
        kind = int(channel.native_data_type)
        values = [v.split(b"\0")[0].decode() if isinstance(v, bytes) else v.item() for v in response.data]
        return {
            "name": pv.name,
            "value": from_wire(kind, channel.native_data_count, values, as_string),
            "kind": KINDS[kind],
            "severity": int(head.severity),
            "status": int(head.status),
            "stamp_utc": float(head.timestamp),
        }


def main() -> None:
    client: Any = {"pyepics": PyepicsClient, "caproto": CaprotoClient}[sys.argv[1]]()
    for line in sys.stdin:
        request = json.loads(line)
        number = request.pop("id")
        try:
            result = getattr(client, request.pop("do"))(**request)
        except Exception as error:
            say({"id": number, "error": type(error).__name__, "message": str(error)})
        else:
            say({"id": number, "result": result})


if __name__ == "__main__":
    main()
