"""Errors that are not as they should be: they go out so, and hold nothing back."""

from __future__ import annotations

import asyncio
import contextlib

import pytest

from svcready.resilience import bulkhead, circuit_breaker, get_bulkhead, policy, retry
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


class WithDict(Exception):
    """Fails when it is asked for its attributes."""

    @property
    def __dict__(self) -> dict[str, object]:  # type: ignore[override]
        """Raise."""
        raise RuntimeError("attributes")


class Delegating(Exception):
    """Has what another error has, and none."""

    def __getattr__(self, name: str) -> object:
        return getattr(self.inner, name)


class Nowhere(Exception):
    """Is of no module."""


Nowhere.__module__ = None  # type: ignore[assignment]


class _Unhashable(type):
    __hash__ = None  # type: ignore[assignment]

    def __eq__(cls, other: object) -> bool:
        return cls is other


class OfNoHash(Exception, metaclass=_Unhashable):
    """Is of a class that is no key."""


ODD = (WithArguments, WithProperty, WithDict, Nowhere, OfNoHash)


@pytest.mark.parametrize("kind", ODD, ids=lambda kind: kind.__name__)
@pytest.mark.parametrize("preset", ["http", "database", "redis", "aws", "message"])
def test_an_odd_error_goes_out_as_it_is(kind: type[Exception], preset: str) -> None:
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


@pytest.mark.parametrize(
    "kind", [*ODD[:-1], Delegating], ids=lambda kind: kind.__name__
)
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


@pytest.mark.parametrize("fails", [False, True])
def test_calls_at_the_end_of_the_stack_give_their_permits_back(fails: bool) -> None:
    """What could not be left for want of room on the stack is left by the next call."""
    room = bulkhead("deep", max_concurrent=2)
    deep = policy("deep", bulkhead=room, breaker=circuit_breaker(success=KeyError))

    @deep
    def call() -> None:
        if fails:
            raise KeyError

    def down(room_left: int) -> None:
        if room_left:
            down(room_left - 1)

        with contextlib.suppress(KeyError):
            call()

        down(0)

    for more in range(30):
        with pytest.raises(RecursionError):
            down(more)

    with contextlib.suppress(KeyError):
        call()

    assert get_bulkhead("deep").level.in_use == 0
