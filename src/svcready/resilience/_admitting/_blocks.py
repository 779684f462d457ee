"""Which blocks that hold permits the running work is in."""

from __future__ import annotations

from contextvars import ContextVar
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator

    from svcready.resilience._admitting._permits import Permit

__all__ = ["block", "blocks"]


class _Block(NamedTuple):
    """A block that somebody entered in this context."""

    owner: object
    """Who, as `whose` tells: contexts are copied by tasks and threads."""
    permits: list[Permit]
    """What it holds; none: it was left."""
    outer: _Block | None


_BLOCKS: ContextVar[_Block | None] = ContextVar("svcready.blocks", default=None)


def block(owner: object, permits: list[Permit]) -> None:
    """
    Have what follows in this context be nested in a block of *owner*.

    Args:
        owner: Who entered it.
        permits: What it holds; who leaves it empties the list.
    """
    outer = _BLOCKS.get()
    while outer is not None and not outer.permits:
        outer = outer.outer

    _BLOCKS.set(_Block(owner, permits, outer))


def blocks(owner: object) -> Iterator[Permit]:
    """Return the permits of the blocks that *owner* is in, the innermost first."""
    inside = _BLOCKS.get()
    while inside is not None:
        if inside.owner == owner:
            yield from inside.permits

        inside = inside.outer
