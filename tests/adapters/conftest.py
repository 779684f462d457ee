"""A runtime of the test's own."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from svcready.testing import Harness, running


@pytest.fixture
def harness() -> Iterator[Harness]:
    """A runtime whose lines, metrics and spans can be read."""
    with running(service="orders") as made:
        yield made
