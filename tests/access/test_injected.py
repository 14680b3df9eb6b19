"""Which class user code calls ``Ezca``: with the package, without it, and with one that cannot be used."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from guardian.access.prefix import channel_prefix, own_prefix
from tests.support.child import REPO
from tests.support.hidden import without_ligo
from tests.support.net import ca_env, free_port


def said_by(code: str, env: dict[str, str]) -> str:
    program = f"from guardian.access import injected\nfrom guardian.access.channels import Channels\n{code}"
    env = {"IFO": "X1", **ca_env(free_port()), **env}
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=REPO, env=env, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


CHOSEN = """
kind, complaint = injected.choose(Channels)
ezca = kind.of_node('X1', log=print)
print(complaint)
print([c.__module__ for c in kind.__mro__[:-1]])
import ezca as found
print(found.Ezca is kind, isinstance(ezca, found.Ezca))
"""


def test_with_the_package_it_is_an_ezca() -> None:
    complaint, classes, there = said_by(CHOSEN, {}).splitlines()
    assert complaint == "" and there == "True True"
    ours = ["injected", "ligo", "injected", "channels", "setpoints"]
    assert classes == repr([*(f"guardian.access.{name}" for name in ours), "ezca.ezca"])


def test_without_the_package_nothing_of_it_is_imported() -> None:
    code = """
kind, complaint = injected.choose(Channels)
import sys
print(complaint, 'guardian.access.ligo' in sys.modules, [name for name in sys.modules if name.startswith('ezca')])
from guardian.worker.field import provide_ezca
provide_ezca()
from ezca import Ezca, EzcaConnectError
print(Ezca is kind, isinstance(kind.of_node('X1', log=print), Ezca), Ezca('SUS').prefix, Ezca('SUS') is Ezca('SUS'))
for name in ('switch', 'get_LIGOFilter', 'nonsense'):
    try:
        getattr(Ezca(), name)
    except AttributeError as error:
        print(error)
"""
    plain, same, switch, filters, nonsense = said_by(code, without_ligo()).splitlines()
    assert plain == " False []" and same == "True True X1:SUS- True"
    assert switch == (
        "'Ezca' object has no attribute 'switch': that is of LIGO's package; to get it: "
        "pip install 'epics-guardian[ligo]', and restart the host"
    )
    assert "get_LIGOFilter" in filters and nonsense == "'Ezca' object has no attribute 'nonsense'"


def test_code_may_make_any_number_of_them() -> None:
    code = """
kind, complaint = injected.choose(Channels)
node = kind.of_node('X1', log=print)
made = [kind(f'SUS-MC{n}') for n in range(3)]
for one in (node, *made):
    one.calling()
    one.renewed()
    print(one.lost(['X1:SUS-MC1_GAIN']))
"""
    assert said_by(code, {}).splitlines() == ["()"] * 4


def test_one_thread_looks_after_the_channels_of_all() -> None:
    code = """
import psutil
from guardian.errors import EzcaConnectError
from tests.support.waiting import eventually
kind, complaint = injected.choose(Channels)
node = kind.of_node('X1', log=print)
def use(first, last):
    for n in range(first, last):
        try:
            kind(f'SUS-MC{n}', timeout=0.01)['GAIN']
        except EzcaConnectError:
            pass
threads = psutil.Process().num_threads
use(0, 2)
few = threads()
use(2, 30)
eventually(lambda: threads() <= few, 10, f'{few} threads')
node.close()
"""
    assert said_by(code, {}) == ""


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("raise OSError('half of it is missing')", "OSError: half of it is missing"),
        ("__version__ = '2.0'\nclass Ezca: pass", "ImportError: cannot import name 'SFMask' from 'ezca'"),
    ],
    ids=["broken", "another version"],
)
def test_a_package_that_cannot_be_used_is_told_and_nodes_go_on(tmp_path: Path, text: str, why: str) -> None:
    (tmp_path / "ezca").mkdir()
    (tmp_path / "ezca" / "__init__.py").write_text(f"{text}\n")
    code = CHOSEN.partition("import ezca")[0] + "print(ezca.prefix)"
    complaint, classes, prefix = said_by(code, {"PYTHONPATH": str(tmp_path)}).splitlines()
    assert complaint.startswith(f"the package ezca is installed and cannot be used ({why}")
    assert complaint.endswith("pip install 'epics-guardian[ligo]'")
    assert "ligo" not in classes and prefix == "X1:"


def test_a_file_of_the_user_called_ezca_is_not_the_package(tmp_path: Path) -> None:
    (tmp_path / "ezca.py").write_text("raise OSError\n")
    code = CHOSEN.partition("import ezca")[0]
    complaint, classes = said_by(
        code, {**without_ligo(), "PYTHONPATH": f"{without_ligo()['PYTHONPATH']}:{tmp_path}"}
    ).splitlines()
    assert complaint == "" and "ligo" not in classes


@pytest.mark.parametrize(
    ("prefix", "ifo", "full"),
    [
        (None, None, ""),
        (None, "X1", "X1:"),
        ("X1", None, "X1:"),
        ("X1:", None, "X1:"),
        ("X1:SUS-MC1", None, "X1:SUS-MC1_"),
        ("Y1:SUS", "X1", "X1:SUS-"),
        (":SUS", "X1", "X1:SUS-"),
        ("SUS", "", "SUS:"),
    ],
)
def test_prefixes_of_what_user_code_makes(prefix: str | None, ifo: str | None, full: str) -> None:
    assert channel_prefix(*own_prefix(ifo, prefix)) == full
