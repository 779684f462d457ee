"""Fixtures of the tracing tests."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.tracing.support import Collector, make_pillar

if TYPE_CHECKING:
    from collections.abc import Iterator

    from svcready.tracing._pillar import TracePillar


@pytest.fixture
def pillar() -> Iterator[TracePillar]:
    """Give a started pillar that samples all and keeps its spans."""
    made = make_pillar()
    made.start()
    yield made
    made.close(1.0)


@pytest.fixture
def collector() -> Iterator[Collector]:
    """Give a collector that listens."""
    made = Collector()
    yield made
    made.close()
