from __future__ import annotations

import asyncio
import inspect
import sys
from functools import partial
from types import MethodType
from typing import TYPE_CHECKING

import pytest

from svcready._core.callables import kind_of

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Awaitable, Callable, Generator


def plain() -> None:
    """Be a function."""


async def coroutine() -> None:
    """Be a coroutine."""


def generator() -> Generator[int]:
    """Be a generator."""
    yield 1


async def async_generator() -> AsyncGenerator[int]:
    """Be an async generator."""
    yield 1


class Thing:
    """Has methods."""

    def method(self) -> None:
        """Be a method."""

    async def __call__(self) -> None:
        """Be called."""


@pytest.mark.parametrize(
    ("function", "kind"),
    [
        (plain, "function"),
        (len, "function"),
        (5, "function"),
        (Thing().method, "function"),
        (coroutine, "coroutine"),
        (Thing(), "coroutine"),
        (Thing().__call__, "coroutine"),
        (partial(partial(coroutine)), "coroutine"),
        (partial(Thing()), "coroutine"),
        (MethodType(partial(generator), 1), "generator"),
        (generator, "generator"),
        (partial(generator), "generator"),
        (async_generator, "async generator"),
    ],
)
def test_callables_are_told_apart_by_what_they_run(
    function: Callable[..., object], kind: str
) -> None:
    """Partials, methods and callable objects are what they finally run."""
    assert kind_of(function) == kind


@pytest.mark.skipif(sys.version_info < (3, 12), reason="has no such mark")
def test_a_function_that_is_marked_as_coroutine_is_one() -> None:
    """By the mark that the standard library puts on it."""

    def make() -> Awaitable[None]:
        return asyncio.sleep(0)

    mark = vars(inspect)["markcoroutinefunction"]
    assert kind_of(mark(make)) == "coroutine"
