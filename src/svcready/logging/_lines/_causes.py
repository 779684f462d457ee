"""What is behind an exception: its causes, its contexts, the members of its group."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["CAUSE", "CONTEXT", "GROUP", "behind", "next_in_chain"]

CAUSE = "cause"
CONTEXT = "context"
GROUP = "group"


def next_in_chain(error: BaseException) -> tuple[BaseException | None, str]:
    """
    Return the exception that Python prints above *error*, and how it is related.

    That is the one that it was raised `from`, else the one that was being handled,
    unless `from None` hides it.
    """
    if error.__cause__ is not None:
        return error.__cause__, CAUSE

    if error.__context__ is not None and not error.__suppress_context__:
        return error.__context__, CONTEXT

    return None, ""


def behind(error: BaseException) -> Iterator[tuple[BaseException, str, int]]:
    """
    Yield the exceptions behind *error*, each once, with relation and distance.

    Each is followed by what is behind itself, the chain before the group's members.
    """
    seen = {id(error)}
    waiting = _next_to(error, 1)
    while waiting:
        found, relation, depth = waiting.pop()
        if id(found) not in seen:
            seen.add(id(found))
            yield found, relation, depth
            waiting += _next_to(found, depth + 1)


def _next_to(error: BaseException, depth: int) -> list[tuple[BaseException, str, int]]:
    """Return what is directly behind *error*, the last one first."""
    following: list[tuple[BaseException, str, int]] = []
    if isinstance(error, BaseExceptionGroup):
        following = [(member, GROUP, depth) for member in reversed(error.exceptions)]

    link, relation = next_in_chain(error)
    if link is not None:
        following.append((link, relation, depth))

    return following
