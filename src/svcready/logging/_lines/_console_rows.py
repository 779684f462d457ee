"""Fits texts into a terminal's width."""

from __future__ import annotations

import unicodedata
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["cells", "pieces", "words"]

_MOST_PIECES = 4
_WIDE = {"W", "F"}


def cells(text: str) -> int:
    """Return how many of the terminal's columns *text* takes."""
    return len(text) if text.isascii() else sum(map(_cells_of, text))


def _cells_of(char: str) -> int:
    if unicodedata.combining(char):
        return 0

    return 2 if unicodedata.east_asian_width(char) in _WIDE else 1


def words(text: str, room: int) -> list[str]:
    """
    Return *text* as rows of at most *room* columns, broken between words only.

    A word that is longer has a row of its own, which the terminal breaks.
    """
    if cells(text) <= room:
        return [text]

    rows = [""]
    for word in text.split(" "):
        row = rows[-1]
        if row and cells(row) + 1 + cells(word) > room:
            rows.append(word)
        else:
            rows[-1] = f"{row} {word}" if row else word

    return rows


def pieces(text: str, room: int) -> list[str]:
    """Return *text* as rows of at most *room* columns; the end of a long one is cut."""
    rows = list(_broken(text, room))
    if len(rows) <= _MOST_PIECES:
        return rows

    rows = rows[:_MOST_PIECES]
    left = len(text) - sum(map(len, rows))
    note = f"… {left} more"
    while cells(rows[-1]) + cells(note) > room and rows[-1]:
        rows[-1] = rows[-1][:-1]
        left += 1
        note = f"… {left} more"

    return [*rows[:-1], rows[-1] + note]


def _broken(text: str, room: int) -> Iterator[str]:
    if text.isascii():
        for at in range(0, len(text), room):
            yield text[at : at + room]

        return

    row, used = "", 0
    for char in text:
        width = _cells_of(char)
        if used + width > room:
            yield row
            row, used = "", 0

        row += char
        used += width

    if row:
        yield row
