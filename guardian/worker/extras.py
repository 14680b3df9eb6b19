"""Imported by the forkserver before its first fork: what is only there where the extra [ligo] is installed.

So workers share it: else each of them would spend 2 ms and 200 kB on it. Where it is installed and does not work, it
is the worker that says so, in the log of its node.
"""

from __future__ import annotations

from contextlib import suppress
from importlib import import_module

from guardian.access import extra

if extra.is_installed():
    with suppress(Exception):
        import_module(extra.MODULE)
