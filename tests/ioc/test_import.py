"""PyPI has another project named guardian: who meets it is told so."""

from __future__ import annotations

import sys

import pytest

from tests.support import REPO, Child, ca_env


@pytest.mark.proc
def test_the_other_guardian_is_named(tmp_path):
    (tmp_path / "guardian").mkdir()
    (tmp_path / "guardian" / "__init__.py").write_text("raise RuntimeError('imported')")
    env = ca_env(1, PYTHONPATH=f"{tmp_path}:{REPO}")
    with Child([sys.executable, "-c", "import ioc.address"], env=env, cwd=tmp_path) as child:
        assert child.wait(60) == 1
        assert "ImportError: ioc: needs the guardian control system, found another project" in child.output
        assert "pip uninstall guardian" in child.output
