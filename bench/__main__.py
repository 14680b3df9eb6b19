"""``python -m bench [NAME ...]``: run benches, all of them by default, show what they find, and write it as JSON.

Each bench is a process of its own, so that none disturbs the next and all begin alike.
"""

from __future__ import annotations

import argparse
import importlib
import itertools
import json
import pkgutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import bench
from bench import machine
from bench.figures import Figure, Report, sentence

RESULT = Path("bench.json")


def names() -> list[str]:
    """Of all benches: each is a file with ``run(report)``."""
    return sorted(
        one.name for one in pkgutil.iter_modules(bench.__path__) if one.name not in {"__main__", *bench.HELPERS}
    )


def main() -> int:
    """Exit code 1: a check does not hold, or a bench has ended with an error. A missed goal is told, and no error."""
    parser = argparse.ArgumentParser(prog="python -m bench", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"which ({', '.join(names())}); default: all")
    parser.add_argument("--quick", action="store_true", help="only show that they work: figures mean nothing then")
    parser.add_argument("--json", type=Path, metavar="FILE", help=f"where the figures go ({RESULT} if all are run)")
    parser.add_argument("--one", help=argparse.SUPPRESS)  # the one that this process is to run
    options = parser.parse_args()
    if unknown := set(options.names) - set(names()):
        parser.error(f"there is no bench {', '.join(sorted(unknown))}; there are {', '.join(names())}")
    if options.one:
        return _one(options)
    return _each(options)


def _one(options: argparse.Namespace) -> int:
    report = Report(quick=options.quick)
    try:
        importlib.import_module(f"bench.{options.one}").run(report)
    finally:  # what was found before an error
        options.json.write_text(json.dumps(report.facts()))
    return 0 if all(report.checks.values()) else 1


def _each(options: argparse.Namespace) -> int:
    found: dict[str, Any] = {"machine": machine.facts(), "quick": options.quick, "benches": {}}
    print(machine.sentence(found["machine"]))
    failed = []
    for name in options.names or names():
        print(f"\n== {name}: {about(name)}", flush=True)
        began = time.monotonic()
        with tempfile.TemporaryDirectory() as folder:
            told = Path(folder) / "figures.json"
            argv = [sys.executable, "-m", "bench", "--one", name, "--json", str(told)]
            code = subprocess.run(argv + ["--quick"] * options.quick, check=False).returncode
            facts = json.loads(told.read_text()) if told.exists() else {"figures": [], "checks": {}, "notes": []}
        found["benches"][name] = {**facts, "seconds": round(time.monotonic() - began, 1), "exit_code": code}
        if code:
            failed.append(name)
    print(*_table(found), sep="\n")
    path = options.json or (None if options.names else RESULT)
    if path is not None:
        path.write_text(json.dumps(found, indent=1) + "\n")
        print(f"\nwritten to {path}")
    if failed:
        print(f"\nFAILED: {', '.join(failed)}")
    return 1 if failed else 0


def about(name: str) -> str:
    """The first sentence of a bench about itself."""
    return (importlib.import_module(f"bench.{name}").__doc__ or "").split("\n\n")[0].replace("\n", " ")


def _table(found: dict[str, Any]) -> Iterator[str]:
    """The figures that have a goal, those that miss it first."""
    rows = [
        (f"{name}, {facts['part']}", Figure(**{key: facts[key] for key in facts if key not in ("ratio", "met")}))
        for name, told in found["benches"].items()
        for facts in told["figures"]
        if facts["met"] is not None
    ]
    missed = [row for row in rows if not row[1].met]
    yield f"\n== {len(rows)} goals, {len(missed)} missed" + " (quick: figures mean nothing)" * found["quick"]
    for chosen in (missed, [row for row in rows if row[1].met]):
        for part, figures in itertools.groupby(chosen, key=lambda row: row[0]):
            yield f"{part}:"
            yield from (f"  {sentence(figure)}" for _, figure in figures)


if __name__ == "__main__":
    sys.exit(main())
