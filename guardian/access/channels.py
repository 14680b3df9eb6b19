"""What user code calls ``ezca``: the channels of other people's IOCs, by name.

``ezca['SUS_GAIN']`` reads, ``ezca['SUS_GAIN'] = 3`` writes. The first use of a channel connects it and starts its
monitor; it stays connected, and later reads are answered from the monitor without network (`channel` says when they are
not). Names get the prefix of the system (`prefix`), values are plain Python (`wire`). The environment may switch
reading or writing off (`environment`).

Two errors leave this room. `EzcaConnectError`: a channel is not connected. The node shows it as CONNECT, waits, and
calls the method again (R13), so it names the channel in full. `EzcaError`: a channel is there and the operation failed;
that is an error of the node.

How long a channel that is not there is waited for
--------------------------------------------------
The first use of a channel waits for it, `timeout` at most. One that was waited for in vain is not waited for again: it
raises at once, is searched for all the time, and is there for the next use after it was found. The waits in vain of
one call of user code use up one `timeout` together; whatever more is missing in that call gets a tenth of a second,
enough for a server that answers (`patience`). A list of channels connects at once, and not 30 ms one after the other,
by :meth:`Channels.connect`.

Nothing here makes a CA context before the first use of a channel, because a context wakes 65 times a second and a site
runs a hundred workers. There are no callbacks into user code. The thread that loads the library stays, to look after
channels that are lost (`keeper`). Every wait ends when a signal handler raises in the main thread. Threads of user code
may call everything here.

Who is woken by a change (R18, ``reactive``)
--------------------------------------------
Calls of user code are numbered. A change of a channel that the last call has read rings for another one; so does its
loss or its return. A channel that the last call or the one before has *written* does not: code that reads back what it
sets would wake itself for ever.
"""

from __future__ import annotations

import _thread
import atexit
import math
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any

from guardian.access import environment, wire
from guardian.access.bells import Bells
from guardian.access.channel import Channel
from guardian.access.environment import Use
from guardian.access.keeper import Keeper
from guardian.access.libca import Library
from guardian.access.patience import Patience
from guardian.access.prefix import channel_prefix, full_name
from guardian.access.setpoints import Memory, Remembering
from guardian.access.used import UsedChannel
from guardian.access.wire import Payload, Sample
from guardian.errors import EzcaConnectError, EzcaError

_SHOWN_LENGTH = 100
#: Channels that a message names.
_MOST_NAMED = 5
_ASK = "Is the name right, its IOC running, and in reach of EPICS_CA_ADDR_LIST?"
#: Loading libca takes some 20 ms; importing epics and numpy before it, if nobody has, a second of a loaded machine.
_START_TIMEOUT_S = 60.0


class Channels(Remembering):
    """Channels of one system.

    Parameters
    ----------
    ifo : the machine, the part of a name before the colon; may be empty.
    prefix : the subsystem, for instance ``SUS-ETMX``; see :mod:`guardian.access.prefix`.
    timeout_s : how long a first connection, a write or a question to the server may take, in seconds; None: what the
        environment says.
    log : called with one line for each write that changes a value, ``X1:SUS-GAIN => 3``.
    nudge : called when another call of user code is worth its time, see :meth:`wake`; in a thread of libca.
    lost : called with the full names of the channels that the present code has used and that are lost, each time those
        change; in a thread of our own.
    keeper : that of other channels, which looks after these as well; then `lost` is not called.

    Raises
    ------
    EzcaError
        The environment says what is not understood.
    """

    __iter__ = None  # else Python would try ezca[0], ezca[1], ...

    def __init__(
        self,
        ifo: str,
        prefix: str = "",
        *,
        timeout_s: float | None = None,
        log: Callable[[str], None] | None = None,
        nudge: Callable[[], None] = lambda: None,
        lost: Callable[[tuple[str, ...]], None] = lambda _names: None,
        keeper: Keeper | None = None,
    ) -> None:
        self._ifo = ifo
        self._prefix = channel_prefix(ifo, prefix)
        self._bare = 0  # the thread for which there is no prefix now
        self._use = environment.use()
        self._timeout_s = environment.timeout_s() if timeout_s is None else timeout_s
        self._log = log
        self._nudge = nudge
        self._wakes = False
        self._turn = 0  # number of the call of user code
        self._patience = Patience(self._timeout_s)
        self._owns_keeper = keeper is None
        self._keeper = keeper or Keeper(self._kept_up, lost)
        self.memory = Memory(log)
        self._library: Library | None = None
        self._failure: Exception | None = None
        self._bells = Bells("the start of Channel Access")
        self._channels: dict[str, UsedChannel] = {}
        self._foreseen: dict[str, UsedChannel] = {}
        self._met: list[str] = []
        self._apart: set[Channel] = set()
        self._registering = threading.Lock()
        self._closed = False

    def __repr__(self) -> str:
        return f"{type(self).__name__}(prefix={self._prefix!r}, {self.count} channels)"

    @property
    def ifo(self) -> str:
        """The machine."""
        return self._ifo

    @property
    def prefix(self) -> str:
        """The full prefix, with the machine: ``X1:SUS-ETMX_``."""
        return self._prefix

    def use_prefix(self, prefix: str) -> None:
        """From now on use the subsystem `prefix`: a module tells it only once it has been imported."""
        self._prefix = channel_prefix(self._ifo, prefix)

    @contextmanager
    def without_prefix(self) -> Iterator[None]:
        """For the calling thread, as before a module has told its prefix: so an import finds the same at each LOAD."""
        self._bare = threading.get_ident()
        try:
            yield
        finally:
            self._bare = 0

    @property
    def use(self) -> Use:
        """What the environment has done with channels."""
        return self._use

    def wake(self, on: bool) -> None:
        """Whether a change of a channel that the last call has read nudges (``reactive = True``)."""
        self._wakes = on

    def calling(self) -> None:
        """A call of user code begins: it has a whole `timeout` to wait in vain."""
        self._turn += 1
        self._patience.calling()

    def renewed(self) -> None:
        """The code is another one: what the old one has used and lost is no matter of the new one until it uses it."""
        for channel in tuple(self._channels.values()):
            channel.needed = channel.needed and channel.connected
        self._keeper.ring()

    @property
    def timeout(self) -> float:
        """Seconds that a first connection, a write or a question to the server may take."""
        return self._timeout_s

    @property
    def count(self) -> int:
        """How many channels have been used."""
        return len(self._channels)

    @property
    def met(self) -> list[str]:
        """Full names of the channels that were used and were there, in the order in which they were found."""
        return self._met

    def foresee(self, names: Iterable[str]) -> None:
        """Connect channels, by their full names, that are likely to be used: then nobody waits for them.

        They do not count as used, and whether they are there is no matter until they are.
        """
        for full in names if self._use.reads else ():
            library = self._started(full)
            with self._registering:
                if full not in self._channels and not self._closed:
                    channel = UsedChannel(library, full, self._changed, self._turned)
                    self._foreseen.setdefault(full, channel).open()

    def full_name(self, name: str) -> str:
        """The name on the network of what user code calls `name`."""
        if not isinstance(name, str):
            raise TypeError(f"a channel name is a str, not {name!r}")
        bare = self._bare and self._bare == threading.get_ident()
        return full_name(self._ifo, channel_prefix(self._ifo) if bare else self._prefix, name)

    def __getitem__(self, name: str) -> Any:
        return self.read(name)

    def __setitem__(self, name: str, value: Any) -> None:
        self.write(name, value)

    def read(
        self,
        channel: str,
        log: bool = False,
        as_string: bool = False,
        *,
        fresh: bool = False,
        timeout: float | None = None,
    ) -> Any:
        """The value of a channel, never older than what this object wrote to it.

        Parameters
        ----------
        channel : its name without the prefix of the system; with a colon in front, without its subsystem.
        log : write a line with the value to the log.
        as_string : the label of an enum, the text in a CHAR array, a number with the precision of its channel.
        fresh : ask the server. Without it the last event of the monitor counts, and an IOC tells of no change that is
            smaller than the dead band of the record (MDEL).
        timeout : seconds, instead of those of the object.

        Raises
        ------
        EzcaConnectError
            The channel is not connected.
        EzcaError
            It is, but may not be read, or the server does not answer.
        """
        if not self._use.reads:
            self.full_name(channel)
            return _nothing(as_string)
        try:
            there, deadline = self._connected(self.full_name(channel), timeout, reads=True)
            if fresh:
                there.renew(deadline)
            value = there.text(deadline) if as_string else there.value(deadline)
        except EzcaConnectError:
            if self._use.fails:
                raise
            return _nothing(as_string)
        if log and self._log is not None:
            self._log(f"{there.name} == {_shown(value)}")
        return value

    def write(  # noqa: PLR0917  # in the order of the field
        self,
        channel: str,
        value: Any,
        wait: bool = True,
        monitor: bool = True,
        setpoint: Any = None,
        log: bool = True,
        *,
        timeout: float | None = None,
    ) -> None:
        """Write a channel, by default until the server says that it has processed the write.

        Parameters
        ----------
        channel : its name, as in :meth:`read`.
        value : a number; for an enum its label or number; a text, of at most 39 bytes unless the channel is a CHAR
            array; a list, tuple or array for an array.
        wait : False sends the write and does not hear of its failure.
        monitor : False: what is written is no set point.
        setpoint : the set point, where that is not `value`.
        log : False writes no line to the log.
        timeout : seconds, instead of those of the object.

        Raises
        ------
        EzcaConnectError
            The channel is not connected, or was lost before the server answered.
        EzcaError
            The channel cannot hold the value, may not be written, or the server refused or did not answer in time.
        """
        if not self._use.writes:
            self.full_name(channel)
            return
        try:
            self._write(channel, value, wait=wait, monitor=monitor, setpoint=setpoint, log=log, timeout=timeout)
        except EzcaConnectError:
            if self._use.fails:
                raise

    def _write(
        self, channel: str, value: Any, *, wait: bool, monitor: bool, setpoint: Any, log: bool, timeout: float | None
    ) -> None:
        there, deadline = self._connected(self.full_name(channel), timeout)
        there.written_in = self._turn
        payload = there.encode(value, deadline)
        changes = log and self._log is not None and there.would_change(payload, deadline)
        meant = value if setpoint is None else setpoint
        expected = payload if setpoint is None else there.encode(setpoint, deadline)
        point = self.memory.point(channel, there, meant, expected) if monitor else None
        self.memory.written(there.name, point, lambda: self._put(there, payload, wait, deadline))
        if changes and self._log is not None:
            self._log(f"{there.name} => {_shown(value)}")

    def _put(self, channel: Channel, payload: Payload, wait: bool, deadline: float) -> None:
        channel.put(payload, wait=wait, deadline=deadline)

    def connect(self, *channels: str) -> None:
        """Connect channels before they are used, all at the same time.

        Parameters
        ----------
        channels : their names, as in :meth:`read`.

        Raises
        ------
        EzcaConnectError
            Some are not connected after the `timeout` of the object; it names all of them.
        """
        names = list(dict.fromkeys(self.full_name(channel) for channel in channels))
        if not self._use.reads:
            return
        used = [self._channels.get(full) or self._register(full) for full in names]
        fresh = [channel for channel in used if not channel.waited and not channel.connected]
        for channel in fresh:
            channel.seek()
        began = time.monotonic()
        for channel in fresh:
            channel.wait_connected(began + self._patience.left_s)
        self._waited(began, fresh)
        missing = tuple(channel.name for channel in used if not channel.connected)
        for channel in used:
            if channel.connected:
                self._found(channel)
        if missing and self._use.fails:
            more = f" and {len(missing) - _MOST_NAMED} more" if len(missing) > _MOST_NAMED else ""
            raise EzcaConnectError(f"{', '.join(missing[:_MOST_NAMED])}{more}: not connected. {_ASK}", missing)

    def check_connections(self) -> list[str]:
        """Full names of the channels used that are not connected now, as ezca's."""
        return list(self.disconnected())

    def disconnected(self) -> tuple[str, ...]:
        """Full names of the channels used that are not connected now. Touches no network."""
        return tuple(channel.name for channel in tuple(self._channels.values()) if not channel.connected)

    def lost(self, names: Iterable[str]) -> tuple[str, ...]:
        """Those of the full names `names` that are not connected now; call it until there are none.

        Costs microseconds. Now and then it has a lost channel searched for as if it were new, because libca takes
        seconds to notice that a server is back. Names that were never used here are left out: nothing here would
        notice when they come.
        """
        found = [channel for name in names if (channel := self._channels.get(name)) and not channel.connected]
        for channel in found:
            channel.search_again()
        return tuple(channel.name for channel in found)

    def used(self, full: str) -> Channel | None:
        """The channel of that full name, if user code has used it."""
        return self._channels.get(full)

    def apart(self, full: str, news: Callable[[], None]) -> Channel:
        """A channel of our own, which user code did not ask for: it is neither counted nor waited for here.

        Parameters
        ----------
        full : its name on the network.
        news : called in a thread of libca when its value or its connection has changed, see :class:`Channel`.
        """
        library = self._started(full)
        with self._registering:
            if self._closed:
                raise EzcaError(f"{full}: these channels are closed.")
            channel = Channel(library, full, news)
            self._apart.add(channel)
        return channel

    def give_back(self, channels: Iterable[Channel]) -> None:
        """Close channels that :meth:`apart` gave."""
        for channel in channels:
            channel.close()  # libca calls into it until this returns
            with self._registering:
                self._apart.discard(channel)

    def close(self) -> None:
        """Give all channels back. The object cannot be used any more."""
        self._closed = True
        if self._owns_keeper:
            self._keeper.end()
        atexit.unregister(self.close)
        while self._channels:
            self._channels.popitem()[1].close()
        while self._foreseen:
            self._foreseen.popitem()[1].close()
        while self._apart:
            self._apart.pop().close()

    def _connected(self, full: str, timeout_s: float | None, *, reads: bool = False) -> tuple[UsedChannel, float]:
        """The connected channel, and the deadline of the operation. The first use of a name waits for it."""
        channel = self._channels.get(full) or self._register(full)
        allowed_s = self._timeout_s if timeout_s is None else timeout_s
        if reads:
            channel.read_in = self._turn  # first, so that no change is missed
        began = time.monotonic()
        if channel.connected:
            return self._found(channel), began + allowed_s
        if channel.waited:
            raise EzcaConnectError(f"{full}: not connected. It is used again when its IOC is back.", (full,))
        channel.seek()
        if not channel.wait_connected(began + (self._patience.left_s if timeout_s is None else timeout_s)):
            short = timeout_s is None and self._patience.left_s < self._timeout_s
            waited_s = self._waited(began, [channel])
            why = "; what else this call misses has used up the rest of the timeout" if short else ""
            raise EzcaConnectError(f"{full}: no server answered within {waited_s:.1f} s{why}. {_ASK}", (full,))
        return self._found(channel), time.monotonic() + allowed_s  # all of it, however late it came

    def _found(self, channel: UsedChannel) -> UsedChannel:
        if not channel.needed:
            channel.needed = channel.waited = True  # a foreseen one was there before anybody waited
            self._met.append(channel.name)
            if not channel.connected:  # lost before its loss was worth telling
                self._keeper.ring()
        return channel

    def _kept_up(self) -> tuple[UsedChannel, ...]:
        """Those that the keeper looks after."""
        return tuple(self._channels.values())

    def _waited(self, began: float, channels: Iterable[Channel]) -> float:
        """Seconds that these were waited for; if one is missing, they count, and the keeper goes on searching."""
        waited_s = time.monotonic() - began
        if any(not channel.connected for channel in channels):
            self._keeper.ring()
            self._patience.in_vain(waited_s)
        return waited_s

    def _register(self, full: str) -> UsedChannel:
        library = self._started(full)
        with self._registering:
            if self._closed:
                raise EzcaError(f"{full}: these channels are closed.")
            # Known here before libca knows it: an interrupt cannot lose a channel that libca calls into.
            made = self._foreseen.get(full) or UsedChannel(library, full, self._changed, self._turned)
            channel = self._channels.setdefault(full, made)
            self._foreseen.pop(full, None)
        return channel

    def _started(self, full: str) -> Library:
        if self._library is None and not self._closed:
            # In a thread of its own, because an interrupt must not leave the library half initialised.
            _thread.start_new_thread(self._start_library, ())
            self._bells.wait(lambda: bool(self._library or self._failure), time.monotonic() + _START_TIMEOUT_S)
        if self._library is None:
            why = "is closed" if self._closed else f"does not start ({self._failure or 'it takes too long'})"
            raise EzcaError(f"{full}: Channel Access {why}.")
        return self._library

    def _start_library(self) -> None:
        with self._registering:
            if self._library is None and not self._closed:
                try:
                    self._library = Library()
                    # libca calls into channels for as long as they are open, so they must outlive whoever forgets us.
                    # Its own farewell was registered by Library() and runs after ours.
                    atexit.register(self.close)
                except Exception as error:
                    self._failure = error
        self._bells.ring()
        if self._library is not None:
            self._keeper.work()

    # -- in threads of libca ----------------------------------------------------------------------------------------

    def _changed(self, channel: UsedChannel, before: Sample, latest: Sample) -> None:
        heeded = self._wakes and channel.read_in == self._turn and channel.written_in < self._turn - 1
        if heeded and not wire.equal(before, latest):
            self._nudge()

    def _turned(self, channel: UsedChannel) -> None:
        self._keeper.ring()
        if self._wakes and channel.read_in == self._turn:
            self._nudge()


def _nothing(as_string: bool) -> Any:
    """What a channel is read as that is not there, and need not be."""
    return str(math.nan) if as_string else math.nan


def _shown(value: Any) -> str:
    text = str(value)
    return text if len(text) <= _SHOWN_LENGTH else text[: _SHOWN_LENGTH - 3] + "..."
