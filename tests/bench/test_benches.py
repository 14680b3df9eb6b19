"""Each bench works, and what it checks holds. How fast it was does not matter here: it has hardly measured anything."""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from bench.__main__ import about, names
from tests.support import REPO, Child
from tests.support.older import why_not

#: A bench is done within 20 s or so where nobody else is at work.
DEADLINE_S = 400
NUMBERS = ("value", "p99", "worst", "beside", "goal", "ratio")


@pytest.mark.ca
@pytest.mark.proc
@pytest.mark.slow
@pytest.mark.timeout(DEADLINE_S + 60)
@pytest.mark.parametrize("name", names())
def test_a_bench_works_and_what_it_checks_holds(name: str, tmp_path: Path, child: Callable[..., Child]) -> None:
    if name == "upgrade" and (reason := why_not()):
        pytest.skip(reason)
    told = tmp_path / "told.json"
    bench = child([sys.executable, "-m", "bench", name, "--quick", "--json", told], cwd=REPO)
    assert bench.wait(DEADLINE_S) == 0, bench.report()
    found = json.loads(told.read_text())
    assert found["quick"] and found["machine"]["cores"] and list(found["benches"]) == [name]
    one = found["benches"][name]
    assert one["exit_code"] == 0 and all(one["checks"].values()), bench.report()
    assert one["figures"], bench.report()
    for figure in one["figures"]:
        numbers = [figure[key] for key in NUMBERS if figure[key] is not None]
        assert figure["part"] and figure["unit"] and all(map(math.isfinite, numbers)), figure


@pytest.mark.parametrize("name", names())
def test_a_bench_says_in_a_sentence_what_it_measures(name: str) -> None:
    assert about(name).endswith(".") and len(about(name)) <= 120, about(name)


@pytest.mark.proc
def test_a_bench_that_is_not_there_is_told_with_those_that_are(child: Callable[..., Child]) -> None:
    bench = child([sys.executable, "-m", "bench", "speed"], cwd=REPO)
    assert bench.wait(60) == 2
    assert f"there is no bench speed; there are {', '.join(names())}" in bench.output
