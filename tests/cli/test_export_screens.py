"""``guardutil export --adl|--bob|--pydm`` and ``guardmedm``: which files they write, and what a wrong call is told."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from guardian.cli import guardmedm, guardutil
from tests.support import REPO

pytestmark = pytest.mark.proc

OVEN = """
from guardian import GuardState
class COLD(GuardState):
    goto = True
class WARM(GuardState):
    index = 20
"""
BAKERY = """
from guardian import GuardState, NodeManager
nodes = NodeManager(['OVEN'])
class OPEN(GuardState):
    index = 10
"""
SITE = 'ifo = "X1"\nnodes = ["OVEN", "BAKERY"]\npath = ["."]\n'
SUFFIXES = {"--adl": ".adl", "--bob": ".bob", "--pydm": ".ui"}


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in ("IFO", "SITE", "GUARD_MODULE_PATH", "USERAPPS_PATH"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)
    for name, text in (("OVEN.py", OVEN), ("BAKERY.py", BAKERY), ("site.toml", SITE)):
        Path(name).write_text(text)
    return tmp_path


def export(capsys: pytest.CaptureFixture[str], *words: str, code: int = 0) -> tuple[str, str]:
    assert guardutil.main(["export", *words]) == code
    return capsys.readouterr()


@pytest.mark.parametrize(("what", "suffix"), SUFFIXES.items())
def test_the_screens_of_a_site_are_the_files_of_a_folder(
    capsys: pytest.CaptureFixture[str], what: str, suffix: str
) -> None:
    out, err = export(capsys, "--site", "site.toml", what, "-o", "deep/screens")
    names = [f"X1-{name}{suffix}" for name in ("OVEN", "OVEN_states", "BAKERY", "BAKERY_states", "strip", "wall")]
    assert (out, err) == (f"deep/screens has {', '.join(names)}\n", "")
    assert sorted(path.name for path in Path("deep/screens").iterdir()) == sorted(names)
    assert "X1:GRD-OVEN_REQUEST" in Path(f"deep/screens/X1-OVEN_states{suffix}").read_text()


def test_a_manager_stands_above_what_its_module_names(capsys: pytest.CaptureFixture[str]) -> None:
    export(capsys, "--site", "site.toml", "--adl", "-o", "screens")
    text = Path("screens/X1-wall.adl").read_text()
    assert text.index("SYSTEM=BAKERY") < text.index("SYSTEM=OVEN")
    first, second = (part.rsplit("x=", 1)[1].split()[0] for part in text.split('"composite file"')[:2])
    assert int(first) < int(second)


def test_nodes_can_be_named_without_a_site_file_and_one_alone_has_no_wall(capsys: pytest.CaptureFixture[str]) -> None:
    out, _ = export(capsys, "OVEN", "--pydm", "-o", "screens")
    assert out == "screens has OVEN.ui, OVEN_states.ui, strip.ui\n"
    out, _ = export(capsys, "OVEN", "--ifo", "Y1", "--path", ".", "--bob", "-o", "screens")
    assert out == "screens has Y1-OVEN.bob, Y1-OVEN_states.bob, Y1-strip.bob\n"


def test_the_names_of_pvs_are_those_of_the_site(capsys: pytest.CaptureFixture[str]) -> None:
    Path("site.toml").write_text(f'{SITE}pv = "LAB:{{node}}:{{name}}"\n')
    export(capsys, "--site", "site.toml", "--adl", "-o", "screens")
    assert 'chan="LAB:OVEN:REQUEST"' in Path("screens/X1-OVEN_states.adl").read_text()
    assert 'chan="LAB:$(SYSTEM):STATE_S"' in Path("screens/X1-strip.adl").read_text()


def test_a_file_is_exchanged_as_a_whole(capsys: pytest.CaptureFixture[str]) -> None:
    Path("screens").mkdir()
    Path("screens/X1-OVEN.adl").write_text("old")
    os.link("screens/X1-OVEN.adl", "old")
    export(capsys, "--site", "site.toml", "--adl", "-o", "screens")
    assert Path("old").read_text() == "old" != Path("screens/X1-OVEN.adl").read_text()


def test_a_module_that_does_not_load_costs_no_other_node_its_screens(capsys: pytest.CaptureFixture[str]) -> None:
    Path("OVEN.py").write_text("import nowhere")
    out, err = export(capsys, "--site", "site.toml", "--adl", "-o", "screens", code=1)
    assert out == "screens has X1-BAKERY.adl, X1-BAKERY_states.adl, X1-strip.adl\n"
    assert err.startswith("guardutil: OVEN: ") and "nowhere" in err and err.endswith("; it has no screens\n")
    out, err = export(capsys, "OVEN", "--adl", "-o", "none", code=1)
    assert out == "" and err.endswith("; it has no screens\n") and err.count("\n") == 1


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["OVEN", "--adl"], "screens are files of a folder; say which, with -o DIR"),
        (["--bob", "-o", "x"], "of which nodes? Name them, or give the site file"),
        (["OVEN", "--pydm", "-o", "x", "--rows", "OK"], "a screen shows a node as it is; leave out --rows"),
        (["OVEN", "--pydm", "-o", "x", "--host", "b1"], "a screen shows a node as it is; leave out --host"),
        (["OVEN", "--adl", "-o", "x", "--json"], "--json is for --pvlist"),
        (["OVEN", "--pvlist", "--path", "."], "--path says where modules are, of which lists of PVs need none"),
        (["OVEN", "--adl", "-o", "x", "--ifo", "A/B"], "'A/B' cannot begin the name of a file"),
    ],
)
def test_a_wrong_call_is_one_line_that_says_what_to_do(
    capsys: pytest.CaptureFixture[str], words: list[str], says: str
) -> None:
    out, err = export(capsys, *words, code=2)
    assert out == "" and err.startswith(f"guardutil: {says}") and err.count("\n") == 1
    assert not Path("x").exists()


def test_a_folder_that_cannot_be_made_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    out, err = export(capsys, "OVEN", "--adl", "-o", "OVEN.py", code=1)
    assert (out, err) == ("", "guardutil: OVEN.py cannot be written: File exists; give another DIR\n")


# --- guardmedm --------------------------------------------------------------------------------------------------------

MEDM = """#!/bin/sh
printf '%s\\n' "$EPICS_DISPLAY_PATH" "$@"
"""


def medm(*words: str, path: str) -> subprocess.CompletedProcess[str]:
    """What guardmedm does with these programs on PATH."""
    env = {**os.environ, "PATH": path, "PYTHONPATH": str(REPO)}
    argv = [sys.executable, "-m", "guardian.cli.guardmedm", *words]
    return subprocess.run(argv, env=env, capture_output=True, text=True, timeout=90, check=False)


@pytest.fixture
def tools(folder: Path) -> str:
    """A folder with a MEDM that says how it was called."""
    place = folder / "tools"
    place.mkdir()
    (place / "medm").write_text(MEDM)
    (place / "medm").chmod(0o755)
    return f"{place}:/usr/bin:/bin"


def test_guardmedm_opens_the_screen_of_a_node_in_medm(folder: Path, tools: str) -> None:
    screens = folder / "cache" / "guardian" / "screens"
    for words, name in (([], "X1-OVEN.adl"), (["--states"], "X1-OVEN_states.adl")):
        ended = medm("OVEN", "--site", "site.toml", *words, path=tools)
        assert (ended.returncode, ended.stderr) == (0, "")
        assert ended.stdout.splitlines() == [
            str(screens), "-x", "-macro", "IFO=X1,SYSTEM=OVEN", str(screens / name),
        ]  # fmt: skip
        assert (screens / name).read_text().startswith("file {")


def test_guardmedm_says_what_to_do_where_there_is_no_medm(capsys: pytest.CaptureFixture[str], monkeypatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    assert guardmedm.main(["OVEN"]) == 1
    out, err = capsys.readouterr()
    assert out == "" and err.count("\n") == 1
    assert err.startswith("guardmedm: there is no medm on PATH; install MEDM") and "export OVEN --bob -o DIR" in err


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["NOWHERE"], "NOWHERE: no NOWHERE.py found"),
        (["oven"], "'oven' is no name for a node"),
        (["OVE", "--site", "site.toml"], "OVE is no node of site.toml, did you mean one of OVEN?"),
        (["OVEN", "--site", "no.toml"], "site file no.toml: No such file"),
    ],
)
def test_guardmedm_refuses_what_is_no_node(tools: str, words: list[str], says: str) -> None:
    ended = medm(*words, path=tools)
    assert ended.returncode == 2 and ended.stdout == ""
    assert ended.stderr.startswith(f"guardmedm: {says}") and ended.stderr.count("\n") == 1
