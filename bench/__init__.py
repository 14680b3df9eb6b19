"""Figures, always as a ratio to a peer or a limit in the same run: these machines are shared and noisy.

``make bench`` runs all; ``python -m bench.latency`` and ``python -m bench.nodes`` one. Not part of the tests.
"""
