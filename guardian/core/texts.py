"""Texts as they may be shown: those of other people on a terminal, and long ones on a PV."""

from __future__ import annotations

#: What stands in a sentence of WHY between the reason of a node and those of its subordinates.
BECAUSE = "; because "


def printable(text: str) -> str:
    """On one line, and without what would steer a terminal: a blank for each such character."""
    return text if text.isprintable() else "".join(c if c.isprintable() else " " for c in text)


def clip(text: str, size: int) -> str:
    """`text` cut to `size` bytes of UTF-8, never in the middle of a character; a cut is marked."""
    data = text.encode()
    if len(data) <= size:
        return text
    return data[: size - 3].decode(errors="ignore") + "..."
