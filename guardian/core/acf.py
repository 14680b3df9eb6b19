"""Reads EPICS access security files: who is in which group, and what each rule grants. Pure: text in, facts out.

The language is that of EPICS base 7 (``asLib.y``, ``asLib_lex.l``)::

    UAG(ops)      { ann, bob }              # users
    HAG(consoles) { ws1, ws2 }              # machines
    ASG(OPERATE)  {
        RULE(1, READ)
        RULE(1, WRITE, TRAPWRITE) { UAG(ops) HAG(consoles) }
    }

What base accepts is accepted and means the same, which a test asks base itself; with these exceptions, all of them on
the side of caution:

* a group with ``INPx`` or ``CALC`` can be read, and not be used: :attr:`Group.calculated` says where (no channel is
  followed here), and :class:`guardian.core.judge.ByFile` refuses the file if one of our PVs is in such a group;
* a rule that grants what is neither NONE, READ nor WRITE is passed over with all that is in it. Base passes over its
  head only, and adds what is in it to the rule before;
* a level above 2147483647 is refused. Base takes it modulo 4294967296.

A rule with an item that base 7.0.10 does not know (``METHOD``, ``AUTHORITY``, ``PROTOCOL``) grants nothing, and blocks
that it does not know are passed over; both are said in :attr:`Acf.warnings`.

Base compares the bytes of names. Here they are texts, read as the claims of a client are: UTF-8, or Latin-1 where the
bytes are none. So a name is the same in both.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from string import ascii_lowercase, ascii_uppercase
from typing import NoReturn

from guardian.core.security import Level
from guardian.errors import ExpectedError

DEFAULT = "DEFAULT"
MAX_LEVEL = 2**31 - 1
_KEYWORDS = frozenset({"UAG", "HAG", "ASG", "RULE", "CALC", *(f"INP{one}" for one in "ABCDEFGHIJKLMNOPQRSTU")})
_GRANTS = {level.name: level for level in Level}
_SKIPPED = re.compile(r"[ \t\r]+|#[^\n]*")
_WORD = re.compile(r"[a-zA-Z0-9_\-+:.\[\]<>;]+")
_INTEGER = re.compile(r"[-+]?[0-9]+")
_FLOAT = re.compile(r"[-+]?[0-9]*\.[0-9]+([eE][-+]?[0-9]+)?")
_QUOTED = re.compile(r'"((?:[^"\n\\]|\\[^\n])*)"')
_LOWER = str.maketrans(ascii_uppercase, ascii_lowercase)
_SHOWN = 40
#: Blocks that are not known may stand in each other so deep.
_DEEPEST = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """One RULE.

    Parameters
    ----------
    level : it counts for fields of this access security level and of those below. grants : what it grants.
    trap : TRAPWRITE. users, hosts : names of groups, one of which the client must be in; empty: any client.
    unknown : an item in it that is not known, so it grants nothing; "": all are.
    """

    line: int
    level: int
    grants: Level
    trap: bool = False
    users: tuple[str, ...] = ()
    hosts: tuple[str, ...] = ()
    unknown: str = ""

    def __str__(self) -> str:
        items = [f"{word}({', '.join(names)})" for word, names in (("UAG", self.users), ("HAG", self.hosts)) if names]
        head = f"RULE({self.level}, {self.grants.name}{', TRAPWRITE' if self.trap else ''})"
        return f"{head} {{ {' '.join(items)} }}" if items else head


@dataclass(frozen=True, slots=True, kw_only=True)
class Members:
    """A UAG or a HAG."""

    line: int
    names: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """An ASG. ``calculated``: the line of its first INPx or CALC; 0: it has none."""

    line: int
    rules: tuple[Rule, ...] = ()
    calculated: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Acf:
    """What a file says. ``users`` are the UAG, ``hosts`` the HAG with names in lower case, ``groups`` the ASG."""

    file: str
    users: Mapping[str, Members]
    hosts: Mapping[str, Members]
    groups: Mapping[str, Group]
    warnings: tuple[str, ...] = ()


def read_acf(text: str, file: str) -> Acf:
    """Read a file.

    Parameters
    ----------
    text : of it. file : how messages call it.

    Raises
    ------
    ExpectedError
        Naming the file, the line, what was found there and what is expected.
    """
    return _Reader(text.split("\0", 1)[0], file).read()  # base sees no more of it


def lower(name: str) -> str:
    """Lower case as base makes it, which knows no letters but A to Z."""
    return name.translate(_LOWER)


@dataclass(frozen=True, slots=True)
class _Token:
    """``kind``: a keyword, a punctuation, "text", "integer", "number" or "end"."""

    kind: str
    text: str
    line: int


class _Reader:
    def __init__(self, text: str, file: str) -> None:
        self._file = file
        self._tokens = self._split(text)
        self._token = next(self._tokens)
        self._users: dict[str, Members] = {}
        self._hosts: dict[str, Members] = {}
        self._groups: dict[str, Group] = {}
        self._warnings: list[str] = []

    def read(self) -> Acf:
        if self._token.kind == "end":
            self._unexpected("UAG, HAG or ASG; a file cannot be empty")
        while self._token.kind != "end":
            self._item()
        self._groups.setdefault(DEFAULT, Group(line=0))
        return Acf(
            file=self._file,
            users=self._users,
            hosts=self._hosts,
            groups=self._groups,
            warnings=tuple(self._warnings),
        )

    # -- words ---------------------------------------------------------------------------------------------------------

    def _split(self, text: str) -> Iterator[_Token]:
        at, line = 0, 1
        while at < len(text):
            if skipped := _SKIPPED.match(text, at):
                at = skipped.end()
            elif text[at] == "\n":
                at, line = at + 1, line + 1
            elif text[at] in "(){},":
                yield _Token(text[at], text[at], line)
                at += 1
            elif word := _WORD.match(text, at):
                yield _Token(_kind_of(word[0]), word[0], line)
                at = word.end()
            elif quoted := _QUOTED.match(text, at):
                yield _Token("text", quoted[1], line)
                at = quoted.end()
            elif text[at] == '"':
                self._fail(line, 'a text in quotes does not end in its line; close it with "')
            else:
                hint = "; macros are not filled in here, write the value" if text[at] == "$" else ""
                self._fail(line, f"found {text[at]!r}, which can only stand in quotes{hint}")
        yield _Token("end", "", line)

    def _fail(self, line: int, what: str) -> NoReturn:
        raise ExpectedError(f"{self._file}:{line}: {what}")

    def _unexpected(self, expected: str) -> NoReturn:
        token = self._token
        found = "the end of the file" if token.kind == "end" else f"{token.text[:_SHOWN]!r}"
        self._fail(token.line, f"found {found}, expected {expected}")

    def _take(self, kind: str, expected: str = "") -> _Token:
        token = self._token
        if token.kind != kind:
            self._unexpected(expected or f"{kind!r}")
        self._token = next(self._tokens, token)
        return token

    def _try(self, kind: str) -> bool:
        if self._token.kind != kind:
            return False
        self._take(kind)
        return True

    def _list(self, one: Callable[[], str]) -> tuple[str, ...]:
        found = [one()]
        while self._try(","):
            found.append(one())
        return tuple(found)

    def _name(self, of: str) -> str:
        quote = "" if self._token.kind in ("text", "end", "(", ")", "{", "}", ",") else " (write it in quotes)"
        return self._take("text", f"the name of {of}{quote}").text

    def _in_brackets(self, of: str) -> str:
        self._take("(")
        name = self._name(of)
        self._take(")")
        return name

    # -- what stands in a file -----------------------------------------------------------------------------------------

    def _item(self) -> None:
        token = self._token
        if self._try("UAG"):
            self._members(token, self._users, "a user", str)
        elif self._try("HAG"):
            self._members(token, self._hosts, "a host", lower)
        elif self._try("ASG"):
            self._group(token)
        elif self._try("text"):
            self._warn(token, f"{token.text} is not known and is passed over")
            self._unknown_head()
            self._unknown_block(at_top=True)
        else:
            self._unexpected("UAG, HAG or ASG")

    def _warn(self, token: _Token, what: str) -> None:
        self._warnings.append(f"{self._file}:{token.line}: {what}")

    def _members(self, token: _Token, known: dict[str, Members], one: str, spelt: Callable[[str], str]) -> None:
        name = self._in_brackets(f"a {token.kind}")
        if name in known:
            self._fail(token.line, f"{token.kind}({name}) is there already, in line {known[name].line}; join the two")
        names: tuple[str, ...] = ()
        known[name] = Members(line=token.line)
        if self._try("{"):
            names = self._list(lambda: spelt(self._name(one)))
            self._take("}", "',' or '}'")
        known[name] = Members(line=token.line, names=names)

    def _group(self, token: _Token) -> None:
        name = self._in_brackets("an ASG")
        before = self._groups.get(name)
        if before is not None and (name != DEFAULT or before.rules or before.calculated):
            self._fail(token.line, f"ASG({name}) is there already, in line {before.line}; join the two")
        group = Group(line=token.line)
        if self._try("{"):
            while True:
                group = self._input_or_rule(group)
                if self._try("}"):
                    break
        self._groups[name] = group

    def _input_or_rule(self, group: Group) -> Group:
        token = self._token
        if self._try("RULE"):
            rule, calculated = self._rule(token)
            rules = group.rules if rule is None else (*group.rules, rule)
            return replace(group, rules=rules, calculated=group.calculated or calculated)
        if token.kind.startswith("INP"):
            self._take(token.kind)
            self._in_brackets("a PV")
            return replace(group, calculated=group.calculated or token.line)
        self._unexpected("RULE")

    def _rule(self, token: _Token) -> tuple[Rule | None, int]:
        """None: it grants what nobody knows. And the line of its CALC, or 0."""
        self._take("(")
        level = self._level()
        self._take(",")
        grants = self._take("text", "NONE, READ or WRITE").text
        trap = False
        if self._try(","):
            option = self._take("text", "TRAPWRITE or NOTRAPWRITE")
            if option.text not in ("TRAPWRITE", "NOTRAPWRITE"):
                self._fail(option.line, f"found {option.text[:_SHOWN]!r}, expected TRAPWRITE or NOTRAPWRITE")
            trap = option.text == "TRAPWRITE"
        self._take(")")
        rule = Rule(line=token.line, level=level, grants=_GRANTS.get(grants, Level.NONE), trap=trap)
        calculated = 0
        if self._try("{"):
            while True:
                rule, line = self._condition(rule)
                calculated = calculated or line
                if self._try("}"):
                    break
        if grants not in _GRANTS:
            self._warn(token, f"RULE grants {grants}, which is not known; the rule is passed over")
            return None, calculated
        if rule.unknown:
            self._warn(token, f"RULE asks for {rule.unknown}, which is not known; it grants nothing")
        return rule, calculated

    def _level(self) -> int:
        token = self._take("integer", "the level of the rule, 0 or 1")
        digits = token.text.lstrip("+-0") or "0"
        below_0 = token.text.startswith("-") and digits != "0"
        if below_0 or len(digits) > len(str(MAX_LEVEL)) or int(digits) > MAX_LEVEL:
            self._fail(token.line, f"the level of a rule is 0 or 1, not {token.text[:_SHOWN]}")
        return int(digits)

    def _condition(self, rule: Rule) -> tuple[Rule, int]:
        token = self._token
        if self._try("UAG"):
            return replace(rule, users=rule.users + self._named(token, self._users)), 0
        if self._try("HAG"):
            return replace(rule, hosts=rule.hosts + self._named(token, self._hosts)), 0
        if self._try("CALC"):
            self._take("(")
            self._take("text", "an expression in quotes")
            self._take(")")
            return rule, token.line
        if token.kind == "text" or token.kind in _KEYWORDS:
            self._take(token.kind)
            self._unknown_head()
            self._unknown_block()
            return replace(rule, unknown=rule.unknown or token.text), 0
        self._unexpected("UAG or HAG")

    def _named(self, token: _Token, known: Mapping[str, Members]) -> tuple[str, ...]:
        self._take("(")
        names = self._list(lambda: self._name(f"a {token.kind}"))
        self._take(")", "',' or ')'")
        for name in names:
            if name not in known:
                have = ", ".join(known) or "none"
                self._fail(
                    token.line,
                    f"there is no {token.kind}({name}) before this line; there is {have}. Define it further up",
                )
        return names

    # -- what is not known ---------------------------------------------------------------------------------------------

    def _unknown_head(self) -> None:
        self._take("(")
        if not self._try(")"):
            self._list(self._anything)
            self._take(")", "',' or ')'")

    def _anything(self) -> str:
        if self._token.kind not in ("text", "integer", "number") and self._token.kind not in _KEYWORDS:
            self._unexpected("a word, a text or a number")
        return self._take(self._token.kind).text

    def _unknown_block(self, depth: int = 0, *, at_top: bool = False) -> None:
        token = self._token
        if not self._try("{"):
            return
        if depth > _DEEPEST:
            self._fail(token.line, f"more than {_DEEPEST} blocks stand in each other")
        numbers = self._token.kind in ("integer", "number")
        self._anything()
        if self._token.kind == "(" and not numbers:
            self._unknown_head()
            self._unknown_block(depth + 1)
            while not self._try("}"):
                if self._token.kind in ("integer", "number"):
                    self._unexpected("a word or '}'")
                self._anything()
                self._unknown_head()
                self._unknown_block(depth + 1)
            return
        alone = True
        while self._try(","):
            self._anything()
            alone = False
        self._take("}", "',' or '}'")
        if at_top and alone and self._try("{"):
            if len(self._list(self._anything)) < 2:
                self._unexpected("','")
            self._take("}", "',' or '}'")


def _kind_of(word: str) -> str:
    if _INTEGER.fullmatch(word):
        return "integer"
    if _FLOAT.fullmatch(word):
        return "number"
    return word if word in _KEYWORDS else "text"
