"""How long the states of each node take, kept over restarts: one file a node, in ``durations`` in the state directory.

The files are written by a lane, at most once a minute, and at the end; so a host that is killed forgets a minute. What
they say is good to know and nobody depends on it, so a file that is damaged is put aside and told, and a disk that is
full costs what was learnt since, and keeps no node from anything.

A file is one JSON object, ``{"format": 1, "states": {"LOCKED": {"done": [count, sum, [newest last]], "stay": ...}}}``.
Names that are not known are passed over, they are of a newer version.
"""

from __future__ import annotations

import json
import math
import stat
import time
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

from guardian.core import documents
from guardian.core.ailments import Ailment
from guardian.core.durations import RECENT, Spans, StateTimes
from guardian.core.events import Action
from guardian.core.stopwatch import Stopwatch
from guardian.core.threads import Seen
from guardian.enums import Severity
from guardian.host.files import RETRY_S, Clock, Lane, Trouble, aside_name, sync_dir, write_atomic

FORMAT = 1
#: The files are written no more often than this; the PV is shown no more often than that. Seconds.
WRITTEN_S, SHOWN_S = 60.0, 5.0
#: No such file is larger, it would have tens of thousands of states; what is, is not one.
_SIZE_MAX = 64_000_000
#: Seconds; no state takes so long.
_LONGEST_S = 1e12


class NodeDurations:
    """What is known of one node; on the event loop."""

    def __init__(self, times: Mapping[str, StateTimes], changed: Callable[[], None]) -> None:
        self._watch = Stopwatch(times)
        self._told = changed
        self._text = documents.durations(self._watch.times)
        self._fresh = True
        self._shown_at = -math.inf

    def hear(self, actions: Iterable[Action], *, complete: bool, now: float) -> None:
        """See `guardian.core.durations.Stopwatch.hear`."""
        if self._watch.hear(actions, complete=complete, now=now):
            self._fresh = False
            self._told()

    def leave(self) -> None:
        """The node leaves its host."""
        self._watch.leave()

    def text(self, now: float) -> str:
        """What DURATIONS shows. Made anew only if something was learnt, and not more often than in :data:`SHOWN_S`."""
        if not self._fresh and now - self._shown_at >= SHOWN_S:
            self._text, self._fresh, self._shown_at = documents.durations(self._watch.times), True, now
        return self._text

    def snapshot(self) -> dict[str, StateTimes]:
        """All of one moment; from any thread."""
        return self._watch.times.copy()


class Durations:
    """Those of all nodes of a host.

    Parameters
    ----------
    folder : made when it is first needed. warn : told what was wrong with a file, of which node.
    """

    def __init__(
        self,
        folder: Path,
        *,
        warn: Callable[[str, str], None] = lambda node, text: None,
        clock: Clock = time.time,
        gap_s: float = WRITTEN_S,
        retry_s: tuple[float, float] = RETRY_S,
    ) -> None:
        self._folder = folder
        self._warn = warn
        self._clock = clock
        self._nodes: dict[str, NodeDurations] = {}
        self._unsaved: dict[str, None] = {}
        advice = "What was learnt is kept in memory and written later: make room or repair the directory."
        trouble = Trouble(f"how long states take is not written in {folder}", advice, clock)
        self._lane = Lane("durations", self._write, trouble=trouble, gap_s=gap_s, retry_s=retry_s)

    def of(self, node: str) -> NodeDurations:
        """What is known of a node. It begins anew: it is nowhere yet."""
        if node not in self._nodes:
            self._nodes[node] = NodeDurations(self._read(node), lambda: self._changed(node))
        self._nodes[node].leave()
        return self._nodes[node]

    def ailment(self) -> Ailment | None:
        """What is wrong with the files, for whoever watches the host."""
        text = self._lane.trouble.text()
        return None if text is None else Ailment(what="durations", severity=Severity.MINOR, text=text, dated=True)

    def threads(self) -> tuple[Seen, ...]:
        """The thread that writes, and whether it hangs."""
        return (self._lane.seen(),)

    def flush(self, timeout_s: float) -> bool:
        """Wait until all that was learnt so far is written."""
        return self._lane.wait_done(timeout_s)

    def close(self, timeout_s: float = 5.0) -> bool:
        """Write what is left and end the thread. False if something could not be written in time."""
        return self._lane.close(timeout_s)

    def trouble(self) -> str | None:
        """What is wrong with the files and since when; None while all is well."""
        return self._lane.trouble.text()

    def _changed(self, node: str) -> None:
        if node not in self._unsaved:
            self._unsaved[node] = None
            self._lane.wake()

    def _write(self) -> None:
        if not self._unsaved:
            return
        self._folder.mkdir(parents=True, exist_ok=True)
        for node in list(self._unsaved):
            self._unsaved.pop(node, None)  # before it is looked at: what comes meanwhile is written next time
            try:
                write_atomic(_file(self._folder, node), encode(self._nodes[node].snapshot()), durable=True)
            except BaseException:
                self._unsaved[node] = None
                raise
        sync_dir(self._folder)

    def _read(self, node: str) -> dict[str, StateTimes]:
        path = _file(self._folder, node)
        try:
            return read(self._folder, node)
        except (OSError, ValueError) as error:
            aside = aside_name(path, self._clock())
            try:
                path.rename(aside)
                kept = f"it was moved to {aside.name}"
            except OSError as fault:
                kept = f"it could not be moved aside ({fault.strerror})"
            why = (error.strerror or str(error)) if isinstance(error, OSError) else str(error)
            self._warn(node, f"{path} is damaged: {why}; {kept}, and how long states take is learnt anew")
            return {}


def read(folder: Path, node: str) -> dict[str, StateTimes]:
    """What is stored of a node; empty if nothing is.

    Raises
    ------
    OSError, ValueError
        The file cannot be read, or is damaged.
    """
    path = _file(folder, node)
    try:
        info = path.stat()
        if not stat.S_ISREG(info.st_mode) or info.st_size > _SIZE_MAX:
            raise ValueError("it is too large, or no file at all")
        return decode(path.read_bytes())
    except (FileNotFoundError, NotADirectoryError):
        return {}


def encode(times: Mapping[str, StateTimes]) -> bytes:
    """The content of a file."""
    states = {state: {"done": _packed(one.done), "stay": _packed(one.stay)} for state, one in times.items()}
    return json.dumps({"format": FORMAT, "states": states}, separators=(",", ":")).encode() + b"\n"


def decode(data: bytes) -> dict[str, StateTimes]:
    """:func:`encode` backwards.

    Raises
    ------
    ValueError
    """
    try:
        states = json.loads(data)["states"]
        return {
            str(state): StateTimes(done=_unpacked(one["done"]), stay=_unpacked(one["stay"]))
            for state, one in states.items()
        }
    except (KeyError, TypeError, AttributeError, OverflowError, RecursionError) as error:
        raise ValueError(f"it has not what it should have ({error!r})"[:200]) from None


def _packed(spans: Spans) -> list[Any]:
    return [spans.count, spans.total_s, list(spans.recent)]


def _unpacked(value: Any) -> Spans:
    count, total_s, recent = value
    if type(count) is not int or not all(_is_time(one) for one in (count, total_s, *recent)):
        raise ValueError(f"{str(value)[:60]} are no times")
    return Spans(count=count, total_s=float(total_s), recent=tuple(map(float, recent[-RECENT:])))


def _is_time(value: Any) -> bool:
    return type(value) in (int, float) and 0 <= value <= _LONGEST_S


def _file(folder: Path, node: str) -> Path:
    return folder / f"{node}.json"
