"""Errors of applications that are not as errors should be: they go out as they are."""

from __future__ import annotations

import asyncio

import pytest

from svcready.resilience import circuit_breaker, policy, retry
from tests.conftest import Faults
from tests.resilience.peers import breaker_of


class WithArguments(Exception):
    """Calls something else `args`."""

    args = {"order": 1}  # type: ignore[assignment]  # noqa: RUF012 - that is the point


class WithProperty(Exception):
    """Fails when it is asked for its arguments."""

    @property
    def args(self) -> tuple[object, ...]:  # type: ignore[override]
        """Raise."""
        raise RuntimeError("args")

    @property
    def __cause__(self) -> None:  # type: ignore[override]
        """Raise."""
        raise RuntimeError("cause")


class Nowhere(Exception):
    """Is of no module."""


Nowhere.__module__ = None  # type: ignore[assignment]


class _Unhashable(type):
    __hash__ = None  # type: ignore[assignment]

    def __eq__(cls, other: object) -> bool:
        return cls is other


class OfNoHash(Exception, metaclass=_Unhashable):
    """Is of a class that is no key."""


ODD = (WithArguments, WithProperty, Nowhere, OfNoHash)


@pytest.mark.parametrize("kind", ODD, ids=lambda kind: kind.__name__)
@pytest.mark.parametrize("preset", ["http", "database", "redis", "aws", "message"])
def test_an_odd_error_goes_out_as_it_is(
    kind: type[Exception], preset: str, faults: Faults
) -> None:
    """No preset's judge puts an error of its own in its place."""
    guarded = policy("odd", preset=preset)

    @guarded
    def call() -> None:
        raise kind

    @guarded
    async def call_async() -> None:
        raise kind

    with pytest.raises(kind):
        call()

    with pytest.raises(kind):
        asyncio.run(call_async())

    assert sum(breaker_of("odd").counts().values()) == 2


@pytest.mark.parametrize("kind", ODD[:-1], ids=lambda kind: kind.__name__)
def test_an_odd_error_is_counted(kind: type[Exception]) -> None:
    """A retry and a breaker take it for what their arguments say."""
    calls: list[int] = []

    @retry("odd", on=kind, wait_base=0.001, wait_max=0.001)
    @circuit_breaker("odd")
    def call() -> None:
        calls.append(1)
        raise kind

    with pytest.raises(kind):
        call()

    assert len(calls) == 3
    assert breaker_of("odd").counts()["failure"] == 3
