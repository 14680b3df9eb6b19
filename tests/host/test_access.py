"""What a site says of who may write, and the judge that is made of it: names are looked up, own addresses are known."""

from __future__ import annotations

import asyncio
import os
import pwd
import socket
import subprocess
import sys
import threading
import time
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from guardian.core.interface import Asg
from guardian.core.security import Level, Security
from guardian.core.who import Who
from guardian.errors import ExpectedError
from guardian.host import doorkeeper
from guardian.host.access import Access, Rules, is_own, read_rules, why_not_entry
from guardian.host.doorkeeper import Doorkeeper
from tests.support.netns import why_not

STRANGER = Who("ann", "ws3", "10.9.9.9")


@pytest.fixture(autouse=True)
def names(monkeypatch: pytest.MonkeyPatch) -> None:
    """The only names that have addresses here."""
    known = {"ctrl7.lab.example": "10.1.7.7", "ws3": "10.9.9.9"}

    def lookup(host: str, *_: object) -> list[object]:
        if host not in known:
            raise socket.gaierror(-2, "not known")
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (known[host], 0))]

    monkeypatch.setattr(socket, "getaddrinfo", lookup)


def made(access: Access) -> tuple[Security, list[str]]:
    rules = read_rules(access)
    return rules.judge(), rules.warnings


@pytest.mark.parametrize(
    "text", ["10.1.2.0/24", "10.1.3.7", "0.0.0.0/0", "fe80::/10", "ws3", "ctrl7.lab.example", "a_b"]
)
def test_networks_addresses_and_host_names_are_taken(text: str) -> None:
    assert why_not_entry(text) is None


@pytest.mark.parametrize("text", ["10.1.2", "10.1.2.0/33", "10.1.2.3/24", "10.1.2.300", "ws 3", "", "-x", "a/b", "::g"])
def test_what_is_none_of_them_is_named(text: str) -> None:
    assert repr(text) in (why_not_entry(text) or "")


def test_names_are_looked_up_and_a_name_without_address_is_a_warning() -> None:
    access = Access(operators=("10.1.2.0/24",), hosts=("ctrl7.lab.example", "nobody.invalid"))
    judge, warnings = made(access)
    assert warnings == [
        "access: the host nobody.invalid has no address, so nobody is let in by it; check the name, or DNS. "
        "It is looked up again each minute"
    ]
    assert judge.judge(Asg.MANAGE, replace(STRANGER, address="10.1.7.7")).level is Level.WRITE
    assert judge.judge(Asg.MANAGE, STRANGER).level is Level.READ


def test_a_name_server_that_does_not_answer_holds_up_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    answer, known = threading.Event(), socket.getaddrinfo

    def lookup(host: str, *more: Any) -> Any:
        assert host != "slow.lab.example" or answer.wait(60)
        return known(host, *more)

    monkeypatch.setattr(socket, "getaddrinfo", lookup)
    monkeypatch.setattr("guardian.host.access.LOOK_UP_S", 0.3)
    began = time.monotonic()
    judge, warnings = made(Access(operators=("slow.lab.example", "ctrl7.lab.example")))
    assert time.monotonic() - began < 30, "it was waited for"
    answer.set()
    assert len(warnings) == 1 and "slow.lab.example has no address" in warnings[0]
    assert judge.judge(Asg.MANAGE, replace(STRANGER, address="10.1.7.7")).level is Level.WRITE


def test_a_file_is_asked_with_names_or_with_addresses(tmp_path: Path) -> None:
    acf = tmp_path / "lab.acf"
    acf.write_bytes(b"# f\xfcr alle\nHAG(h){ws3, nobody.invalid, 10.1.2.3} ASG(DEFAULT){RULE(1,WRITE){HAG(h)}}")
    judge, warnings = made(Access(acf=acf))
    assert warnings == [] and judge.judge(Asg.MANAGE, replace(STRANGER, address="1.2.3.4")).level is Level.WRITE
    judge, warnings = made(Access(acf=acf, check_addresses=True))
    assert len(warnings) == 1 and "nobody.invalid" in warnings[0]
    assert judge.judge(Asg.MANAGE, replace(STRANGER, address="1.2.3.4")).level is Level.NONE
    assert judge.judge(Asg.MANAGE, replace(STRANGER, host="?")).level is Level.WRITE
    assert judge.judge(Asg.MANAGE, replace(STRANGER, host="?", address="10.1.2.3")).level is Level.WRITE


def test_a_file_is_utf_8_or_latin_1(tmp_path: Path) -> None:
    for encoding in ("utf-8", "utf-8-sig", "latin-1"):
        (tmp_path / "lab.acf").write_bytes('UAG(a){"jörg"} ASG(DEFAULT){RULE(1,WRITE){UAG(a)}}'.encode(encoding))
        judge, _ = made(Access(acf=tmp_path / "lab.acf"))
        assert judge.judge(Asg.MANAGE, replace(STRANGER, user="jörg")).level is Level.WRITE


def test_what_never_ends_is_no_file() -> None:
    with pytest.raises(ExpectedError, match=r"/dev/zero: it has more than .* bytes"):
        made(Access(acf=Path("/dev/zero")))


def test_a_file_that_cannot_be_read_is_told(tmp_path: Path) -> None:
    with pytest.raises(ExpectedError, match=r"nowhere.acf: No such file.*name one that can be read"):
        made(Access(acf=tmp_path / "nowhere.acf"))


def test_the_addresses_of_this_machine_are_known() -> None:
    assert is_own("127.0.0.1")
    assert not any(map(is_own, ("192.0.2.1", "255.255.255.255", "0.0.0.0", "nonsense", "")))


@pytest.mark.slow
def test_so_are_those_that_an_interface_gets_later() -> None:
    if reason := why_not():
        pytest.skip(reason)
    script = """
import subprocess, sys
from guardian.host.access import is_own
def ip(*words): subprocess.run(["ip", *words], check=True)
def seen(): print(*map(is_own, ("10.77.0.1", "10.77.0.2", "10.77.0.3", "10.77.1.1")), flush=True)
ip("link", "set", "lo", "up"); ip("link", "add", "one", "type", "veth", "peer", "name", "other")
seen()
ip("addr", "add", "10.77.0.1/24", "dev", "one"); ip("link", "set", "one", "up"); ip("link", "set", "other", "up")
seen()
ip("addr", "add", "10.77.1.1/24", "dev", "one"); ip("addr", "del", "10.77.0.1/24", "dev", "one")
seen()
open("/proc/sys/net/ipv4/ip_nonlocal_bind", "w").write("1")
seen()
"""
    done = subprocess.run(
        ["unshare", "-rn", sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == [
        "False False False False",
        "True False False False",
        "False False False True",
        "False False False True",
    ]


@pytest.fixture
async def log() -> AsyncIterator[Log]:
    yield Log()
    await asyncio.get_running_loop().shutdown_default_executor()


class Log:
    def __init__(self) -> None:
        self.lines: list[str] = []

    def __call__(self, text: str, level: str) -> None:
        self.lines.append(f"{level} {text}")


async def test_other_rules_are_taken_over_whole_or_not_at_all(tmp_path: Path, log: Log) -> None:
    acf, changes = tmp_path / "lab.acf", list[int]()
    acf.write_text("ASG(DEFAULT){RULE(1,READ)}")
    access = Access(acf=acf)
    keeper = await Doorkeeper.begin(access, lambda: access, log)
    keeper.on_change = lambda: changes.append(1)
    assert "cannot manage each other" in log.lines.pop() and not log.lines
    assert keeper.judge(Asg.OPERATE, STRANGER).level is Level.READ
    acf.write_text("ASG(DEFAULT){RULE(1,WRIT)")
    with pytest.raises(ExpectedError, match=r"lab.acf:1: found the end of the file"):
        await keeper.load(by="ann")
    assert keeper.judge(Asg.OPERATE, STRANGER).level is Level.READ and not changes
    acf.write_text("ASG(DEFAULT){RULE(1,WRITE)}")
    assert await keeper.load(by="ann") == access
    assert keeper.judge(Asg.OPERATE, STRANGER).level is Level.WRITE and changes == [1]
    assert log.lines == [f"INFO who may write was read anew from {acf}, by ann"]


async def test_of_two_who_have_it_read_anew_the_last_one_counts(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, log: Log
) -> None:
    """The first may be slower: it looks a name up that is gone from the file meanwhile."""
    acf, go = tmp_path / "lab.acf", threading.Event()
    acf.write_text("ASG(DEFAULT){RULE(1,WRITE)}")
    keeper = await Doorkeeper.begin(Access(acf=acf), lambda: Access(acf=acf), log)

    def slow(access: Access) -> Rules:
        rules = read_rules(access)
        if rules.judge().judge(Asg.OPERATE, STRANGER).level is Level.WRITE:
            assert go.wait(30)
        return rules

    monkeypatch.setattr(doorkeeper, "read_rules", slow)
    first = asyncio.create_task(keeper.load(by="ann"))
    await asyncio.sleep(0.1)
    acf.write_text("ASG(DEFAULT){RULE(1,READ)}")
    second = asyncio.create_task(keeper.load(by="bob"))
    await asyncio.sleep(0.1)
    go.set()
    await asyncio.gather(first, second)
    assert keeper.judge(Asg.OPERATE, STRANGER).level is Level.READ


async def test_a_name_that_gets_its_address_later_is_let_in(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, log: Log
) -> None:
    """After a power cut a host may be up before the name server; meanwhile somebody edits the file."""
    monkeypatch.setattr(doorkeeper, "AGAIN_S", 0.01)
    acf, changed = tmp_path / "lab.acf", asyncio.Event()
    acf.write_text("HAG(h){late.lab.example, never.lab.example} ASG(DEFAULT){RULE(1,WRITE){HAG(h)}}")
    keeper = await Doorkeeper.begin(Access(acf=acf, check_addresses=True), Access, log)
    keeper.on_change = changed.set
    assert keeper.judge(Asg.OPERATE, STRANGER).level is Level.NONE
    acf.write_text("HAG(h) { ws1,")
    real = socket.getaddrinfo
    monkeypatch.setattr(
        socket, "getaddrinfo", lambda host, *more: real("ws3" if host == "late.lab.example" else host, *more)
    )
    await asyncio.wait_for(changed.wait(), 30)
    assert keeper.judge(Asg.OPERATE, STRANGER).level is Level.WRITE
    assert log.lines[-1] == "INFO access: there is an address now for late.lab.example"
    acf.write_text("ASG(DEFAULT){RULE(1,WRITE)}")
    keeper._reread = lambda: Access(acf=acf)
    await keeper.load(by="ann")
    assert keeper._again is not None
    await asyncio.wait_for(keeper._again, 30)  # nothing is left to look up


def test_as_whom_our_programs_are_seen_does_not_hang_on_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOGNAME", "somebody")
    assert doorkeeper.who_am_i().user == pwd.getpwuid(os.getuid()).pw_name


async def test_a_file_by_which_the_nodes_cannot_read_each_other_is_a_warning(tmp_path: Path, log: Log) -> None:
    (tmp_path / "lab.acf").write_text("ASG(X)")
    await Doorkeeper.begin(Access(acf=tmp_path / "lab.acf"), Access, log)
    assert len(log.lines) == 1 and log.lines[0].startswith("WARNING the nodes of this host cannot read each other, as ")


async def test_a_bad_file_is_no_start(tmp_path: Path, log: Log) -> None:
    with pytest.raises(ExpectedError, match=r"lab.acf"):
        await Doorkeeper.begin(Access(acf=tmp_path / "lab.acf"), Access, log)


async def test_who_may_not_write_is_told_once_with_the_line_that_would_allow_it(tmp_path: Path, log: Log) -> None:
    keeper = await Doorkeeper.begin(Access(operators=("10.1.2.3",), file=tmp_path / "x1.toml"), Access, log)
    for _ in range(100):
        keeper.on_reader(Asg.OPERATE, STRANGER)
    assert log.lines == [
        "INFO ann@ws3 (10.9.9.9) may not write OPERATE: 10.9.9.9 is not among operators and hosts; allowed by "
        f'`operators = ["10.1.2.3", "10.9.9.9"]` below [access] in {tmp_path / "x1.toml"}'
    ]
    for n in range(100):
        keeper.on_reader(Asg.OPERATE, replace(STRANGER, user=f"user{n}"))
    assert len(log.lines) == doorkeeper.MOST_TOLD + 1 and "are not told today" in log.lines[-1]
    for n in range(10 * doorkeeper.MOST_ADDRESSES):
        keeper.on_reader(Asg.OPERATE, replace(STRANGER, address=f"10.{n // 250}.7.{n % 250}"))
    assert len(keeper._told) == doorkeeper.MOST_ADDRESSES


async def test_what_was_judged_is_remembered_for_a_while(monkeypatch: pytest.MonkeyPatch, log: Log) -> None:
    asked: list[str] = []

    def own(address: str) -> bool:
        asked.append(address)
        return len(asked) > 1

    monkeypatch.setattr("guardian.host.access.is_own", own)
    keeper = await Doorkeeper.begin(Access(), Access, log)
    assert [keeper.judge(Asg.OPERATE, STRANGER).level for _ in range(100)] == [Level.READ] * 100
    monkeypatch.setattr(doorkeeper, "REMEMBERED_S", 0.0)  # an interface may have got this address meanwhile
    await asyncio.sleep(0.001)
    assert keeper.judge(Asg.OPERATE, STRANGER).level is Level.WRITE and asked == ["10.9.9.9"] * 2
    monkeypatch.undo()
    for n in range(2 * doorkeeper.MOST_REMEMBERED):
        keeper.judge(Asg.OPERATE, replace(STRANGER, user=str(n)))
    assert len(keeper._judged) <= doorkeeper.MOST_REMEMBERED + 1
