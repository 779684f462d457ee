"""Fixtures of the tracing tests."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.tracing.support import make_pillar

if TYPE_CHECKING:
    from collections.abc import Iterator

    from svcready.tracing._pillar import TracePillar
    from tests.tracing.collector import Collector


@pytest.fixture
def pillar() -> Iterator[TracePillar]:
    """Give a started pillar that samples all and keeps its spans."""
    made = make_pillar()
    made.start()
    yield made
    made.close(1.0)


@pytest.fixture
def collector() -> Iterator[Collector]:
    """Give a collector that listens; it needs what the extra `otlp` brings."""
    pytest.importorskip("opentelemetry.proto")
    from tests.tracing.collector import Collector

    made = Collector()
    yield made
    made.close()
