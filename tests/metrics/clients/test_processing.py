"""The time that an application takes for a message."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from svcready.metrics import processing

if TYPE_CHECKING:
    from svcready.testing import FakeClock
    from tests.metrics.clients.support import Page

DURATION = "messaging.process.duration"


def test_a_block_is_timed(page: Page, clock: FakeClock) -> None:
    """With the destination and system as labels; an error by its class."""
    with processing("orders", system="aws_sqs"):
        clock.advance(2)

    def fail() -> None:
        clock.advance(1)
        raise LookupError

    with pytest.raises(LookupError), processing("orders", system="aws_sqs"):
        fail()

    here = {"messaging_system": "aws_sqs", "messaging_destination_name": "orders"}
    assert page.total(DURATION, error_type="", **here) == pytest.approx(2)
    assert page.total(DURATION, error_type="LookupError", **here) == pytest.approx(1)


def test_a_function_is_timed_on_every_call(page: Page, clock: FakeClock) -> None:
    """Also inside itself, and in the handling of another error."""

    @processing("orders")
    def handle(depth: int) -> int:
        clock.advance(1)
        return handle(depth - 1) + 1 if depth else 0

    try:
        raise LookupError
    except LookupError:
        assert handle(2) == 2

    assert page.total(DURATION, error_type="") == pytest.approx(1 + 2 + 3)


def test_coroutines_are_timed_until_they_end(page: Page, clock: FakeClock) -> None:
    """Two at once have a start each."""

    @processing("orders")
    async def handle(seconds: float) -> None:
        await asyncio.sleep(0)
        clock.advance(seconds)

    async def both() -> None:
        await asyncio.gather(handle(1), handle(2))

    asyncio.run(both())

    assert page.count(DURATION) == 2
    assert page.total(DURATION) == pytest.approx(1 + 3)
