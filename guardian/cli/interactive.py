"""``guardian -i [NODE]``: a shell in which the names of a module are there, as its code finds them.

It is Python's own shell, inside the module: ``LIMIT = 3`` changes what the functions of the module see, and
``ALIGNED(log).main()`` tries a state by hand. ezca, log, notify, SYSTEM, IFO and SITE are there without a module, too.
Node objects speak for the node that was named: what is asked and taken is asked and taken by it.

On a terminal a module that does not load is no end: the traceback and a line say why, and the rest is there. What comes
through a pipe is a program. It is read to its end and then run, and nothing is on stdout but what it prints. It is not
begun where the module does not load (exit code 2), and ends where it raises (1).
"""

from __future__ import annotations

import faulthandler
import linecache
import sys
from code import InteractiveConsole
from contextlib import suppress
from functools import partial
from typing import Any, NoReturn

from guardian._version import __version__
from guardian.access import injected, node
from guardian.access.channels import Channels
from guardian.access.subordinates import Subordinates
from guardian.cli.foreground import Log
from guardian.cli.output import FAILED, OK, WRONG_CALL, complain, tell
from guardian.errors import EzcaError, SystemLoadError
from guardian.worker import namespace, system
from guardian.worker.faults import user_traceback
from guardian.worker.link import Load
from guardian.worker.logs import message
from guardian.worker.newborn import end_with


def interact(load: Load) -> NoReturn:
    """Be the shell, and end this process with it, whatever threads user code has left."""
    end_with(partial(_interact, load))


def _interact(load: Load) -> int:
    names: dict[str, Any] = {"__name__": "__main__"}
    try:
        ezca = _settle(load)
    except EzcaError as error:  # of the environment
        complain("guardian", str(error))
        return WRONG_CALL
    here = f"none, {load.node} does not load" if load.node else "none, no module is named"
    try:
        if load.node:
            found = system.load(load.node, load.paths)
            ezca.use_prefix(found.facts.prefix)
            names = vars(found.module)
            here = f"{' '.join(found.states)}, and all that is in {found.facts.module}"
            for warning in found.facts.warnings:
                tell("guardian", warning)
    except SystemLoadError as error:
        if error.details:
            print(error.details, file=sys.stderr)
        complain("guardian", str(error))
        if not sys.stdin.isatty():
            return WRONG_CALL
    if not sys.stdin.isatty():
        return _run(names)
    with suppress(ImportError):
        import readline
        import rlcompleter

        readline.set_completer(rlcompleter.Completer(names).complete)
        readline.parse_and_bind("tab: complete")
    given = f"ezca ({ezca.prefix or 'no prefix'}), log, notify, SYSTEM, IFO, SITE"
    banner = f"guardian {__version__}: a Python shell; Ctrl-D ends it\nof the module: {here}\nof every module: {given}"
    _Shell(names).interact(banner, exitmsg="")
    return OK


def _settle(load: Load) -> Channels:
    """Give this process what user code finds everywhere. What is called ezca has no prefix yet."""
    log = Log(load.node or "guardian").log

    def notify(text: object, *args: object) -> None:
        log(f"notify: {message(text, args)}", level="WARNING")

    kind, complaint = injected.choose(Channels)
    if complaint:
        tell("guardian", complaint)
    ezca = kind.of_node(load.ifo, log=log)
    namespace.inject(node=load.node, ifo=load.ifo, site=load.site, ezca=ezca, log=log, notify=notify)
    nodes = Subordinates(
        load.node or "guardian",
        ifo=load.ifo,
        template=load.pv,
        channels=ezca,
        bonds=(),
        notify=notify,
        log=log,
        report=lambda _report: None,
        changed=lambda: None,
    )
    node.settle(nodes if ezca.use.reads else None)
    if ezca.use.said:
        log(ezca.use.said, level="WARNING")
    sys.dont_write_bytecode = True
    faulthandler.enable()
    system.prepare(load.paths)
    return ezca


def _run(names: dict[str, Any]) -> int:
    """Run the program that comes on standard input."""
    try:
        program = sys.stdin.read()
        linecache.cache["<stdin>"] = (len(program), None, program.splitlines(keepends=True), "<stdin>")
        exec(compile(program, "<stdin>", "exec", dont_inherit=True), names)
    except SystemExit:
        raise
    except BaseException as error:
        print(user_traceback(error), file=sys.stderr)
        return FAILED
    return OK


class _Shell(InteractiveConsole):
    """Shows tracebacks of user code as the log does, without frames that are ours."""

    def showtraceback(self) -> None:
        error = sys.exception()
        assert error is not None and error.__traceback__ is not None
        sys.last_type, sys.last_value = type(error), error  # for pdb.pm()
        sys.last_traceback = error.__traceback__ = error.__traceback__.tb_next
        self.write(user_traceback(error) + "\n")
