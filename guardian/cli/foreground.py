"""User code that has the terminal: its log, and a worker without a host.

In a node all that user code says goes down the pipe of the log, and it has nothing to read. Here only ``log`` and
Python's logging make lines of a log, on standard output. What is printed goes there as it is, and user code may read,
so that ``breakpoint()`` works.

The worker is a fork of the command that started it, and stays in the terminal's foreground with it. A signal that ends
programs reaches both; it is the command's business, and means Stop to the worker. Handlers do all of that, so it works
while the command waits, be it for whoever reads the log. What does not end in time is cut off, and says where it was:
faulthandler does that without Python, so it works while C code holds the interpreter. What the worker has started and
left comes to the command, and goes with it.
"""

from __future__ import annotations

import contextlib
import faulthandler
import io
import os
import select
import signal
import socket
import sys
import time
from collections.abc import Callable, Iterator
from functools import partial
from types import FrameType
from typing import Self

from guardian.core.events import Report, Stop
from guardian.enums import Call
from guardian.host.logline import lines_of
from guardian.worker import link, newborn, process
from guardian.worker.beat import BeatReader, BeatWriter, create_page
from guardian.worker.descendants import children
from guardian.worker.faults import where_in_dump
from guardian.worker.interrupt import DUMP_SIGNAL
from guardian.worker.logs import LogWriter, take_logging
from guardian.worker.system_calls import adopt_orphans, die_with_parent

#: What a method gets to end (R10), and then each harder way to end it.
STOP_S = 1.0
CLEAR_S = 2.0
_ENDS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
_GEN = 1
_MOST_DUMPED = 1 << 20


class Log(LogWriter):
    """What user code calls ``log``. A line is one write without a buffer: threads and forks never mix theirs."""

    def __init__(self, node: str) -> None:
        super().__init__(os.dup(1), lambda: None)  # its own: user code may do to 1 what it likes
        self._node = node
        if isinstance(sys.stdout, io.TextIOWrapper):
            sys.stdout.reconfigure(line_buffering=True, errors="backslashreplace")
        take_logging(self)

    def flush(self) -> None:
        """Show what was printed without a newline."""
        with contextlib.suppress(Exception):  # user code may have put anything there
            sys.stdout.flush()

    def send(self, text: str, level: str) -> None:
        """Write each line of `text`, after what was printed before. That nobody reads is no fault of user code."""
        self.flush()
        for line in lines_of(self._node, text, level=level, context=self.context):
            with contextlib.suppress(OSError):
                os.write(self._fd, f"{line}\n".encode(errors="backslashreplace"))


class Worker:
    """The worker of this command. ``with`` it, listen to :meth:`reports` until its end, and then ask how it ended."""

    def __init__(self, load: link.Load, log: Log) -> None:
        self.signal: signal.Signals | None = None  #: the one that ended it
        self.method: Call | None = None  #: the one of its present state that it was in then; None: between two
        self.cut_off = False  #: it has not ended by itself
        self.code = 0  #: its exit code, as of Popen
        self._strangers = {one.pid for one in children(os.getpid())}
        adopt_orphans()
        self._heard = [number for number in _ENDS if signal.getsignal(number) is not signal.SIG_IGN]  # else: nohup
        self._handle_signals(lambda *_: None)
        self._sock, theirs = socket.socketpair()
        page, self._dump = create_page(), os.memfd_create("guardian-dump")
        self._beat = BeatReader(page)
        log.flush()
        parent, self._pid = os.getpid(), os.fork()
        if not self._pid:
            self._sock.close()
            newborn.end_with(partial(_live, parent, theirs, page, self._dump, log))
        theirs.close()
        self._end = os.pidfd_open(self._pid)
        self._end_at: float | None = None  # when it is cut off
        signal.signal(signal.SIGALRM, self._tick)
        # Python handles a signal between two instructions. One that comes after the last of them before a system call
        # that waits would be handled when that call ends; so every call is interrupted now and then.
        signal.setitimer(signal.ITIMER_REAL, STOP_S, STOP_S)
        self._handle_signals(self._signalled)
        self.tell(load)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        """Kill what is left of it: what it started and left has come to us, generation by generation."""
        self._handle_signals(lambda *_: None)
        signal.setitimer(signal.ITIMER_REAL, 0)
        deadline = time.monotonic() + CLEAR_S
        while left := [one.pid for one in children(os.getpid()) if one.pid not in self._strangers]:
            for pid in left:
                with contextlib.suppress(OSError):
                    os.kill(pid, signal.SIGKILL)
                    os.waitpid(pid, os.WNOHANG)
            if time.monotonic() > deadline:  # it belongs to another user, or the kernel holds it
                return
            time.sleep(0.01)

    def tell(self, message: link.Message) -> None:
        """Give it a command."""
        with contextlib.suppress(OSError):  # it is dying, and its end will say so
            self._sock.sendall(link.encode(_GEN, message))
        if isinstance(message, Stop):
            self._hurry()

    def reports(self) -> Iterator[Report]:
        """What it says, until it has ended.

        Raises
        ------
        LinkError
            It is nothing that a worker says.
        """
        poller, lines = select.poll(), link.Lines()
        for fd in (self._sock.fileno(), self._end):
            poller.register(fd, select.POLLIN)
        while True:
            ready = {fd for fd, _ in poller.poll()}
            if self._sock.fileno() in ready:
                if data := self._received():
                    yield from (link.decode(line)[1] for line in lines.feed(data))
                else:
                    poller.unregister(self._sock)
                    self._hurry()
            elif self._end in ready:
                break
        self.code = os.waitstatus_to_exitcode(os.waitpid(self._pid, 0)[1])
        if self.signal is None:
            self.method = self._beat.read().method

    @property
    def line(self) -> str:
        """The line of user code it was in when it was cut off, or crashed: "SUS.py:31", or ""."""
        return where_in_dump(os.pread(self._dump, _MOST_DUMPED, 0).decode(errors="replace"))

    def _handle_signals(self, handler: Callable[[int, FrameType | None], None]) -> None:
        for number in self._heard:
            signal.signal(number, handler)

    def _received(self) -> bytes:
        try:
            return self._sock.recv(65536)
        except ConnectionError:
            return b""

    def _signalled(self, number: int, _frame: FrameType | None) -> None:
        if self.signal is None:
            self.signal, self.method = signal.Signals(number), self._beat.read().method
            self.tell(Stop())

    def _hurry(self) -> None:
        """It is to end now."""
        if self._end_at is None:
            self._end_at = time.monotonic() + STOP_S
            signal.setitimer(signal.ITIMER_REAL, STOP_S, STOP_S)

    def _tick(self, *_: object) -> None:
        """If its time is over, it says where it is, and dies of it. If it does not do even that, it is killed."""
        if self._end_at is None or time.monotonic() < self._end_at:
            return
        with contextlib.suppress(ProcessLookupError):
            signal.pidfd_send_signal(self._end, signal.SIGKILL if self.cut_off else DUMP_SIGNAL)
        self.cut_off = True


def _live(parent: int, sock: socket.socket, page: int, dump: int, log: Log) -> int:
    """Be the worker."""
    if not die_with_parent(parent):
        return newborn.EXIT_EXCEPTION
    faulthandler.enable(dump)
    faulthandler.register(DUMP_SIGNAL, file=dump, all_threads=True, chain=True)  # and then what it does: it kills
    return process.work(sock, _GEN, BeatWriter(page), log)
