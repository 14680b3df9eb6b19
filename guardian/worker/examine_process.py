"""The process in which a module is loaded to be looked at: ``python -m guardian.worker.examine_process FD``.

Started by `examine`, which see. The order comes on stdin, the answer goes to descriptor FD; what user code prints goes
to stderr, from Python and from C. The process ends in a hurry, because threads and exit handlers of user code may hold
up an orderly end.
"""

from __future__ import annotations

import contextlib
import faulthandler
import json
import os
import resource
import sys
from typing import NoReturn

import msgspec

from guardian.errors import SystemLoadError
from guardian.worker import logs, namespace, system
from guardian.worker.examine import EXIT_RUINED, READY, Answer, Examined, Order
from guardian.worker.faults import describe
from guardian.worker.newborn import EXIT_UNLINKED
from guardian.worker.offline import Offline, take_over
from guardian.worker.survey import survey
from guardian.worker.system_calls import die_with_parent, flush_c_streams

_exit = os._exit


def main() -> NoReturn:
    """Do the order, answer, and end."""
    answers = int(sys.argv[1])
    os.set_inheritable(answers, False)
    order = msgspec.json.decode(sys.stdin.buffer.read(), type=Order)
    if not die_with_parent(order.parent):
        _exit(EXIT_UNLINKED)
    for stream in (sys.stdout, sys.stderr):
        stream.reconfigure(line_buffering=True, errors="backslashreplace")  # type: ignore[union-attr]
    sys.dont_write_bytecode = True
    os.write(answers, READY)
    sys.excepthook = lambda *_: _exit(EXIT_RUINED)
    _tell_the_end(answers)
    answer = _answer(order)
    for stream in (sys.__stdout__, sys.__stderr__):
        with contextlib.suppress(Exception):  # user code may have closed it
            stream.flush()  # type: ignore[union-attr]
    flush_c_streams()
    data = json.dumps(msgspec.to_builtins(answer), ensure_ascii=False).encode(errors="replace") + b"\n"
    try:
        while data:
            data = data[os.write(answers, data) :]
    except OSError:
        _exit(EXIT_UNLINKED)
    _exit(0)


def _tell_the_end(fd: int) -> None:
    """Have the place in user code written to `fd` when the process crashes or is ended."""
    pid = os.getpid()

    def exit_(status: int) -> NoReturn:
        if os.getpid() == pid:
            faulthandler.dump_traceback(fd, all_threads=False)
        _exit(status)

    faulthandler.enable(fd, all_threads=False)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    vars(os).update(_exit=exit_)


def _answer(order: Order) -> Answer:
    ezca = take_over().of_node(order.ifo, log=_log)
    namespace.inject(node=order.node, ifo=order.ifo, site=order.site, ezca=ezca, log=_log, notify=_log)
    try:
        loaded = system.load(order.node, order.paths)
    except SystemLoadError as error:
        return Answer(fault=str(error), details=error.details)
    try:
        facts, source = survey(loaded, tuple(Offline.uses))
        return Answer(examined=Examined(facts=facts, source=source))
    except BaseException as error:  # classes of user code may raise whatever they like when they are looked at
        return Answer(bug=describe(error))


def _log(text: object, *args: object, level: str = "INFO") -> None:
    """What user code calls ``log``, and ``notify``."""
    print(logs.message(text, args), file=sys.stderr)


if __name__ == "__main__":
    main()
