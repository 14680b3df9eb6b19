"""What user code calls ``ezca`` while its module is only looked at: no network, no waiting, and nothing is written.

A read gives nan, as the ezca of the field does with ``EZCA_CA=DISABLE``; a write does nothing. Whatever else the ezca
of a site can do (``switch``, ``get_LIGOFilter``, ...) is there too and does nothing: a module that uses it is not at
fault. Each use is remembered with its line, because user code that touches channels when it is imported makes its node
wait, or fail, wherever the module is loaded.

Names that are no names and names that cannot have a prefix are refused as by the real one, whose child this is. After
:func:`take_over` the process has no other channels: helper libraries make some for themselves (``Ezca('X1')``).
"""

from __future__ import annotations

import math
import os
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any, ClassVar

from guardian.access import channels, injected, node
from guardian.access.channels import Channels
from guardian.access.injected import Injected
from guardian.access.setpoints import read_table
from guardian.core.advice import ImportRead
from guardian.worker.faults import is_ours, is_users

#: How the methods of an ezca begin that ask and change nothing.
_QUESTIONS = ("get", "is_", "read")
#: Uses that are remembered; a loop over thousands of channels is told as well by the first of them.
MOST_REMEMBERED = 1000


def take_over() -> type[Injected]:
    """From now on whoever makes channels in this process gets such as these. The class that user code is to have."""
    vars(channels)["Channels"] = Offline
    node.settle(None)
    os.environ["EZCA_CA"] = "DISABLE"
    os.environ.pop("EZCA_TIMEOUT", None)
    return injected.choose(Offline, tools=False)[0]


class Offline(Channels):
    """Channels that are not there."""

    #: What user code did with all of them, each line and channel once, in the order in which they came first.
    uses: ClassVar[dict[ImportRead, None]] = {}

    def read(
        self,
        channel: str,
        log: bool = False,
        as_string: bool = False,
        *,
        fresh: bool = False,
        timeout: float | None = None,
    ) -> Any:
        """nan, as a text where a text is asked for."""
        self.full_name(channel)
        self._remember(channel, write=False)
        return str(math.nan) if as_string else math.nan

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
        """Nothing."""
        self.full_name(channel)
        self._remember(channel, write=True)

    def connect(self, *channels: str) -> Any:
        """Nothing; what it gives stands for a channel."""
        for channel in channels:
            self.full_name(channel)
            self._remember(channel, write=False)
        return _Nothing(math.nan)

    def init_setpoints(self, table: Iterable[Any], init: bool = False) -> None:
        """Nothing."""
        for name, _value, _given in read_table(table):
            self.full_name(name)
            self._remember(name, write=False)

    def setpoint_snap(self, snapfile: str | os.PathLike[str]) -> None:
        """Nothing: no file is written."""

    def __getattr__(self, method: str) -> Any:
        if method.startswith("_"):
            raise AttributeError(f"{type(self).__name__!r} object has no attribute {method!r}")

        def nothing(*args: Any, **kwargs: Any) -> _Nothing:
            channel = next((arg for arg in args if isinstance(arg, str)), method)
            self._remember(channel, write=not method.startswith(_QUESTIONS))
            return _Nothing(math.nan)

        return nothing

    def _remember(self, channel: str, *, write: bool) -> None:
        if len(self.uses) < MOST_REMEMBERED:
            self.uses[ImportRead(channel=str.__str__(channel), write=write, where=_line_of_user_code())] = None


class _Nothing(float):
    """A number that can be called, and has every attribute: what a filter, or a channel object, is offline."""

    def __call__(self, *args: Any, **kwargs: Any) -> _Nothing:
        return self

    def __getattr__(self, name: str) -> _Nothing:
        if name.startswith("__"):
            raise AttributeError(name)
        return self


def _line_of_user_code() -> str:
    """ "FILE.py:LINE" of the innermost line that is of the user, else of anybody but us."""
    others = ""
    frame = sys._getframe(1)
    while frame is not None:
        file = frame.f_code.co_filename
        if not is_ours(file):
            here = f"{Path(file).name}:{frame.f_lineno}"
            if is_users(file):
                return here
            others = others or here
        frame = frame.f_back  # type: ignore[assignment]
    return others
