"""A host that decides nothing: it starts real workers, says what a test says, and keeps all that it hears.

The workers come from the real forkserver through the real spawner, whose event loop turns in a thread of its own; so
tests are plain functions and one forkserver serves a whole module. Each :class:`Worker` holds the other ends of link,
log pipe and beat page. All its waits have a deadline, and one that fails prints everything the worker said.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import os
import select
import signal
import socket
import textwrap
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, TypeVar

from guardian.core.events import Command, Enter, Leave, Left, Loaded, LoadFailed, Report, Returned, Stop
from guardian.core.graph import SystemFacts
from guardian.enums import OnComplete
from guardian.host.logs import open_pipe
from guardian.host.spawner import Event, Exited, Failed, Spawner
from guardian.worker import link
from guardian.worker.beat import Beat, BeatReader, create_page
from guardian.worker.logs import parse_frame

#: Generous: the machine may run four other test suites.
PATIENCE_S = 30.0
ENTRY = "guardian.worker.process:main"
GEN = 7

R = TypeVar("R")


class Host:
    """A forkserver and the workers of one test module.

    Parameters
    ----------
    env : added to the environment of all workers.
    """

    def __init__(self, env: Mapping[str, str] | None = None) -> None:
        self._keys = itertools.count(1)
        self._ends: dict[str, Exited | Failed] = {}
        self._news = threading.Condition()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="fake host", daemon=True)
        self._thread.start()
        self._spawner = Spawner(env=env, on_event=self._on_event)
        self._on_loop(self._spawner.start)

    def close(self) -> None:
        self._on_loop(self._spawner.stop)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(PATIENCE_S)
        self._loop.close()

    @contextlib.contextmanager
    def worker(
        self, folder: Path, source: str, *, node: str = "SUS", more: Mapping[str, str] | None = None, **load: Any
    ) -> Iterator[Worker]:
        """A worker that was told to load module `node`, gone with all it started after the block.

        Parameters
        ----------
        source : text of the module. more : text of other modules, by name. load : further fields of ``Load``.
        """
        for name, text in {node: source, **(more or {})}.items():
            (folder / f"{name}.py").write_text(textwrap.dedent(text))
        worker = Worker(self, f"{node}#{next(self._keys)}")
        try:
            worker.tell(link.Load(node=node, **{"ifo": "X1", "site": "XLAB", "paths": (str(folder),), **load}))
            yield worker
        finally:
            worker.close()

    def spawn(self, key: str, fds: list[int]) -> None:
        async def ask() -> None:
            self._spawner.spawn(key, ENTRY, {"gen": GEN}, fds)

        self._on_loop(ask)

    def kill(self, key: str, sig: int = signal.SIGKILL) -> None:
        async def ask() -> None:
            self._spawner.kill(key, sig)

        self._on_loop(ask)

    def end_of(self, key: str, timeout_s: float) -> Exited | Failed | None:
        with self._news:
            self._news.wait_for(lambda: key in self._ends, timeout_s)
            return self._ends.get(key)

    def _on_loop(self, call: Callable[[], Any]) -> Any:
        return asyncio.run_coroutine_threadsafe(call(), self._loop).result(90)

    def _on_event(self, event: Event) -> None:
        if isinstance(event, (Exited, Failed)):
            with self._news:
                self._ends[event.key] = event
                self._news.notify_all()


class Worker:
    """The host's ends of one worker. ``reports`` holds what it told, with the time of hearing; ``log`` what it said."""

    def __init__(self, host: Host, key: str) -> None:
        self._host = host
        self.key = key
        self.entry = 0
        self.reports: list[tuple[float, Report]] = []
        self.log: list[str] = []
        self._given: set[int] = set()  # numbers of the reports that `hear` has given out
        self._lines = link.Lines()
        self._log_rest = b""
        self._at_end = False
        self._sock, theirs = socket.socketpair()
        self._log_fd, log_write = open_pipe()
        os.set_blocking(self._log_fd, False)
        page = create_page()
        self._page = BeatReader(page)
        host.spawn(key, [theirs.fileno(), log_write, page])
        theirs.close()
        os.close(log_write)
        os.close(page)

    # --- saying ------------------------------------------------------------------------------------------------

    def tell(self, *messages: link.Load | Command) -> None:
        """All of them in one packet."""
        self.send(b"".join(link.encode(GEN, message) for message in messages))

    def send(self, data: bytes) -> None:
        self._sock.sendall(data)

    def hang_up(self) -> None:
        """Close the link, as a host does that dies."""
        self._sock.shutdown(socket.SHUT_RDWR)

    def enter(self, state: str, on_complete: OnComplete = OnComplete.KEEP) -> int:
        """Enter a state; the number of the entry."""
        self.entry += 1
        self.tell(Enter(entry=self.entry, state=state, on_complete=on_complete))
        return self.entry

    def leave(self, *, interrupt: bool = True, timeout_s: float = PATIENCE_S) -> float:
        """Leave the present entry; seconds until the worker said that it has."""
        began = time.monotonic()
        self.tell(Leave(entry=self.entry, interrupt=interrupt))
        self.hear(Left, lambda left: left.entry == self.entry, timeout_s=timeout_s)
        return time.monotonic() - began

    def stop(self) -> float:
        """Stop it; seconds until it was gone. It must have ended by itself, in good order."""
        began = time.monotonic()
        self.tell(Stop())
        end = self.end()
        assert isinstance(end, Exited) and end.code == 0, f"it ended badly: {end}\n{self.story()}"
        return time.monotonic() - began

    # --- hearing -----------------------------------------------------------------------------------------------

    def hear(self, kind: type[R], where: Callable[[R], object] = lambda _: True, *, timeout_s: float = PATIENCE_S) -> R:
        """The next report of that kind, of which `where` is true; one that was given out does not come again."""

        def find() -> R | None:
            for at, (_, report) in enumerate(self.reports):
                if at not in self._given and isinstance(report, kind) and where(report):
                    self._given.add(at)
                    return report
            return None

        return self.until(find, f"{kind.__name__}", timeout_s)

    def loaded(self) -> SystemFacts:
        """What it says of the system it has loaded."""
        return self._word(Loaded).facts

    def load_failed(self) -> str:
        """Why it could not load, after it has gone."""
        reason = self._word(LoadFailed).reason
        end = self.end()
        assert isinstance(end, Exited) and end.code == 0, self.story()
        return reason

    def _word(self, kind: type[R]) -> R:
        word = self.hear(object, lambda report: isinstance(report, (Loaded, LoadFailed)))
        assert isinstance(word, kind), f"heard {word}\n{self.story()}"
        return word

    def outcome(self) -> bool | str:
        """The outcome that the next report of the present entry tells."""
        return self.hear(Returned, lambda report: report.entry == self.entry).outcome

    def says(self, words: str, timeout_s: float = PATIENCE_S) -> str:
        """The first line of the log that contains `words`; waits for it."""
        return self.until(
            lambda: next((line for line in self.log if words in line), ""), f"{words!r} in the log", timeout_s
        )

    def numbers(self, mark: str) -> list[float]:
        """The numbers behind `mark` in the lines of the log so far: how user code tells times."""
        self._take(0)
        return [float(line.split(mark, 1)[1].split()[0]) for line in self.log if mark in line]

    def of(self, kind: type[R]) -> list[R]:
        """All reports of that kind so far."""
        self._take(0)
        return [report for _, report in self.reports if isinstance(report, kind)]

    def beat(self) -> Beat:
        return self._page.read()

    def until(self, condition: Callable[[], R | None], what: str, timeout_s: float = PATIENCE_S) -> R:
        """Listen until `condition` is true, and return what it is."""
        deadline = time.monotonic() + timeout_s
        while True:
            self._take(0)
            if found := condition():
                return found
            left = deadline - time.monotonic()
            if left <= 0 or (self._at_end and not self._take(0)):
                raise AssertionError(f"waited {timeout_s:g} s for {what}\n{self.story()}")
            self._take(min(left, 0.05))

    def listen(self, seconds: float) -> None:
        """Listen for a while, because nothing is to be heard."""
        until = time.monotonic() + seconds
        self.until(lambda: time.monotonic() > until, "the time to pass")

    def end(self, timeout_s: float = PATIENCE_S) -> Exited | Failed:
        """How it ended; waits for it."""
        end = self._host.end_of(self.key, timeout_s)
        self._take(0)
        if end is None:
            raise AssertionError(f"it still runs after {timeout_s:g} s\n{self.story()}")
        return end

    @property
    def has_ended(self) -> bool:
        return self._host.end_of(self.key, 0) is not None

    def story(self) -> str:
        """All that is known of it: the text of every failure."""
        zero = self.reports[0][0] if self.reports else 0.0
        told = [f"  {at - zero:9.3f} {report}" for at, report in self.reports[-40:]]
        said = [f"  {line}" for line in self.log[-60:]]
        end = self._host.end_of(self.key, 0)
        return "\n".join([f"--- worker {self.key}: {end or 'still there'}", *told, "--- its log", *said, "---"])

    def close(self) -> None:
        """End it, whatever it does."""
        self._host.kill(self.key)
        self.end()
        self._sock.close()
        os.close(self._log_fd)
        self._page.close()

    def _take(self, timeout_s: float) -> bool:
        """Take what is there, after waiting for something at most so long; whether there was anything."""
        sources: list[Any] = [self._log_fd] if self._at_end else [self._sock, self._log_fd]
        ready, _, _ = select.select(sources, [], [], timeout_s)
        if self._sock in ready:
            with contextlib.suppress(ConnectionResetError):
                data = self._sock.recv(1 << 20)
                now = time.monotonic()
                self._at_end = not data
                for line in self._lines.feed(data):
                    gen, report = link.decode(line)
                    assert gen == GEN
                    self.reports.append((now, report))
        data = b""
        if self._log_fd in ready:
            with contextlib.suppress(BlockingIOError):
                data = os.read(self._log_fd, 1 << 20)
            *whole, self._log_rest = (self._log_rest + data).split(b"\n")
            for raw in whole:
                frame = parse_frame(raw)
                text = (
                    raw.decode(errors="replace") if frame is None else f"{frame.level} [{frame.context}] {frame.text}"
                )
                self.log.append(text)
        return bool(data) or self._sock in ready
