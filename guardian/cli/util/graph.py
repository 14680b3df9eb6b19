"""``guardutil graph NODE``: the picture of a system, drawn by Graphviz.

``dot`` is a program of its own, and needed for pictures only: the DOT text goes to standard output, or to a file, also
where it is not installed.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from guardian.cli.orders import Order
from guardian.cli.output import FAILED, OK, escape
from guardian.cli.util import say
from guardian.cli.util.looking import look, takes_node
from guardian.client.dot import draw
from guardian.core.drawing import dot_text
from guardian.core.graph import Graph

FORMATS = (".svg", ".png", ".dot")


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
