"""The site file: what it may say, and that every fault in it is named."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from guardian.core.deaths import RestartPolicy
from guardian.core.interface import BY_NAME
from guardian.core.settings import Limits
from guardian.enums import Restart
from guardian.errors import ExpectedError
from guardian.host.access import Access
from guardian.host.places import default_state_dir
from guardian.host.policies import Keeping, NodePolicy
from guardian.host.site import Site, pv_names, read_site

FULL = """
ifo = "X1"
site = "LAB"
nodes = ["SUS_MC1", "IMC_LOCK", "SUS_MC1"]
path = ["nodes", "/opt/nodes"]
port = 0
pv = "LAB:{node}:{name}"
state_dir = "state"
log = "guardian.log"

[policy]
on_start = "hold"
resume_within = 60
redirect_timeout = 3.5
stop_timeout = 2
restart = "always"
restarts = 0
restart_window = 10
restart_delay = 1
restart_delay_max = 8
slow_after = 60
watchdog = 30

[node.SUS_MC1]
restart = "never"
on_start = "request"

[keeper]
restart = "on-failure"
restarts = 5
hang_after = 0
"""


def read(folder: Path, text: str) -> Site:
    file = folder / "x1.toml"
    file.write_text(text)
    return read_site(file)


def faults(folder: Path, text: str) -> str:
    with pytest.raises(ExpectedError) as caught:
        read(folder, text)
    assert "x1.toml" in str(caught.value)
    return str(caught.value)


def test_all_that_a_site_file_says(tmp_path: Path) -> None:
    site = read(tmp_path, FULL)
    assert (site.ifo, site.site, site.nodes, site.port) == ("X1", "LAB", ("SUS_MC1", "IMC_LOCK"), 0)
    assert site.paths == (str(tmp_path / "nodes"), "/opt/nodes")
    assert (site.state_dir, site.log) == (tmp_path / "state", tmp_path / "guardian.log")
    assert site.control_socket == tmp_path / "state" / "control.sock"
    assert (site.on_start, site.resume_within_s) == ("hold", 60.0)
    limits = Limits(
        redirect_timeout_s=3.5,
        stop_timeout_s=2,
        restart=Restart.ALWAYS,
        restarts=0,
        restart_window_s=10,
        restart_delay_s=1,
        restart_delay_max_s=8,
        slow_after_s=60,
        watchdog_s=30,
    )
    assert site.limits == limits
    assert site.policy("IMC_LOCK") == NodePolicy(on_start="hold", resume_within_s=60, limits=limits)
    assert site.policy("SUS_MC1") == NodePolicy(
        on_start="request", resume_within_s=60, limits=replace(limits, restart=Restart.NEVER)
    )
    assert site.keeping == Keeping(restarting=RestartPolicy(restart=Restart.ON_FAILURE, restarts=5), hang_after_s=0)
    assert "LAB:IMC_LOCK:STATE" in pv_names(site, "IMC_LOCK")


def test_nodes_are_enough(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", "/var/tmp/xdg")
    site = read(tmp_path, 'nodes = ["SUS"]')
    assert (site.ifo, site.port, site.log, site.fresh) == ("", None, None, False)
    assert site.policy("SUS") == NodePolicy() and site.keeping.restarting.restart is Restart.NEVER
    assert site.state_dir == Path("/var/tmp/xdg/guardian/default") == default_state_dir("")
    assert "GRD-SUS_STATE" in pv_names(site, "SUS")  # an empty IFO takes its colon along
    assert len(pv_names(site, "SUS")) == len(BY_NAME)
    assert read(tmp_path, 'nodes = ["SUS"]\nifo = "X1"').state_dir == default_state_dir("X1")


def test_every_fault_is_named_at_once(tmp_path: Path) -> None:
    told = faults(
        tmp_path,
        'nodes = ["SUS", "lower", "HOST_A"]\nifo = 5\nport = 70000\npv = "{node}"\nspeed = 3\nlog = ""\n'
        '[policy]\nrestarts = -1\non_start = "again"\nresume_within = nan\nfoo = 1',
    )
    for word in (
        "'lower'",
        "'HOST_A'",
        "ifo = 5",
        "70000",
        "pv:",
        "speed is unknown",
        "log is empty",
        "policy.restarts = -1",
        "'again'",
        "resume, request, hold",
        "policy.resume_within = nan",
        "policy.foo",
    ):
        assert word in told, word


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "nodes is missing"),
        ("nodes = []", "nodes is missing"),
        ("nodes = [", "Invalid value"),
        ('nodes = "SUS"', "nodes = 'SUS' is of the wrong type"),
        ("nodes = [1, 2]", "must list texts"),
        ('nodes = [["SUS"]]', "must list texts"),
        ('nodes = ["SUS"]\nport = true', "port = True is of the wrong type"),
        ('nodes = ["SUS"]\nport = 5064.0', "wrong type"),
        ('nodes = ["SUS"]\nport = -1', "not negative"),
        ('nodes = ["SUS"]\npolicy = 5', "policy = 5 is of the wrong type"),
        ('nodes = ["SUS"]\n[policy]\non_start = 1', "policy.on_start = 1 is of the wrong type"),
        ('nodes = ["SUS"]\n[policy]\nrestarts = 1.5', "wrong type"),
        ('nodes = ["SUS"]\n[policy]\nrestart = "no"', "policy.restart = 'no'; use one of never, on-failure, always"),
        ('nodes = ["SUS"]\n[policy]\nrestart_delay = 0', "policy.restart_delay = 0; use 0.1 to 86400 seconds"),
        ('nodes = ["SUS"]\n[policy]\nrestart_delay_max = inf', "policy.restart_delay_max = inf; use 0.1 to"),
        ('nodes = ["SUS"]\n[policy]\nrestart_delay = 60', "restart_delay = 60 is longer than restart_delay_max = 30.0"),
        (
            'nodes = ["SUS"]\n[policy]\nrestart_delay_max = 5\n[node.SUS]\nrestart_delay = 6',
            "node.SUS.restart_delay = 6 is longer than restart_delay_max = 5; say a longer one of these too",
        ),
        (
            'nodes = ["SUS"]\n[policy]\nrestarts = 99999999999',
            'policy.restarts = 99999999999; use 0 to 1000000, or restart = "always"',
        ),
        ('nodes = ["SUS"]\n[policy]\nwatchdog = 1' + "0" * 400, "policy.watchdog is larger than any number"),
        ('nodes = ["SUS"]\n[policy]\nhang_after = 9', "policy.hang_after is unknown"),
        ('nodes = ["SUS"]\n[keeper]\nhang_after = 1', "keeper.hang_after = 1; use at least 2 seconds, or 0"),
        ('nodes = ["SUS"]\n[keeper]\non_start = "hold"', "keeper.on_start is unknown"),
        ('nodes = ["SUS"]\n[keeper]\nrestart = "no"', "keeper.restart = 'no'"),
        ('nodes = ["SUS"]\n[node.IMC]\nrestarts = 1', "[node.IMC]: IMC is none of nodes; add it there, or correct"),
        ('nodes = ["SUS"]\n[node.SUS]\nspeed = 1', "node.SUS.speed is unknown; known are on_start"),
        ('nodes = ["SUS"]\n[node.SUS]\nrestart = "no"', "node.SUS.restart = 'no'; use one of"),
        ('nodes = ["SUS"]\n[node]\nSUS = 1', "node.SUS = 1 is no table; write [node.SUS] above its keys"),
        ('nodes = ["SUS"]\nnodes = ["IMC"]', "overwrite"),
        ('nodes = ["SUS"]\nifo = "X 1"', "ifo: 'X 1'"),
        ('nodes = ["SUS"]\nifo = "' + "X" * 40 + '"', "too long"),
        ('nodes = ["SUS"]\npath = ["a\\u0000b"]', "path = ['a\\x00b'] has a NUL"),
        ('nodes = ["SUS"]\nstate_dir = "\\u0000"', "state_dir = '\\x00' has a NUL"),
        ('nodes = ["SUS"]\nx = ' + "[" * 100_000, "nested too deeply"),
        ('nodes = ["M", "M_LOAD"]', "M_LOAD and M would both have the PV GRD-M_LOAD_STATUS"),
    ],
)
def test_one_fault(tmp_path: Path, text: str, says: str) -> None:
    assert says in faults(tmp_path, text)


def test_files_that_are_none(tmp_path: Path) -> None:
    for path, says in ((tmp_path / "missing.toml", "No such file"), (tmp_path, "directory")):
        with pytest.raises(ExpectedError, match=says):
            read_site(path)
    (tmp_path / "latin.toml").write_bytes(b'nodes = ["\xe9"]')
    with pytest.raises(ExpectedError, match="utf-8"):
        read_site(tmp_path / "latin.toml")


def test_who_may_write(tmp_path: Path) -> None:
    start = 'nodes = ["SUS"]\n[access]\n'
    access = read(tmp_path, start + 'operators = ["10.1.2.0/24"]\nhosts = ["ctrl7"]').access
    assert (access.operators, access.hosts, access.acf) == (("10.1.2.0/24",), ("ctrl7",), None)
    assert access.file == tmp_path / "x1.toml"
    access = read(tmp_path, start + 'acf = "lab.acf"\ncheck_addresses = true').access
    assert (access.acf, access.check_addresses) == (tmp_path / "lab.acf", True)
    assert read(tmp_path, 'nodes = ["SUS"]').access == Access(file=tmp_path / "x1.toml")


def test_every_fault_in_who_may_write_is_named(tmp_path: Path) -> None:
    start = 'nodes = ["SUS"]\n[access]\n'
    told = faults(
        tmp_path, start + 'operators = ["10.1.2.0/33", "ws 3"]\nhosts = "ws3"\ncheck_addresses = 1\nusers = []'
    )
    for word in ("operators: '10.1.2.0/33' is no network", "'ws 3'", "hosts = 'ws3'", "check_addresses = 1", "users"):
        assert word in told
    told = faults(tmp_path, start + 'operators = ["10.1.2.3"]\nacf = "lab.acf"')
    assert "access.acf decides alone; leave out operators, or acf" in told
    assert "check_addresses is for access.acf" in faults(tmp_path, start + "check_addresses = true")
