"""The class of what user code calls ``ezca``, and of what it makes when it says ``Ezca(...)`` itself: one class.

A process chooses it once, before its first line of user code (:func:`choose`): channels of the kind that the process is
for, with the arguments that LIGO's ``Ezca`` has. Where the PyPI package ``ezca`` is installed (the extra [ligo]), it is
an ``ezca.Ezca`` besides, see :mod:`guardian.access.ligo`; where it is not, nothing of it is looked for again.

Helper libraries of the field make an ``Ezca`` for each subsystem, some of them in every cycle. The same arguments give
the same object, as there.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from dataclasses import replace
from importlib import import_module
from types import new_class
from typing import Any, ClassVar, Self

from guardian.access import extra
from guardian.access.channel import Channel
from guardian.access.channels import Channels
from guardian.access.prefix import own_prefix
from guardian.access.setpoints import Memory
from guardian.access.used import UsedChannel
from guardian.access.wire import Payload
from guardian.core.setpoints import Setpoint

Log = Callable[[str], None]


class Kept(type):
    """A class that gives the object it has made before with the same arguments."""

    def __init__(cls, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        cls._kept: dict[Any, Any] = {}

    def __call__(
        cls,
        prefix: str | None = None,
        ifo: str | None = "",
        timeout: float | None = None,
        logger: Any = True,
    ) -> Any:
        key = (prefix, os.environ.get("IFO") if ifo == "" else ifo, timeout, logger)
        if key not in cls._kept:
            cls._kept[key] = type.__call__(cls, *key)
        return cls._kept[key]


class Injected(Channels, metaclass=Kept):
    """Channels that are made with the arguments of LIGO's ``Ezca``.

    Parameters
    ----------
    prefix : the subsystem, ``SUS`` or ``X1:SUS``; the machine where `ifo` is None.
    ifo : the machine, that of the node by default.
    timeout : seconds that an operation may take.
    logger : True: the log of the node. False: none. Else something with a method ``warning``.
    """

    #: Those of the node that this process is for.
    node: ClassVar[Injected | None] = None

    def __init__(self, prefix: str | None, ifo: str | None, timeout: float | None, logger: Any) -> None:
        machine, subsystem = own_prefix(ifo, prefix)
        node = Injected.node
        log = (node._log if node is not None else None) if logger is True else getattr(logger, "warning", None)
        timeout_s = None if timeout is None else float(timeout)
        keeper = node._keeper if node is not None else None
        Channels.__init__(self, machine, subsystem, timeout_s=timeout_s, log=log, keeper=keeper)
        if node is not None:
            self.memory = _PassedOn(node)

    @classmethod
    def of_node(cls, ifo: str, *, log: Log, **more: Any) -> Self:
        """The channels of the node, made as :class:`Channels`: they tell of lost ones (R13), and get its prefix."""
        made = cls.__new__(cls)
        Channels.__init__(made, ifo, log=log, **more)
        Injected.node = made
        return made

    def short_name(self, full: str) -> str:
        """What user code calls the channel `full`; the whole name of one of another machine, which it cannot call."""
        if full.startswith(self.prefix):
            return full[len(self.prefix) :]
        return f":{full}" if not self.ifo else full.removeprefix(self.ifo) if full.startswith(f"{self.ifo}:") else full

    def __getattr__(self, name: str) -> Any:
        text = f"{type(self).__name__!r} object has no attribute {name!r}"
        if name in extra.TOOLS:
            text += f": that is of LIGO's package; to get it: {extra.GET}, and restart the host"
        raise AttributeError(text, name=name, obj=self)

    # --- of the node, and of what its code has made itself ---------------------------------------------------------

    def calling(self) -> None:
        """A call of user code begins."""
        for one in self._all():
            Channels.calling(one)

    def renewed(self) -> None:
        """The code is another one."""
        for one in self._all():
            Channels.renewed(one)

    def lost(self, names: Iterable[str]) -> tuple[str, ...]:
        """As :meth:`Channels.lost`."""
        wanted = tuple(names)
        return tuple(dict.fromkeys(name for one in self._all() for name in Channels.lost(one, wanted)))

    def _put(self, channel: Channel, payload: Payload, wait: bool, deadline: float) -> None:
        """What the others know of that channel is then older than what the code has written; and wakes nobody."""
        known = [(one, one._channels[channel.name]) for one in self._all() if channel.name in one._channels]
        others = [(one, other) for one, other in known if other is not channel]
        for one, other in others:
            other.written_in = one._turn
        try:
            super()._put(channel, payload, wait, deadline)
        finally:
            for _one, other in others:
                other.distrust()

    def _kept_up(self) -> tuple[UsedChannel, ...]:
        return tuple(channel for one in self._all() for channel in Channels._kept_up(one))

    def _all(self) -> tuple[Injected, ...]:
        node = () if Injected.node is None else (Injected.node,)
        return tuple(dict.fromkeys((self, *node, *type(self)._kept.values())))


class _PassedOn(Memory):
    """The set points of what user code has made itself: what it sets, the node has set."""

    def __init__(self, node: Injected) -> None:
        super().__init__(None)
        self._node = node
        self.busy, self.is_node_pv = node.memory.busy, node.memory.is_node_pv

    def keep(self, point: Setpoint | None) -> None:
        super().keep(point)
        if point is not None:
            self._node.memory.keep(replace(point, name=self._node.short_name(point.channel)))


_chosen: list[type[Injected]] = [Injected]


def choose(kind: type[Channels], *, tools: bool = True) -> tuple[type[Injected], str]:
    """From now on user code of this process gets channels of `kind`.

    Parameters
    ----------
    tools : False: without what only the package can do (``switch``, ``get_LIGOFilter``).

    Returns
    -------
    tuple
        The class, and what to tell where the package is installed and cannot be used; else "".
    """
    base, complaint, ligo = Injected, "", None
    if extra.is_installed():
        try:
            ligo = import_module(extra.MODULE)
            base = ligo.EzcaChannels if tools else Injected
        except Exception as error:
            complaint = (
                f"the package ezca is installed and cannot be used ({type(error).__name__}: {error}): what code calls "
                f"ezca has no switch and no get_LIGOFilter; install it anew: {extra.GET}"
            )
    kinds = (base,) if kind is Channels else (kind, base)
    made = new_class("Ezca", kinds, exec_body=lambda names: names.update(__doc__=kind.__doc__, __module__=__name__))
    _chosen[:] = [made]
    if ligo is not None:
        ligo.take_place(made)
    return made, complaint


def chosen() -> type[Injected]:
    """What was chosen last."""
    return _chosen[0]
