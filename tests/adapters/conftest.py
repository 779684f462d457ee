"""A runtime of the test's own, and one with limits on what it serves."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager

import pytest

from svcready.testing import FakeClock, Harness, running
from tests.adapters.limits import Running


@pytest.fixture
def harness() -> Iterator[Harness]:
    """A runtime whose lines, metrics and spans can be read."""
    with running(service="orders") as made:
        yield made


@pytest.fixture
def clock() -> FakeClock:
    """Time that only the test moves."""
    return FakeClock()


@pytest.fixture
def run(clock: FakeClock) -> Running:
    """Start a runtime with these rules and further settings."""

    def begin(rules: str = "", **more: object) -> AbstractContextManager[Harness]:
        settings = {"http.rate_limits": rules, **more}
        return running(service="orders", settings=settings, clock=clock)

    return begin
