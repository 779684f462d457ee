"""Lines of text in pieces, each with the word of its style."""

from __future__ import annotations

__all__ = ["WIDTH", "Line", "fit", "plain"]

WIDTH = 78
"""How wide pages for people are: it fits terminals of 80 columns."""

Line = tuple[tuple[str, str], ...]
"""Pieces of text, each with the word of its style; what paints them knows the words."""


def plain(line: Line) -> str:
    """Return a line's text."""
    return "".join(text for text, _ in line).rstrip()


def fit(text: str, width: int) -> str:
    """Return *text* in exactly *width* columns, cut with `..` where it is longer."""
    return text.ljust(width) if len(text) <= width else f"{text[: width - 2]}.."
