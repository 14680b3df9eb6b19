"""Texts of other people, as they may be shown."""

from __future__ import annotations


def printable(text: str) -> str:
    """On one line, and without what would steer a terminal: a blank for each such character."""
    return text if text.isprintable() else "".join(c if c.isprintable() else " " for c in text)
