"""What the policies' tests need: time of their own, and every event noted."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from svcready._core.events import subscribe
from svcready.resilience import _events
from svcready.testing import FakeClock
from tests.servers.postgres import postgres

if TYPE_CHECKING:
    from collections.abc import Iterator

KINDS = tuple(getattr(_events, name) for name in _events.__all__)


@pytest.fixture
def clock() -> FakeClock:
    """Time that only the test moves."""
    return FakeClock()


@pytest.fixture
def told() -> Iterator[list[object]]:
    """Every event of the policies, in order."""
    events: list[object] = []
    ends = [subscribe(kind, events.append) for kind in KINDS]
    yield events
    for end in ends:
        end()


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[str]:
    """A PostgreSQL server: where it is, without the scheme."""
    with postgres() as where:
        yield where
