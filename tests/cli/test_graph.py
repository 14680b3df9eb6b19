"""guardutil graph: what Graphviz makes of it, and what is said where it is missing or fails.

A picture of 150 states must read as one column; dot itself tells where it puts each of them.
"""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from xml.etree import ElementTree

import pytest

from guardian.cli import guardutil
from guardian.client.dot import draw
from guardian.core.drawing import dot_text
from guardian.core.graph import Edge, Graph, StateInfo

pytestmark = pytest.mark.proc
MODULES = Path(__file__).parent / "modules"
SVG = "{http://www.w3.org/2000/svg}"
needs_dot = pytest.mark.skipif(shutil.which("dot") is None, reason="Graphviz is not installed")
SUS = """\
from guardian import GuardState
class SAFE(GuardState):
    goto = True
class UP(GuardState):
    pass
edges = [('SAFE', 'UP'), ('UP', 'SAFE')]
"""
Call = Callable[..., tuple[int, str, str]]


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in ("IFO", "SITE", "GUARD_MODULE_PATH", "USERAPPS_PATH"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "SUS.py").write_text(SUS)
    return tmp_path


@pytest.fixture
def call(capfd: pytest.CaptureFixture[str]) -> Call:
    """``guardutil graph ...``: its exit code, what it printed, and what it said on stderr."""

    def called(*words: str) -> tuple[int, str, str]:
        code = guardutil.main(["graph", *words])
        return (code, *capfd.readouterr())

    return called


def fake_dot(folder: Path, monkeypatch: pytest.MonkeyPatch, script: str) -> None:
    """Have another program called dot."""
    program = folder / "bin" / "dot"
    program.parent.mkdir()
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{program.parent}:/usr/bin:/bin")


def places(text: str) -> dict[str, tuple[float, float]]:
    """Where dot puts the middle of each state, in inches from the lower left."""
    done = subprocess.run(["dot", "-Tplain"], input=text, capture_output=True, text=True, timeout=60, check=True)
    rows = (line.split() for line in done.stdout.splitlines())
    return {row[1].strip('"'): (float(row[2]), float(row[3])) for row in rows if row[0] == "node"}


def boxes(svg: bytes) -> dict[str, str]:
    """The states of a picture: their ids, and what is written in them."""
    groups = ElementTree.fromstring(svg).iter(f"{SVG}g")
    return {
        group.get("id", ""): "".join(text.text or "" for text in group.iter(f"{SVG}text"))
        for group in groups
        if "node" in group.get("class", "").split()
    }


# --- what is drawn ------------------------------------------------------------------------------------------------


@needs_dot
def test_150_states_read_as_one_column(call: Call) -> None:
    code, text, _ = call("LONG_LOCK", "--path", str(MODULES))
    at = places(text)
    assert (code, len(at)) == (0, 150)
    stages = [name for name in at if name.endswith(("_START", "_ENGAGE", "_TUNE", "_CHECK", "_WAIT", "_DONE"))]
    line = ["INIT", "DOWN", *stages, "CALIBRATED", "OBSERVING"]
    assert len(line) == 112
    assert len({at[name][0] for name in line}) == 1, "the main line is not straight"
    assert [at[name][1] for name in line] == sorted((at[name][1] for name in line), reverse=True), "not downwards"
    beside = [name for name in at if name not in line]
    assert all(at[name][0] != at["DOWN"][0] for name in beside)
    assert max(x for x, _ in at.values()) - min(x for x, _ in at.values()) < 5, "nobody sees the branches beside it"


@needs_dot
@pytest.mark.parametrize("step", [2, 5, 29])
def test_ways_over_many_states_do_not_bend_the_column(step: int) -> None:
    states = [StateInfo(name=name, index=i) for i, name in enumerate(["INIT", *(f"S{i}" for i in range(30))])]
    names = [state.name for state in states]
    ways = [Edge(start=a, end=b) for a, b in pairwise(names)]
    ways += [Edge(start=a, end=b, weight=50) for a, b in zip(names, names[step:], strict=False)]
    at = places(dot_text(Graph.build(states, ways), name="SUS", nominal="S29"))
    assert len({x for x, _ in at.values()}) == 1


@needs_dot
def test_a_branch_that_takes_the_next_numbers_stands_beside_the_column() -> None:
    names = ["INIT", "A", "B1", "B2", "B3", "C", "D1", "E"]
    ways = [("INIT", "A"), ("A", "B1"), ("B1", "B2"), ("B2", "B3"), ("A", "C"), ("C", "D1"), ("C", "E")]
    system = Graph.build(
        [StateInfo(name=name, index=i) for i, name in enumerate(names)], [Edge(start=a, end=b) for a, b in ways]
    )
    at = places(dot_text(system, name="SUS", nominal="E"))
    assert {name for name in names if at[name][0] == at["E"][0]} == {"INIT", "A", "C", "E"}
    assert len({at[name][0] for name in ("B1", "B2", "B3")}) == 1


@needs_dot
@pytest.mark.parametrize("name", ['A"B', "A\\", "A<B>&AMP;", "É★", "NODE", "->", "%"])
def test_any_name_is_one_box_with_that_name(name: str) -> None:
    doc = f"{name}\n\x01\0\udce9"
    system = Graph.build(
        [StateInfo(name=name, index=0, doc=doc), StateInfo(name="B", index=1, request=False, doc=doc)],
        [Edge(start=name, end="B"), Edge(start="B", end=name)],
    )
    svg = draw(dot_text(system, name=name, request=name, nominal=name), "svg")
    assert boxes(svg) == {f"s-{name}": f"{name} ★", "s-B": "B"}


@needs_dot
def test_pictures_and_text_by_the_ending_of_the_file(call: Call) -> None:
    for name in ("a.svg", "a.png", "a.dot"):
        assert call("SUS", "--ifo", "X1", "-o", name) == (0, "", "")
    assert Path("a.png").read_bytes().startswith(b"\x89PNG")
    assert boxes(Path("a.svg").read_bytes()) == {"s-INIT": "INIT", "s-SAFE": "SAFE", "s-UP": "UP"}
    code, text, _ = call("SUS", "--ifo", "X1")
    assert (code, Path("a.dot").read_text()) == (0, text) and 'digraph "X1-SUS"' in text


# --- where it is not drawn ----------------------------------------------------------------------------------------


def test_without_graphviz_pictures_say_how_to_get_it_and_text_needs_nothing(
    call: Call, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(folder))
    code, out, err = call("SUS", "-o", "a.png")
    assert (code, out, Path("a.png").exists()) == (1, "", False)
    assert err == (
        "guardutil: PNG is drawn by the program dot, which is not on PATH; install Graphviz (the package graphviz of "
        "Debian, Fedora, conda), or write a .dot file, which needs nothing\n"
    )
    assert call("SUS", "-o", "a.dot") == (0, "", "") and call("SUS")[0] == 0


@pytest.mark.parametrize("script", ["cat >/dev/null; printf 'no\\nfont\\n' >&2; exit 3", "exit 3", "exit 0"])
def test_a_dot_that_fails_is_one_line_and_leaves_no_file(
    call: Call, folder: Path, monkeypatch: pytest.MonkeyPatch, script: str
) -> None:
    fake_dot(folder, monkeypatch, script)
    code, out, err = call("SUS", "-o", "a.svg")
    assert (code, out, Path("a.svg").exists(), err.count("\n")) == (1, "", False, 1)
    assert err.startswith("guardutil: dot failed (code ")
    assert "no font" in err or "cat" not in script


def test_a_dot_that_takes_too_long_is_ended(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fake_dot(folder, monkeypatch, "exec sleep 1000")
    with pytest.raises(Exception, match=r"dot has not drawn it within 0\.5 s; write a \.dot file"):
        draw("digraph {}", "svg", timeout_s=0.5)


@pytest.mark.parametrize("file", ["a.jpg", "a", "png", ""])
def test_a_picture_of_another_kind_is_a_wrong_call(file: str, capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as end:
        guardutil.main(["graph", "SUS", "-o", file])
    assert end.value.code == 2
    assert f"{file!r}: a picture is a file that ends in .svg, .png, .dot" in capfd.readouterr().err


def test_a_file_that_cannot_be_written_is_one_line(call: Call) -> None:
    assert call("SUS", "-o", "nowhere/a.dot") == (
        1,
        "",
        "guardutil: nowhere/a.dot cannot be written: No such file or directory\n",
    )


def test_a_module_that_does_not_load_is_not_drawn(call: Call) -> None:
    Path("SUS.py").write_text("x = 1 / 0\n")
    assert call("SUS", "-o", "a.dot") == (2, "", "guardutil: SUS: ZeroDivisionError: division by zero (SUS.py:1)\n")
    assert not Path("a.dot").exists()
