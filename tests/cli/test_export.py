"""``guardutil export``: which nodes and hosts it is about, where it writes, what it says of a wrong call."""

from __future__ import annotations

import json
import os
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest

from guardian.cli import guardutil
from guardian.core.interface import BY_NAME
from tests.system.hosting import Guardhost

FORMATS = ("--pvlist", "--archiver", "--alarms", "--daq-ini")


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.delenv("IFO", raising=False)
    monkeypatch.chdir(tmp_path)
    site('ifo = "X1"\nhost = "ctrl7"\nnodes = ["SUS_MC2", "SUS_MC1"]')
    return tmp_path


def site(text: str) -> None:
    Path("site.toml").write_text(text)


def export(capsys: pytest.CaptureFixture[str], *words: str, code: int = 0) -> tuple[str, str]:
    assert guardutil.main(["export", *words]) == code
    return capsys.readouterr()


def test_without_a_node_it_is_all_of_the_site_file_and_its_host(capsys: pytest.CaptureFixture[str]) -> None:
    out, err = export(capsys, "--site", "site.toml", "--pvlist", "--rows", "OK")
    assert (out, err) == ("X1:GRD-SUS_MC1_OK\nX1:GRD-SUS_MC2_OK\nX1:GRD-HOST_ctrl7_OK\n", "")
    out, err = export(capsys, "SUS_MC2", "--site", "site.toml", "--pvlist", "--rows", "OK")
    assert (out, err) == ("X1:GRD-SUS_MC2_OK\n", "")
    out, err = export(capsys, "SUS_MC2", "--site", "site.toml", "--host", "b1", "--pvlist", "--rows", "OK")
    assert (out, err) == ("X1:GRD-SUS_MC2_OK\nX1:GRD-HOST_b1_OK\n", "")


def test_a_host_without_a_name_is_left_out_and_told(capsys: pytest.CaptureFixture[str]) -> None:
    site('ifo = "X1"\nnodes = ["A"]\npv = "LAB:{node}:{name}"')
    out, err = export(capsys, "--site", "site.toml", "--pvlist", "--rows", "OK")
    assert out == "LAB:A:OK\n" and err.startswith("guardutil: the host itself is left out: site.toml does not name it")


def test_without_a_site_file_the_nodes_are_named(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert export(capsys, "A", "--ifo", "Y1", "--pvlist", "--rows", "OK") == ("Y1:GRD-A_OK\n", "")
    assert export(capsys, "A", "--pvlist", "--rows", "OK") == ("GRD-A_OK\n", "")
    monkeypatch.setenv("IFO", "Z1")
    assert export(capsys, "A", "--pvlist", "--rows", "OK") == ("Z1:GRD-A_OK\n", "")
    assert export(capsys, "A", "--site", "", "--pvlist", "--rows", "OK", code=2)[0] == ""


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["--pvlist"], "of which nodes? Name them, or give the site file that lists them, with --site FILE"),
        (["--site", "no.toml", "--pvlist"], "site file no.toml: No such file or directory"),
        (["SUS_MC", "--site", "site.toml", "--pvlist"], "SUS_MC is no node of site.toml, did you mean one of SUS_MC"),
        (["a b", "--pvlist"], "'a b' is no name for a node"),
        (["A", "--ifo", "a b", "--pvlist"], "--ifo: 'a b' cannot be a part of PV names"),
        (["A", "--host", "a b", "--pvlist"], "--host: 'a b' cannot be a part of PV names"),
        (["A", "--pvlist", "--rows", "NO"], "no node and no host has a PV NO; there are "),
        (["A", "--alarms", "--rows", "OK"], "an alarm is raised on OK of each node; leave out --rows"),
        (["A", "--archiver", "--json"], "--json is for --pvlist"),
        (["A", "--pvlist", "--config", "X"], "--config names an alarm configuration; use it with --alarms"),
        (["A", "--alarms", "--config", "a b"], "'a b' cannot be the name of an alarm configuration"),
    ],
)
def test_a_wrong_call_is_one_line_that_says_what_to_do(
    capsys: pytest.CaptureFixture[str], words: list[str], says: str
) -> None:
    out, err = export(capsys, *words, code=2)
    assert out == "" and err.startswith(f"guardutil: {says}") and err.count("\n") == 1


@pytest.mark.parametrize("words", [["A"], ["A", "--pvlist", "--alarms"]])
def test_it_is_one_format_at_a_time(capsys: pytest.CaptureFixture[str], words: list[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        guardutil.main(["export", *words])
    assert ended.value.code == 2
    assert "guardutil export --help" in capsys.readouterr().err


@pytest.mark.parametrize("what", FORMATS)
def test_a_file_is_exchanged_as_a_whole(capsys: pytest.CaptureFixture[str], folder: Path, what: str) -> None:
    shown, _ = export(capsys, "--site", "site.toml", what)
    Path("old").write_text("old")
    os.link("old", "also-old")
    out, err = export(capsys, "--site", "site.toml", what, "-o", "old")
    assert (out, err) == ("old is written: 2 nodes and the host ctrl7\n", "")
    assert Path("old").read_text() == shown and Path("also-old").read_text() == "old"
    assert sorted(path.name for path in folder.iterdir()) == ["also-old", "old", "site.toml"]


def test_what_is_no_file_stays_what_it_is(capsys: pytest.CaptureFixture[str], folder: Path) -> None:
    Path("real").write_text("old")
    Path("link").symlink_to("real")
    os.mkfifo("pipe")
    reader = os.open("pipe", os.O_RDONLY | os.O_NONBLOCK)
    for name in ("link", "pipe"):
        export(capsys, "A", "--pvlist", "--rows", "OK", "-o", name)
    assert os.read(reader, 100) == b"GRD-A_OK\n" == Path("real").read_bytes()
    os.close(reader)
    assert Path("link").is_symlink() and Path("pipe").is_fifo()
    for name in (".", "", str(folder)):
        assert "cannot be written: Is a directory" in export(capsys, "A", "--pvlist", "-o", name, code=1)[1]


def test_a_file_that_cannot_be_written_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    out, err = export(capsys, "A", "--pvlist", "-o", "no/list", code=1)
    assert out == "" and err.startswith("guardutil: no/list cannot be written: No such file or directory; give another")
    Path("list").mkdir()
    assert export(capsys, "A", "--pvlist", "-o", "list", code=1)[1].startswith(
        "guardutil: list cannot be written: Is a"
    )
    assert sorted(Path().iterdir()) == [Path("list"), Path("site.toml")]


def test_the_alarm_configuration_is_called_as_the_site(capsys: pytest.CaptureFixture[str]) -> None:
    def name(*words: str) -> str | None:
        return ET.fromstring(export(capsys, "--alarms", *words)[0]).get("name")

    assert name("--site", "site.toml") == "X1"
    assert name("--site", "site.toml", "--config", "Accelerator") == "Accelerator"
    assert name("A") == "guardian"
    site('ifo = "X1"\nsite = "LHO"\nhost = "h"\nnodes = ["A"]')
    assert name("--site", "site.toml") == "LHO"


MODULE = """
    from guardian import GuardState
    request = nominal = "UP"
    class UP(GuardState):
        goto = True
"""
SITE = """
ifo = "{ifo}"
host = "ctrl-7"
nodes = ["SUS", "IMC_LOCK"]
path = ["."]
port = {port}
state_dir = "state"
"""


@pytest.mark.ca
@pytest.mark.proc
def test_a_host_serves_every_pv_that_is_listed_of_it(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    host = Guardhost(tmp_path, dict.fromkeys(("SUS", "IMC_LOCK"), MODULE))
    site(SITE.format(ifo=host.ifo, port=host.port))
    host.command = ["--site", "site.toml"]
    facts = json.loads(export(capsys, "--site", "site.toml", "--pvlist", "--json")[0])
    with host:
        for node in ("SUS", "IMC_LOCK"):
            host.wait(node, "OK", "True")
        for one in facts:
            info, read = host.ca.info(one["pv"]), host.ca.get(one["pv"])
            assert info.writable == one["writable"], one
            assert (info.units, read.kind == "ENUM") == (one["units"], one["type"] in ("enum", "bool")), one
    assert len(facts) > 2 * len(BY_NAME)
