"""caget, caput and camonitor against a caproto server and a real EPICS IOC: what they print, and their exit codes."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from guardian.cli import catext, catools
from guardian.client.ca import CHAR, DOUBLE, ENUM, LONG, STRING
from guardian.errors import ExpectedError
from tests.support import REPO, Child, SoftIoc, ca_env, free_port, random_prefix

SERVER = Path(__file__).parents[1] / "support" / "ca_server.py"
LIMIT_S = 60


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What a tool said. Compares like its exit code and its two streams."""

    code: int
    out: str
    err: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """A server and how to reach it."""

    prefix: str
    env: dict[str, str]

    def argv(self, tool: str, *words: str) -> list[str]:
        """``@X`` stands for the name of X."""
        named = [self.prefix + word[1:] if word.startswith("@") else word for word in words]
        return [sys.executable, "-m", "guardian.cli.catools", tool, *named]

    def run(self, tool: str, *words: str, tries_s: str = "10") -> Answer:
        """Run a tool; its own time-out is raised, as the machine may be busy with other tests."""
        env = {**self.env, "EPICS_CLI_TIMEOUT": tries_s}
        done = subprocess.run(
            self.argv(tool, *words), env=env, cwd=REPO, capture_output=True, timeout=LIMIT_S, check=False
        )
        return Answer(
            code=done.returncode,
            out=done.stdout.decode().replace(self.prefix, "@"),
            err=done.stderr.decode().replace(self.prefix, "@"),
        )


@pytest.fixture(scope="module")
def plain() -> Iterator[Place]:
    """A caproto server."""
    place = Place(prefix=random_prefix(), env=ca_env(free_port()))
    with Child([sys.executable, SERVER, place.prefix], env=place.env) as server:
        server.wait_for("CA SERVER READY", LIMIT_S)
        yield place


DB = """
record(ao, "$(P)X") { field(VAL, "1.5") field(PREC, "3") field(DRVH, "10") field(DRVL, "-10") field(HIHI, "8")
    field(HHSV, "MAJOR") field(PINI, "YES") }
record(ao, "$(P)RO") { field(VAL, "2.5") field(ASG, "READONLY") field(PINI, "YES") }
record(longout, "$(P)N") { field(VAL, "4") field(PINI, "YES") }
record(bo, "$(P)NEVER") { }
record(mbbo, "$(P)OP") { field(ZRST, "STOP") field(ONST, "EXEC") field(VAL, "1") field(PINI, "YES") }
record(stringout, "$(P)REQ") { field(VAL, "NONE") field(PINI, "YES") }
record(waveform, "$(P)TXT") { field(FTVL, "CHAR") field(NELM, "2000") }
record(waveform, "$(P)ARR") { field(FTVL, "DOUBLE") field(NELM, "5") }
"""
ACF = "ASG(DEFAULT) { RULE(1, WRITE) }\nASG(READONLY) { RULE(1, READ) }\n"


@pytest.fixture(scope="module")
def base() -> Iterator[Place]:
    """A real EPICS IOC."""
    port = free_port()
    place = Place(prefix=random_prefix(), env=ca_env(port))
    with SoftIoc(DB, port, acf=ACF, macros=f"P={place.prefix}"):
        yield place


def padded(name: str) -> str:
    """A name as EPICS prints it before a scalar: 30 wide. The prefix is 8 characters, shown as one."""
    return name.ljust(30 - 8 + 1) + " "


# -- wrong calls need no server ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("argv", "says"),
    [
        ([], "is none of caget, caput, camonitor"),
        (["caput2"], "is none of caget, caput, camonitor"),
        (["caget"], "no PV name given"),
        (["caput"], "no PV name given"),
        (["caput", "X"], "no value given"),
        (["caget", "-q", "X"], "option -q not recognized"),
        (["caget", "-w"], "requires argument"),
        (["caget", "-w", "soon", "X"], "'soon' is not a time"),
        (["caget", "-w", "-1", "X"], "'-1' is not a time"),
        (["caget", "-#", "many", "X"], "'many' is not a whole number"),
        (["camonitor"], "no PV name given"),
    ],
)
def test_a_wrong_call_is_exit_code_2(argv, says, capsys):
    assert catools.main(argv) == 2
    said = capsys.readouterr()
    assert says in said.err and said.err.count("\n") == 1 and not said.out


@pytest.mark.parametrize("tool", ["caget", "caput", "camonitor"])
def test_help_names_every_option(tool, capsys):
    assert catools.main([tool, "-h"]) == 0
    text = capsys.readouterr().out
    for letter in catools._LETTERS[tool].replace(":", "").replace("h", ""):
        assert f"-{letter} " in text, letter


# -- caget ------------------------------------------------------------------------------------------------------------


@pytest.mark.ca
@pytest.mark.proc
def test_caget_prints_as_epics_does(base):
    got = base.run("caget", "@X", "@OP")
    assert got == Answer(code=0, out=f"{padded('@X')}1.5\n{padded('@OP')}EXEC\n", err="")
    assert base.run("caget", "-t", "-s", "@X").out == "1.500\n"
    assert base.run("caget", "-t", "-f", "2", "@X", "@RO").out == "1.50\n2.50\n"
    assert base.run("caget", "-n", "-t", "@OP").out == "1\n"
    assert base.run("caget", "@X", "-t").out == "1.5\n", "options may follow the names"
    assert base.run("caget", "-t", "@X.HIHI").out == "8\n"
    assert base.run("caget", "-F", ",", "@RO").out == "@RO,2.5\n"


@pytest.mark.ca
@pytest.mark.proc
def test_caget_wide_shows_time_and_alarm(base):
    line = base.run("caget", "-a", "@RO").out
    assert re.fullmatch(re.escape(padded("@RO")) + r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{6} 2.5  \n", line), line
    line = base.run("caget", "-a", "@NEVER").out  # a record that was never processed
    assert line == padded("@NEVER") + "<undefined>  UDF INVALID\n"


@pytest.mark.ca
@pytest.mark.proc
def test_caget_of_text_and_arrays(plain):
    assert plain.run("caget", "-S", "@TXT").out == "@TXT hallo µ\n"
    assert plain.run("caget", "@ARR").out == "@ARR 3 1 2 3\n"
    assert plain.run("caget", "-t", "-#", "2", "@ARR").out == "2 1 2\n"
    facts = [json.loads(line) for line in plain.run("caget", "-S", "--json", "@TXT", "@RO", "@ARR").out.splitlines()]
    assert [fact["value"] for fact in facts] == ["hallo µ", 2.5, [1, 2, 3]]
    assert facts[1]["type"] == "DOUBLE" and facts[1]["severity"] == "NO_ALARM" and facts[1]["stamp_utc"] > 1.6e9


@pytest.mark.ca
@pytest.mark.proc
def test_caget_of_what_is_not_there(plain):
    got = plain.run("caget", "-w", "0.5", "@NOPE", "@RO")
    assert got.code == 1
    assert f"{padded('@NOPE')}*** not connected\n" in got.out
    assert "'@NOPE' not found in 0.5 s (searched 127.0.0.1, port " in got.err
    # The other value is printed all the same (on a loaded machine 0.5 s may be too short for it, too).
    assert got.out.endswith("2.5\n") or "2 PVs not found" in got.err


# -- caput ------------------------------------------------------------------------------------------------------------


@pytest.mark.ca
@pytest.mark.proc
def test_caput_shows_old_and_new(base):
    for options, name, old, new, shown in [
        ([], "@N", "4", "-5", "-5"),
        (["-c"], "@N", "-5", "4", "4"),
        ([], "@OP", "EXEC", "STOP", "STOP"),
        (["-c"], "@OP", "STOP", "1", "EXEC"),
        ([], "@REQ", "NONE", "-a state", "-a state"),
    ]:
        got = base.run("caput", *options, name, new)
        assert got == Answer(code=0, out=f"Old : {padded(name)}{old}\nNew : {padded(name)}{shown}\n", err="")


@pytest.mark.ca
@pytest.mark.proc
def test_caput_terse(base):
    assert base.run("caput", "-t", "-c", "@N", "4") == Answer(code=0, out="4\n", err="")
    assert base.run("caput", "-t", "-a", "@ARR", "2", "-1", "2.5").out == "2 -1 2.5\n"
    assert base.run("caput", "-t", "@X", "99").out == "10\n", "clipped by the record is no error"
    assert base.run("caput", "-t", "@X", "1.5").out == "1.5\n"


@pytest.mark.ca
@pytest.mark.proc
@pytest.mark.parametrize("place", ["plain", "base"])
def test_caput_of_long_text(place, request):
    place = request.getfixturevalue(place)
    text = json.dumps({"state": "LOCKED", "by": "grüße", "more": "x" * 300}, ensure_ascii=False)
    assert place.run("caput", "-S", "-t", "@TXT", text) == Answer(code=0, out=text + "\n", err="")
    assert place.run("caput", "-c", "-S", "-t", "@TXT", "hallo µ").out == "hallo µ\n", "nothing of the longer one stays"


@pytest.mark.ca
@pytest.mark.proc
def test_a_refused_caput_says_why_and_fails(plain):
    got = plain.run("caput", "@REQ", "FOO")
    assert got.code == 1
    assert got.out == f"Old : {padded('@REQ')}NONE\n", "no New: nothing is new"
    assert got.err == "caput: @REQ: 'FOO' was refused: no state FOO. It is still 'NONE'\n"
    got = plain.run("caput", "-c", "@REQ", "FOO")
    assert (got.code, got.err.count("was refused")) == (1, 1)
    got = plain.run("caput", "@SLOW", "FOO")  # the server thinks for 0.1 s, and answers other requests meanwhile
    assert got.code == 1 and "no state FOO" in got.err


@pytest.mark.ca
@pytest.mark.proc
@pytest.mark.parametrize("options", [[], ["-c"]], ids=["plain", "callback"])
def test_caput_refusals_of_a_real_ioc(base, options):
    got = base.run("caput", *options, "@RO", "3")
    assert got.code == 1 and got.err == "caput: @RO: '3' was refused: no write access. It is still '2.5'\n"
    got = base.run("caput", *options, "-s", "@N", "words")
    assert got.code == 1 and "'words' was refused: Channel write request failed. It is still '4'" in got.err


@pytest.mark.ca
@pytest.mark.proc
def test_values_that_cannot_be_are_not_sent(base):
    got = base.run("caput", "@OP", "FOO")
    assert got == Answer(code=1, out="", err="caput: @OP: 'FOO' is none of its labels: STOP, EXEC\n")
    assert base.run("caput", "@N", "4", "5").code == 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Described:
    """What encode() asks a channel about."""

    kind: int
    count: int = 1
    labels: tuple[str, ...] = ()
    name: str = "X"

    def details(self, timeout_s: float) -> dict[str, object]:
        return {"labels": self.labels}


PLAIN = catext.Options(timeout_s=1)
ARRAY = catext.Options(timeout_s=1, array=True)
LONG_TEXT = catext.Options(timeout_s=1, text=True)
NUMBERS = catext.Options(timeout_s=1, numbers=True)
AS_STRING = catext.Options(timeout_s=1, as_string=True)
OP = Described(kind=ENUM, labels=("STOP", "EXEC"))
MENU = Described(kind=ENUM, labels=tuple(f"L{i}" for i in range(16)))


@pytest.mark.parametrize(
    ("channel", "options", "words", "sent"),
    [
        (OP, PLAIN, "EXEC", (ENUM, [1])),
        (OP, PLAIN, "0", (ENUM, [0])),
        (OP, NUMBERS, "7", (ENUM, [7])),
        (MENU, PLAIN, "L20", (STRING, [b"L20"])),  # a menu may be longer than CA can list: the server is to say
        (Described(kind=LONG), PLAIN, "-5", (LONG, [-5])),
        (Described(kind=LONG), PLAIN, "0x10", (LONG, [16])),
        (Described(kind=LONG), PLAIN, "007", (LONG, [7])),
        (Described(kind=LONG), AS_STRING, "seven", (STRING, [b"seven"])),
        (Described(kind=DOUBLE), PLAIN, "1e-3", (DOUBLE, [0.001])),
        (Described(kind=DOUBLE, count=5), ARRAY, "2 1 2.5", (DOUBLE, [1, 2.5])),
        (Described(kind=STRING), PLAIN, "é", (STRING, ["é".encode()])),
        (Described(kind=CHAR, count=4), LONG_TEXT, "abc", (CHAR, [97, 98, 99, 0])),
        (Described(kind=CHAR, count=3), LONG_TEXT, "abc", (CHAR, [97, 98, 99])),
        (Described(kind=CHAR), PLAIN, "200", (CHAR, [200])),
    ],
)
def test_words_as_they_are_sent(channel, options, words, sent):
    assert catext.encode(channel, options, words.split()) == sent


@pytest.mark.parametrize(
    ("channel", "options", "words", "says"),
    [
        (OP, PLAIN, "FOO", "'FOO' is none of its labels: STOP, EXEC"),
        (OP, PLAIN, "16", "'16' is none of its labels"),
        (Described(kind=ENUM), PLAIN, "ON", "(it has none)"),
        (Described(kind=LONG), PLAIN, "1.5", "'1.5' is not an integer"),
        (Described(kind=LONG), PLAIN, "3000000000", "3000000000 does not fit; it takes -2147483648 to 2147483647"),
        (Described(kind=DOUBLE), PLAIN, "many", "'many' is not a number"),
        (Described(kind=DOUBLE, count=2), ARRAY, "3 1 2 3", "3 values; it holds 2"),
        (Described(kind=STRING), PLAIN, "x" * 40, "has 40 bytes; a CA string holds 39"),
        (Described(kind=CHAR, count=3), LONG_TEXT, "abcd", "a text of 4 bytes; it holds 3"),
        (Described(kind=CHAR, count=3), PLAIN, "abc", "for text in a CHAR array use -S"),
    ],
)
def test_words_that_cannot_be(channel, options, words, says):
    with pytest.raises(ExpectedError, match=re.escape(says)):
        catext.encode(channel, options, words.split())


def test_an_array_has_as_many_values_as_announced():
    with pytest.raises(catext.WrongCall, match="3 values announced, 2 given"):
        catext.encode(Described(kind=DOUBLE, count=5), ARRAY, ["3", "1", "2"])


@pytest.mark.ca
@pytest.mark.proc
def test_caput_that_is_never_done(plain):
    got = plain.run("caput", "-c", "-w", "2", "@HANG", "1")
    assert got.code == 1 and "did not say that it is done in 2 s" in got.err
    got = plain.run("caput", "-w", "0.5", "@NOPE", "1")
    assert got.code == 1 and "'@NOPE' not found" in got.err and not got.out


# -- camonitor --------------------------------------------------------------------------------------------------------


def _monitor(place: Place, *words: str, **env: str) -> Child:
    return Child(place.argv("camonitor", *words), env={**place.env, "EPICS_CLI_TIMEOUT": "10", **env}, cwd=REPO)


@pytest.mark.ca
@pytest.mark.proc
def test_camonitor_prints_changes_until_interrupted(base):
    stamp = r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{6}"
    with _monitor(base, "@X", "@OP") as monitor:
        name = (base.prefix + "X").ljust(30)
        monitor.wait_for(f"^{name} {stamp} 1.5  $")
        monitor.wait_for(f"{base.prefix}OP .* EXEC  $")
        base.run("caput", "@X", "9")
        monitor.wait_for(f"^{name} {stamp} 9 HIHI MAJOR$")
        base.run("caput", "@X", "1.5")
        monitor.wait_for(f"^{name} {stamp} 9 HIHI MAJOR\n(.*\n)*{name} {stamp} 1.5  $")
        monitor.signal(signal.SIGINT)
        assert monitor.wait() == 0
        assert "Traceback" not in monitor.output


@pytest.mark.ca
@pytest.mark.proc
def test_camonitor_of_what_is_not_there(plain):
    with _monitor(plain, "-w", "0.5", "@NOPE", "@TXT", "-S") as monitor:
        monitor.wait_for(r"NOPE +\*\*\* Not connected \(PV not found\)$")
        monitor.wait_for(r"TXT \d{4}.* hallo µ ")
        monitor.signal(signal.SIGTERM)
        assert monitor.wait() == 1


@pytest.mark.ca
@pytest.mark.proc
@pytest.mark.slow  # libca itself takes 5 to 13 s to find a server that came back
def test_camonitor_sees_a_server_go_and_come():
    place = Place(prefix=random_prefix(), env=ca_env(free_port()))
    serve = [sys.executable, SERVER, place.prefix]
    with Child(serve, env=place.env) as server, _monitor(place, "--json", "@REQ") as monitor:
        first = monitor.wait_for('"value": "NONE"')
        server.kill9()
        gone = monitor.wait_for('"error": "Disconnected"', start=first.end())
        with Child(serve, env=place.env):
            monitor.wait_for('"value": "NONE"', 90, start=gone.end())


@pytest.mark.ca
@pytest.mark.proc
def test_camonitor_into_head(plain):
    """The reader of a pipe goes away: no traceback, no error."""
    argv = plain.argv("camonitor", "@N", "@RO", "@OP")
    reading, writing = os.pipe()
    os.close(reading)
    try:
        done = subprocess.run(
            argv, env=plain.env, cwd=REPO, stdout=writing, stderr=subprocess.PIPE, timeout=LIMIT_S, check=False
        )
    finally:
        os.close(writing)
    assert (done.returncode, done.stderr) == (0, b"")
