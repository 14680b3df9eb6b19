"""``caget``, ``caput`` and ``camonitor`` for machines without EPICS.

Output and options are those of the tools of EPICS base, as far as people use them, so that eyes and scripts find what
they know. The exit codes tell the truth: 0 done, 1 not connected, refused or not done in time, 2 wrong call. A refused
put says why on stderr, in the server's own words where the protocol carries any: with a plain ``caput``. A ``caput -c``
gets a status only.

Run as ``python -m guardian.cli.catools caget NAME``, or through wrappers of these three names.
"""

from __future__ import annotations

import contextlib
import getopt
import json
import os
import queue
import signal
import sys
import threading
from collections.abc import Callable, Sequence
from typing import Any

from guardian.cli.catext import (
    Options,
    WrongCall,
    arrived,
    encode,
    kind_to_ask,
    named_line,
    padded,
    value_text,
    whole_line,
)
from guardian.cli.output import FAILED, OK, WRONG_CALL, complain
from guardian.client.ca import Channel, Reading, Refused, Session
from guardian.errors import ExpectedError

_DEFAULT_TIMEOUT_S = 2.0  # EPICS has 1.0: a client on a busy machine needs more, and EPICS_CLI_TIMEOUT works here too
_LATE_OBJECTION_S = 0.3  # how long a plain put listens for a refusal when the value read back is not the one written

_COMMON = f"""\
  -w SECONDS  wait so long for connections and answers (default EPICS_CLI_TIMEOUT, else {_DEFAULT_TIMEOUT_S:g})
  -n          enums as numbers
  -S          CHAR arrays as text
  -# COUNT    at most COUNT elements of an array
  -F CHAR     separator between the fields (default a space)
  -e N, -f N, -g N   floating point with %e, %f, %g and N digits
"""

_USAGE = {
    "caget": "usage: caget [options] NAME...\n"
    + _COMMON
    + "  -t          terse: values only\n"
    + "  -a          wide: name, time stamp, value, alarm\n"
    + "  -s          numbers as the server writes them (its precision)\n"
    + "  --json      one JSON object a line\n",
    "caput": "usage: caput [options] NAME VALUE\n       caput -a [options] NAME COUNT VALUE...\n"
    + "  options come before NAME, so a VALUE may begin with a minus sign\n"
    + _COMMON
    + "  -c          wait until the server says that the put is done\n"
    + "  -t          terse: the new value only\n"
    + "  -s          VALUE is text, also for an enum\n"
    + "  -a          an array; COUNT is how many values follow\n",
    "camonitor": "usage: camonitor [options] NAME...        (ends with ctrl-C)\n"
    + _COMMON
    + "  -s          numbers as the server writes them (its precision)\n"
    + "  --json      one JSON object a line\n",
}

_LETTERS = {"caget": "hw:nS#:F:e:f:g:tas", "caput": "hw:nS#:F:e:f:g:ctsa", "camonitor": "hw:nS#:F:e:f:g:s"}

# -- the three commands -----------------------------------------------------------------------------------------------


def caget_main(argv: Sequence[str]) -> int:
    """Print the present values of PVs."""
    return _run("caget", argv, _caget)


def caput_main(argv: Sequence[str]) -> int:
    """Write one PV, and show its value before and after."""
    return _run("caput", argv, _caput)


def camonitor_main(argv: Sequence[str]) -> int:
    """Print every change of PVs until SIGINT or SIGTERM."""
    return _run("camonitor", argv, _camonitor)


def main(argv: Sequence[str] | None = None) -> int:
    """``python -m guardian.cli.catools TOOL ...``"""
    argv = sys.argv[1:] if argv is None else argv
    tools = {"caget": caget_main, "caput": caput_main, "camonitor": camonitor_main}
    if not argv or argv[0] not in tools:
        complain("catools", f"{argv[0] if argv else 'no tool'!r} is none of {', '.join(tools)}")
        return WRONG_CALL
    return tools[argv[0]](argv[1:])


def _caget(session: Session, options: Options, names: list[str]) -> int:
    channels = [session.channel(name) for name in names]
    session.connect(channels, options.timeout_s)
    missing = [channel.name for channel in channels if not channel.connected]
    if missing:
        complain("caget", _not_found(missing, options.timeout_s))
    code = FAILED if missing else OK
    for channel in channels:
        try:
            reading = channel.get(kind_to_ask(channel, options), count=options.count, timeout_s=options.timeout_s)
        except ExpectedError as error:
            code = FAILED
            if options.json:
                print(json.dumps({"name": channel.name, "error": str(error)}))
            elif not channel.connected:
                print(padded(channel.name, 1, options) + "*** not connected")
            else:
                print(padded(channel.name, 1, options) + f"*** {error}")
        else:
            print(whole_line(channel, reading, options, wide=options.wide))
    return code


def _caput(session: Session, options: Options, words: list[str]) -> int:
    name, *words = words
    channel = session.channel(name)
    session.connect([channel], options.timeout_s)
    if not channel.connected:
        raise ExpectedError(_not_found([name], options.timeout_s))
    kind, values = encode(channel, options, words)
    asked = " ".join(words)
    if channel.readable and not options.terse:
        print("Old :", named_line(channel, _get(channel, options), options), flush=True)
    refusal: str | None = None
    after: Reading | None = None
    try:
        channel.put(kind, values, wait=options.callback, timeout_s=options.timeout_s)
        if channel.readable:  # in any case: a plain put's refusal has arrived when the answer to this has
            after = _get(channel, options)
        refusal = channel.objection(0.0 if after is not None and arrived(values, words, after) else _LATE_OBJECTION_S)
    except Refused as error:
        refusal = str(error)
    if refusal is not None:
        complain("caput", f"{name}: {_short(asked)} was refused: {refusal}{_still(channel, options)}")
        return FAILED
    if after is not None:
        show = value_text if options.terse else named_line
        print("" if options.terse else "New : ", show(channel, after, options), sep="")
    return OK


def _camonitor(session: Session, options: Options, names: list[str]) -> int:
    lines: queue.SimpleQueue[Callable[[], str] | None] = queue.SimpleQueue()  # made in CA threads, printed by this one
    connected_once: set[str] = set()
    subscribed: set[str] = set()
    channels: list[Channel] = []

    def watch(name: str) -> Channel:
        def connection(up: bool) -> None:
            if up:
                connected_once.add(name)
                lines.put(lambda: subscribe(channel))
            else:
                lines.put(lambda: lost(name, "*** Disconnected"))

        channel = session.channel(name, connection)
        return channel

    def lost(name: str, text: str) -> str:
        if options.json:
            return json.dumps({"name": name, "error": text.strip("* ")})
        return padded(name, 1, options) + text

    def subscribe(channel: Channel) -> str:
        if not channel.readable:
            return lost(channel.name, "*** No read access")
        if channel.name not in subscribed:  # libca itself takes the subscription up again after a reconnection
            subscribed.add(channel.name)
            told = lambda reading: lines.put(lambda: whole_line(channel, reading, options, wide=True))  # noqa: E731
            channel.monitor(kind_to_ask(channel, options), options.count, told)
        return ""

    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: lines.put(None))
    channels.extend(watch(name) for name in dict.fromkeys(names))
    session.lib.ca_flush_io()

    def tell_missing() -> None:
        for name in dict.fromkeys(names):
            if name not in connected_once:
                lines.put(lambda name=name: lost(name, "*** Not connected (PV not found)"))  # type: ignore[misc]

    timer = threading.Timer(options.timeout_s, tell_missing)
    timer.daemon = True
    timer.start()
    while (make := lines.get()) is not None:
        if line := make():
            print(line, flush=True)
    timer.cancel()
    return OK if connected_once.issuperset(names) else FAILED


def _get(channel: Channel, options: Options) -> Reading:
    return channel.get(kind_to_ask(channel, options), count=options.count, timeout_s=options.timeout_s)


def _still(channel: Channel, options: Options) -> str:
    """The present value as the end of a sentence about a refusal; "" when it cannot be had."""
    with contextlib.suppress(ExpectedError):
        return f". It is still {_short(value_text(channel, _get(channel, options), options))}"
    return ""


def _short(text: str) -> str:
    """A value inside a sentence: not the whole of a long JSON text."""
    return repr(text if len(text) <= 60 else text[:57] + "...")


# -- the call ---------------------------------------------------------------------------------------------------------


def _run(command: str, argv: Sequence[str], work: Callable[[Session, Options, list[str]], int]) -> int:
    try:
        options, words = _parse(command, argv)
        if not words:
            print(_USAGE[command], end="")
            return OK
        code = work(Session(), options, words)
        sys.stdout.flush()
        return code
    except WrongCall as error:
        complain(command, f"{error}. Try: {command} -h")
        return WRONG_CALL
    except ExpectedError as error:
        complain(command, str(error))
        return FAILED
    except KeyboardInterrupt:
        return 128 + signal.SIGINT
    except BrokenPipeError:  # `camonitor X | head`: the reader has what it wanted
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return OK


def _parse(command: str, argv: Sequence[str]) -> tuple[Options, list[str]]:
    """Options and words; no words at all stands for ``-h``."""
    # caput does not look for options behind NAME, so that `caput X -5` is a number.
    parse = getopt.getopt if command == "caput" else getopt.gnu_getopt
    try:
        given, words = parse(list(argv), _LETTERS[command], ["help", "json"] if command != "caput" else ["help"])
    except getopt.GetoptError as error:
        raise WrongCall(str(error)) from None
    fields: dict[str, Any] = {"timeout_s": _seconds(os.environ.get("EPICS_CLI_TIMEOUT") or str(_DEFAULT_TIMEOUT_S))}
    flags = {"-n": "numbers", "-S": "text", "-t": "terse", "-s": "as_string", "-c": "callback"}
    flags["-a"] = "wide" if command == "caget" else "array"
    for option, value in given:
        if option in ("-h", "--help"):
            return Options(**fields), []
        if option in flags:
            fields[flags[option]] = True
        elif option == "--json":
            fields["json"] = True
        elif option == "-w":
            fields["timeout_s"] = _seconds(value)
        elif option == "-F":
            fields["separator"] = value
        elif option == "-#":
            fields["count"] = _whole(value)
        else:
            fields["float_format"] = f"%.{_whole(value)}{option[1]}"
    needed = 3 if command == "caput" and fields.get("array") else 2 if command == "caput" else 1
    if len(words) < needed:
        raise WrongCall("no value given" if len(words) == needed - 1 and needed > 1 else "no PV name given")
    return Options(**fields), list(words)


def _seconds(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 < value < 1e6:
        raise WrongCall(f"{text!r} is not a time in seconds")
    return value


def _whole(text: str) -> int:
    if not text.isdecimal():
        raise WrongCall(f"{text!r} is not a whole number")
    return int(text)


def _not_found(names: Sequence[str], timeout_s: float) -> str:
    who = repr(names[0]) if len(names) == 1 else f"{len(names)} PVs"
    return (
        f"Channel connect timed out: {who} not found in {timeout_s:g} s "
        f"(searched {os.environ.get('EPICS_CA_ADDR_LIST') or 'by broadcast'}, port "
        f"{os.environ.get('EPICS_CA_SERVER_PORT') or 5064}). "
        "Check the name, EPICS_CA_ADDR_LIST and EPICS_CA_SERVER_PORT"
    )


if __name__ == "__main__":
    sys.exit(main())
