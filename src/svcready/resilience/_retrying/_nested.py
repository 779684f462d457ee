"""Retries inside retries, found where they are declared or meet, and told once."""

from __future__ import annotations

from typing import TYPE_CHECKING

from svcready._core.events import publish
from svcready.resilience._events import RetryNested
from svcready.resilience._lineage import attributes_of, cause_of
from svcready.resilience._retrying._marks import MARK, mark_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from svcready.resilience._retrying._marks import Running

__all__ = ["begin_telling", "forget", "found", "given_up", "handed_on", "met"]

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


def met(outer: str, error: BaseException, running: Running) -> None:
    """
    Look whether a retry inside *outer* gave up on *error* or on its cause.

    Args:
        outer: The name of the retry that asks.
        error: What an attempt raised.
        running: The call that the attempt is of.
    """
    for link in _chain(error):
        inner = given_up(link, running, outer)
        if inner:
            found(outer, inner)
            return


def given_up(error: BaseException, running: Running, outer: str = "") -> str:
    """
    Return which retry gave up on *error*, or on the answer that it tells of.

    Args:
        error: What an attempt raised, the error of a `raise_for_status()` included.
        running: The call that the attempt is of: marks of others count for nothing.
        outer: The name of the retry that asks. On an answer it is a client's.

    Returns:
        An empty string if none did.
    """
    mark = mark_of(attributes_of(error), MARK)
    if mark is not None and running.believes(mark, outer):
        return mark.name

    # As instances have them: nobody's property is asked.
    attributes = attributes_of(error)
    answers = (attributes.get("response"), attributes.get("request_info"))
    marks = (mark_of(_marks(answer), MARK) for answer in answers)
    return next((at.name for at in marks if at and running.believes(at)), "")


def handed_on(error: BaseException, answer: object) -> None:
    """Mark an answer that a client hands out instead of *error*, as that is marked."""
    mark = mark_of(attributes_of(error), MARK)
    if mark is not None:
        for each in (answer, getattr(answer, "request_info", None)):
            _marks(each)[MARK] = mark


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
        link = cause_of(link)


def _marks(answer: object) -> dict[str, object]:
    """Return where an object keeps what is noted on it; nowhere if it keeps nothing."""
    kept = getattr(answer, "__dict__", None)
    return kept if isinstance(kept, dict) else {}
