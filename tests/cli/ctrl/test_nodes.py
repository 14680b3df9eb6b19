"""guardctrl and the nodes of two hosts on two ports, and an original Guardian beside them: all over Channel Access."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from guardian.cli.ctrl.listing import warn_of
from guardian.cli.output import FAILED, OK, STALLED, TIMED_OUT, WRONG_CALL
from guardian.client.finding import Found
from tests.cli.ctrl.calling import ARGV, Shell
from tests.support import Child, ca_env, eventually, free_port, random_prefix
from tests.support.terminal import on_terminal
from tests.system.hosting import Guardhost

pytestmark = [pytest.mark.ca, pytest.mark.proc]

MODULE = """
from guardian import GuardState
request = 'SAFE'
nominal = 'ALIGNED'
class SAFE(GuardState):
    goto = True
    request = True
class DAMPED(GuardState):
    def main(self):
        self.timer['t'] = 0.3
    def run(self):
        return self.timer['t']
class ALIGNED(GuardState):
    pass
class FAULTY(GuardState):
    def run(self):
        return 'SAFE'
class NEVER(GuardState):
    def run(self):
        return False
class BROKEN(GuardState):
    def main(self):
        1 / 0
edges = [('INIT', 'SAFE'), ('SAFE', 'DAMPED'), ('DAMPED', 'ALIGNED'), ('DAMPED', 'FAULTY'), ('DAMPED', 'NEVER'),
         ('DAMPED', 'BROKEN')]
"""
MIRRORS = ("SUS_1", "SUS_2", "SUS_3", "SUS_4", "SUS_5", "SUS_6")
TOP = """
from guardian import GuardState, NodeManager
nominal = request = 'UP'
nodes = NodeManager(['CAV', 'SUS_6'])
class INIT(GuardState):
    def main(self):
        nodes.set_managed(['CAV'])
        return True
class UP(GuardState):
    pass
edges = [('INIT', 'UP')]
"""


class Site:
    """Two hosts of one prefix, and a shell that finds both."""

    def __init__(self, one: Guardhost, two: Guardhost, shell: Shell) -> None:
        self.one, self.two, self.shell = one, two, shell

    def at_rest(self, node: str) -> None:
        """Put a node back where every test begins: in SAFE, its own master."""
        host = self.two if node in self.two.nodes else self.one
        for row, value in (("OP", "EXEC"), ("MODE", "AUTO"), ("REQUEST", "SAFE")):
            host.put(node, row, value)
        if host.get(node, "ERROR") == "True":
            host.put(node, "REENTER", 1)
        host.wait(node, "STATE", "SAFE")
        host.wait(node, "STATUS", "DONE")


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    ifo = random_prefix().rstrip(":")
    one = Guardhost(tmp_path_factory.mktemp("one"), dict.fromkeys(MIRRORS, MODULE), ifo=ifo)
    two = Guardhost(tmp_path_factory.mktemp("two"), {"CAV": MODULE}, ifo=ifo)
    env = {**one.env, "EPICS_CA_ADDR_LIST": f"127.0.0.1:{one.port} 127.0.0.1:{two.port}"}
    with one, two:
        for host in (one, two):
            for node in host.nodes:
                host.wait(node, "STATE", "SAFE", 90)
        yield Site(one, two, Shell(env, ifo=ifo))


# --- looking --------------------------------------------------------------------------------------------------------


def test_list_finds_the_nodes_of_all_hosts(site: Site) -> None:
    told = eventually(lambda: (t := site.shell("list")).code == OK and len(t.out.splitlines()) == 7 and t, 60, "all")
    lines = told.out.splitlines()
    assert [line.split()[0] for line in lines] == ["CAV", *MIRRORS]
    assert re.match(r"SUS_1  EXEC   AUTO     SAFE -> SAFE  DONE      REQUEST is SAFE", lines[1]), told
    facts = site.shell("--json", "list", "SUS_1", "CAV").facts
    assert [(f["node"], f["there"], f["state"], f["ok"]) for f in facts] == [
        ("SUS_1", True, "SAFE", False),
        ("CAV", True, "SAFE", False),
    ]
    assert [f["where"].rpartition(":")[2] for f in facts] == [str(site.one.port), str(site.two.port)]


def test_nodes_come_into_the_list_and_leave_it(site: Site) -> None:
    """That of the network, and the PV that makes it."""
    listed = site.two.ca.monitor(f"{site.two.ifo}:GRD-HOST_NODES", as_string=True)
    listed.wait_value('["CAV"]')
    site.two.write("LATE", MODULE)
    site.two.ctrl("create", "LATE")
    listed.wait_value('["CAV","LATE"]')
    eventually(lambda: "LATE " in site.shell("list", "L*", "CAV").out, 60, "the new node")
    site.two.ctrl("destroy", "LATE")
    listed.wait_value('["CAV"]', start=2)
    told = site.shell("list", "L*")
    assert (told.code, told.out) == (FAILED, "")
    assert told.err.startswith("guardctrl: no node matches 'L*'; found are CAV, SUS_1,"), told


def test_one_host_is_listed_without_channel_access(site: Site) -> None:
    told = site.shell("--state-dir", str(site.two.state_dir), "list", env={"EPICS_CA_ADDR_LIST": ""})
    assert told.code == OK and re.match(r"CAV  EXEC ", told.out), told


def test_the_prefix_is_that_of_the_site_file_of_the_host_or_of_the_command_line(site: Site, tmp_path: Path) -> None:
    (tmp_path / "site.toml").write_text(f'ifo = "{site.one.ifo}"\nnodes = ["SUS_1"]\n')
    for words in (
        ["--site", str(tmp_path / "site.toml")],
        ["--state-dir", str(site.two.state_dir)],
        ["--ifo", site.one.ifo],
        ["--pv", site.one.ifo + ":GRD-{node}_{name}"],
    ):
        for line in (["why", "SUS_1", *words], [*words, "why", "SUS_1"]):
            told = site.shell(*line, env={"IFO": None})
            assert told.code == OK and told.out.startswith("SUS_1: REQUEST is SAFE"), told
    told = site.shell("why", "SUS_1", "--ifo", "NOBODYS", env={"EPICS_CLI_TIMEOUT": "0.5"})
    assert (told.code, told.out) == (FAILED, "SUS_1: does not answer\n")


def test_why_says_the_sentence_and_status_all(site: Site) -> None:
    told = site.shell("why", "SUS_*")
    assert told.code == OK and len(told.out.splitlines()) == 6
    assert all("nominal is ALIGNED; write REQUEST=ALIGNED" in line for line in told.out.splitlines()), told
    told = site.shell("status", "CAV")
    assert told.code == OK
    for line in (
        rf"{site.two.ifo}:GRD-CAV  at \S+:{site.two.port}",
        r"  OK        no: REQUEST is SAFE",
        r"  STATE     SAFE, since \d\d:\d\d:\d\dZ \(.+\)",
        r"  NOMINAL   ALIGNED",
        r"  OP        EXEC, worker RUN",
        rf"  HOST      process {site.two.child.pid} of .*, port {site.two.port}",  # type: ignore[union-attr]
    ):
        assert re.search(f"^{line}", told.out, re.M), (line, told)
    facts = site.shell("status", "CAV", "--json").facts
    assert (facts[0]["node"], facts[0]["nominal"], facts[0]["load_status"]) == ("CAV", "ALIGNED", "DONE")
    told = site.shell("status", "CAV", "GONE", env={"EPICS_CLI_TIMEOUT": "1"})
    assert told.code == FAILED and "GONE does not answer" in told.err and "GRD-CAV" in told.out, told


def test_a_node_of_two_hosts_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    """They could not see each other when they started."""
    warn_of(Found(hosts={"a:1": ["SUS", "IMC"], "b:2": ["SUS"]}, troubles=["c:3 is deaf"]), ["SUS", "IMC"])
    assert capsys.readouterr().err.splitlines() == [
        "guardctrl: c:3 is deaf",
        "guardctrl: SUS is run by 2 hosts, at a:1 and b:2; remove it from all but one",
    ]


# --- requesting -----------------------------------------------------------------------------------------------------


def test_a_request_shows_the_way_and_waits_for_the_arrival(site: Site) -> None:
    told = site.shell("request", "ALIGNED", "SUS_1", "--wait")
    assert told.code == OK, told
    assert re.fullmatch(
        r"SUS_1: SAFE -> DAMPED -> ALIGNED[^\n]*\nSUS_1: arrived in ALIGNED, after \d\.\d s\n", told.out
    ), told
    assert site.one.get("SUS_1", "STATE") == "ALIGNED"
    assert re.match(r"\w+@", site.one.get("SUS_1", "REQUEST_BY"))  # who asked, and from where
    told = site.shell("request", "DAMPED", "SUS_1", "--dry-run")
    assert told.code == OK and told.out.startswith("SUS_1: ALIGNED -> SAFE -> DAMPED")
    assert told.err == "guardctrl: warning: SUS_1: the way passes SAFE, a goto state\n"
    assert site.one.get("SUS_1", "REQUEST") == "ALIGNED"
    told = site.shell("request", "SAFE", "SUS_1")
    assert (told.code, told.out.splitlines()[-1]) == (OK, "SUS_1: SAFE is requested")
    site.at_rest("SUS_1")


def test_a_pattern_means_several_nodes_also_of_several_hosts(site: Site) -> None:
    told = site.shell("request", "ALIGNED", "SUS_[12]", "C*", "SUS_1", "--wait", "--json")
    assert told.code == OK, told
    assert [(f["node"], f["path"], f["result"]) for f in told.facts] == [
        (node, ["SAFE", "DAMPED", "ALIGNED"], "arrived") for node in ("SUS_1", "SUS_2", "CAV")
    ]
    for node in ("SUS_1", "SUS_2", "CAV"):
        site.at_rest(node)


def test_more_than_five_nodes_are_asked_about(site: Site) -> None:
    told = site.shell("request", "SAFE", "SUS_*")
    assert told.code == FAILED and "request SAFE of 6 nodes: SUS_1, SUS_2," in told.err, told
    assert told.err.endswith("guardctrl: nothing was requested\n")
    before = site.one.get("SUS_6", "REQUEST_ID")
    assert site.shell("request", "SAFE", "SUS_*", stdin="n\n").code == FAILED
    assert site.one.get("SUS_6", "REQUEST_ID") == before
    assert site.shell("request", "SAFE", "SUS_*", stdin="y\n").code == OK
    assert site.one.get("SUS_6", "REQUEST_ID") == before + 1
    assert site.shell("request", "SAFE", "SUS_*", "--yes").code == OK
    assert site.one.get("SUS_6", "REQUEST_ID") == before + 2
    told = site.shell("op", "PAUSE", "SUS_*")
    assert (told.code, site.one.get("SUS_6", "OP")) == (FAILED, "EXEC")
    assert "OP=PAUSE of 6 nodes" in told.err and told.err.endswith("nothing was written\n"), told


def test_on_a_terminal_it_asks_and_shows_progress(site: Site, child: Callable[..., Child]) -> None:
    words = [*ARGV, "request", "NEVER", "SUS_*", "--wait", "--timeout", "3"]
    terminal = child(on_terminal(words), env=site.shell.env, stdin=True)
    terminal.wait_for(r"request NEVER of 6 nodes: .*\? \[y/N\] ", 60)
    terminal.send("yes\n")
    terminal.wait_for(r"\d s  waiting for SUS_1 \w+ -> \w+ \(\w+\), SUS_2", 60)
    assert terminal.wait(60) == TIMED_OUT, terminal.report()
    assert "SUS_6 has not arrived in 3 s: it is in NEVER, STATUS RUN" in " ".join(terminal.output.split()), (
        terminal.report()
    )
    for node in MIRRORS:
        site.at_rest(node)


def test_what_is_refused_is_told_and_nothing_is_requested(site: Site) -> None:
    before = site.one.get("SUS_1", "REQUEST_ID")
    told = site.shell("request", "ALINGED", "SUS_1", "SUS_2")
    assert (told.code, told.out) == (FAILED, "")
    assert "SUS_1 has no state 'ALINGED'; did you mean ALIGNED?" in told.err and "SUS_2 has no state" in told.err
    told = site.shell("request", "ALIGNED", "SUS_1", "GONE", env={"EPICS_CLI_TIMEOUT": "1"})
    assert told.code == FAILED and "GONE does not answer" in told.err, told
    assert told.err.startswith("guardctrl: nothing was requested: ")
    assert site.one.get("SUS_1", "REQUEST_ID") == before


def test_a_refusal_of_the_node_is_told_in_its_own_words(tmp_path: Path) -> None:
    with Guardhost(tmp_path, {"BAD": "edges = = 1\n"}) as host:
        host.wait("BAD", "LOAD_STATUS", "ERROR")
        shell = Shell(host.env, ifo=host.ifo)
        told = shell("request", "ALIGNED", "BAD")
        assert told.code == FAILED and "warning: BAD: its graph is not known" in told.err, told
        assert "BAD refused ALIGNED: the states are not known yet (LOAD_STATUS ERROR)" in told.err, told
        told = shell("--json", "request", "ALIGNED", "BAD", "--wait")
        assert (told.code, told.facts[0]["result"]) == (FAILED, "refused"), told


@pytest.mark.parametrize(
    ("words", "right"),
    [
        (["request", "SUS_1", "ALIGNED"], "guardctrl request ALIGNED SUS_1"),
        (["request", "SUS_1", "SUS_2", "ALIGNED"], "guardctrl request ALIGNED SUS_1 SUS_2"),
        (["request", "SUS_*", "ALIGNED"], "guardctrl request ALIGNED 'SUS_*'"),
        (["mode", "SUS_1", "AUTO"], "guardctrl mode AUTO SUS_1"),
        (["op", "SUS_1", "SUS_2", "STOP"], "guardctrl op STOP SUS_1 SUS_2"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_swapped_words_are_refused_with_the_right_line(site: Site, words: list[str], right: str) -> None:
    before = site.one.get("SUS_1", "REQUEST_ID")
    told = site.shell(*words)
    assert (told.code, told.out) == (WRONG_CALL, ""), told
    assert told.err.endswith(f"did you mean: {right}\n"), told
    assert (site.one.get("SUS_1", "REQUEST_ID"), site.one.get("SUS_1", "OP")) == (before, "EXEC")


def test_a_managed_node_that_jumps_is_stalled(site: Site) -> None:
    site.one.put("SUS_3", "MANAGER", "BOSS")
    site.one.put("SUS_3", "MODE", "MANAGED")
    told = site.shell("request", "FAULTY", "SUS_3", "--wait")
    assert told.code == STALLED, told
    assert "warning: SUS_3: it is managed by BOSS" in told.err
    assert "SUS_3 stalled: STALLED in SAFE after a jump, request FAULTY" in told.err, told
    told = site.shell("tree", "SUS_3")
    assert told.code == FAILED, told
    assert "** STALLED: in SAFE, request FAULTY  ** ORPHANED: its manager BOSS does not answer" in told.out, told
    site.one.put("SUS_3", "MANAGER", "")
    site.at_rest("SUS_3")


def test_no_path_stalls_and_an_error_fails(site: Site) -> None:
    told = site.shell("request", "INIT", "SUS_4", "--wait")
    assert told.code == STALLED and "SUS_4: no path SAFE -> INIT" in told.err, told
    told = site.shell("request", "BROKEN", "SUS_4", "--wait", "--json")
    assert told.code == FAILED and told.facts[0]["result"] == "failed", told
    assert "ZeroDivisionError" in told.facts[0]["why"]
    site.at_rest("SUS_4")


def test_the_time_is_over(site: Site) -> None:
    told = site.shell("request", "NEVER", "SUS_2", "--wait", "--timeout", "1.5")
    assert told.code == TIMED_OUT and "SUS_2 has not arrived in 1.5 s: it is in NEVER, STATUS RUN" in told.err, told
    site.at_rest("SUS_2")


def test_somebody_else_asks_meanwhile(site: Site, child: Callable[..., Child]) -> None:
    waiting = child([*ARGV, "request", "NEVER", "SUS_5", "--wait"], env=site.shell.env)
    site.one.wait("SUS_5", "STATE", "NEVER")
    site.one.put("SUS_5", "REQUEST", "SAFE")
    assert waiting.wait(60) == FAILED, waiting.report()
    assert "SUS_5 was asked for SAFE by " in waiting.output and "meanwhile" in waiting.output, waiting.report()
    site.at_rest("SUS_5")


def test_the_same_state_asked_by_somebody_else_is_not_ours(site: Site, child: Callable[..., Child]) -> None:
    """The node arrives, but for the other one: what was asked here was replaced, and that is said."""
    waiting = child([*ARGV, "request", "NEVER", "SUS_5", "--wait"], env=site.shell.env)
    site.one.wait("SUS_5", "STATE", "NEVER")
    site.one.put("SUS_5", "REQUEST_CMD", '{"state": "NEVER", "by": "eve", "id": "hers"}')
    assert waiting.wait(60) == FAILED, waiting.report()
    assert "SUS_5 was asked for NEVER by eve" in waiting.output, waiting.report()
    site.at_rest("SUS_5")


def test_it_waits_on_when_the_host_is_killed_and_comes_back(tmp_path: Path, child: Callable[..., Child]) -> None:
    """What was asked survives (R21), its id too, so the arrival counts."""
    with Guardhost(tmp_path, {"SUS": MODULE.replace("= 0.3", "= 3")}) as host:
        host.wait("SUS", "STATE", "SAFE", 90)
        words = [*ARGV, "request", "ALIGNED", "SUS", "--wait", "--timeout", "150"]
        waiting = child(words, env=Shell(host.env, ifo=host.ifo).env)
        host.wait("SUS", "STATE", "DAMPED")
        host.kill9()
        assert host.child is not None
        host.child.wait(30)
        host.child.close()
        host.start()
        assert waiting.wait(170) == OK, waiting.report()
        assert "SUS: arrived in ALIGNED" in waiting.output


# --- the other orders -----------------------------------------------------------------------------------------------


def test_mode_op_and_reenter_are_written(site: Site) -> None:
    assert site.shell("mode", "manual", "SUS_2").out == "SUS_2: MODE=MANUAL\n"
    assert site.one.get("SUS_2", "MODE") == "MANUAL"
    told = site.shell("request", "FAULTY", "SUS_2", "--dry-run")
    assert (
        told.out == "SUS_2: SAFE -> FAULTY (FAULTY never timed)\n"
        and "MODE is MANUAL: it enters FAULTY directly" in told.err
    )
    assert site.shell("op", "PAUSE", "SUS_2").code == OK
    assert site.one.get("SUS_2", "OP") == "PAUSE"
    site.at_rest("SUS_2")
    entered = site.one.get("SUS_2", "STATE_TIME")
    assert site.shell("reenter", "SUS_2", "--json").facts == [{"node": "SUS_2", "ok": True, "text": "REENTER"}]
    eventually(lambda: site.one.get("SUS_2", "STATE_TIME") != entered, 30, "the state to be entered again")


def test_load_waits_for_the_new_code_and_tells_why_it_is_refused(site: Site) -> None:
    told = site.shell("load", "CAV", "--wait")
    assert (told.code, told.out) == (OK, "CAV: the new code is in force\n")
    site.two.write("CAV", "edges = = 1\n")
    told = site.shell("load", "CAV", "--wait")
    assert told.code == FAILED and "CAV: the new code is refused: " in told.err, told
    assert "SyntaxError: invalid syntax (CAV.py:1)" in told.err, told
    site.two.write("CAV", MODULE)
    assert site.shell("load", "CAV", "--wait").code == OK


# --- managers -------------------------------------------------------------------------------------------------------


def test_the_tree_of_a_manager_in_a_third_host(site: Site, tmp_path: Path) -> None:
    three = Guardhost(tmp_path, {"TOP": TOP}, ifo=site.one.ifo)
    env = {"EPICS_CA_ADDR_LIST": f"{site.shell.env['EPICS_CA_ADDR_LIST']} 127.0.0.1:{three.port}"}
    three.env |= env
    with three:
        three.wait("TOP", "STATE", "UP", 90)
        site.two.wait("CAV", "MANAGER", "TOP")

        def tree() -> list[str]:
            return site.shell("tree", "TOP", env=env).out.splitlines()

        lines = eventually(lambda: len(found := tree()) == 3 and "MANAGED" in found[1] and found, 60, "the tree")
        assert re.match(r"TOP  UP DONE  AUTO", lines[0]) and re.match(
            r"\|-- CAV  SAFE DONE  MANAGED  not OK$", lines[1]
        ), lines
        assert re.match(r"`-- SUS_6 \(watched\)  SAFE DONE  AUTO  not OK$", lines[2]), lines
        assert "  NODES     2, of which 2 not OK; see guardctrl tree" in site.shell("status", "TOP", env=env).out
        site.two.put("CAV", "MODE", "AUTO")
        eventually(lambda: "** UNMANAGED: TOP took it, and its MODE is AUTO" in "\n".join(tree()), 60, "the flag")
        site.two.put("CAV", "MANAGER", "SUS_6")
        site.two.put("CAV", "MODE", "MANAGED")
        told = site.shell("tree", "--json", env=env)
        top = next(place for place in told.facts if place["node"] == "TOP")
        assert told.code == FAILED
        assert top["below"][0]["flags"] == {"CONTESTED": "TOP took it, and SUS_6 has it"}, told
    site.two.put("CAV", "MODE", "AUTO")
    site.two.put("CAV", "MANAGER", "")
    site.at_rest("CAV")


# --- an original Guardian ---------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def old() -> Iterator[Shell]:
    """A shell that finds a node without SUMMARY and REQUEST_CMD, called OLD."""
    ifo, port = random_prefix().rstrip(":"), free_port()
    server = [sys.executable, str(Path(__file__).with_name("plain_guardian.py")), f"{ifo}:GRD-OLD_"]
    with Child(server, env=ca_env(port)) as child:
        child.wait_for("CA SERVER READY", 60)
        yield Shell(ca_env(port), ifo=ifo)


def test_an_original_guardian_is_asked_by_its_plain_pvs(old: Shell) -> None:
    told = old("list", "OLD")
    assert (told.code, told.out) == (OK, "OLD  EXEC   AUTO     DOWN -> DOWN  DONE      not OK in DOWN\n"), told
    told = old("request", "UP", "OLD", "--wait")
    assert told.code == OK and "warning: OLD: its graph is not known" in told.err, told
    assert "OLD: arrived in UP" in told.out
    told = old("request", "NOWHERE", "OLD", "--wait")
    assert told.code == FAILED and "OLD refused NOWHERE: no state NOWHERE" in told.err, told
    told = old("request", "STUCK", "OLD", "--wait")
    assert told.code == STALLED and "OLD stalled: STALLED in UP, request STUCK" in told.err, told
    assert old("mode", "MANAGED", "OLD").out == "OLD: MODE=MANAGED\n"
    told = old("load", "OLD")
    assert told.code == FAILED and "LOAD is not written: " in told.err and "OLD_LOAD does not answer" in told.err, told
