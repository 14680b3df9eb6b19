"""The manual cannot lie: it builds without a warning, has all that there is, and its tables are those of the code."""

from __future__ import annotations

import ast
import html
import inspect
import re
import subprocess
import sys
import textwrap
from collections.abc import Callable
from enum import IntEnum
from pathlib import Path

import pytest

from docs._ext import guardian_docs
from guardian import enums, health
from guardian.access import subordinate, subordinates
from guardian.access.channels import Channels
from guardian.access.manager import Node, NodeManager
from guardian.access.prefix import channel_prefix, full_name
from guardian.cli import output
from guardian.core import peer
from guardian.core.host_rows import HOST_PVS
from guardian.core.interface import BY_NAME, HOST_ROWS, Asg
from guardian.core.names import PV_TEMPLATE, pv_name
from guardian.core.request_cmd import BY_BYTES, COMMAND_ID_BYTES
from guardian.host import site
from guardian.worker import namespace, reading
from tests.support import REPO, Child
from tests.support.page import Page
from tests.support.shell import COMMANDS

DOCS = REPO / "docs"
PAGES = [path for path in sorted(DOCS.rglob("*.rst")) if path.parent.name != "_build"]
CONSOLE = ("guardian-console", "guardian-console users")
MODULE_VARIABLES = set(re.findall(r"\(module, \"([a-z]\w+)\"", inspect.getsource(reading)))
REFERENCE = {path.stem: Page(path) for path in (DOCS / "reference").glob("*.rst")}


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], str]:
    """The words of a page, as a browser shows them. Built as ``make docs`` does; a warning is an error."""
    target = tmp_path_factory.mktemp("html")
    command = [sys.executable, "-m", "sphinx", "-W", "--keep-going", "-q", "-b", "html", DOCS, target]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=150, check=False)
    assert ended.returncode == 0, ended.stdout + ended.stderr

    def words(page: str) -> str:
        return " ".join(html.unescape(re.sub(r"<[^>]*>", "", (target / f"{page}.html").read_text())).split())

    return words


# --- all that there is is there ---------------------------------------------------------------------------------------


@pytest.mark.slow
def test_every_pv_is_documented(built: Callable[[str], str]):
    words = built("reference/pvs")
    missing = [
        row.name
        for row in BY_NAME.values()
        if f"{row.name} {guardian_docs.type_of(row)} {guardian_docs.access(row)}" not in words or row.text not in words
    ]
    missing += [
        row.name
        for row in (*HOST_ROWS, *HOST_PVS)
        if f"{row.name} {guardian_docs.type_of(row)} read {row.text}" not in words
    ]
    assert missing == []


@pytest.mark.slow
def test_every_command_and_subcommand_is_documented(built: Callable[[str], str]):
    words = built("reference/commands")
    parsers = {command: guardian_docs.parser_of(command) for command in (*COMMANDS, *CONSOLE)}
    usages = [parser.prog for parser in parsers.values()]
    usages += [sub.prog for parser in parsers.values() for sub in guardian_docs.subcommands(parser).values()]
    assert len(usages) > 8
    assert [usage for usage in usages if f"usage: {usage} " not in words] == []


def test_every_enum_with_numbers_is_documented():
    named = re.findall(r"^\.\. guardian-enum:: (\w+)", REFERENCE["pvs"].text, re.MULTILINE)
    kinds = {
        name for name, kind in vars(enums).items() if inspect.isclass(kind) and issubclass(kind, IntEnum)
    } - {"IntEnum"}  # fmt: skip
    assert set(named) == kinds


def test_every_alarm_is_explained():
    rows = (*BY_NAME.values(), *HOST_PVS)
    assert [row.name for row in rows if row.alarm is not None and not guardian_docs.alarms(row)] == []


def test_every_name_of_a_node_and_of_a_manager_is_documented():
    members = {f"{kind.__name__}.{name}" for kind in (Node, NodeManager) for name in dir(kind) if name[0] != "_"}
    named = set(re.findall(r"^\.\. auto(?:method|property):: (\w+\.\w+)$", REFERENCE["managers"].text, re.MULTILINE))
    in_table = {f"Node.{name}" for spellings in guardian_docs.node_properties() for name in spellings}
    assert len(in_table) > 20 and not named & in_table
    assert named | in_table == members


def test_every_property_of_a_node_in_upper_case_is_there_in_lower_case():
    spellings = list(guardian_docs.node_properties())
    assert [names for names in spellings if names[0].isupper() and names[0].lower() not in names] == []


def test_every_name_of_health_is_documented():
    pages = "".join(REFERENCE[page].text for page in ("health", "pools", "hub"))
    named = re.findall(r"^\.\. auto(?:function|class|exception):: (\w+)$", pages, re.MULTILINE)
    assert sorted(named) == sorted(health.__all__)


def test_every_fault_of_a_node_is_documented():
    shown = [fault for trouble in guardian_docs.FAULTS for fault in guardian_docs.faults(trouble)]
    assert len(shown) == len(guardian_docs.FAULTS), "each trouble is one fault"
    sentences = [*_sentences(peer._life), *_sentences(peer.Bond._request), *_sentences(peer.Bond._rule)]
    sentences += _sentences(peer.Bond.faults)
    assert len(sentences) > 10
    assert [sentence for sentence in sentences if not any(re.search(sentence, fault) for fault in shown)] == []


def _sentences(function: Callable[..., object]) -> list[str]:
    """The texts in the lists that a function returns, as regular expressions."""
    tree = ast.parse(textwrap.dedent(inspect.getsource(function)))
    lists = [each.value for each in ast.walk(tree) if isinstance(each, ast.Return) and isinstance(each.value, ast.List)]
    texts = [text for found in lists for item in found.elts for text in _alternatives(item)]
    parts = [text.values if isinstance(text, ast.JoinedStr) else [text] for text in texts]
    return ["".join(re.escape(p.value) if isinstance(p, ast.Constant) else ".*" for p in each) for each in parts]


def _alternatives(item: ast.expr) -> list[ast.expr]:
    return [*_alternatives(item.body), *_alternatives(item.orelse)] if isinstance(item, ast.IfExp) else [item]


def test_every_page_is_in_the_contents():
    text = (DOCS / "index.rst").read_text()
    pages = [str(path.relative_to(DOCS).with_suffix("")) for path in PAGES if path.parent.name != "decisions"]
    assert [page for page in pages if page != "index" and f"   {page}\n" not in text] == []


# --- and what is there is so ------------------------------------------------------------------------------------------


def test_every_pv_that_is_named_exists():
    known = {pv_name(PV_TEMPLATE, ifo="", node="", name=row).removeprefix("GRD-") for row in BY_NAME}
    pattern = r"X1:GRD-(?:OVEN_[AB]|OVEN|BAKERY|SUS_MC1)(_\w+)"
    named = [name for page in PAGES for name in re.findall(pattern, page.read_text())]
    assert len(named) > 50
    assert set(named) <= known


def test_the_pvs_that_differ_from_LIGO_exist_and_what_is_not_there_yet_does_not():
    text = (DOCS / "explanation/from_ligo.rst").read_text()
    sections = dict(zip(*[iter(re.split(r"^(.+)\n-+$", text, flags=re.MULTILINE)[1:])] * 2, strict=True))
    names = {head: set(re.findall(r"``(\w+)``", section)) for head, section in sections.items()}
    named = re.findall(r"``(\w+)``", " ".join(re.findall(r"^   \* - (.*)$", sections["PVs"], re.MULTILINE)))
    assert len(named) > 10 and set(named) <= set(BY_NAME)
    there = {*BY_NAME, *COMMANDS, *dir(Channels), *MODULE_VARIABLES} - {"MANAGER"}
    assert names["Not there yet"] and not names["Not there yet"] & there


def test_the_exit_codes():
    codes = [int(code) for code, _ in REFERENCE["commands"].table("code")]
    assert codes == [output.OK, output.FAILED, output.WRONG_CALL, output.TIMED_OUT, output.STALLED]


def test_the_times_of_managers():
    assert [float(seconds) for seconds, _ in REFERENCE["managers"].table("seconds")] == [
        subordinate.SEARCH_S,
        subordinate.STRANGER_S,
        subordinate.CONFIRM_S,
        subordinate.WRITER_S,
        peer.ECHO_S,
        peer.AGAIN_S,
        subordinates.TICK_S,
    ]
    words = " ".join(REFERENCE["managers"].text.split())
    assert (subordinates.PATIENCE_S, subordinates.LONGEST_LOOK_S) == (0.75, 3)
    assert "until 0.75 s after the last one that did, and for 3 s if none does" in words
    assert (subordinate.PROBE_AFTER_S, subordinate.DOUBT_S) == (0.25, 10)
    assert "for a quarter of a second after it was named, or for ten seconds after it was lost" in words
    assert (subordinate.HESITATE_S, subordinate.DISBELIEVE_S) == (0.25, 1)
    assert "they are believed after another quarter of a second; after one second, if it had" in words
    assert f"who is behind the write, in {BY_BYTES} bytes at most" in words
    assert f"any text of {COMMAND_ID_BYTES} bytes at most" in words


def test_the_environment():
    code = "".join(path.read_text() for path in (REPO / "guardian").rglob("*.py"))
    names = [row[0] for row in REFERENCE["commands"].table("variable") if row[0]]
    assert [name for name in names if not re.search(rf"environ\b.*\"{name}\"|env\b.*\"{name}\"", code)] == []


def test_the_variables_of_a_module():
    assert {row[0] for row in REFERENCE["module"].table("variable") if row[0]} == MODULE_VARIABLES


def test_the_names_that_are_always_there():
    names = {row[0] for row in REFERENCE["module"].table("name")}
    assert names == set(re.findall(r"(\w+)=", re.findall(r"update\((.*)\)", inspect.getsource(namespace))[0]))


SECTIONS = {key for key, kind in site._SITE_KEYS.items() if kind is dict}


def test_the_keys_of_a_site_file():
    tables = re.split(
        r"^In ``\[(?:policy|keeper|logs|journal|archive|health|access)\]``",
        REFERENCE["site_file"].text,
        flags=re.MULTILINE,
    )
    keys = [set(re.findall(r"^([a-z_]+)  ", text, re.MULTILINE)) - {"key"} for text in tables]
    assert keys == [
        set(site._SITE_KEYS) - SECTIONS,
        set(site._POLICY_KEYS),
        set(site._KEEPER_KEYS),
        *(set(table.keys) for table in site._TABLES.values()),
        set(site._ACCESS_KEYS),
    ]


def test_the_site_file(tmp_path: Path):
    text = REFERENCE["site_file"].blocks("file")["site.toml"]
    (tmp_path / "site.toml").write_text(text)
    read = site.read_site(tmp_path / "site.toml")
    assert read.limits == site.Limits() and read.on_start == "resume" and read.access.operators
    assert read.own and read.keeping == site.Keeping(restarting=site.Limits().restarting)
    keys = {*site._SITE_KEYS, *site._POLICY_KEYS, *site._KEEPER_KEYS, *site._ACCESS_KEYS}
    keys |= {key for table in site._TABLES.values() for key in table.keys}
    without = {*SECTIONS, "acf", "check_addresses"}  # the last two exclude operators
    assert set(re.findall(r"^(\w+) =", text, re.MULTILINE)) == keys - without


def test_the_groups_of_access_security():
    table = {row[0]: row[2].split() for row in Page(DOCS / "howto/access.rst").table("group")}
    groups = {asg.value: [row.name for row in BY_NAME.values() if row.asg is asg] for asg in Asg}
    assert table == {**groups, "READ": ["all", "that", "are", "only", "read"]}


def test_the_prefix_of_channels():
    for ifo, prefix, full, channel in [
        [cell.replace("\\", "") for cell in row] for row in REFERENCE["ezca"].table("ifo")
    ]:
        assert channel_prefix(ifo, prefix) == full
        assert full_name(ifo, full, "X") == channel


@pytest.mark.proc
@pytest.mark.parametrize("name", REFERENCE)
def test_what_stands_there_as_code_is_a_module(name: str, tmp_path: Path, child: Callable[..., Child]):
    page = REFERENCE[name]
    assert not page.unmarked
    for file, text in page.blocks("file").items():
        if file.endswith(".py"):
            (tmp_path / file).write_text(text)
            node = file.removesuffix(".py")
            code = f"from guardian.worker.system import load; print(*load('{node}', ['{tmp_path}']).states)"
            loaded = child([sys.executable, "-c", code], cwd=tmp_path)
            assert loaded.wait(60) == 0, loaded.report()
