"""Who may write, by which rule, and what would let those who may not."""

from __future__ import annotations

import ast
from ipaddress import ip_network

import pytest

from guardian.core.acf import read_acf
from guardian.core.interface import Asg
from guardian.core.judge import ByAddress, ByFile, Entry
from guardian.core.security import Level
from guardian.core.who import Who
from guardian.errors import ExpectedError

NONE, READ, WRITE = Level


def entry(text: str, *networks: str) -> Entry:
    return Entry(text, tuple(ip_network(one) for one in networks or (text,)))


SITE = ByAddress(
    [entry("10.1.2.0/24"), entry("10.1.3.7")],
    [entry("ctrl7", "10.2.0.7", "10.2.0.8")],
    is_own=lambda address: address == "192.168.7.7",
    file="x1.toml",
)


@pytest.mark.parametrize(
    ("address", "operate", "expert"),
    [
        ("127.0.0.1", WRITE, WRITE),
        ("127.3.2.1", WRITE, WRITE),
        ("::1", WRITE, WRITE),
        ("192.168.7.7", WRITE, WRITE),
        ("10.1.2.99", WRITE, WRITE),
        ("10.1.3.7", WRITE, WRITE),
        ("10.1.3.8", READ, READ),
        ("10.2.0.8", WRITE, READ),
        ("10.2.0.9", READ, READ),
        ("fe80::1", READ, READ),
        ("", READ, READ),
        ("?", READ, READ),
    ],
)
def test_by_address(address: str, operate: Level, expert: Level) -> None:
    who = Who("ann", "ws3", address)
    assert [SITE.judge(asg, who).level for asg in Asg] == [READ, operate, operate, expert]
    assert all(verdict.why and verdict.rule for asg in Asg if (verdict := SITE.judge(asg, who)))


def test_the_line_that_would_allow_it_allows_it() -> None:
    who = Who("ann", "ws3", "10.9.9.9")
    why = SITE.judge(Asg.EXPERT, who).why
    assert why == (
        '10.9.9.9 is not among the operators; allowed by `operators = ["10.1.2.0/24", "10.1.3.7", "10.9.9.9"]` below '
        "[access] in x1.toml"
    )
    listed = ast.literal_eval(why.split("operators = ")[1].split("`")[0])
    assert ByAddress(map(entry, listed), is_own=lambda _: False).judge(Asg.EXPERT, who).level is WRITE
    many = ByAddress([entry(f"10.0.{n}.0/24") for n in range(100)], is_own=lambda _: False)
    assert '"10.0.5.0/24", ..., "10.9.9.9"]` below [access] in a site file' in many.judge(Asg.OPERATE, who).why


def test_what_lets_somebody_write_is_named() -> None:
    assert SITE.judge(Asg.OPERATE, Who("", "", "10.1.2.3")).rule == "operators: 10.1.2.0/24, [access] in x1.toml"
    assert SITE.judge(Asg.MANAGE, Who("", "", "10.2.0.7")).rule == "hosts: ctrl7, [access] in x1.toml"


ACF = """UAG(ops) {ann}
UAG(experts) {eve, ann}
HAG(consoles) {WS3}
UAG(root) {eve} UAG(guardians) {grd} HAG(machines) {guard1}
ASG(READ) { RULE(1, READ) }
ASG(OPERATE) {
    RULE(1, READ)
    RULE(0, WRITE) { UAG(ops, experts) HAG(consoles) }
    RULE(0, WRITE) { UAG(root) }
    RULE(0, WRITE) { UAG(guardians) HAG(machines) }
}
ASG(DEFAULT) {
    RULE(1, READ)
    RULE(1, WRITE) { UAG(experts) METHOD("x509") }
}
"""
LAB = ByFile(read_acf(ACF, "lab.acf"))


def by_file(text: str, asg: Asg, user: str, host: str) -> tuple[Level, str]:
    verdict = ByFile(read_acf(text, "lab.acf")).judge(asg, Who(user, host, "10.1.2.3"))
    return verdict.level, verdict.why


def test_by_which_rule() -> None:
    verdict = LAB.judge(Asg.OPERATE, Who("ann", "ws3", "10.1.2.3"))
    assert (verdict.level, verdict.rule) == (WRITE, "lab.acf:8 RULE(0, WRITE) { UAG(ops, experts) HAG(consoles) }")
    verdict = LAB.judge(Asg.OPERATE, Who("ann", "ws4", "10.1.2.3"))
    assert (verdict.level, verdict.rule) == (READ, "lab.acf:7 RULE(1, READ)")
    assert LAB.judge(Asg.READ, Who("ann", "ws3", "")).level is READ


@pytest.mark.parametrize(
    ("user", "host", "cure"),
    [
        ("ann", "WS4", '"WS4" in HAG(consoles), line 3'),
        ("bob", "ws3", '"bob" in UAG(ops), line 1'),
        ("bob", "ws4", '"bob" in UAG(ops), line 1 and "ws4" in HAG(consoles), line 3'),
        ("grd", "ws4", '"ws4" in HAG(machines), line 4'),
        ("bob", "guard1", '"bob" in UAG(guardians), line 4'),
    ],
)
def test_a_small_change_that_would_allow_it_is_told_and_allows_it(user: str, host: str, cure: str) -> None:
    level, why = by_file(ACF, Asg.OPERATE, user, host)
    assert (level, why) == (READ, f"no rule of ASG(OPERATE) in lab.acf grants it WRITE; allowed by {cure}")
    lines = ACF.splitlines()
    for change in cure.split(" and "):
        name, line = change.split(" in ")[0], int(change.rpartition(" ")[2])
        of = change.split(" in ")[1].partition(",")[0]
        lines[line - 1] = lines[line - 1].replace(f"{of} {{", f"{of} {{{name}, ")
    assert by_file("\n".join(lines), Asg.OPERATE, user, host)[0] is WRITE


def test_a_group_that_is_not_in_the_file_is_in_DEFAULT_and_says_so() -> None:
    level, why = by_file(ACF, Asg.EXPERT, "eve", "ws3")
    assert (level, why) == (
        READ,
        "no rule of ASG(DEFAULT), as there is no ASG(EXPERT), in lab.acf grants it WRITE; allowed by `RULE(1, WRITE)` "
        "in ASG(DEFAULT) { ... }, line 12, for all, or with { UAG(...) HAG(...) } for some",
    )
    level, why = by_file("UAG(a)", Asg.READ, "eve", "ws3")
    assert level is NONE and "`RULE(1, READ)` in a new ASG(READ) { ... }" in why


def test_what_is_only_read_is_not_written_whatever_a_file_grants() -> None:
    level, why = by_file("ASG(READ){RULE(1,WRITE)}", Asg.READ, "eve", "ws3")
    assert (level, why) == (READ, "it is read only")


def test_by_addresses_the_name_that_a_client_claims_does_not_count() -> None:
    acf = read_acf("HAG(h){WS3, 10.1.2.4} ASG(DEFAULT){RULE(1,WRITE){HAG(h)}}", "lab.acf")
    judge = ByFile(acf, addresses={"ws3": frozenset({"10.1.2.3"}), "10.1.2.4": frozenset({"10.1.2.4"})})
    assert judge.judge(Asg.OPERATE, Who("", "liar", "10.1.2.3")).level is WRITE
    assert judge.judge(Asg.OPERATE, Who("", "liar", "10.1.2.4")).level is WRITE
    refused = judge.judge(Asg.OPERATE, Who("", "ws3", "10.1.2.5"))
    assert refused.level is NONE and 'allowed by "10.1.2.5" in HAG(h), line 1' in refused.why


@pytest.mark.parametrize("item", ['INPA("x:y")\nRULE(1,WRITE)', 'RULE(1,WRITE) {\nCALC("A=1")}'])
def test_a_file_that_calculates_is_refused_with_the_line_where_it_matters_to_us(item: str) -> None:
    with pytest.raises(ExpectedError, match=r"^lab.acf:[23]: ASG\(DEFAULT\) has INPx or CALC.*define ASG\(READ\)"):
        ByFile(read_acf(f"ASG(DEFAULT) {{\n{item}}}", "lab.acf"))
    others = "".join(f"ASG({asg.value}) {{RULE(1, READ)}}" for asg in Asg)
    ByFile(read_acf(f"ASG(DEFAULT) {{\n{item}}} {others}", "lab.acf"))
