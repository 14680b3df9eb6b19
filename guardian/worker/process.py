"""The worker process of one node, from its first instruction to its last. Forked by ``forkserver.py``.

Few threads of control: the main thread runs user code and the loop round it; one thread reads the link, so that
commands arrive, and interrupt, while user code runs; two more exist once user code has named other nodes, or set a
channel; libca's threads exist once it has used a channel.
The process ends when told to, when the host closes the link, or by force.

A child that user code forks is not the worker: it gets no link and no turn of the loop. If it comes back out of the
method in which it was made, it ends there.
"""

from __future__ import annotations

import faulthandler
import os
import select
import signal
import socket
import sys
import threading
import time
import traceback
from collections.abc import Callable, Sequence
from contextlib import nullcontext, suppress
from typing import Any, NoReturn, get_args

from guardian.access import injected, node
from guardian.access.channels import Channels
from guardian.access.subordinates import Subordinates
from guardian.access.watch import Watch
from guardian.core import events
from guardian.core.events import Command, GiveUp, Leave, Loaded, LoadFailed, Report, Stop
from guardian.core.interface import node_pvs
from guardian.core.threads import Watched
from guardian.enums import ProcessState
from guardian.errors import EzcaError, Interrupted, LinkError, SystemLoadError
from guardian.health import process as health
from guardian.health.adoption import adopt
from guardian.health.supervisor import Supervisor
from guardian.state import GuardState
from guardian.worker import link, logs, namespace
from guardian.worker.beat import BeatWriter
from guardian.worker.exchange import Code
from guardian.worker.inbox import Inbox
from guardian.worker.interrupt import DUMP_SIGNAL, Interrupter
from guardian.worker.loop import Loop
from guardian.worker.newborn import EXIT_UNLINKED
from guardian.worker.notices import Notices
from guardian.worker.read_only import ReadOnly
from guardian.worker.sources import Telling
from guardian.worker.system import System

#: How often the number of channels is told, at most.
CHANNELS_EVERY_S = 1.0
#: How long a worker that ends waits until the host was told what was set.
FLUSH_S = 0.3
#: Between two shots at a method that goes on, in milliseconds.
AGAIN_MS = 250
#: New code is read while the old code runs, and must not slow it down.
CHECK_NICENESS = 10
_COMMANDS = get_args(Command)


class Uplink:
    """Sends reports. A line is never cut in two, neither by an interrupt nor by another thread."""

    def __init__(self, sock: socket.socket, gen: int, interrupter: Interrupter) -> None:
        self._sock = sock
        self._gen = gen
        self._interrupter = interrupter
        self._lock = threading.RLock()

    def send(self, report: Report) -> None:
        line = link.encode(self._gen, report)
        with self._interrupter.shield():
            try:
                with self._lock:
                    self._sock.sendall(line)
            except ConnectionError:
                os._exit(0)  # the host is gone, and with it the reason to live
            except OSError:
                os._exit(EXIT_UNLINKED)


class Downlink(threading.Thread):
    """Reads commands into the inbox, and interrupts user code for those that cannot wait.

    Parameters
    ----------
    switch : obeys the switches of the set-point monitor, and LOGLEVEL, at once.
    rest : what was read from the socket behind the first word.
    """

    def __init__(
        self,
        sock: socket.socket,
        inbox: Inbox,
        interrupter: Interrupter,
        switch: Callable[[events.Watch | events.Verbosity], None],
        rest: bytes = b"",
    ) -> None:
        super().__init__(name="guardian-link", daemon=True)
        self._sock = sock
        self._inbox = inbox
        self._interrupter = interrupter
        self._switch = switch
        self._lines = link.Lines()
        self._hunted = 0  # the call that is being interrupted
        self._take_all(rest)

    def run(self) -> NoReturn:
        try:
            poller = select.poll()
            poller.register(self._sock, select.POLLIN)
            while True:
                if not poller.poll(AGAIN_MS if self._hunted else None):
                    if not self._interrupter.shoot_again(self._hunted):
                        self._hunted = 0
                    continue
                data = self._sock.recv(65536)
                if not data:
                    break
                self._take_all(data)
        except OSError:
            os._exit(EXIT_UNLINKED)  # user code has closed it
        except Exception:
            sys.stderr.write(traceback.format_exc())
        finally:
            os._exit(0)  # deaf, so of no use

    def _take_all(self, data: bytes) -> None:
        for line in self._lines.feed(data):
            command = link.decode(line)[1]
            if not isinstance(command, _COMMANDS):
                raise LinkError(f"link: {type(command).__name__} is no command to a worker; please report it")
            if isinstance(command, GiveUp):
                self._hunted = self._interrupter.shoot(0) or self._hunted
                continue
            if isinstance(command, (events.Watch, events.Verbosity)):
                self._switch(command)
                continue
            self._inbox.put(command)
            if isinstance(command, Stop):
                self._hunted = self._interrupter.shoot() or self._hunted
            elif isinstance(command, Leave) and command.interrupt:
                self._hunted = self._interrupter.shoot(command.entry) or self._hunted


def main(spec: dict[str, Any], fds: Sequence[int]) -> int:
    """Run a worker.

    Parameters
    ----------
    spec : ``{"gen": generation}``.
    fds : the link (a stream socket), the write end of the log pipe, the beat page; all become this process's own.
    """
    link_fd, log_fd, beat_fd = fds
    beat = BeatWriter(beat_fd)
    os.close(beat_fd)
    writer = logs.install(log_fd, beat)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    faulthandler.register(DUMP_SIGNAL, file=2, all_threads=True)
    sock = socket.socket(fileno=link_fd)
    sock.setblocking(True)
    code = work(sock, int(spec["gen"]), beat, writer)
    health.process.end()
    return code


def work(sock: socket.socket, gen: int, beat: BeatWriter, writer: logs.LogWriter) -> int:
    """Load what the first word on `sock` names, and run it until Stop.

    Parameters
    ----------
    gen : the generation, which is in all it says. writer : what user code calls log.
    """
    interrupter = Interrupter()
    uplink = Uplink(sock, gen, interrupter)
    load, rest = _first_word(sock)
    writer.level = load.log_level
    process = adopt(_as_supervised(load, beat, uplink, interrupter))
    inbox = Inbox()
    notices = Notices(
        lambda texts: uplink.send(events.Notifications(entry=0, texts=texts)),
        time.monotonic,
    )
    kind, complaint = injected.choose(ReadOnly if load.check else Channels)
    try:
        channels = kind.of_node(
            load.ifo,
            log=writer.log,
            nudge=inbox.nudge,
            lost=lambda names: None if load.check else uplink.send(events.Lost(channels=names)),
        )
    except EzcaError as error:  # of the environment
        uplink.send(LoadFailed(reason=f"{load.node}: {error}"))
        return 0
    channels.memory.is_node_pv = node_pvs(load.pv, ifo=load.ifo).fullmatch
    notify = _Notify(notices, interrupter, writer.log)
    namespace.inject(
        node=load.node,
        ifo=load.ifo,
        site=load.site,
        ezca=channels,
        log=writer.log,
        notify=notify,
    )
    nodes, watch = None, None
    if not load.check:
        watch = Watch(channels, restored=load.setpoints, report=uplink.send, stand=notices.stand, say=writer.log)
    if channels.use.reads and not load.check:
        nodes = Subordinates(
            load.node,
            ifo=load.ifo,
            template=load.pv,
            channels=channels,
            bonds=load.bonds,
            notify=notify,
            log=writer.log,
            report=uplink.send,
            changed=inbox.nudge,
        )
    node.settle(nodes)  # code that is only checked speaks to nobody, nor does any where EZCA_CA=DISABLE

    def switch(command: events.Watch | events.Verbosity) -> None:
        if isinstance(command, events.Verbosity):
            writer.level = command.level
        elif watch is not None:
            watch.switch(monitor=command.monitor and channels.use.reads, notify=command.notify)

    Downlink(sock, inbox, interrupter, switch, rest).start()
    os.register_at_fork(after_in_child=sock.close)
    writer.context = "check" if load.check else "load"
    if complaint:
        writer.log(complaint, level="WARNING")
    if load.check:
        os.nice(CHECK_NICENESS)
    sys.dont_write_bytecode = True
    importing = nodes.importing if nodes is not None else nullcontext
    code = Code(load, channels, stopped=lambda: inbox.ends_call(0), importing=importing)
    with suppress(EzcaError):  # code that uses channels will say so
        channels.foresee(load.channels)
    if channels.use.said and not load.check:
        writer.log(channels.use.said, level="WARNING")
    process.reach(ProcessState.LOADCFG)
    try:
        loaded = interrupter.call(code.load)
    except SystemLoadError as error:
        if error.details:
            writer.log(error.details, level="ERROR")
        uplink.send(LoadFailed(reason=str(error)))
        return 0
    except Interrupted:
        return 0
    finally:
        writer.flush()
    writer.context = ""
    sources = Telling(load.archived, uplink.send, interrupter.shield)
    sources.loaded()
    uplink.send(Loaded(facts=loaded.facts))
    process.reach(ProcessState.READY)
    if watch is None:
        return 0
    watch.listed(loaded.facts.ca_channels, anew=False)

    def exchange(state: str, instance: GuardState | None) -> tuple[System, GuardState | None]:
        system, converted = code.exchange(state, instance)
        watch.listed(system.facts.ca_channels, anew=True)
        sources.loaded()
        return system, converted

    loop = Loop(
        states=loaded.states,
        inbox=inbox,
        send=uplink.send,
        interrupter=interrupter,
        beat=beat,
        notices=notices,
        channels=channels,
        log=writer.log,
        say=lambda level, text: writer.log(text, level=level),
        context=lambda text: setattr(writer, "context", text),
        after_call=_AfterCall(writer, channels, uplink, sources),
        exchange=exchange,
        reactive=loaded.facts.reactive is not False,
    )
    del loaded  # else the code of today lives on after it was exchanged
    loop.run()
    watch.flush(FLUSH_S)
    return 0


class _AfterCall:
    """What follows every call of user code: its unfinished line is shown; new channels and new files are told."""

    def __init__(self, writer: logs.LogWriter, channels: Channels, uplink: Uplink, sources: Telling) -> None:
        self._writer = writer
        self._channels = channels
        self._uplink = uplink
        self._sources = sources
        self._told = (0, 0)
        self._told_at = float("-inf")
        self._pid = os.getpid()

    def __call__(self) -> None:
        self._writer.flush()
        if os.getpid() != self._pid:
            os._exit(0)  # a child that user code forked, and that came back
        self._sources.called()
        found = self._channels.count, len(self._channels.met)
        now = time.monotonic()
        if found != self._told and now - self._told_at >= CHANNELS_EVERY_S:
            met = tuple(self._channels.met[self._told[1] : found[1]])
            self._told, self._told_at = found, now
            self._uplink.send(events.Channels(total=found[0], met=met))


def _as_supervised(load: link.Load, beat: BeatWriter, uplink: Uplink, interrupter: Interrupter) -> Supervisor:
    """What `guardian.health` needs of a host. It is told nothing of code that is only checked."""

    def report(threads: tuple[Watched, ...]) -> None:
        if not load.check:
            uplink.send(events.ThreadsWatched(threads=threads))

    def reached(state: ProcessState) -> None:
        if not load.check:
            uplink.send(events.Reached(state=state))

    def hung(why: str) -> None:
        if not load.check:
            uplink.send(events.Hung(why=why))

    return Supervisor(
        name=f"{load.ifo}:{load.node}" if load.ifo else load.node,
        sysname=load.site or load.ifo,
        shown=not load.check,
        counters=beat.counters,
        report=report,
        reached=reached,
        hung=hung,
        shield=interrupter.shield,
    )


def _first_word(sock: socket.socket) -> tuple[link.Load, bytes]:
    """Wait for Load; what came behind it in the same packet is handed back."""
    data = b""
    while b"\n" not in data:
        more = sock.recv(65536)
        if not more:
            os._exit(0)
        data += more
    line, _, rest = data.partition(b"\n")
    load = link.decode(line)[1]
    if not isinstance(load, link.Load):
        raise LinkError(f"link: the first word was {type(load).__name__}, not Load; please report it")
    return load, rest


class _Notify:
    """R14: what user code calls ``notify(text)``, with the same %-style second form as log."""

    def __init__(self, notices: Notices, interrupter: Interrupter, log: Callable[[str], None]) -> None:
        self._notices = notices
        self._interrupter = interrupter
        self._log = log
        self._pid = os.getpid()

    def __call__(self, text: object, *args: object) -> None:
        shown = logs.message(text, args)
        if os.getpid() != self._pid:  # a child of user code has no link, but may write to the log
            self._log(shown)
            return
        with self._interrupter.shield():
            self._notices.give(shown)
