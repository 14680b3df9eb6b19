"""The orders of a command: a table says which there are, and the code of one is imported when it is called.

So a command starts as fast as what it is asked for, and its help needs no order at all. A row of the table is::

    "list": ("listing", "list the nodes on the network"),

the module of the order, in the package of the command, and what its help says. The module has ``define(order)``: what
the order takes, and ``order.set_defaults(run=...)``, the function that does it and gives the exit code. Modules with
more than one order look at ``order.name``.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from importlib import import_module
from typing import Any

from guardian.cli.output import OrderParser

Table = Mapping[str, tuple[str, str]]


class Order(OrderParser):
    """The parser of one order; it knows what that takes when it is called.

    Attributes
    ----------
    name : of the order. module : that is to define it; "": it has.
    """

    name = ""
    module = ""

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> Any:
        """What argparse calls when the order is called."""
        if self.module:
            module, self.module = self.module, ""
            import_module(module).define(self)
        return super().parse_known_args(args, namespace)

    def tell(self, about: str) -> None:
        """What its own help says besides."""
        self.description = f"{self.description} {about}".strip()


def add_orders(parser: argparse.ArgumentParser, package: str, table: Table) -> None:
    """Give a command its orders; the modules of the table are in `package`."""
    orders = parser.add_subparsers(dest="do", required=True, metavar="ORDER", parser_class=Order)
    for name, (module, text) in table.items():
        order: Order = orders.add_parser(name, help=text, description=f"{text[0].upper()}{text[1:]}.")
        order.name, order.module = name, f"{package}.{module}"
