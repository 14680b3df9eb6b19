"""Runs a host in the foreground until a signal ends it: what `guardian` and `guardhost` share.

This is where the rooms meet: the host, its Channel Access face, its control socket and its log.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import faulthandler
import gc
import logging
import os
import resource
import signal
import sys
import time
from collections.abc import Coroutine, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

from guardian.cli.hang_up import HangUp
from guardian.cli.kept import Kept
from guardian.cli.output import FAILED, OK, WRONG_CALL, complain, tell
from guardian.core.names import pv_name
from guardian.enums import LoadStatus
from guardian.errors import ExosError, ExpectedError, GuardianError
from guardian.health import process
from guardian.host import notify
from guardian.host.control import Control
from guardian.host.doorkeeper import Doorkeeper
from guardian.host.host import NAME, Host
from guardian.host.logfiles import LogFiles
from guardian.host.logsink import LogSink
from guardian.host.notify import Notify
from guardian.host.places import LOGS
from guardian.host.service import Service
from guardian.host.site import Site
from guardian.host.site_file import File, SiteFile

CA_PORT = 5064
#: Descriptors a host may use where nothing forbids it: three a node, one a client; a shell often gives 1024.
DESCRIPTORS = 65536
#: A thread that writes files gives the interpreter back to the loop after this time, not after Python's 5 ms; seconds.
SWITCH_S = 0.0005
#: What a library says again within this time is counted, not written.
SAME_AGAIN_S = 1.0
MOST_REMEMBERED = 100
_USED_UP = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM})


def run(
    command: str,
    site: Site,
    *,
    first_load_must_work: bool = False,
    kept: Kept | None = None,
    file: File | None = None,
) -> int:
    """Run the nodes of `site` until SIGINT or SIGTERM.

    Parameters
    ----------
    kept : what the keeper said, if there is one. file : where `site` is from; SIGHUP has it read anew.

    Returns
    -------
    int
        The exit code.
    """
    # procServ starts its children with these blocked: it could not end us, nor could user code end what it starts.
    # HangUp sees to SIGHUP, when it can be taken.
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT, signal.SIGTERM, signal.SIGPIPE})
    sys.setswitchinterval(SWITCH_S)
    gc.disable()  # until the nodes are there, see below
    _allow_descriptors()
    told = notify.take(os.environ, {os.getpid(), os.getppid()} if kept else ())  # the keeper's number is the service's
    if told:
        with contextlib.suppress(AttributeError, ValueError, OSError):  # no stderr that has a descriptor
            faulthandler.enable(file=sys.stderr)  # a watchdog ends it by SIGABRT: then it says where it stands
    try:
        return asyncio.run(
            _run_kept(command, site, told, first_load_must_work=first_load_must_work, kept=kept, file=file)
        )
    except ExpectedError as error:
        complain(command, str(error))
        return WRONG_CALL
    except GuardianError as error:
        complain(command, str(error))
        return FAILED
    except KeyboardInterrupt:
        return FAILED


def _allow_descriptors() -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = DESCRIPTORS if hard == resource.RLIM_INFINITY else min(DESCRIPTORS, hard)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        with contextlib.suppress(OSError, ValueError):  # a sandbox may forbid it
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def _sink(site: Site) -> LogSink:
    """Where the log of the host goes."""
    link = site.state_dir / LOGS
    files = LogFiles(site.log_folder, site.logs.bounds, link=link) if site.logs.files else None
    target = 1 if site.log is None else site.log
    return LogSink(target, files=files, level=site.logs.level, bounds=site.logs.bounds)


class _ToSink(logging.Handler):
    """What libraries and the Channel Access face have to say goes into the log of the host.

    The same again within a second is counted, not written.
    """

    def __init__(self, sink: LogSink) -> None:
        super().__init__(logging.WARNING)
        self._sink = sink
        self._said: dict[str, tuple[float, int]] = {}  # when it was written last, how often it came since

    def emit(self, record: logging.LogRecord) -> None:
        what, now = f"{record.name}: {record.getMessage()}", time.monotonic()
        written_at, again = self._said.get(what, (float("-inf"), 0))
        if now - written_at < SAME_AGAIN_S:
            self._said[what] = (written_at, again + 1)
            return
        if len(self._said) >= MOST_REMEMBERED:
            self._said.clear()
        self._said[what] = (now, 0)
        text = f"{record.name}: {self.format(record)}" + (f"\n(and {again} times more before)" if again else "")
        self._sink.line(NAME, text, level=record.levelname)


def _on_fault(host: Host, loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    """What went wrong where nobody waits for it. That nobody can be accepted any more is the host's trouble."""
    error = context.get("exception")
    if isinstance(error, OSError) and error.errno in _USED_UP:
        host.troubles.wanted("a connection could not be taken")
    elif isinstance(error, ValueError) and "_start_serving" in repr(context.get("handle")):
        pass  # asyncio tries a hundred times a second then, also when the socket was closed meanwhile, as at the end
    else:
        loop.default_exception_handler(context)


async def _run_kept(
    command: str, site: Site, told: Notify, *, first_load_must_work: bool, kept: Kept | None, file: File | None
) -> int:
    if kept is None:
        return await _run(command, site, told, first_load_must_work=first_load_must_work, file=file)
    async with kept.beating():
        return await _run(
            command,
            site,
            told,
            first_load_must_work=first_load_must_work,
            file=file,
            after=kept.last,
            keeper=os.getppid(),
        )


async def _run(
    command: str,
    site: Site,
    told: Notify,
    *,
    first_load_must_work: bool,
    file: File | None,
    after: str = "",
    keeper: int = 0,
) -> int:
    from ioc.server import Server  # caproto is heavy: not for --help

    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for sig in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(sig, stop.set)
    hang_up = HangUp(stop, is_read_anew=file is not None)
    sink = _sink(site)
    handler = _ToSink(sink)
    logging.getLogger().addHandler(handler)
    if after:
        sink.line(NAME, f"this host is started by its keeper: {after}", level="ERROR")

    def say(text: str, level: str) -> None:
        sink.line(NAME, text, level=level)

    try:
        doorkeeper = await Doorkeeper.begin(site.access, lambda: (file.read() if file else site).access, say)
    except ExpectedError:
        logging.getLogger().removeHandler(handler)
        sink.close()
        raise
    server = Server(ifo=site.ifo, template=site.pv, security=doorkeeper, on_reader=doorkeeper.on_reader)
    doorkeeper.on_change = server.rights_changed
    ousted: list[str] = []

    def on_ousted(why: str) -> None:
        ousted.append(why)
        stop.set()

    host = Host(site, server, sink, security=doorkeeper, on_ousted=on_ousted)
    loop.set_exception_handler(partial(_on_fault, host))
    service = Service(host, told, say)
    site_file = None if file is None else SiteFile(host, file, doorkeeper, say, service.reloading)
    control = Control(host, doorkeeper, site_file, keeper=keeper)
    service.open()
    code = OK
    try:
        service.starts(f"takes {_nodes(site.nodes)}")
        names = _without(host.reserve(site.nodes), site.nodes, command)
        if not names:
            return WRONG_CALL
        host.preload()
        port = await server.start(site.port)
        names = _without(await host.claim(names), names, command)
        if not names:
            return WRONG_CALL
        service.starts(f"shows {_nodes(names)}")
        if await _unless(stop, _put_up(host, control, names)):
            gc.freeze()  # what is there now stays: the collector need not look through it again and again
            gc.enable()
            await loop.run_in_executor(None, process.ready)
            service.ready()
            host.follow(replace(host.site, fresh=False))  # that was said of the start
            if site_file is not None:
                hang_up.follow = site_file.signalled
                site_file.ready()
            _announce(command, replace(site, nodes=tuple(host)), port)
        if first_load_must_work and not stop.is_set():
            code = await _first_load(command, host, tuple(host), stop)
        if code == OK:
            await stop.wait()
        for why in ousted:
            complain(command, f"nothing is left to run: {why}")
            code = WRONG_CALL
    finally:
        service.stops()
        hang_up.close()
        await control.stop()
        if site_file is not None:
            await site_file.stop()
        faults = await host.stop()
        await server.stop()
        await service.close()
        logging.getLogger().removeHandler(handler)
        for fault in faults:
            tell(command, fault)
        if lost := sink.close():
            tell(command, f"the last {lost} lines of the log could not be written")
    return code or (FAILED if faults else OK)


async def _put_up(host: Host, control: Control, names: Sequence[str]) -> None:
    """All that takes long of a start: hundreds of nodes, imports from a slow disk."""
    await host.start()
    await asyncio.get_running_loop().run_in_executor(None, _be_called, host.process_name)
    await control.start()
    await host.put_up(names)


async def _unless(stop: asyncio.Event, work: Coroutine[Any, Any, None]) -> bool:
    """Whether `work` was done: it is given up as soon as somebody wants the end."""
    task, ended = asyncio.create_task(work), asyncio.create_task(stop.wait())
    try:
        await asyncio.wait((task, ended), return_when=asyncio.FIRST_COMPLETED)
    finally:
        ended.cancel()
        task.cancel()
        await asyncio.wait((task, ended))
    if task.cancelled():
        return False
    task.result()
    return True


def _be_called(name: str) -> None:
    """Programs on this machine may ask how far the host has come, by the name that its PROC_NAME shows."""
    try:
        process.set_process_name(name)
    except ExosError as error:
        logging.getLogger(__name__).warning("%s", error)
    process.loading()


def _without(refused: Mapping[str, str], names: Sequence[str], command: str) -> list[str]:
    """The nodes that are left to run. The others are told."""
    for why in refused.values():
        complain(command, why)
    return [name for name in names if name not in refused]


async def _first_load(command: str, host: Host, names: Sequence[str], stop: asyncio.Event) -> int:
    """A module that does not load is told in one line, not left to be found on a screen."""
    ended = asyncio.create_task(stop.wait())
    loads = [
        asyncio.create_task(host[n].wait_for(lambda v: v.load_status in (LoadStatus.DONE, LoadStatus.ERROR)))
        for n in names
    ]
    await asyncio.wait([ended, *loads], return_when=asyncio.FIRST_COMPLETED)
    for task in (ended, *loads):
        task.cancel()
    await asyncio.gather(ended, *loads, return_exceptions=True)
    for name in names:
        if name in host and host[name].view.load_status is LoadStatus.ERROR:
            complain(command, host[name].view.message)
            return WRONG_CALL
    return OK


def _nodes(names: Sequence[str]) -> str:
    """A few by name, many by number."""
    return ", ".join(names) if len(names) <= 4 else f"{len(names)} nodes"


def _announce(command: str, site: Site, port: int) -> None:
    names = _nodes(site.nodes)
    example = pv_name(site.pv, ifo=site.ifo, node=site.nodes[0], name="STATE") if site.nodes else ""
    tell(command, f"{names} on Channel Access port {port}, for instance {example}")
    if port != CA_PORT:
        line = f"export EPICS_CA_ADDR_LIST=127.0.0.1 EPICS_CA_AUTO_ADDR_LIST=NO EPICS_CA_SERVER_PORT={port}"
        tell(command, f"clients need: {line}")
    tell(command, f"guardctrl --state-dir {site.state_dir} list; Ctrl-C ends")
