"""Route templates of all frameworks in one spelling, to find the one that was meant."""

from __future__ import annotations

import difflib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["Spellings"]

_ANY = "\0"
_CLASSES = "dDwWsS"
_NEAR = 0.7
"""How alike two templates are that one may be meant by the other; of 1."""
_MOST_COMPARED = 20_000
"""How many pairs of templates are compared, at about 30 microseconds each."""
_CLOSING = {"(": ")", "[": "]", "{": "}", "<": ">"}


class Spellings:
    """
    The templates that there are, each read once for all that are asked for.

    Args:
        templates: They.
    """

    def __init__(self, templates: Iterable[str]) -> None:
        self._compared = 0
        self._by_plain: dict[str, list[str]] = {}
        for template in templates:
            self._by_plain.setdefault(_plain(template), []).append(template)

    def meant(self, path: str) -> tuple[list[str], bool] | None:
        """
        Return what *path* may stand for, and whether it only spells it else.

        Args:
            path: One that is none of the templates.

        Returns:
            Templates that mean the same; None where none is near, or where so many
            paths were asked for already that comparing takes too long.
        """
        asked = _plain(path)
        if asked in self._by_plain:
            return self._by_plain[asked], True

        if self._compared >= _MOST_COMPARED:
            return None

        self._compared += len(self._by_plain)
        near = difflib.get_close_matches(asked, self._by_plain, 1, _NEAR)
        return (self._by_plain[near[0]], False) if near else None


def _plain(template: str) -> str:
    """
    Return a template with one sign for every parameter.

    These are `{id}` and `{id:path}` of Starlette, `<int:id>` of Flask and Django,
    groups and character classes of Django's `re_path`, and `*` and `:id` of whoever is
    used to something else.
    """
    parts, at = [""], 0
    while at < len(template):
        sign = template[at]
        if sign == "\\":
            at += 2
            escaped = template[at - 1 : at]
            parts.append(_ANY if escaped in _CLASSES else escaped.strip("AZbB"))
        elif sign in _CLOSING:
            at = _after(template, at)
            parts.append(_ANY)
        elif sign == ":" and parts[-1] == "/":
            at = template.find("/", at) if "/" in template[at:] else len(template)
            parts.append(_ANY)
        else:
            at += 1
            parts.append(_ANY if sign in "*+" else "" if sign in "^$?" else sign)

    text = "".join(parts)
    while _ANY * 2 in text:
        text = text.replace(_ANY * 2, _ANY)

    return "/" + text.strip("/")


def _after(template: str, at: int) -> int:
    """Return where the bracket at *at* has been closed, brackets in it included."""
    opening, depth = template[at], 0
    while at < len(template):
        sign = template[at]
        if sign == "\\":
            at += 1
        elif sign == "[" and opening == "(":
            at = _after(template, at) - 1
        elif sign == opening:
            depth += 1
        elif sign == _CLOSING[opening]:
            depth -= 1

        at += 1
        if not depth:
            return at

    return at
