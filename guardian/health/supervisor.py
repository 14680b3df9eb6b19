"""What a process has that is supervised by a host of ours: the seam between this room and the worker."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any

from guardian.core.threads import Watched
from guardian.enums import ProcessState


@dataclass(frozen=True, slots=True, kw_only=True)
class Supervisor:
    """The host, as its worker sees it.

    Parameters
    ----------
    name : of the process. sysname : of the system. shown : whether others of this machine shall see its state.
    counters : of watched threads, shared with the host. report : tells it all that are watched.
    reached : tells it how far the process has come. hung : tells it why the process is about to end.
    shield : held in the main thread round what must not be cut in two.
    """

    name: str
    sysname: str
    shown: bool
    counters: memoryview[int]
    report: Callable[[tuple[Watched, ...]], None]
    reached: Callable[[ProcessState], None]
    hung: Callable[[str], None]
    shield: Callable[[], AbstractContextManager[Any]] = nullcontext
