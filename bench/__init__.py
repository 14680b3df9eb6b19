"""Figures, always as a ratio to a peer or a limit in the same run: these machines are shared and noisy.

``make bench`` runs all, ``python -m bench reaction tree`` two; each file that has ``run(report)`` is one, and says in
its docstring what it measures, beside what, and what is wanted. A test runs each with ``--quick``: that they work, and
that what they check holds, not how fast it was.
"""

#: Files of this folder that benches share.
HELPERS = frozenset({"bare", "crowd", "figures", "machine", "reactors", "trips"})
