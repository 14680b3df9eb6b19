"""guardctrl hosts: which hosts there are, and what is wrong with them."""

from __future__ import annotations

import contextlib
from pathlib import Path

import pytest

from guardian.cli.output import FAILED, OK
from tests.cli.ctrl.calling import Shell
from tests.support import eventually, random_prefix
from tests.system.hosting import Guardhost
from tests.system.test_must_hold import GOOD

pytestmark = [pytest.mark.ca, pytest.mark.proc]


def test_hosts_are_listed_with_what_is_wrong_with_them(tmp_path: Path) -> None:
    """Two of one prefix on one machine; the journal of the second cannot be written."""
    ifo, locks = random_prefix().rstrip(":"), {"GUARD_LOCK_DIR": str(tmp_path / "locks")}
    (tmp_path / "one").mkdir(), (tmp_path / "two").mkdir()
    (tmp_path / "two" / "site.toml").write_text(
        f'ifo = "{ifo}"\nhost = "spare"\nnodes = ["SPARE", "MORE"]\npath = ["."]\nstate_dir = "state"\n'
    )
    one = Guardhost(tmp_path / "one", {"GOOD": GOOD}, ifo=ifo, env=locks)
    two = Guardhost(tmp_path / "two", {"SPARE": GOOD, "MORE": GOOD}, ifo=ifo, env=locks)
    two.command = ["--site", str(tmp_path / "two" / "site.toml"), "--port", str(two.port)]
    with contextlib.ExitStack() as stack:
        for host in (one, two):
            stack.enter_context(host)
            host.wait(host.nodes[0], "OK", "True")
        where = {host: f"127.0.0.1:{host.port}" for host in (one, two)}
        shell = Shell({**one.env, "EPICS_CA_ADDR_LIST": " ".join(where.values())}, ifo=ifo)
        told = shell("hosts", "--json")
        assert told.code == OK, told
        first, second = told.facts if told.facts[1]["host"] == "spare" else reversed(told.facts)
        assert (second["host"], second["where"], second["nodes"], second["ok"]) == ("spare", where[two], 2, True)
        assert second["pv"] == f"{ifo}:GRD-HOST_spare_OK" and two.get("HOST_spare", "OK") == "True"
        assert (first["where"], first["nodes"], first["why"]) == (where[one], 1, "")
        assert one.child is not None and f"process {one.child.pid} of" in first["who"]
        journal = two.folder / "state" / "journal.jsonl"
        journal.unlink()
        journal.mkdir()
        two.put("SPARE", "REQUEST", "REST")
        eventually(lambda: two.get("HOST_spare", "OK") == "False", 30, "the host to tell")
        told = shell("hosts")
        assert told.code == FAILED, told
        lines = {line.split()[0]: line for line in told.out.splitlines()}
        assert "2 nodes  journal" in lines["spare"] and "Is a directory" in lines["spare"], told
        assert lines[first["host"]].endswith("1 node  OK"), told
        told = shell("doctor", "SPARE")
        assert told.code == FAILED and f"WARNING: host spare at {where[two]} is not OK: journal" in told.out, told
        journal.rmdir()
        eventually(lambda: shell("hosts").code == OK, 30, "both to be well")


def test_where_there_is_no_host_the_order_fails(tmp_path: Path) -> None:
    host = Guardhost(tmp_path, {})
    told = Shell(host.env, ifo=host.ifo)("hosts")
    assert told.code == FAILED and "no host answers" in told.err, told
