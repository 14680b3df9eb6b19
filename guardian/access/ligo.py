"""What user code calls ``ezca``, where the PyPI package ``ezca`` is installed: an ``ezca.Ezca`` on our channels.

The package brings the tools for LIGO's filter modules, and for its users the name ``Ezca``. Its own ``Ezca`` makes
pyepics PVs. This one inherits all its methods and reads and writes through :class:`Channels`: reads are never older
than own writes, lost channels are named (R13), every wait can be interrupted (R8, R10), and nothing is connected before
it is used.

Importing this file changes the package in this process, in four places:

* ``Ezca`` is the class that :mod:`guardian.access.injected` has chosen, so what code makes itself is one of these;
* its errors are ours, so one ``except`` catches what either raises;
* the ``Ramp`` of a filter, which makes a PV as soon as there is a filter object, is the one below, which watches a
  channel once it is asked;
* a filter object is kept for good: one that is made anew in each cycle forgets that it has begun a ramp.

Written against version 1.5 of the package. If one of these is not there, the import fails, and the process goes on with
plain channels and says so.
"""

from __future__ import annotations

import sys
import time
from collections import deque
from collections.abc import Callable, Iterator
from itertools import pairwise
from typing import Any

import ezca
from ezca import Ezca, SFMask, const, ligofilter
from ezca.cached import Cached

from guardian.access import wire
from guardian.access.channel import Channel
from guardian.access.extra import PACKAGE
from guardian.access.injected import Injected, Kept
from guardian.access.wire import Sample
from guardian.core.setpoints import Setpoint, packed, unpacked
from guardian.errors import EzcaConnectError, EzcaError

#: The bits of a filter's SWSTAT that are buttons; what is shown where none is down.
_SWSTAT: int = const.SWSTAT_BITS_ALL
_ALL_OFF = "ALL OFF"
#: How long a wait for the end of a ramp goes on before it asks whether the channel is still there.
_LOOK_S = 1.0
#: Changes of the switches that are remembered; of interest are those since a ramp was begun.
_REMEMBERED = 64


class _KeptEzca(Kept, Cached):
    """Both metaclasses; ours makes the objects."""


class EzcaChannels(Injected, Ezca, metaclass=_KeptEzca):
    """An ``ezca.Ezca`` on our channels."""

    def __str__(self) -> str:
        return f"<{type(self).__name__} {self.prefix!r}, {self.count} channels>"

    def read(
        self,
        channel: str,
        log: bool = False,
        as_string: bool = False,
        *,
        fresh: bool = False,
        timeout: float | None = None,
        use_monitor: bool = True,
    ) -> Any:
        """As :meth:`Channels.read`. ``use_monitor=False`` is how the field says ``fresh=True``."""
        return super().read(channel, log, as_string, fresh=fresh or not use_monitor, timeout=timeout)

    @property
    def ca_enable_read(self) -> bool:
        """Whether channels are read (EZCA_CA). The package asks for this and the next two."""
        return self.use.reads

    @property
    def ca_enable_write(self) -> bool:
        """Whether they are written; else no button is pressed, and nobody waits for what comes of it."""
        return self.use.writes

    @property
    def ca_fail_no_connect(self) -> bool:
        """Whether one that is not connected is an error."""
        return self.use.fails

    def connect(self, *channels: str) -> Any:
        """As :meth:`Channels.connect`. One channel is given back, with ``get`` and ``put``, as the field expects."""
        super().connect(*channels)
        return ConnectedChannel(self, channels[0]) if len(channels) == 1 else None

    def switch(self, sfm_name: str, *args: Any, **kwargs: Any) -> Any:
        """Press buttons of a filter module, see ``help(ezca.LIGOFilter.switch)``."""
        try:
            return self.LIGOFilter(sfm_name).switch(*args, **kwargs)
        except (EzcaConnectError, ligofilter.LIGOFilterError, ValueError) as error:  # int() of a NaN
            if self.ca_fail_no_connect:
                raise
            if self._log is not None:
                self._log(f"{self.full_name(sfm_name)} is not switched, as EZCA_CA=NOFAIL allows: {error}")
            return None

    @property
    def pvs(self) -> dict[str, ConnectedChannel]:
        """The channels that have been used, by the names that user code has for them."""
        return {
            name: ConnectedChannel(self, name) for full in tuple(self._channels) for name in [self.short_name(full)]
        }

    def watch(self, channel: str) -> Watch:
        """The changes of a channel, from the first call on."""
        full = self.full_name(channel)
        watches: dict[str, Watch] = self.__dict__.setdefault("_watches", {})
        if full not in watches:
            watches[full] = Watch(self, channel)
        return watches[full]

    # --- set points: what the buttons of a filter are is a word of bits, SWSTAT -------------------------------------

    @property
    def _setpoints(self) -> _Switches:
        """Where the package puts the buttons that it has pressed."""
        return _Switches(self)

    @property
    def setpoints(self) -> dict[str, tuple[str, Any]]:
        """As :attr:`Channels.setpoints`; buttons are an ``SFMask``."""
        masked = {point.name for point in tuple(self.memory.points.values()) if point.mask}
        found = super().setpoints
        return {n: (f, SFMask.from_swstat(value) if n in masked else value) for n, (f, value) in found.items()}

    def masked(self, name: str, full: str, value: Any) -> Setpoint | None:
        """An ``SFMask``, or a list of buttons of a channel ``..._SWSTAT``, as a set point."""
        if not isinstance(value, SFMask):
            if not isinstance(value, (list, tuple)) or not full.endswith("SWSTAT"):
                return None
            try:
                value = SFMask(value)
            except (KeyError, TypeError) as error:
                buttons = ", ".join(const.SWSTAT_BITS)
                raise EzcaError(f"{full}: {error} is no button of a filter; there are {buttons}") from None
        label = value.abrev or _ALL_OFF
        return Setpoint(channel=full, name=name, value=packed(value.SWSTAT), mask=_SWSTAT, label=label, at=time.time())

    def words(self, point: Setpoint, value: Any) -> str:
        """The buttons."""
        return (SFMask.from_swstat(int(value)).abrev or _ALL_OFF) if point.mask == _SWSTAT else ""

    def _logswitch(self, filt: str, switches: str) -> None:
        if self._log is not None:
            self._log(f"{filt} => {switches}")


class ConnectedChannel:
    """One channel by the name that user code has for it, with the part of a pyepics PV that the field uses."""

    def __init__(self, channels: EzcaChannels, channel: str) -> None:
        self._channels = channels
        self._name = channel

    def __repr__(self) -> str:
        return f"<{self.pvname}: {'connected' if self.connected else 'not connected'}>"

    @property
    def pvname(self) -> str:
        """Its name on the network."""
        return self._channels.full_name(self._name)

    @property
    def connected(self) -> bool:
        """Whether there is a server now."""
        return self.pvname not in self._channels.disconnected()

    @property
    def value(self) -> Any:
        """What :meth:`get` gives."""
        return self.get()

    @property
    def char_value(self) -> str:
        """The value as text."""
        return str(self.get(as_string=True))

    @property
    def count(self) -> int:
        """How many elements it can have."""
        return self._channels._connected(self._name, None)[0].shape().length

    @property
    def _setpoint(self) -> Any:
        """The set point; AttributeError tells the package that there is none."""
        point = self._channels.memory.points.get(self.pvname)
        if point is None or point.mask:
            raise AttributeError(f"{self.pvname} was not written")
        return unpacked(point.value)

    def get(self, **how: Any) -> Any:
        """As ``ezca.read``."""
        return self._channels.read(self._name, **how)

    def put(self, value: Any, **how: Any) -> None:
        """As ``ezca.write``."""
        self._channels.write(self._name, value, **how)


class _Switches:
    """Takes what the package remembers of a filter's buttons: (full name of its SWSTAT, SFMask)."""

    def __init__(self, channels: EzcaChannels) -> None:
        self._channels = channels

    def __setitem__(self, channel: str, setting: tuple[str, Any]) -> None:
        full, mask = setting
        self._channels.memory.keep(self._channels.masked(channel, full, mask))


class Watch:
    """What has become of a channel. libca's thread adds to it, everybody may look."""

    def __init__(self, channels: EzcaChannels, channel: str) -> None:
        self._channels = channels
        self._name = channel
        self._seen: deque[Sample] = deque(maxlen=_REMEMBERED)
        self._apart: Channel | None = None

    def _news(self) -> None:
        sample = self._apart.latest if self._apart is not None else None
        if sample is not None:
            self._seen.append(sample)

    def samples(self) -> tuple[Sample, ...]:
        """What came, oldest first; at least the present value.

        Raises
        ------
        EzcaConnectError, EzcaError
            As :meth:`Channels.read`.
        """
        channel = self._apart
        if channel is None:
            self._channels.read(self._name)  # a channel that user code has used is one that R13 looks after
            channel = self._apart = self._channels.apart(self._channels.full_name(self._name), self._news)
            channel.open()
        latest = channel.peek()
        if latest is None:
            channel.search_again()
            self._channels.read(self._name)  # if the server is gone, this knows it, too
            channel.wait_for_news(lambda: channel.peek() is not None, time.monotonic() + self._channels.timeout)
            latest = channel.peek()
        if latest is None:
            raise EzcaConnectError(f"{channel.name}: no value came in time. Is its IOC overloaded?", (channel.name,))
        seen = tuple(self._seen)
        return seen if seen and seen[-1].order >= latest.order else (*seen, latest)

    def wait(self, ready: Callable[[], bool], timeout_s: float) -> bool:
        """Until `ready` is true, asked after each change."""
        assert self._apart is not None
        return self._apart.wait_for_news(ready, time.monotonic() + timeout_s)


class Ramp:
    """The ramp of the gain or the offset of a filter module, begun and waited for.

    The front end raises a bit while it ramps, and it does so some time after the write that begins it. So whoever has
    just begun a ramp waits until the bit is up, or was, or the time-out has passed: then there is none, because the
    value was there already.

    Parameters
    ----------
    monitor : the channel with the bit. is_up : whether a value of it has the bit. begin : writes what begins the ramp.
    """

    def __init__(
        self, monitor: str, is_up: Callable[[Any], bool], begin: Callable[..., None], channels: EzcaChannels
    ) -> None:
        self._monitor = monitor
        self._is_up = is_up
        self._begin = begin
        self._channels = channels
        self._begun_at = float("-inf")
        self._before = 0  #: what had come before it began

    def start_ramp(self, *args: Any, wait: bool = False, **kwargs: Any) -> None:
        """Begin one; with `wait` until it is over."""
        if not self._channels.ca_enable_write:
            self._begin(*args, **kwargs)  # which begins nothing
            return
        seen = self._samples()
        self._before = seen[-1].order if seen else 0
        self._begin(*args, **kwargs)
        self._begun_at = time.monotonic()
        while wait and self.is_ramping():
            self._watch.wait(lambda: not self._now(), _LOOK_S)

    def is_ramping(self) -> bool:
        """Whether it ramps; just after the beginning it waits for the answer."""
        left_s = self._begun_at + self._channels.timeout - time.monotonic()
        if self._samples() and left_s > 0:
            self._watch.wait(lambda: self._now() or self._has_risen(), left_s)
        return self._now()

    @property
    def _watch(self) -> Watch:
        return self._channels.watch(self._monitor)

    def _samples(self) -> tuple[Sample, ...]:
        """What came of the bit; nothing, where EZCA_CA says that this is no error."""
        if not self._channels.ca_enable_read:
            return ()
        try:
            return self._watch.samples()
        except EzcaConnectError:
            if self._channels.ca_fail_no_connect:
                raise
            return ()

    def _now(self) -> bool:
        seen = self._samples()
        return bool(seen) and self._up(seen[-1])

    def _has_risen(self) -> bool:
        """Since it began."""
        seen = self._samples()
        return any(new.order > self._before and self._up(new) and not self._up(old) for old, new in pairwise(seen))

    def _up(self, sample: Sample) -> bool:
        return self._is_up(wire.decode(sample, is_array=False))


def take_place(made: type[Injected]) -> None:
    """Have user code find `made` where it looks for ``Ezca``."""
    for module in _package():
        if hasattr(module, "Ezca"):
            module.Ezca = made


def _package() -> Iterator[Any]:
    for name, module in tuple(sys.modules.items()):
        if name == PACKAGE or name.startswith(f"{PACKAGE}."):
            yield module


def _settle_in() -> None:
    for module in _package():
        for error in (EzcaError, EzcaConnectError):
            if hasattr(module, error.__name__):
                setattr(module, error.__name__, error)
    if not hasattr(ligofilter, "Ramp") or not hasattr(ligofilter.LIGOFilter, "_Cached__cache"):
        raise ImportError(f"ezca {ezca.__version__} is not as version 1.5")
    ligofilter.Ramp = Ramp
    ligofilter.LIGOFilter._Cached__cache = {}


_settle_in()
