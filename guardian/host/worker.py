"""The host's end of one worker process: its link, its log pipe, its beat page. It starts one and talks to it.

Nothing here blocks: what a worker does not read yet waits in a buffer, what it says is read a piece a turn, so that one
that never stops talking leaves the host time for the others. A worker that lets the buffer run full, says what is no
message, or closes its link and stays, is beyond help and is killed.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from guardian.core.events import Report, Stop
from guardian.errors import LinkError
from guardian.host.logrules import LogBudget
from guardian.host.logs import LogReader, open_pipe
from guardian.host.logsink import LogSink
from guardian.host.spawner import Spawner
from guardian.worker import link
from guardian.worker.beat import Beat, BeatReader, create_page
from guardian.worker.interrupt import DUMP_SIGNAL

ENTRY = "guardian.worker.process:main"
#: Bytes of commands that may wait for a worker which does not read.
BUFFER_BYTES = 1 << 20
#: Bytes of reports taken in one turn of the loop.
READ_BYTES = 4096
#: What a worker gets to say where it stands before it is killed, in seconds.
LAST_WORDS_S = 0.1
#: What a worker that has closed its link gets to end by itself, and then by force until it is missed, in seconds.
UNLINKED_S, MISSED_S = 1.0, 5.0


class WorkerHandle:
    """One worker of one node.

    Parameters
    ----------
    budget : what it may say to the log.
    key : its name at the spawner, "NODE#..." and unique. gen : its generation. report : called with the generation a
        report names, and the report. told : called when all was reported that one read has brought.
    missed : called when nothing can be told to it any more, and nobody tells its end.
    """

    def __init__(
        self,
        *,
        node: str,
        key: str,
        gen: int,
        spawner: Spawner,
        sink: LogSink,
        budget: LogBudget | None = None,
        environ: Mapping[str, str],
        report: Callable[[int, Report], None],
        told: Callable[[], None] = lambda: None,
        missed: Callable[[], None] = lambda: None,
    ) -> None:
        self.gen = gen
        self.key = key
        self._node = node
        self._sink = sink
        self._loop = asyncio.get_running_loop()
        self._spawner = spawner
        self._report = report
        self._told = told
        self._missed = missed
        self._lines = link.Lines()
        self._waiting = bytearray()
        self._timers: list[asyncio.TimerHandle] = []  # must not outlive it: a later worker may have the same key
        with contextlib.ExitStack() as ours_or_none, contextlib.ExitStack() as theirs:
            self._sock, their_sock = socket.socketpair()
            ours_or_none.callback(self._sock.close)
            theirs.callback(their_sock.close)
            log_read, log_write = open_pipe()
            ours_or_none.callback(os.close, log_read)
            theirs.callback(os.close, log_write)
            page = create_page()
            theirs.callback(os.close, page)
            self._beat = BeatReader(page)
            ours_or_none.pop_all()
            self._log = LogReader(log_read, node, sink, budget=budget, lost=lambda: self._beat.read().dropped)
            spec = {"gen": gen, "env": dict(environ)}
            spawner.spawn(self.key, ENTRY, spec, [their_sock.fileno(), log_write, page])
        self._sock.setblocking(False)
        self._loop.add_reader(self._sock, self._readable)

    def send(self, message: link.Message) -> None:
        """Tell the worker something; never waits."""
        if self._sock.fileno() < 0:
            return
        self._waiting += link.encode(self.gen, message)
        self._flush()
        if len(self._waiting) > BUFFER_BYTES:
            self._waiting.clear()
            self._spawner.kill(self.key)

    def kill(self) -> None:
        """End it with force, after it has told its log where it stands."""
        self._spawner.kill(self.key, DUMP_SIGNAL)
        self._kill_in(LAST_WORDS_S)

    def end(self, timeout_s: float) -> None:
        """Tell it to stop, and end it with force if it has not done so in time."""
        self.send(Stop())
        self._kill_in(timeout_s)

    def beat(self) -> Beat:
        return self._beat.read()

    @property
    def counters(self) -> Sequence[int]:
        """Of its watched threads, by slot."""
        return self._beat.counters

    def close(self) -> None:
        """The process is gone: take what it said last, and give everything back."""
        for timer in self._timers:
            timer.cancel()
        try:
            while self._read():
                pass
        finally:
            self._shut()
            self._log.close()
            self._beat.close()

    def _kill_in(self, delay_s: float) -> None:
        self._timers.append(self._loop.call_later(delay_s, self._spawner.kill, self.key))

    def _miss_in(self, delay_s: float) -> None:
        self._timers.append(self._loop.call_later(delay_s, self._missed))

    def _shut(self) -> None:
        if self._sock.fileno() >= 0:
            self._loop.remove_reader(self._sock)
            self._loop.remove_writer(self._sock)
            self._sock.close()

    def _flush(self) -> None:
        while self._waiting:
            try:
                sent = self._sock.send(self._waiting)
            except BlockingIOError:
                self._loop.add_writer(self._sock, self._flush)
                return
            except OSError:
                self._waiting.clear()  # it is dying; the spawner will say so
                return
            del self._waiting[:sent]
        self._loop.remove_writer(self._sock)

    def _readable(self) -> None:
        if not self._read() and self._sock.fileno() < 0:
            self._kill_in(UNLINKED_S)  # nothing can be told to it any more
            self._miss_in(UNLINKED_S + MISSED_S)

    def _read(self) -> bool:
        """Take what one read gives; False if there is nothing (more)."""
        if self._sock.fileno() < 0:
            return False
        try:
            data = self._sock.recv(READ_BYTES)
        except BlockingIOError:
            return False
        except OSError:
            data = b""
        if not data:
            self._shut()
            return False
        self._take(data)
        return True

    def _take(self, data: bytes) -> None:
        try:
            for line in self._lines.feed(data):
                self._report(*link.decode(line))
        except (LinkError, RecursionError) as error:
            self._sink.line(self._node, f"worker {self.gen} is killed: {error}", level="ERROR")
            self._shut()
            self._spawner.kill(self.key)
        finally:
            self._told()


def worker_environ(values: Mapping[str, Any]) -> dict[str, str]:
    """Environment of a worker: what is set, as text."""
    return {k: str(v) for k, v in values.items() if v}
