"""Waiting until nodes are where they were asked to be, or it is clear that they will not be.

"Arrived" is said of the request that was made here and of no other: SUMMARY carries its id, and one SUMMARY is one
moment. A node without SUMMARY, an original Guardian's, shows values of several moments, so there what is seen must hold
for a while.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass

from guardian.cli.output import FAILED, OK, STALLED, TIMED_OUT
from guardian.client.remote import Remote
from guardian.core.facts import UNKNOWN, Facts
from guardian.enums import NONE_STATE

#: How long what an original Guardian shows must hold: longer than one of its cycles, and than the way of a few PVs.
PLAIN_HOLD_S = 0.5
#: Progress is shown, and the end of the time is seen, so often at least.
TICK_S = 0.5
#: Of a terminal that does not say how wide it is.
COLUMNS = 80
_WORST_FIRST = (FAILED, STALLED, TIMED_OUT, OK)


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """One request. `id`: of the REQUEST_CMD, "" for a plain write; `before`: REQUEST_ID until then, None if unknown."""

    state: str
    id: str = ""
    before: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """How it ended: an exit code, the end of a sentence that begins with the node, and a word for programs."""

    code: int
    text: str
    word: str


def verdict(asked: Asked, facts: Facts) -> Verdict | None:
    """What has become of a request that was accepted; None: it is on the way."""
    if not facts.there:
        return None  # it may come back, and says then what became of the request
    if asked.before is not None and facts.request_id is not None and facts.request_id <= asked.before:
        return None
    if facts.request != asked.state or (asked.id and facts.cmd != asked.id):
        by = f" by {facts.by}" if facts.by else ""
        return Verdict(code=FAILED, word="replaced", text=f"was asked for {facts.request}{by} meanwhile")
    if asked.state == NONE_STATE:
        return Verdict(code=OK, word="arrived", text=f"has no request, it rests in {facts.state}")
    if facts.error == "ERROR":
        return Verdict(code=FAILED, word="failed", text=f"does not get there: {facts.reason}")
    if facts.state == asked.state and facts.status == "DONE":
        return Verdict(code=OK, word="arrived", text=f"arrived in {facts.state}")
    if facts.stalled:
        return Verdict(code=STALLED, word="stalled", text=f"stalled: {facts.reason}")
    return None


def worst(codes: Sequence[int]) -> int:
    """The exit code for all together."""
    return next(code for code in _WORST_FIRST if code in codes or code == OK)


def _where(facts: Facts) -> str:
    """Where a node is that has not arrived, and what keeps it there."""
    if not facts.there:
        return "it does not answer"
    parts = [f"it is in {facts.state}, STATUS {facts.status}"]
    if facts.target not in (facts.state, UNKNOWN):
        parts.append(f"next comes {facts.target}")
    if facts.error == "CONNECT":
        parts.append(f"it waits for {', '.join(facts.connect) or 'a channel'}")
    if facts.op in ("STOP", "PAUSE"):
        parts.append(f"OP is {facts.op}")
    return ", ".join(parts) + (f"; because {facts.because}" if facts.because else "")


class Progress:
    """One line on the terminal that is written again and again; nothing where stderr is no terminal."""

    def __init__(self) -> None:
        self._shown = ""
        self._on = sys.stderr.isatty()

    def show(self, text: str) -> None:
        if self._on:
            room = _columns() - 1
            line = text if len(text) <= room else text[: max(room - 3, 0)] + "..."
            if line != self._shown:
                print("\r" + line.ljust(len(self._shown)), end="", file=sys.stderr, flush=True)
                self._shown = line

    def clear(self) -> None:
        """Before something else is printed."""
        if self._shown:
            print("\r" + " " * len(self._shown) + "\r", end="", file=sys.stderr, flush=True)
            self._shown = ""


def _columns() -> int:
    try:
        return os.get_terminal_size(sys.stderr.fileno()).columns or COLUMNS
    except OSError:
        return COLUMNS


class Waiting:
    """The nodes that have not ended yet. They are followed from before the request on, see :meth:`Remote.follow`."""

    def __init__(self, asked: Sequence[tuple[Remote, Asked]]) -> None:
        self._left = {remote.node: (remote, one) for remote, one in asked}
        self._since = time.monotonic()
        self._seen: dict[str, tuple[Verdict, float]] = {}

    def run(self, timeout_s: float, progress: Progress) -> dict[str, Verdict]:
        """Wait for all; returns how each ended."""
        try:
            return self._run(timeout_s, progress)
        finally:
            progress.clear()

    def _run(self, timeout_s: float, progress: Progress) -> dict[str, Verdict]:
        ended: dict[str, Verdict] = {}
        until = self._since + timeout_s
        while self._left:
            session = next(iter(self._left.values()))[0].session
            for remote, _ in self._left.values():
                remote.news = False
            facts = {node: remote.heard() for node, (remote, _) in self._left.items()}
            over = time.monotonic() >= until
            for node, said in facts.items():
                found = self._judge(node, said)
                if found is None and over:
                    text = f"has not arrived in {timeout_s:g} s: {_where(said)}"
                    found = Verdict(code=TIMED_OUT, word="timed out", text=text)
                if found is not None:
                    ended[node] = found
                    del self._left[node]
            if self._left:
                progress.show(self._line({node: facts[node] for node in self._left}))
                left_s = max(0.0, until - time.monotonic())
                session.wait(lambda: any(remote.news for remote, _ in self._left.values()), min(TICK_S, left_s))
        return ended

    def _judge(self, node: str, facts: Facts) -> Verdict | None:
        found = verdict(self._left[node][1], facts)
        if found is None or facts.ours:
            return found
        now = time.monotonic()
        before = self._seen.get(node)
        if before is None or before[0] != found:
            self._seen[node] = (found, now)
            return None
        return found if now - before[1] >= PLAIN_HOLD_S else None

    def _line(self, facts: dict[str, Facts]) -> str:
        def one(said: Facts) -> str:
            if not said.there:
                return f"{said.node} lost"
            because = f" because {said.because}" if len(facts) == 1 and said.because else ""
            return f"{said.node} {said.state} -> {said.target} ({said.status}){because}"

        return f"{time.monotonic() - self._since:3.0f} s  waiting for {', '.join(map(one, facts.values()))}"
