"""What a client asks of its updates by the name it uses: ``NAME.{"dbnd":{"abs":1.5}}``, ``NAME.[2:5]``, ``NAME.$``.

Names and filters are taken apart by caproto; what they do is done here, at the audience, where caproto does it in the
queue of the client:

* ``arr`` sends a part of an array, ``ts`` the present time; such a value is packed as others are;
* ``dbnd`` lets a number pass that has moved far enough from what was sent last, as ``dbnd.c`` of EPICS base: ``rel`` is
  in percent, and what is no single number passes always (caproto: a ratio, and a text stops whoever wrote it);
* ``sync`` sends values of other moments, which caproto keeps: see :meth:`ioc.cas.audience.Audience.rung`.
"""

from __future__ import annotations

import logging
from typing import Any

import caproto as ca
from caproto._utils import parse_channel_filter

log = logging.getLogger(__name__)

NO_FILTER = ca.ChannelFilter(ts=None, dbnd=None, arr=None, sync=None)


def modifiers_of(name: str) -> tuple[Any, bool]:
    """The filter that a name asks for, and whether it wants a string as an array of characters (``NAME.$``).

    Raises
    ------
    Exception : it is no filter; of many kinds, as caproto has them.
    """
    if not (name.endswith("$") or "{" in name or "[" in name):
        return NO_FILTER, False
    modifiers = ca.parse_record_field(name).modifiers
    if modifiers is None:
        return NO_FILTER, False
    found = parse_channel_filter(modifiers.filter_) if modifiers.filter_ else NO_FILTER
    return found, ca.RecordModifiers.long_string in modifiers


def is_sound(name: str) -> bool:
    """Whether what stands behind the name can be taken apart."""
    try:
        modifiers_of(name)
    except Exception as error:
        log.debug("%.100r asks for what is no filter: %r", name, error)
        return False
    return True


def part_of(channel_filter: Any) -> slice | None:
    """The part of an array that is wanted. Channel Access counts both ends in; a last of -1 is the last there is."""
    if channel_filter.arr is None:
        return None
    first, last, step = channel_filter.arr.s, channel_filter.arr.e, channel_filter.arr.i
    return slice(first, None if last in (None, -1) else last + 1, step)


class DeadBand:
    """What one subscription has seen, and how far a number must move to be sent.

    Parameters
    ----------
    mode : "abs" or "rel". width : in the PV's units, or in percent of what was sent last.
    """

    def __init__(self, mode: str, width: float) -> None:
        self._relative = mode == "rel"
        self._width = width
        self._sent: float | None = None

    def passes(self, value: Any) -> bool:
        """Whether it is to be sent; then it is what was sent last."""
        if not isinstance(value, int | float):
            return True
        if self._sent is not None:
            width = abs(self._sent) * self._width / 100 if self._relative else self._width
            if abs(value - self._sent) <= width:  # never true of NaN
                return False
        self._sent = value
        return True


def dead_band_of(channel_filter: Any) -> DeadBand | None:
    """For a new subscription."""
    band = channel_filter.dbnd
    return None if band is None else DeadBand(str(band.m), float(band.d))
