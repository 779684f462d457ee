"""What the instrumentations of client libraries share."""

from __future__ import annotations

from typing import TYPE_CHECKING

from svcready.metrics.clients._shared import instrument_all

if TYPE_CHECKING:
    from collections.abc import Callable


class Pool:
    """A library's class."""

    def __init__(self) -> None:
        self.name = "pool"


class SlottedPool(Pool):
    """A class derived from a derived one, without a dictionary."""

    __slots__ = ("size",)


class OwnPool(SlottedPool):
    """An application's."""


def test_whatever_is_there_is_found() -> None:
    """Objects of the class and of those derived from it, made before or later."""
    before = [Pool(), SlottedPool(), OwnPool()]
    measured: list[Pool] = []

    def instrument(pool: Pool) -> Callable[[], None]:
        measured.append(pool)
        return lambda: None

    remove = instrument_all(Pool, instrument, measured.__contains__)
    later = OwnPool()
    remove(None)
    measured_once = {id(pool) for pool in measured[:4]}

    assert measured_once == {id(pool) for pool in (*before, later)}
