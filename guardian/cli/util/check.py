"""``guardutil check NODE``: everything that can be said of a module without running it, one finding a line.

The lines are those of a compiler, ``FILE.py:LINE: level: text``, so editors find the place. Exit code 0: nothing but
notes; 1: warnings or errors; 2: it does not load, with the traceback of the user's code on stderr.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

import msgspec

from guardian.cli.orders import Order
from guardian.cli.output import FAILED, OK, WRONG_CALL
from guardian.cli.util import say
from guardian.cli.util.looking import look, takes_node
from guardian.core.advice import NOTE, Finding, advise
from guardian.core.settings import Limits
from guardian.errors import SystemLoadError


def define(order: Order) -> None:
    """What it takes."""
    takes_node(order, _check)


def _check(options: argparse.Namespace) -> int:
    try:
        seen = look(options)
    except SystemLoadError as error:
        if error.details:
            print(error.details, file=sys.stderr)
        say(str(error))
        if options.json:
            print(json.dumps({"name": options.node, "error": str(error), "findings": []}))
        return WRONG_CALL
    findings = advise(seen.facts, seen.source, redirect_timeout_s=Limits().redirect_timeout_s)
    if options.json:
        print(json.dumps({"name": options.node, "error": "", "findings": msgspec.to_builtins(findings)}))
    else:
        for finding in findings:
            print(_line(finding, Path(seen.facts.module).name))
        if not findings:
            print(f"{options.node}: nothing found, {len(seen.facts.states)} states, {len(seen.facts.edges)} edges")
    return FAILED if any(f.level != NOTE for f in findings) else OK


def _line(finding: Finding, module: str) -> str:
    return f"{finding.where or module}: {finding.level}: {finding.text}"
