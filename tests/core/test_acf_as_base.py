"""Access security files mean here what they mean in EPICS base: both are asked about the same files and clients."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, assume, example, given, settings
from hypothesis import strategies as st

from guardian.core.acf import Acf, read_acf
from guardian.core.judge import decide
from guardian.errors import ExpectedError
from tests.support.aslib import AsLib, Right

pytest.importorskip("epicscorelibs")
pytestmark = pytest.mark.proc

USERS = ["ann", "Ann", "bob", "j\xfcrgen", "back\\\\slash", "UAG", "12", "a b"]
HOSTS = ["ws3", "WS3", "ctrl7.lab.example", "10.1.2.3", "10.5", "H\xd6ST"]
NAMES = ["ops", "experts", "OPERATE", "DEFAULT", "RULE", "7"]
ASGS = ["OPERATE", "MANAGE", "EXPERT", "READ", "DEFAULT", "OTHER"]
QUESTIONS = [(group, level, user, host) for group in ASGS for level in (0, 1, 2) for user in USERS for host in HOSTS]
QUESTIONS = [*QUESTIONS[:: 1 + len(QUESTIONS) // 150], ("OPERATE", 0, "ann", "WS3"), ("NOWHERE", 1, "bob", "ws3")]


@pytest.fixture(scope="module")
def base() -> Iterator[AsLib]:
    with AsLib() as base:
        yield base


def ours(text: str) -> Acf | None:
    try:
        return read_acf(text, "x.acf")
    except ExpectedError:
        return None


def answers(acf: Acf) -> list[Right]:
    found = [decide(acf, group, level, user=user, host=host) for group, level, user, host in QUESTIONS]
    return [Right(level, bool(rule and rule.trap)) for level, rule in found]


def spelt(names: list[str]) -> st.SearchStrategy[str]:
    """A name as it may stand in a file: in quotes, or without where that is possible."""
    plain = [name for name in names if re.fullmatch(r"(?!UAG|RULE|[\d.]*$)[\w.]+", name, re.ASCII)]
    return st.one_of(st.sampled_from(names).map('"{}"'.format), st.sampled_from(plain))


def listed(names: list[str]) -> st.SearchStrategy[str]:
    return st.lists(spelt(names), min_size=1, max_size=4).map(", ".join)


SPACE = st.sampled_from([" ", "\n", "\t", "  # who (is) {this}?\n", "", "\r\n"])
MEMBERS = st.one_of(
    st.builds("UAG({}){}{{{}}}".format, spelt(NAMES), SPACE, listed(USERS)),
    st.builds("HAG({}){}{{{}}}".format, spelt(NAMES), SPACE, listed(HOSTS)),
    st.builds("{}({})".format, st.sampled_from(["UAG", "HAG"]), spelt(NAMES)),
)
UNKNOWN = st.sampled_from(['METHOD("ca")', "FOO()", "FOO(1, b){c}", "ASG(a)", "PROTOCOL(TLS)", "X(){a(){b} c(1.5)}"])
IN_GROUP = st.one_of(st.builds("UAG({})".format, listed(NAMES[:2])), st.builds("HAG({})".format, listed(NAMES[:2])))
CONDITION = st.one_of(IN_GROUP, IN_GROUP, IN_GROUP, UNKNOWN)
RULE = st.builds(
    "RULE({},{}{}{}){}".format,
    st.sampled_from(["0", "1", "+1", "2"]),
    SPACE,
    st.sampled_from(["NONE", "READ", "WRITE", '"WRITE"']),
    st.sampled_from(["", "", ",TRAPWRITE", ", NOTRAPWRITE", ',"TRAPWRITE"']),
    st.one_of(st.just(""), st.lists(CONDITION, min_size=1, max_size=3).map(lambda some: f" {{ {' '.join(some)} }}")),
)
GROUP = st.one_of(
    st.builds("ASG({}) {{{}}}".format, spelt(ASGS), st.lists(RULE, min_size=1, max_size=4).map("\n".join)),
    st.builds("ASG({})".format, spelt(ASGS)),
)
OTHER = st.sampled_from(['AUTHORITY(a, "B")', "FOO(){a}{b,c}", "FOO(x){y, 1, UAG}", "BAR(1.5, RULE){x(){y} z()}"])
FILE = st.builds(
    "{}{}".format,
    st.sampled_from(
        ["ASG(SPARE)", "UAG(ops){ann, Ann, bob}\nHAG(ops){WS3, 10.1.2.3}\nUAG(experts){Ann}\nHAG(experts)\n"]
    ),
    st.lists(st.one_of(GROUP, GROUP, GROUP, MEMBERS, OTHER), min_size=1, max_size=6).map("\n".join),
)


def passes_a_rule_over(text: str) -> bool:
    """Where the two differ on purpose, see the module `acf`."""
    acf = ours(text)
    return acf is not None and any("RULE grants" in warning for warning in acf.warnings)


def agree(base: AsLib, text: str) -> Acf | None:
    mine, theirs = ours(text), base.ask(text.encode("latin-1"), QUESTIONS)
    assert (mine is None) == (theirs is None), text
    if mine is not None:
        assert answers(mine) == theirs, text
    return mine


@settings(max_examples=500, suppress_health_check=list(HealthCheck))
@given(FILE)
@example("UAG(ops){ann} HAG(ops){WS3} ASG(OPERATE){RULE(1,READ) RULE(0,WRITE,TRAPWRITE){UAG(ops) HAG(ops)}}")
def test_a_file_is_taken_or_refused_as_by_base_and_grants_the_same(base: AsLib, text: str):
    agree(base, text)


WORDS = [
    "UAG",
    "HAG",
    "ASG",
    "RULE",
    "CALC",
    "INPA",
    "INPU",
    "INPV",
    "METHOD",
    "(",
    ")",
    "{",
    "}",
    ",",
    "a",
    "ops",
    "DEFAULT",
    "1",
    "0",
    "-1",
    "+1",
    "1.5",
    ".5",
    "1.e5",
    "10.0.0.1",
    '"a"',
    '""',
    "READ",
    "WRITE",
    "TRAPWRITE",
    "#",
    '"a\\"b"',
    '"a',
]


@settings(max_examples=1000, suppress_health_check=list(HealthCheck))
@given(FILE, st.data())
def test_a_file_with_a_word_in_the_wrong_place_is_taken_or_refused_as_by_base(
    base: AsLib, text: str, data: st.DataObject
):
    words = re.findall(r"[(){},]|\s+|[^(){},\s]+", text)
    at = data.draw(st.integers(0, len(words) - 1))
    words[at : at + data.draw(st.integers(0, 1))] = data.draw(st.lists(st.sampled_from([*WORDS, *words]), max_size=2))
    changed = "".join(words)
    assume("CALC" not in changed)  # base reads the expression
    assume(not passes_a_rule_over(changed))
    agree(base, changed)


@pytest.mark.parametrize(
    "text",
    [
        "X(){a}{b}",
        "X(){1(){b}}",
        "X(){a(){b}{c,d}}",
        "X(){a}{b,c}",
        "UAG(INPV){a} ASG(DEFAULT) ASG(DEFAULT){RULE(1,READ)}",
        'UAG(a){"b\nc"}',
        'UAG(a){"b',
        "UAG(METHOD){RPC}",
        "ASG(X){RULE(99999999999999999999,WRITE)}",
        "ASG(X){INPU(a) RULE(1,WRITE)}",
        "ASG(X){RULE(1,WRITE){ASG(a) RULE() INPA(1.5,-3,UAG) foo(){x,y}}}",
        "ASG(X)\0 what is this",
        "",
        "# nothing",
    ],
)
def test_what_is_odd_is_taken_or_refused_as_by_base(base: AsLib, text: str):
    agree(base, text)


@settings(max_examples=500, suppress_health_check=list(HealthCheck))
@given(FILE, st.data())
def test_a_file_with_a_fault_is_refused_as_by_base(base: AsLib, text: str, data: st.DataObject):
    at = data.draw(st.integers(0, len(text) - 1))
    odd = data.draw(st.sampled_from(["", "{", "}", ")", ",", "\x0b", "$", "\xfc", "x", '"']))
    changed = text[:at] + odd + text[at + 1 :]
    assume(not passes_a_rule_over(changed))
    agree(base, changed)


@settings(max_examples=100, suppress_health_check=list(HealthCheck))
@given(st.lists(st.sampled_from(["127.0.0.1", "localhost", "127.0.0.3"]), min_size=1))
def test_addresses_are_compared_as_by_base(base: AsLib, hosts: list[str]):
    text = f"HAG(a){{{', '.join(hosts)}}} ASG(OPERATE){{RULE(1,WRITE){{HAG(a)}}}}"
    acf = read_acf(text, "x.acf")
    peers = ["127.0.0.1", "127.0.0.3", "localhost", "10.1.2.3"]
    known = {"localhost": frozenset({"127.0.0.1"}), **{one: frozenset({one}) for one in hosts if one != "localhost"}}
    found = base.ask(text.encode(), [("OPERATE", 0, "ann", peer) for peer in peers], addresses=True)
    assert found is not None
    assert [decide(acf, "OPERATE", 0, user="ann", host=peer, addresses=known)[0] for peer in peers] == [
        one.level for one in found
    ]
