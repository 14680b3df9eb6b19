"""The messages between host and worker: one JSON object a line over a socketpair.

Every line is an envelope ``{"t": type, "g": generation, "m": message}`` around one of the frozen records of
``core/events.py`` (commands go down, reports come up), or :class:`Load`, the first word to every worker. The generation
tells a host which worker a line comes from; what is stale is dropped. Both ends may be slow, neither blocks the other:
the worker reads in a thread, the host on its event loop.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, get_args

import msgspec

from guardian.core.events import Command, Report
from guardian.core.names import PV_TEMPLATE
from guardian.core.peer import BondFacts
from guardian.core.setpoints import Setpoint
from guardian.enums import LogLevel
from guardian.errors import LinkError

#: A line longer than this is damage, not a message.
LINE_BYTES = 16 * 1024 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Load:
    """Host to worker, once: find and import this system.

    Parameters
    ----------
    node : name of the node and of its module. ifo, site : as user code sees them.
    paths : directories that are searched, in order.
    indices : automatic state indices given before, to be kept (R20).
    pv : template of the names of other nodes' PVs.
    bonds : what the last worker had asked of other nodes (R21).
    channels : those that earlier workers have found; the new one connects them before its code asks.
    setpoints : what the last worker had set.
    archived : names of contents that the host has; they need not be told (:class:`~guardian.core.events.Sources`).
    log_level : the least that goes to the log.
    check : only say whether it loads, and end; nothing is run, nothing is written to channels (R11).
    """

    node: str
    ifo: str = ""
    site: str = ""
    paths: tuple[str, ...] = ()
    indices: dict[str, int] = field(default_factory=dict)
    pv: str = PV_TEMPLATE
    bonds: tuple[BondFacts, ...] = ()
    channels: tuple[str, ...] = ()
    setpoints: tuple[Setpoint, ...] = ()
    archived: tuple[str, ...] = ()
    log_level: LogLevel = LogLevel.INFO
    check: bool = False


@dataclass(frozen=True, slots=True)
class _Envelope:
    t: str
    g: int
    m: msgspec.Raw


Message = Load | Command | Report
_TYPES: dict[str, type] = {t.__name__: t for t in (Load, *get_args(Command), *get_args(Report))}
_envelope = msgspec.json.Decoder(_Envelope)
_decoders: dict[str, Any] = {name: msgspec.json.Decoder(t) for name, t in _TYPES.items()}
_encoder = msgspec.json.Encoder()


def encode(gen: int, message: Message) -> bytes:
    """One line, newline included. Characters that are none (lone surrogates, from file names) become "?"."""
    envelope = {"t": type(message).__name__, "g": gen, "m": message}
    try:
        return _encoder.encode(envelope) + b"\n"
    except UnicodeEncodeError:
        return _encoder.encode(_legible(msgspec.to_builtins(envelope))) + b"\n"


def _legible(value: Any) -> Any:
    if isinstance(value, str):
        return value.encode(errors="replace").decode()
    if isinstance(value, dict):
        return {_legible(k): _legible(v) for k, v in value.items()}
    return [_legible(v) for v in value] if isinstance(value, (list, tuple)) else value


def decode(line: bytes) -> tuple[int, Any]:
    """Generation and message of one line.

    Raises
    ------
    LinkError
        The line is no message.
    """
    try:
        envelope = _envelope.decode(line)
        return envelope.g, _decoders[envelope.t].decode(envelope.m)
    except (msgspec.MsgspecError, KeyError, UnicodeDecodeError, RecursionError) as error:
        raise LinkError(f"link: {line[:200]!r} is no message ({error}); please report it") from error


class Lines:
    """Cuts a stream of bytes into lines."""

    def __init__(self) -> None:
        self._rest = bytearray()

    def feed(self, data: bytes) -> Iterator[bytes]:
        """The lines that `data` completes."""
        self._rest += data
        *lines, rest = self._rest.split(b"\n")
        if len(rest) > LINE_BYTES:
            raise LinkError(f"link: a line of more than {LINE_BYTES} bytes; please report it")
        self._rest = rest
        yield from (bytes(line) for line in lines if line)
