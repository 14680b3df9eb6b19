"""The package ``ezca`` tests its ``Ezca`` against an emulated filter module: all of that, through ours."""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import pytest

from tests.access.asked import Client
from tests.support.child import REPO, Child
from tests.support.net import ca_env, free_port, random_prefix

pytestmark = [pytest.mark.ca, pytest.mark.slow]


def cases() -> list[str]:
    """Read out of the installed file, without importing it."""
    found = find_spec("ezca")
    assert found is not None and found.origin, "the package ezca is part of what the tests need: pip install .[test]"
    tree = ast.parse((Path(found.origin).parent / "test_ezca.py").read_text())
    classes = [node for node in tree.body if isinstance(node, ast.ClassDef)]
    names = [
        (c.name, name) for c in classes for name in sorted(f.name for f in c.body if isinstance(f, ast.FunctionDef))
    ]
    return [f"{owner}.{name}" for owner, name in dict.fromkeys(names) if name.startswith("test_")]


@pytest.fixture(scope="module")
def suite() -> Iterator[Client]:
    port = free_port()
    env = {name: value for name, value in ca_env(port).items() if name != "IFO"}
    argv = [sys.executable, "-m", "tests.access.ligo_suite", str(port), random_prefix().rstrip(":").upper()]
    with Child(argv, env=env, cwd=REPO, stdin=True) as child:
        yield Client(child)


@pytest.mark.parametrize("case", cases())
def test_of_the_package(suite: Client, case: str) -> None:
    suite.check(case)
