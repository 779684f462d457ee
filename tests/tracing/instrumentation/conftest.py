"""Fixtures of the tests of traced clients."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from svcready.testing import running
from tests.tracing.instrumentation.support import Site

if TYPE_CHECKING:
    from collections.abc import Iterator

    from svcready.testing import Harness


@pytest.fixture
def harness() -> Iterator[Harness]:
    """Run a service that traces what it finds, all of it."""
    pytest.importorskip("opentelemetry.instrumentation.instrumentor")
    with running() as harness:
        yield harness


@pytest.fixture
def site() -> Iterator[Site]:
    """Serve HTTP on loopback and remember what was asked."""
    made = Site()
    yield made
    made.close()
