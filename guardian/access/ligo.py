"""What user code calls ``ezca``, where the PyPI package ``ezca`` is installed: an ``ezca.Ezca`` on our channels.

The package brings the tools for LIGO's filter modules, and for its users the name ``Ezca``. Its own ``Ezca`` makes
pyepics PVs. This one inherits all its methods and reads and writes through :class:`Channels`: reads are never older
than own writes, lost channels are named (R13), every wait can be interrupted (R8, R10), and nothing is connected before
it is used.

Importing this file changes the package in this process, in four places:

* ``Ezca`` is the class that :mod:`guardian.access.injected` has chosen, so what code makes itself is one of these;
* its errors are ours, so one ``except`` catches what either raises;
* the ``Ramp`` of a filter, which makes a PV as soon as there is a filter object, is that of
  :mod:`guardian.access.ramp`, which watches a channel once it is asked;
* a filter object is kept for good: one that is made anew in each cycle forgets that it has begun a ramp.

Written against version 1.5 of the package. If one of these is not there, the import fails, and the process goes on with
plain channels and says so.
"""

from __future__ import annotations

import sys
import time
from typing import Any

import ezca
from ezca import Ezca, SFMask, const, ligofilter
from ezca.cached import Cached

from guardian.access.extra import PACKAGE
from guardian.access.injected import Injected, Kept
from guardian.access.ramp import History, Ramp
from guardian.core.setpoints import Setpoint, packed, unpacked
from guardian.errors import EzcaConnectError, EzcaError

#: The bits of a filter's SWSTAT that are buttons; what is shown where none is down.
_SWSTAT: int = const.SWSTAT_BITS_ALL
_ALL_OFF = "ALL OFF"


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

    def history(self, channel: str) -> History:
        """The changes of a channel, from when they were first asked for; one a channel."""
        histories: dict[str, History] = self.__dict__.setdefault("_histories", {})
        return histories.setdefault(self.full_name(channel), History(self, channel))

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
        return self._channels._connected(self.pvname, None)[0].shape().length

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


def take_place(made: type[Injected]) -> None:
    """Have user code find `made` where it looks for ``Ezca``."""
    for module in _PACKAGE:
        if hasattr(module, "Ezca"):
            module.Ezca = made


#: What its import has brought. Looked for once, before workers are forked: to look at a module in Python copies it.
_PACKAGE: tuple[Any, ...] = tuple(
    module for name, module in tuple(sys.modules.items()) if name == PACKAGE or name.startswith(f"{PACKAGE}.")
)


def _settle_in() -> None:
    for module in _PACKAGE:
        for error in (EzcaError, EzcaConnectError):
            if hasattr(module, error.__name__):
                setattr(module, error.__name__, error)
    if not hasattr(ligofilter, "Ramp") or not hasattr(ligofilter.LIGOFilter, "_Cached__cache"):
        raise ImportError(f"ezca {ezca.__version__} is not as version 1.5")
    ligofilter.Ramp = Ramp
    ligofilter.LIGOFilter._Cached__cache = {}


_settle_in()
