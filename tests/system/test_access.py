"""Who may write, on a real host: what those who may not are told, what the log says, and how one more is let in."""

from __future__ import annotations

import json
import re
import socket
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from guardian.host.claims import FIRST_LOOK_S
from guardian.host.users import who_am_i
from ioc.cas import wire
from tests.cli.ctrl.calling import Shell
from tests.ioc.cas.raw import Raw
from tests.support import CaClient, Child, ca_env, eventually, random_prefix
from tests.support.netns import Cable, Machine, why_not
from tests.system.hosting import Guardhost
from tests.system.test_two_hosts import CA_PORT, HostOn
from tests.system.trees import DEVICE, DEVICES, MANAGER, summary

pytestmark = [pytest.mark.ca, pytest.mark.proc]

MakeChild = Callable[..., Child]
STRING = 0
NODES = ["TOP", "SUS_1", "SUS_2"]
ME = who_am_i()
#: Ann may operate from ws3, and the user of the test may do all.
ACF = f"""UAG(ops) {{ ann }}
UAG(me)  {{ "{ME.user}" }}
HAG(consoles) {{ ws3 }}
ASG(OPERATE) {{
    RULE(1, READ)
    RULE(1, WRITE) {{ UAG(ops) HAG(consoles) }}
    RULE(1, WRITE) {{ UAG(me) }}
}}
ASG(DEFAULT) {{
    RULE(1, READ)
    RULE(1, WRITE) {{ UAG(me) }}
}}
"""


@pytest.fixture
def acf(tmp_path: Path) -> Path:
    file = tmp_path / "lab.acf"
    file.write_text(ACF)
    return file


@pytest.fixture
def host(tmp_path: Path, acf: Path) -> Iterator[Guardhost]:
    with Guardhost(tmp_path, {"SUS": DEVICE}, options=("--acf", str(acf))) as one:
        one.wait("SUS", "STATE", "ALIGNED")
        yield one


@pytest.fixture
def ctrl(host: Guardhost) -> Shell:
    shell = Shell(host.env, ifo=host.ifo)
    shell.env["XDG_STATE_HOME"] = str(host.folder)
    return shell


def logged(host: Guardhost, pattern: str) -> str:
    """The first line of the log with this."""
    assert host.child is not None
    host.child.wait_for(pattern, 30)
    found = re.search(f"^.*{pattern}.*$", host.child.output, re.MULTILINE)
    assert found is not None
    return found[0]


def test_a_write_that_is_not_allowed_is_refused_and_the_log_says_what_would_allow_it(host: Guardhost) -> None:
    with Raw(host.port, user="bob", host="ws3") as client:
        sid, *_ = client.channel(host.pv("SUS", "REQUEST"))
        client.subscribe(sid, STRING)
        assert client.next(wire.EVENT_ADD).payload.startswith(b"ALIGNED\0")
        client.put(sid, STRING, b"SAFE\0")
        answers = [client.next(wire.EVENT_ADD, wire.ERROR) for _ in range(2)]
        shown, error = sorted(answers, key=lambda one: one.command)
        assert shown.payload.startswith(b"ALIGNED\0")
        assert b"bob@ws3 (127.0.0.1) may not write REQUEST; the log of its host says why\0" in error.payload
        assert host.get("SUS", "STATE") == "ALIGNED"
    line = logged(host, "may not write REQUEST:")
    assert re.search(
        r" SUS WARNING: bob@ws3 \(127.0.0.1\) may not write REQUEST: no rule of ASG\(OPERATE\) in \S+lab.acf grants it "
        r'WRITE; allowed by "bob" in UAG\(ops\), line 1$',
        line,
    ), line
    with Raw(host.port, user="ann", host="WS3") as client:
        sid, *_ = client.channel(host.pv("SUS", "REQUEST"))
        client.put(sid, STRING, b"SAFE\0")
        assert client.next(wire.WRITE_NOTIFY, wire.ERROR).one == 1
    host.wait("SUS", "STATE", "SAFE")
    assert summary(host, "SUS")["by"] == "ann@WS3 (127.0.0.1)"


def test_a_client_that_does_not_even_try_is_told_in_the_log_once(host: Guardhost) -> None:
    for _ in range(3):
        with Raw(host.port, user="bob", host="ws4") as client:
            client.channel(host.pv("SUS", "STATE"))
            client.channel(host.pv("SUS", "REQUEST"))
            client.channel(host.pv("SUS", "OP"))
    line = logged(host, "bob@ws4")
    assert line.endswith(
        "HOST bob@ws4 (127.0.0.1) may not write OPERATE: no rule of ASG(OPERATE) in "
        f"{host.folder}/lab.acf grants it WRITE; "
        'allowed by "bob" in UAG(ops), line 1 and "ws4" in HAG(consoles), line 3'
    ), line
    assert host.child is not None and host.child.output.count("bob@ws4") == 1


def test_guardctrl_says_who_may_do_what_and_by_which_rule(host: Guardhost, ctrl: Shell, acf: Path) -> None:
    here = ("--state-dir", str(host.state_dir))
    mine = ctrl(*here, "acl", "SUS")
    assert mine.code == 0 and mine.out.startswith(f"{ME}\n"), mine
    assert f"\nOPERATE  write    {acf}:7 RULE(1, WRITE) {{ UAG(me) }}\n" in mine.out, mine
    hers = ctrl(*here, "acl", "SUS", "--user", "ann", "--host", "ws3", "--address", "10.1.2.3")
    assert hers.code == 1 and hers.out.startswith("ann@ws3 (10.1.2.3)\n"), hers
    assert f"\nOPERATE  write    {acf}:6 RULE(1, WRITE) {{ UAG(ops) HAG(consoles) }}\n" in hers.out, hers
    assert (
        f"\nEXPERT   read     {acf}:10 RULE(1, READ)\n" in hers.out
        and 'allowed by "ann" in UAG(me), line 2' in hers.out
    )
    facts = ctrl(*here, "acl", "SUS", "--user", "ann", "--host", "ws3", "--json").facts
    assert [(one["group"], one["may"]) for one in facts] == [
        ("READ", "read"), ("OPERATE", "write"), ("MANAGE", "read"), ("EXPERT", "read"),
    ]  # fmt: skip
    assert ctrl(*here, "acl", "NOBODY").code == 1
    assert ctrl(*here, "acl", "SUS", "--address", "ws3").code == 2
    assert ctrl(*here, "acl", "--load", "--user", "ann").code == 2
    nowhere = ctrl("--state-dir", str(host.folder), "acl", "SUS", "--json")
    assert (nowhere.code, nowhere.facts) == (1, []), nowhere


def test_one_more_is_let_in_while_the_host_runs(host: Guardhost, ctrl: Shell, acf: Path) -> None:
    here = ("--state-dir", str(host.state_dir))
    with Raw(host.port, user="bob", host="ws3") as client:
        sid, *_ = client.channel(host.pv("SUS", "REQUEST"))
        acf.write_text(ACF.replace("{ ann }", "{ ann bob }"))
        bad = ctrl(*here, "acl", "--load")
        assert bad.code == 1 and f"{acf}:1: found 'bob', expected ',' or '}}'" in bad.err, bad
        assert not [one for one in client.sync() if one.command == wire.ACCESS_RIGHTS]
        acf.write_text(ACF.replace("{ ann }", "{ ann, bob }"))
        good = ctrl(*here, "acl", "--load")
        assert (good.code, good.out) == (0, f"in force for all clients: {acf}\n"), good
        assert client.next(wire.ACCESS_RIGHTS).two == 3
        client.put(sid, STRING, b"SAFE\0")
        assert client.next(wire.WRITE_NOTIFY, wire.ERROR).one == 1
    assert f"who may write was read anew from {acf}, by {ME.user} (guardctrl)" in logged(host, "read anew")


def test_an_order_that_may_not_be_given_points_to_the_rules(host: Guardhost, ctrl: Shell, acf: Path) -> None:
    acf.write_text(ACF.replace(f'"{ME.user}"', "nobody"))
    assert ctrl("--state-dir", str(host.state_dir), "acl", "--load").code == 0
    for words in (("request", "SAFE", "SUS"), ("op", "PAUSE", "SUS"), ("load", "SUS")):
        told = ctrl(*words)
        assert told.code == 1, told
        assert f"`guardctrl acl SUS --user {ME.user} --host {ME.host}` says by which rule" in told.err, told
    assert host.get("SUS", "OP") == "EXEC" and host.get("SUS", "STATE") == "ALIGNED"


@pytest.mark.parametrize("command", ["guardhost", "guardian"])
def test_with_a_file_that_is_broken_nothing_starts(command: str, tmp_path: Path, child: MakeChild) -> None:
    (tmp_path / "SUS.py").write_text(DEVICE)
    (tmp_path / "lab.acf").write_text("ASG(DEFAULT) {\n    RULE(1, WRITE) { UAG(ops) }\n}\n")
    argv = [
        sys.executable,
        "-m",
        f"guardian.cli.{command}",
        "SUS",
        "--acf",
        "lab.acf",
        "--state-dir",
        "state",
        "--port",
        "0",
    ]
    process = child([*argv, "--ifo", "T1"], env=ca_env(1), cwd=tmp_path)
    assert process.wait(60) == 2, process.report()
    assert process.output == (
        f"{command}: lab.acf:2: there is no UAG(ops) before this line; there is none. Define it further up\n"
    )
    assert not (tmp_path / "state").exists()


def test_a_host_in_an_unusual_place_is_found_by_its_node(host: Guardhost, ctrl: Shell, acf: Path) -> None:
    ctrl.env["XDG_STATE_HOME"] = str(host.folder / "nowhere")
    told = ctrl("acl", "SUS", "--user", "ann", "--host", "ws3", "--json")
    assert told.code == 1 and [one["may"] for one in told.facts] == ["read", "write", "read", "read"], told
    assert ctrl("stop", "SUS").code == 0
    host.wait("SUS", "OP", "STOP")
    told = ctrl("start", "NOBODY")
    assert told.code == 1 and "no host answers at" in told.err, told


def test_a_host_that_may_not_read_its_own_nodes_is_no_stranger_to_itself(tmp_path: Path) -> None:
    (tmp_path / "lab.acf").write_text('UAG(a){"nobody of us"} ASG(DEFAULT){RULE(1,WRITE){UAG(a)}}')
    with Guardhost(tmp_path, {"SUS": DEVICE}, options=("--acf", str(tmp_path / "lab.acf"))) as host:
        logged(host, "cannot read each other")
        with Raw(host.port, user="nobody of us") as client:
            sid, kind, _ = client.channel(host.pv("SUS", "STATE"))
            eventually(lambda: client.read(sid, kind).payload.startswith(b"ALIGNED"), 30, "the node to run")
        logged(host, "ALIGNED")
        assert host.child is not None
        time.sleep(1.5 * FIRST_LOOK_S)
        assert "may find another one" not in host.child.output


def test_files_are_judged_before_they_are_in_force(tmp_path: Path, acf: Path) -> None:
    ctrl = Shell(ca_env(1), ifo="T1")
    site = tmp_path / "x1.toml"
    site.write_text('nodes = ["SUS"]\nstate_dir = "state"\n[access]\noperators = ["10.1.2.0/24"]\n')
    told = ctrl("--site", str(site), "acl", "--host", "ws3", "--address", "10.1.2.3")
    assert told.code == 0 and f"write    operators: 10.1.2.0/24, [access] in {site}" in told.out, told
    assert "no host runs" in told.err
    (tmp_path / "state").mkdir()
    with socket.socket(socket.AF_UNIX) as dead:  # as kill -9 leaves it behind
        dead.bind(str(tmp_path / "state" / "control.sock"))
    told = ctrl("--site", str(site), "acl", "SUS", "--host", "ws3", "--address", "10.1.2.3")
    assert told.code == 0 and "no host runs" in told.err, told
    told = ctrl("acl", "--acf", str(acf), "--user", "")
    assert told.code == 2 and "--user is empty" in told.err, told
    told = ctrl("acl", "--acf", str(acf), "--user", "ann", "--host", "ws3", "--json")
    assert told.code == 1 and [one["may"] for one in told.facts] == ["read", "write", "read", "read"]
    acf.write_text("ASG")
    told = ctrl("acl", "--acf", str(acf))
    assert told.code == 2 and "lab.acf:1: found the end of the file, expected '('" in told.err, told


def test_nodes_manage_each_other_by_a_file_that_lets_them(tmp_path: Path, acf: Path) -> None:
    with Guardhost(tmp_path, {"TOP": MANAGER, **DEVICES}, nodes=NODES, options=("--acf", str(acf))) as host:
        host.wait("TOP", "OK", "True", 60)
        assert summary(host, "SUS_1")["manager"] == "TOP"
        assert host.child is not None and "cannot manage" not in host.child.output


@pytest.mark.slow
def test_without_rules_this_machine_writes_and_others_read_until_they_are_let_in(tmp_path: Path) -> None:
    if reason := why_not():
        pytest.skip(reason)
    with Cable() as cable:
        here, there = cable.machines
        with HostOn(here, tmp_path, {"SUS": DEVICE}, nodes=["SUS"], ifo=random_prefix().rstrip(":")) as host:
            site = tmp_path / "site.toml"
            request = host.pv("SUS", "REQUEST")
            host.wait("SUS", "STATE", "ALIGNED")
            with client_at(here, host, here.address) as own, client_at(there, host, here.address) as other:
                own.put(request, "SAFE")
                host.wait("SUS", "STATE", "SAFE")
                assert summary(host, "SUS")["by"].endswith(f"({here.address})")
                assert other.get(request).value == "SAFE"
                with pytest.raises(Exception, match=r"[Ww]rite access"):
                    other.put(request, "ALIGNED")
                line = logged(host, rf"\({there.address}\) may not write OPERATE")
                found = re.search(r"`(operators = \[.*\])` below \[access\] in (\S+)$", line)
                assert found is not None and found[2] == str(site), line
                assert json.loads(found[1].partition(" = ")[2]) == [there.address]
                site.write_text(f'nodes = ["SUS"]\n[access]\n{found[1]}\n')
                host.ctrl("acl", "--load")

                def written() -> bool:
                    try:
                        other.put(request, "ALIGNED")
                    except Exception as error:
                        assert "rite access" in str(error)
                        return False
                    return True

                eventually(written, 30, "the other machine to be let in")
                host.wait("SUS", "STATE", "ALIGNED")
                assert summary(host, "SUS")["by"].endswith(f"({there.address})")


def client_at(machine: Machine, host: HostOn, address: str) -> CaClient:
    """A client on a machine that connects to the host by this address."""
    env = {**host.env, "EPICS_CA_ADDR_LIST": f"{address}:{CA_PORT}", "EPICS_CA_AUTO_ADDR_LIST": "NO"}
    return CaClient(env, within=machine.enter)
