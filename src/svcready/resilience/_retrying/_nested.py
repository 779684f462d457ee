"""Retries inside retries, found where they are declared or meet, and told once."""

from __future__ import annotations

from typing import TYPE_CHECKING

from svcready._core.events import publish
from svcready.resilience._events import RetryNested

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["MARK", "begin_telling", "forget", "found", "met"]

MARK = "__svcready_exhausted__"
"""Where an error keeps the name of the retry that gave up on it."""

_MOST_PAIRS = 256
_FURTHEST = 8

_found: dict[RetryNested, bool] = {}
"""What was found, and whether it has been told."""
_telling = False


def found(outer: str, inner: str) -> None:
    """
    Tell, the first time, that retries of *inner* are inside those of *outer*.

    Before somebody listens it is kept.
    """
    pair = RetryNested(outer, inner)
    if pair in _found or len(_found) >= _MOST_PAIRS:
        return

    _found[pair] = _telling
    if _telling:
        publish(pair)


def met(outer: str, error: BaseException) -> None:
    """Look whether a retry that is not *outer* gave up on *error* or its cause."""
    for link in _chain(error):
        inner = link.__dict__.get(MARK)
        if inner is not None and inner != outer:
            found(outer, inner)
            return


def begin_telling(*, on: bool = True) -> None:
    """Tell of what was found until now, and from now on at once."""
    global _telling  # noqa: PLW0603 - the one pillar in force
    _telling = on
    if on:
        for pair, told in tuple(_found.items()):
            if not told:
                _found[pair] = True
                publish(pair)


def forget() -> None:
    """Forget what was found; for tests, which declare the same names again."""
    _found.clear()


def _chain(error: BaseException) -> Iterator[BaseException]:
    link: BaseException | None = error
    for _ in range(_FURTHEST):
        if link is None:
            return

        yield link
        link = link.__cause__
