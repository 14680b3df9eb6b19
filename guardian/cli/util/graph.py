"""``guardutil graph NODE``: the picture of a system, drawn by Graphviz.

``dot`` is a program of its own, and needed for pictures only: the DOT text goes to standard output, or to a file, also
where it is not installed.
"""

from __future__ import annotations

import argparse
import shutil
import subprocess
from pathlib import Path

from guardian.cli.orders import Order
from guardian.cli.output import FAILED, OK, escape
from guardian.cli.util import say
from guardian.cli.util.looking import look, takes_node
from guardian.core.drawing import dot_text
from guardian.core.graph import Graph
from guardian.errors import GuardianError

FORMATS = (".svg", ".png", ".dot")
#: Drawing takes a second or two for the largest systems known (600 states, 1500 edges).
TIMEOUT_S = 60.0


def define(order: Order) -> None:
    """What it takes."""
    takes_node(order, _graph, as_json=False)
    order.add_argument(
        "-o",
        "--output",
        type=_file,
        metavar="FILE",
        help="NAME.svg, NAME.png (both need Graphviz) or NAME.dot (default: DOT on standard output)",
    )


def _file(text: str) -> Path:
    file = Path(text)
    if file.suffix not in FORMATS:
        raise argparse.ArgumentTypeError(f"{text!r}: a picture is a file that ends in {', '.join(FORMATS)}")
    return file


def _graph(options: argparse.Namespace) -> int:
    file: Path | None = options.output
    facts = look(options).facts
    name = "-".join(filter(None, (options.ifo, options.node)))
    text = dot_text(Graph.build(facts.states, facts.edges), name=name, request=facts.request, nominal=facts.nominal)
    if file is None:
        escape("xmlcharrefreplace")  # as DOT writes it
        print(text, end="")
        return OK
    picture = text.encode() if file.suffix == ".dot" else draw(text, file.suffix[1:])
    try:
        file.write_bytes(picture)
    except OSError as error:
        say(f"{file} cannot be written: {error.strerror}")
        return FAILED
    return OK


def draw(text: str, kind: str, *, timeout_s: float = TIMEOUT_S) -> bytes:
    """The picture of a DOT text, as ``svg`` or ``png``.

    Raises
    ------
    GuardianError
        There is no ``dot``, it takes too long, or it fails.
    """
    program = shutil.which("dot")
    if program is None:
        raise GuardianError(
            f"{kind.upper()} is drawn by the program dot, which is not on PATH; install Graphviz (the package graphviz "
            "of Debian, Fedora, conda), or write a .dot file, which needs nothing"
        )
    try:
        done = subprocess.run(
            [program, f"-T{kind}"], input=text.encode(), capture_output=True, timeout=timeout_s, check=False
        )
    except subprocess.TimeoutExpired:
        raise GuardianError(f"dot has not drawn it within {timeout_s:g} s; write a .dot file and try neato") from None
    if done.returncode != 0 or not done.stdout:
        why = " ".join(done.stderr.decode(errors="replace").split())
        raise GuardianError(f"dot failed (code {done.returncode}): {why}; write a .dot file and look at it")
    return done.stdout
