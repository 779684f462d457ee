"""Paths with stars in them, matched in time that grows with the path alone."""

from __future__ import annotations

__all__ = ["Glob"]


class Glob:
    """
    A path in which `*` stands for anything, as operators write it in rules.

    No regular expression: several stars would make one try every way to share out a
    path that a stranger has chosen.

    Args:
        path: The path; a slash at its end makes no other route of it.
    """

    __slots__ = ("_first", "_last", "_middle")

    def __init__(self, path: str) -> None:
        first, *rest = path.rstrip("/").split("*")
        self._first = first
        self._middle = tuple(rest[:-1])
        self._last = rest[-1] if rest else None

    def matches(self, path: str) -> bool:
        """Return whether *path* is one of those."""
        return self._fits(path) or (path.endswith("/") and self._fits(path[:-1]))

    def _fits(self, path: str) -> bool:
        if self._last is None:
            return path == self._first

        if not path.startswith(self._first):
            return False

        at = len(self._first)
        for part in self._middle:  # the first place that fits leaves the most
            found = path.find(part, at)
            if found < 0:
                return False

            at = found + len(part)

        return len(path) - at >= len(self._last) and path.endswith(self._last)
