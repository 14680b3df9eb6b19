"""What clients are told they may do, and that it is what they may: over Channel Access, as whoever they claim to be.

The same file is also given to an EPICS IOC, whose records in the same groups are to grant the same.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator

import pytest

from guardian.core.acf import read_acf
from guardian.core.interface import BY_NAME, Asg
from guardian.core.judge import ByFile
from guardian.core.security import Level, Security, Verdict
from guardian.core.who import Who
from guardian.host.users import who_am_i
from ioc.cas import wire
from tests.ioc.cas.raw import Raw
from tests.ioc.served import Served, pv
from tests.support import REPO, CaClient, ca_env, eventually, free_port
from tests.support.softioc import SoftIoc

pytestmark = pytest.mark.ca

READ, WRITE, NO_ACCESS = 1, 3, 0
RIGHTS = {Level.NONE: NO_ACCESS, Level.READ: READ, Level.WRITE: WRITE}
ROW_OF = {Asg.READ: "STATE", Asg.OPERATE: "REQUEST", Asg.MANAGE: "MANAGER", Asg.EXPERT: "LOAD"}
USERS = ("operator", "expert", "guardian", "anna", "")
HOSTS = ("console1", "CONSOLE2", "guard1", "bench", "")


class Rules:
    """A security whose rules a test changes; it notes who is told that it may not write."""

    def __init__(self, text: str) -> None:
        self.judge_now: Security = ByFile(read_acf(text, "lab.acf"))
        self.readers: list[tuple[Asg, Who]] = []

    def become(self, text: str) -> None:
        self.judge_now = ByFile(read_acf(text, "lab.acf"))

    def judge(self, asg: Asg, who: Who) -> Verdict:
        return self.judge_now.judge(asg, who)


class Guarded(Served):
    """A server with rules."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.rules = Rules(text)
        self.server = type(self.server)(
            ifo="T1",
            interfaces=["127.0.0.1"],
            security=self.rules,
            on_reader=lambda asg, who: self.rules.readers.append((asg, who)),
        )


def rights(client: Raw, name: str) -> int:
    """What the client is told when it connects to a PV."""
    cid = next(client._ids)
    client.send(wire.message(wire.CREATE_CHAN, 0, 0, cid, 13, name.encode() + b"\0"))
    return int(next(one for one in client.messages() if one.command == wire.ACCESS_RIGHTS and one.one == cid).two)


@pytest.fixture(scope="module")
def example() -> str:
    return (REPO / "db" / "guardian.acf").read_text()


@pytest.fixture
def guarded(example: str) -> Iterator[Guarded]:
    with Guarded(example) as one:
        yield one


def test_a_client_is_told_what_the_file_grants_to_whom_it_claims_to_be_and_an_ioc_says_the_same(
    guarded: Guarded, example: str
) -> None:
    node = guarded.node()
    db = "".join(f'record(stringout, "IOC:{asg.value}") {{ field(ASG, "{asg.value}") }}\n' for asg in Asg)
    seen = set()
    with SoftIoc(db, port := free_port(), acf=example):
        for user, host in itertools.product(USERS, HOSTS):
            with Raw(guarded.port, user=user, host=host) as ours, Raw(port, user=user, host=host) as theirs:
                for asg in Asg:
                    mine = rights(ours, pv(node, ROW_OF[asg]))
                    assert mine == rights(theirs, f"IOC:{asg.value}"), (user, host, asg)
                    seen.add((asg, mine))
    assert len(seen) == 7  # reading and writing of all but READ


def test_every_pv_is_in_its_group(guarded: Guarded) -> None:
    node = guarded.node()
    guarded.do(guarded.rules.become, "ASG(READ) ASG(OPERATE){RULE(1,READ)} ASG(MANAGE){RULE(0,WRITE)} ASG(EXPERT)")
    granted = {Asg.READ: NO_ACCESS, Asg.OPERATE: READ, Asg.MANAGE: WRITE, Asg.EXPERT: NO_ACCESS}
    with Raw(guarded.port) as client:
        rows = [row for row in BY_NAME.values() if row.name != "EVENT"]
        assert {row.name: rights(client, pv(node, row.name)) for row in rows} == {
            row.name: granted[row.asg] for row in rows
        }


def test_rights_are_told_anew_when_the_client_says_that_it_is_somebody_else(guarded: Guarded) -> None:
    node = guarded.node()
    with Raw(guarded.port, user="anna", host="console1") as client:
        assert rights(client, pv(node, "REQUEST")) == READ
        client.next(wire.CREATE_CHAN)
        client.send(wire.message(wire.CLIENT_NAME, payload=b"operator\0"))
        assert client.next(wire.ACCESS_RIGHTS).two == WRITE
        client.send(wire.message(wire.HOST_NAME, payload=b"bench\0"))
        assert client.next(wire.ACCESS_RIGHTS).two == READ


def test_names_beyond_ascii_are_those_of_the_file_and_one_name_never_becomes_another(guarded: Guarded) -> None:
    node = guarded.node()
    long = "workstation-12.control-room.accelerator-division.lab.example.org"
    guarded.do(
        guarded.rules.become,
        f"ASG(READ){{RULE(1,READ)}} UAG(a){{'weiß', ann}} HAG(h){{{long}, \"ЛАБ\"}}".replace("'", '"')
        + "ASG(OPERATE){RULE(1,READ) RULE(1,WRITE){UAG(a)} RULE(1,WRITE){HAG(h)}} ASG(DEFAULT){RULE(1,READ)}",
    )
    granted = {("weiß", "x"): WRITE, ("wei", "x"): READ, ("an\x01n", "x"): READ, ("", long): WRITE}
    granted |= {("", "ЛАБ"): WRITE, ("", "лаб"): READ, ("", "***"): READ, ("ann" * 30, f"{long}x"): READ}
    for (user, host), wanted in granted.items():
        with Raw(guarded.port, user=user, host=host) as client:
            assert rights(client, pv(node, "REQUEST")) == wanted, (user, host)
    told = [str(who) for _, who in guarded.rules.readers]
    assert told[0] == "wei@x (127.0.0.1)" and told[1] == "an\ufffdn@x (127.0.0.1)"
    assert told[-1].startswith("annann") and "...@workstation-12." in told[-1] and "..." in told[-1].partition("@")[2]
    with Raw(guarded.port, user="", host="x") as client:
        client.send(wire.message(wire.CLIENT_NAME, payload="weiß".encode("latin-1") + b"\0"))
        assert rights(client, pv(node, "REQUEST")) == WRITE


def test_rights_are_told_anew_when_the_rules_change(guarded: Guarded) -> None:
    node = guarded.node()
    with Raw(guarded.port) as client:
        assert rights(client, pv(node, "REQUEST")) == READ and rights(client, pv(node, "STATE")) == READ
        guarded.do(guarded.rules.become, "ASG(READ){RULE(1,READ)} ASG(DEFAULT){RULE(1,WRITE)}")
        guarded.do(guarded.server.rights_changed)
        assert client.next(wire.ACCESS_RIGHTS).two == WRITE
        assert not [one for one in client.sync() if one.command == wire.ACCESS_RIGHTS], "STATE is as it was"


def test_a_server_that_is_not_started_can_be_told_of_other_rules(example: str) -> None:
    Guarded(example).server.rights_changed()


def test_only_those_who_may_not_write_what_others_may_are_noted(guarded: Guarded) -> None:
    node = guarded.node()
    with Raw(guarded.port, user="operator", host="console1") as client:
        for row in ("STATE", "REQUEST", "MANAGER"):
            rights(client, pv(node, row))
    assert guarded.rules.readers == [(Asg.MANAGE, Who("operator", "console1", "127.0.0.1"))]


@pytest.mark.parametrize("library", ["pyepics", "base 7"])
def test_a_libca_client_sees_what_it_may_and_hears_of_a_change(guarded: Guarded, library: str) -> None:
    node = guarded.node()
    more = {}
    if library != "pyepics":
        import epicscorelibs.path

        more = {"PYEPICS_LIBCA": f"{epicscorelibs.path.lib_path}/libca.so"}
    with CaClient(ca_env(guarded.port, **more)) as client:
        name = pv(node, "REQUEST")
        assert client.get(name).value == "S0"
        with pytest.raises(Exception, match=r"[Ww]rite access"):
            client.put(name, "S1")
        assert node.view.request == "S0" and not node.writes
        me = who_am_i()
        guarded.do(
            guarded.rules.become,
            f'UAG(a){{"{me.user}"}} HAG(b){{"{me.host}"}} ASG(READ){{RULE(1,READ)}} '
            "ASG(DEFAULT){RULE(1,READ) RULE(1,WRITE){UAG(a) HAG(b)}}",
        )
        guarded.do(guarded.server.rights_changed)

        def written() -> bool:
            try:
                client.put(name, "S1")
            except Exception as error:
                assert "rite access" in str(error)
                return False
            return True

        eventually(written, 30, "the client to hear of its right")
        assert node.view.request == "S1"
