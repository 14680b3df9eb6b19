"""Reading access security files: what is said of each fault, and what is kept. Base is asked in test_acf_as_base."""

from __future__ import annotations

import pytest

from guardian.core.acf import Acf, read_acf
from guardian.core.security import Level
from guardian.errors import ExpectedError

GOOD = """# who
UAG(ops) {ann, "b c"}
HAG(consoles) {WS3, ws4.Lab}
UAG(nobody)
ASG(OPERATE) {
    INPA("X1:PERMIT")
    RULE(1, READ)
    RULE(0, WRITE, TRAPWRITE) {
        UAG(ops, nobody) HAG(consoles)
    }
}
"""


def read(text: str) -> Acf:
    return read_acf(text, "lab.acf")


def test_what_a_file_says_is_kept_with_its_lines() -> None:
    acf = read(GOOD)
    assert acf.users["ops"].names == ("ann", "b c") and acf.users["ops"].line == 2 and acf.users["nobody"].names == ()
    assert acf.hosts["consoles"].names == ("ws3", "ws4.lab")
    first, second = acf.groups["OPERATE"].rules
    assert (first.line, first.level, first.grants, first.trap) == (7, 1, Level.READ, False)
    assert (second.line, second.level, second.grants, second.trap) == (8, 0, Level.WRITE, True)
    assert str(second) == "RULE(0, WRITE, TRAPWRITE) { UAG(ops, nobody) HAG(consoles) }"
    assert acf.groups["OPERATE"].calculated == 6 and acf.groups["DEFAULT"].rules == () and acf.warnings == ()


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "lab.acf:1: found the end of the file, expected UAG, HAG or ASG; a file cannot be empty"),
        ("ASG(X)\n{ }", "lab.acf:2: found '}', expected RULE"),
        ("\n\nRULE(1, READ)", "lab.acf:3: found 'RULE', expected UAG, HAG or ASG"),
        ("UAG(ops) {ann bob}", "lab.acf:1: found 'bob', expected ',' or '}'"),
        ("UAG(ops) {ann,\n}", "lab.acf:2: found '}', expected the name of a user"),
        ("UAG(ops) {12}", "lab.acf:1: found '12', expected the name of a user (write it in quotes)"),
        ("HAG(RULE)", "lab.acf:1: found 'RULE', expected the name of a HAG (write it in quotes)"),
        ("UAG(a)\nUAG(a)", "lab.acf:2: UAG(a) is there already, in line 1; join the two"),
        ("ASG(X)\nASG(X)", "lab.acf:2: ASG(X) is there already, in line 1; join the two"),
        ("ASG(X) {\nRULE(1)}", "lab.acf:2: found ')', expected ','"),
        ("ASG(X) {RULE(one, READ)}", "lab.acf:1: found 'one', expected the level of the rule, 0 or 1"),
        ("ASG(X) {RULE(-1, READ)}", "lab.acf:1: the level of a rule is 0 or 1, not -1"),
        ("ASG(X) {RULE(4294967296, READ)}", "lab.acf:1: the level of a rule is 0 or 1, not 4294967296"),
        (f"ASG(X) {{RULE({'9' * 5000}, READ)}}", f"lab.acf:1: the level of a rule is 0 or 1, not {'9' * 40}"),
        ("FOO" + "(){A" * 5000, "lab.acf:1: more than 100 blocks stand in each other"),
        ("ASG(X) {RULE(1, READ, LOG)}", "lab.acf:1: found 'LOG', expected TRAPWRITE or NOTRAPWRITE"),
        (
            "UAG(a)\nASG(X) {\nRULE(1, READ) {UAG(b)}}",
            "lab.acf:3: there is no UAG(b) before this line; there is a. Define it further up",
        ),
        ("ASG(X) {RULE(1, READ) {}}", "lab.acf:1: found '}', expected UAG or HAG"),
        ("ASG(X) {RULE(1, READ)", "lab.acf:1: found the end of the file, expected RULE"),
        ('UAG(a) {"b\n"}', 'lab.acf:1: a text in quotes does not end in its line; close it with "'),
        (
            "UAG($(P))",
            "lab.acf:1: found '$', which can only stand in quotes; macros are not filled in here, write the value",
        ),
        ("UAG(a) {b;}\n;", "lab.acf:2: found the end of the file, expected '('"),
        ("FOO(a b)", "lab.acf:1: found 'b', expected ',' or ')'"),
    ],
)
def test_a_fault_is_named_with_its_line_and_what_is_expected(text: str, told: str) -> None:
    with pytest.raises(ExpectedError) as caught:
        read(text)
    assert str(caught.value) == told


def test_a_level_may_be_written_with_zeros_and_a_sign() -> None:
    acf = read(f"ASG(X) {{RULE(-0, READ) RULE(+1, READ) RULE({'0' * 5000}2, READ)}}")
    assert [rule.level for rule in acf.groups["X"].rules] == [0, 1, 2]


def test_what_is_not_known_is_told_and_grants_nothing() -> None:
    acf = read(
        'AUTHORITY(x, "X")\nASG(X) {\nRULE(1, WRITE) {METHOD("x509")}\nRULE(1, RPC) {PROTOCOL(TLS)}\nRULE(1, READ)}'
    )
    assert acf.warnings == (
        "lab.acf:1: AUTHORITY is not known and is passed over",
        "lab.acf:3: RULE asks for METHOD, which is not known; it grants nothing",
        "lab.acf:4: RULE grants RPC, which is not known; the rule is passed over",
    )
    method, last = acf.groups["X"].rules
    assert (method.unknown, last.grants) == ("METHOD", Level.READ)


def test_any_bytes_are_read_or_refused() -> None:
    for byte in range(256):
        char = chr(byte)
        for text in (char, f'UAG(a){{"{char}"}}', f"UAG(a){{b{char}c}} ASG(X)"):
            try:
                read(text)
            except ExpectedError as error:
                assert str(error).startswith("lab.acf:")
