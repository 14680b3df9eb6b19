"""What user code has set: remembered with every write, and compared when user code asks for it.

One table a :class:`~guardian.access.channels.Channels`, by the full name of the channel. The last write counts, as it
is in the channel's own type: a label of an enum is its number, a text that is written to a number is the number.
Whoever watches the table (:mod:`guardian.access.watch`) is told that it has changed, and looks for himself.

A write that an interrupt cuts short counts, because the server most likely took it; one that the server refused, or did
not confirm in time, does not.

User code is interrupted anywhere (R8), so nothing here has a lock: each change is one step of a dict.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import numpy as np

from guardian.access import wire
from guardian.access.channel import Channel
from guardian.access.environment import Use
from guardian.access.wire import Kind, Payload, Sample
from guardian.core import setpoints as core
from guardian.core.setpoints import DEAD, Setpoint
from guardian.errors import EzcaConnectError, EzcaError


class Memory:
    """The set points of one system. ``say`` gets a line for each channel that cannot be remembered, once.

    Attributes
    ----------
    points : by full name, in the order in which they were set first.
    busy : channels that are being written now, by their full names.
    changed : called after each change, in the thread that made it.
    is_node_pv : whether a full name is that of a node's PV where a site names them in another way than LIGO's.
    """

    def __init__(self, say: Callable[[str], None] | None) -> None:
        self.points: dict[str, Setpoint] = {}
        self.busy: set[str] = set()
        self.changed: Callable[[], None] = _nothing
        self.is_node_pv: Callable[[str], object] = _no
        self._say = say
        self._left: set[str] = set()

    def point(self, name: str, channel: Channel, value: Any, payload: Payload) -> Setpoint | None:
        """What there is to remember once `value`, as `payload`, was written to the channel that code calls `name`."""
        if not core.is_setting(channel.name) or self.is_node_pv(channel.name):
            return None
        is_array, is_text = channel.shape().is_array, isinstance(value, (str, bytes))
        plain = plain_value(payload, is_array=is_array, as_text=is_text)
        if why := core.why_too_long(plain):
            self._leave_out(channel.name, f"its value has {why}")
            return None
        return Setpoint(
            channel=channel.name, name=name, value=core.packed(plain), label=channel.label(plain), at=time.time()
        )

    def written(self, full: str, point: Setpoint | None, put: Callable[[], None]) -> None:
        """Write a channel by `put`; then `point` is its set point, if there is one."""
        try:
            self.busy.add(full)
            put()
            self.keep(point)
        except Exception:
            raise
        except BaseException:  # an interrupt: the server has most likely taken it
            self.keep(point)
            raise
        finally:
            self.busy.discard(full)

    def keep(self, point: Setpoint | None) -> None:
        """It is a set point from now on."""
        if point is None or core.is_again(self.points.get(point.channel), point):
            return
        if why := self._why_not(point):
            self._leave_out(point.channel, why)
            return
        try:
            self.points[point.channel] = point
        finally:  # an interrupt behind the line above must not keep it from being told
            self.changed()

    def forget(self) -> None:
        """There are no set points."""
        try:
            self.points.clear()
        finally:
            self.changed()

    def restore(self, points: Iterable[Setpoint]) -> None:
        """What an earlier worker had set."""
        self.points.update((point.channel, point) for point in points)

    # --- of the module's ca_channels: what code has written counts more ------------------------------------------

    def listed(self, point: Setpoint) -> None:
        """The module says so; what code has written stays."""
        known = self.points.get(point.channel)
        if known is None:
            if why := self._why_not(point):
                self._leave_out(point.channel, why)
                return
            self.points.setdefault(point.channel, point)
        elif known.module and (known.value, known.name) != (point.value, point.name):
            self.keep(point)
        self.changed()

    def unlist(self, channels: Iterable[str]) -> None:
        """The module does not say so any more."""
        for full in channels:
            point = self.points.get(full)
            if point is not None and point.module:
                self.points.pop(full, None)
        self.changed()

    def _why_not(self, point: Setpoint) -> str:
        if point.channel not in self.points and len(self.points) >= core.MOST:
            return f"{core.MOST} channels are watched already, which is as many as fit"
        if max(len(point.channel), len(point.name)) > core.NAME_LENGTH:
            return f"its name has more than {core.NAME_LENGTH} characters"
        return ""

    def _leave_out(self, full: str, why: str) -> None:
        """What it was set to before is not what it is set to now."""
        self.points.pop(full, None)
        if full not in self._left:
            self._left.add(full)
            if self._say is not None:
                self._say(f"{full:.{core.NAME_LENGTH}} is set, and not watched by the set-point monitor: {why}")


def read_table(table: Iterable[Any]) -> Iterator[tuple[str, Any, bool]]:
    """Name, value, and whether there is a value, of each element of a table of set points.

    Raises
    ------
    EzcaError
        It is a single name, or an element is neither 'CHAN' nor ('CHAN', value).
    """
    if isinstance(table, str):
        raise EzcaError(f"set points: {table!r} is no table. Put it into a list.")
    for item in table:
        if isinstance(item, str):
            yield item, None, False
        elif isinstance(item, (tuple, list)) and len(item) == 2 and isinstance(item[0], str):
            yield item[0], item[1], True
        else:
            raise EzcaError(f"set points: {item!r} is neither 'CHAN' nor ('CHAN', value). Correct the table.")


def plain_value(data: Sample | Payload, *, is_array: bool, as_text: bool = False) -> Any:
    """The value as int, float, str or a list of these; a CHAR array as text, if it was written as one."""
    value = wire.decode(data, is_array)
    if isinstance(value, np.ndarray):
        if as_text and data.kind is Kind.CHAR:
            return wire.text_of(bytes(value))
        return [str(item) for item in value] if data.kind is Kind.STRING else value.tolist()
    return value


def as_read(value: Any) -> Any:
    """A set point as reading the channel gives it: a list is an array."""
    return np.array(value) if isinstance(value, list) else value


def check(
    memory: Memory, look: Callable[[Setpoint], Any], words: Callable[[Setpoint, Any], str]
) -> tuple[tuple[str, Any, Any, Any], ...]:
    """What is not as it was set: full name, set point, present value, and their difference ("" if there is none).

    Parameters
    ----------
    look : reads the channel of a set point. words : what a value is called of which only some bits count.
    """
    changed: list[tuple[str, Any, Any, Any]] = []
    for point in tuple(memory.points.values()):
        expected = core.unpacked(point.value)
        try:
            found = look(point)
        except EzcaConnectError:
            changed.append((point.channel, "", DEAD, ""))
            continue
        if core.same(expected, found, mask=point.mask):
            continue
        if point.mask:
            differs = (expected ^ int(found)) & point.mask
            changed.append((point.channel, words(point, expected), words(point, found), words(point, differs)))
        else:
            changed.append((point.channel, as_read(expected), as_read(found), difference(expected, found)))
    return tuple(changed)


def difference(expected: Any, found: Any) -> Any:
    """How far off a value is, of numbers and of arrays of numbers of one length; "" for all else."""
    one, other = np.array(expected), np.array(found)
    if one.dtype.kind not in "if" or other.dtype.kind not in "if" or one.shape != other.shape:
        return ""
    return other - one if one.shape else found - expected


class Remembering:
    """The part of :class:`~guardian.access.channels.Channels` that speaks of set points."""

    memory: Memory

    @property
    def use(self) -> Use:
        raise NotImplementedError

    def full_name(self, name: str) -> str:
        raise NotImplementedError

    def _connected(self, full: str, timeout_s: float | None) -> tuple[Channel, float]:
        raise NotImplementedError

    def masked(self, name: str, full: str, value: Any) -> Setpoint | None:
        """A set point of which only some bits count, if `value` is one: the buttons of a filter, with the extra [ligo].

        Raises
        ------
        EzcaError
            It is meant to be one, and cannot be.
        """
        return None

    def words(self, point: Setpoint, value: Any) -> str:
        """What a value is called of which only some bits count."""
        return ""

    @property
    def setpoints(self) -> dict[str, tuple[str, Any]]:
        """What was set, by the names that code uses: the full name of the channel, and the value in its own type."""
        points = tuple(self.memory.points.values())
        return {point.name: (point.channel, as_read(core.unpacked(point.value))) for point in points}

    def init_setpoints(self, table: Iterable[Any], init: bool = False) -> None:
        """Take channels into the table of set points that were not written.

        Parameters
        ----------
        table : of ``'CHAN'``, which is taken with its present value, and ``('CHAN', value)``. With the extra [ligo] the
            value of a filter's ``SWSTAT`` may be a list of buttons.
        init : True forgets all other set points.

        Raises
        ------
        EzcaConnectError
            A channel is not connected; those before it are in the table.
        EzcaError
            An element of the table is none of these, or the channel cannot hold the value.
        """
        items = list(read_table(table))
        if init:
            self.memory.forget()
        for name, value, given in items:
            self.full_name(name)
            try:
                if self.use.reads:
                    self.init_setpoint(name, value, given=given)
            except EzcaConnectError:
                if self.use.fails:
                    raise

    def init_setpoint(self, name: str, value: Any, *, given: bool) -> None:
        """One element of a table of set points. `given`: there is a value, else the present one is taken."""
        channel, deadline = self._connected(self.full_name(name), None)
        if given and (point := self.masked(name, channel.name, value)):
            self.memory.keep(point)
            return
        if not given:
            value = channel.value(deadline)
            if channel.shape().kind is Kind.CHAR and isinstance(value, np.ndarray):
                value = wire.text_of(bytes(value))
        self.memory.keep(self.memory.point(name, channel, value, channel.encode(value, deadline)))

    def check_setpoints(self) -> tuple[tuple[str, Any, Any, Any], ...]:
        """The channels that are not as they were set; costs no network, but for those that were just written.

        Returns
        -------
        tuple of (full name, set point, present value, difference)
            ``(name, '', 'DEAD', '')`` for a channel that is not connected. The difference of texts is ``''``.
        """
        return check(self.memory, self._look, self.words)

    def _look(self, point: Setpoint) -> Any:
        channel, deadline = self._connected(point.channel, None)
        value = channel.value(deadline)
        if isinstance(value, np.ndarray):
            as_text = channel.shape().kind is Kind.CHAR and isinstance(core.unpacked(point.value), str)
            return wire.text_of(bytes(value)) if as_text else value.tolist()
        return value

    def setpoint_snap(self, snapfile: str | os.PathLike[str]) -> None:
        """Write the set points to a file: a line each, the full name and the value."""
        lines = [f"{full} {value}\n" for full, value in self.setpoints.values()]
        with open(snapfile, "w", encoding="utf-8") as file:
            file.writelines(lines)


def _nothing() -> None:
    pass


def _no(_full: str) -> bool:
    return False
