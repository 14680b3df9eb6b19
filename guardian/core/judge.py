"""Decides who may write, by addresses or by an access security file. Pure.

A verdict says by which rule, and for those who may not write what would have to be changed. The rows of the group READ
are never written, whatever a file grants.

**Levels.** Every PV of a node is ASL0, as is the field VAL of a record: a rule of level 0 counts for it, and one of
level 1 does too. So one file means the same for our PVs and for records in the same group.

**Which rule.** As in EPICS: the rules of the group in their order; each that grants more than those before it, and that
the client meets, decides, up to WRITE. A PV whose group is not in the file is in the group DEFAULT; what no rule grants
is not granted, not even reading.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address

from guardian.core.acf import DEFAULT, Acf, Group, Rule, lower
from guardian.core.interface import Asg
from guardian.core.security import Level, Verdict
from guardian.core.who import Who
from guardian.errors import ExpectedError

Network = IPv4Network | IPv6Network
#: The access security level of all rows.
ASL = 0
#: More entries of a list than these are not repeated in a message.
_REPEATED = 6


def address_of(text: str) -> IPv4Address | IPv6Address | None:
    """None: it is no address."""
    try:
        return ip_address(text)
    except ValueError:
        return None


@dataclass(frozen=True, slots=True)
class Entry:
    """An entry of `operators` or `hosts`: as it is written, and the networks that it means."""

    text: str
    networks: tuple[Network, ...]


class ByAddress:
    """By the address of the client, which is known; not by what it claims.

    Parameters
    ----------
    operators : may write all that can be written. hosts : OPERATE and MANAGE, what a manager needs.
    is_own : whether an address is one of this machine, whose programs may do what operators may.
    file : the site file, as messages call it; "": there is none.
    """

    def __init__(
        self,
        operators: Iterable[Entry] = (),
        hosts: Iterable[Entry] = (),
        *,
        is_own: Callable[[str], bool],
        file: str = "",
    ) -> None:
        self._lists = {"operators": tuple(operators), "hosts": tuple(hosts)}
        self._is_own = is_own
        self._file = file

    def judge(self, asg: Asg, who: Who) -> Verdict:
        if asg is Asg.READ:
            return Verdict(Level.READ, "it is read only", "everybody may read")
        address = address_of(who.address)
        if address is None:
            why = f"{who.address!r} is no address" if who.address else "the rules go by address, and none is known"
            return Verdict(Level.READ, why, "everybody may read")
        if address.is_loopback or self._is_own(who.address):
            return Verdict(Level.WRITE, "it is on the same machine", "the same machine may write")
        for name in ("operators",) if asg is Asg.EXPERT else ("operators", "hosts"):
            for entry in self._lists[name]:
                if any(address in network for network in entry.networks):
                    return Verdict(Level.WRITE, f"{entry.text} is in {name}", f"{name}: {entry.text}, {self._where}")
        why = f"{who.address} is not among {'the operators' if asg is Asg.EXPERT else 'operators and hosts'}"
        return Verdict(Level.READ, f"{why}; {self._cure(who.address)}", "everybody may read")

    @property
    def _where(self) -> str:
        return f"[access] in {self._file}" if self._file else "[access] in a site file"

    def _cure(self, address: str) -> str:
        """The line that would let it."""
        there = [entry.text for entry in self._lists["operators"]]
        words = [f'"{text}"' for text in (*there[:_REPEATED], address)]
        if len(there) > _REPEATED:
            words.insert(_REPEATED, "...")
        return f"allowed by `operators = [{', '.join(words)}]` below {self._where}"


class ByFile:
    """By an access security file.

    Parameters
    ----------
    addresses : which addresses each host name of the file has. The address of a client is compared then, not the name
        that it claims, as EPICS does with asCheckClientIP. None: names are compared.

    Raises
    ------
    ExpectedError
        A group that we need has INPx or CALC.
    """

    def __init__(self, acf: Acf, *, addresses: Mapping[str, frozenset[str]] | None = None) -> None:
        for asg in Asg:
            name, group = group_of(acf, asg.value)
            if group.calculated:
                raise ExpectedError(
                    f"{acf.file}:{group.calculated}: ASG({name}) has INPx or CALC, which are not followed here; define "
                    f"ASG({asg.value}) without them, or put the PVs behind a CA gateway that follows them"
                )
        self._acf = acf
        self._addresses = addresses

    def judge(self, asg: Asg, who: Who) -> Verdict:
        acf = self._acf
        name, _ = group_of(acf, asg.value)
        host = who.host if self._addresses is None else who.address
        level, rule = decide(acf, asg.value, ASL, user=who.user, host=host, addresses=self._addresses)
        by = f"{acf.file}:{rule.line} {rule}" if rule else f"no rule of ASG({name}) in {acf.file} grants anything"
        if asg is Asg.READ and level >= Level.READ:
            return Verdict(Level.READ, "it is read only", by)
        if level is Level.WRITE:
            return Verdict(level, by, by)
        missing = f"ASG({name})" if name == asg.value else f"ASG({name}), as there is no ASG({asg.value}),"
        wanted = Level.READ if asg is Asg.READ else Level.WRITE
        cure = self._cure(asg, who.user, host, wanted)
        return Verdict(level, f"no rule of {missing} in {acf.file} grants it {wanted.name}; {cure}", by)

    def _cure(self, asg: Asg, user: str, host: str, wanted: Level) -> str:
        """A small change of the file that would let it: by a rule that it meets in part, else by the first one.

        Not by the one that asks for least: that is often the one for those who may do all.
        """
        name, group = group_of(self._acf, asg.value)
        best: list[str] | None = None
        for rule in group.rules:
            if rule.grants < wanted or rule.level < ASL or rule.unknown:
                continue
            changes = []
            if rule.users and not _is_user(self._acf, rule, user):
                changes.append(self._add(user, "UAG", rule.users[0], self._acf.users[rule.users[0]].line))
            if rule.hosts and not _is_host(self._acf, rule, host, self._addresses):
                changes.append(self._add(host, "HAG", rule.hosts[0], self._acf.hosts[rule.hosts[0]].line))
            if len(changes) < bool(rule.users) + bool(rule.hosts):
                best = changes
                break
            best = best or changes
        if best is not None:
            return f"allowed by {' and '.join(best)}"
        place = f"ASG({name}) {{ ... }}, line {group.line}" if group.line else f"a new ASG({asg.value}) {{ ... }}"
        return f"allowed by `RULE(1, {wanted.name})` in {place}, for all, or with {{ UAG(...) HAG(...) }} for some"

    @staticmethod
    def _add(name: str, kind: str, group: str, line: int) -> str:
        return f'"{name}" in {kind}({group}), line {line}'


def group_of(acf: Acf, name: str) -> tuple[str, Group]:
    """The group whose rules count for PVs of this one."""
    return (name, acf.groups[name]) if name in acf.groups else (DEFAULT, acf.groups[DEFAULT])


def decide(
    acf: Acf, group: str, asl: int, *, user: str, host: str, addresses: Mapping[str, frozenset[str]] | None = None
) -> tuple[Level, Rule | None]:
    """What a file grants to a client for fields of this level, and the rule that decides; see :class:`ByFile`."""
    level, by = Level.NONE, None
    for rule in group_of(acf, group)[1].rules:
        if level is Level.WRITE:
            break
        if rule.unknown or rule.grants <= level or rule.level < asl:
            continue
        if rule.users and not _is_user(acf, rule, user):
            continue
        if rule.hosts and not _is_host(acf, rule, host, addresses):
            continue
        level, by = rule.grants, rule
    return level, by


def _is_user(acf: Acf, rule: Rule, user: str) -> bool:
    return any(user in acf.users[group].names for group in rule.users)


def _is_host(acf: Acf, rule: Rule, host: str, addresses: Mapping[str, frozenset[str]] | None) -> bool:
    names = (name for group in rule.hosts for name in acf.hosts[group].names)
    if addresses is None:
        return lower(host) in names
    return any(host in addresses.get(name, ()) for name in names)
