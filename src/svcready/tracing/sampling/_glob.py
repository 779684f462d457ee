"""X-Ray's patterns, whose `*` and `?` become regular expressions of linear time."""

from __future__ import annotations

import re
from itertools import groupby
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

__all__ = ["alternation", "fold", "glob", "host_expression"]

_LOWER = {upper: upper + 32 for upper in range(ord("A"), ord("Z") + 1)}
_WILD = re.compile(r"[*?]*\*[*?]*")
_NO_BREAK, _BREAK = r"[^\n]", r"\n"
_DEEPEST = 8
"""How deep shared beginnings are nested: the parser of expressions recurses."""


def fold(text: str) -> str:
    """Return *text* with A to Z in lower case, which keeps its length."""
    return text.lower() if text.isascii() else text.translate(_LOWER)


def glob(pattern: str, *, ignore_case: bool = False) -> Callable[[str], bool]:
    """
    Return what tells whether a whole text matches *pattern*.

    Args:
        pattern: `*` stands for any characters and `?` for one.
        ignore_case: Take A to Z as a to z.
    """
    if ignore_case:
        exact = glob(fold(pattern))
        return lambda text: exact(fold(text))

    start = _literal(pattern)
    rest = pattern[len(start) :]
    if not rest:
        return lambda text: text == pattern

    if not rest.strip("*"):
        return lambda text: text.startswith(start)

    match = re.compile(_expression(pattern), re.DOTALL).match
    return lambda text: match(text) is not None


def alternation(patterns: Iterable[str], deep: int = 0) -> str:
    """
    Return an expression that tries *patterns* one after the other.

    Each sets a group of its own, in their order. Neighbours that begin alike share
    that beginning, so that it is compared once.

    Args:
        patterns: In the order in which they are tried.
        deep: How many beginnings are around them already.
    """
    branches: list[str] = []
    for start, neighbours in groupby(patterns, lambda it: _literal(it)[:1]):
        group = list(neighbours)
        if not start or len(group) == 1 or deep == _DEEPEST:
            branches += [f"{_expression(pattern)}()" for pattern in group]
            continue

        common = _common([_literal(pattern) for pattern in group])
        rests = alternation((it[len(common) :] for it in group), deep + 1)
        branches.append(f"{re.escape(common)}(?:{rests})")

    return "|".join(branches)


def host_expression(pattern: str) -> str:
    """Return the expression of a host that ends with a line break; never undone."""
    return f"(?>{_expression(pattern, _NO_BREAK, _BREAK)})"


def _literal(pattern: str) -> str:
    """Return what *pattern* begins with before its first wildcard."""
    for position, character in enumerate(pattern):
        if character in "*?":
            return pattern[:position]

    return pattern


def _common(texts: list[str]) -> str:
    # What lies between two texts in their order begins as both do.
    low, high = min(texts), max(texts)
    for position, character in enumerate(low):
        if character != high[position]:
            return low[:position]

    return low


def _expression(pattern: str, character: str = ".", end: str = r"\Z") -> str:
    """
    Return the expression of a whole text, which is matched in linear time.

    The first place at which a part between two `*` occurs is as good as any later
    one, so no part is tried again at another place when a later one fails.
    """
    # Of neighbouring wildcards each `?` goes first, so that no part begins with one.
    in_order = _WILD.sub(lambda run: "?" * run[0].count("?") + "*", pattern)
    first, *others = in_order.split("*")
    text = _fixed(first, character)
    if not others:
        return text + end

    *between, last = others
    text += "".join(_find(part, character) for part in between)
    if last:
        return f"{text}{character}*{_fixed(last, character)}{end}"

    return text if end == r"\Z" else f"{text}{character}*+{end}"


def _fixed(part: str, character: str) -> str:
    return "".join(character if each == "?" else re.escape(each) for each in part)


def _find(part: str, character: str) -> str:
    """Go to the first place at which *part* occurs, and over it."""
    start = re.escape(part[0])
    others = rf"[^{start}\n]*+" if character == _NO_BREAK else f"[^{start}]*+"
    rest = _fixed(part[1:], character)
    again = f"(?:{start}(?!{rest}){others})*+" if rest else ""
    return f"{others}{again}{start}{rest}"
