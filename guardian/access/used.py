"""A channel that user code uses: besides its value it knows when it was used, so that it can tell who wants to know.

Calls of user code are numbered. :class:`~guardian.access.channels.Channels` sets the numbers and is told of changes, in
a thread of libca, as for any channel: it may set flags and ring bells, no more.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from guardian.access.channel import Channel
from guardian.access.libca import Library
from guardian.access.wire import Sample

_NEVER = -9


class UsedChannel(Channel):
    """A channel with the calls that used it.

    Parameters
    ----------
    changed : called with it, and with what the monitor gave last before and now.
    turned : called with it when it was connected or lost.

    Attributes
    ----------
    read_in, written_in : number of the last call that did.
    needed : the present code has used it while it was there, so its loss is worth telling.
    """

    def __init__(
        self,
        library: Library,
        name: str,
        changed: Callable[[UsedChannel, Sample, Sample], None],
        turned: Callable[[UsedChannel], None],
    ) -> None:
        super().__init__(library, name)
        self.read_in = self.written_in = _NEVER
        self.needed = False
        self._changed = changed
        self._turned = turned

    def _connection(self, args: Any) -> None:
        super()._connection(args)
        self._turned(self)

    def _event(self, args: Any) -> None:
        before = self._latest
        super()._event(args)
        latest = self._latest
        if args.user is None and before is not None and latest is not None:
            self._changed(self, before, latest)
