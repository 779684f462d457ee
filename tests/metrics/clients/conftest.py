from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from svcready.metrics.clients._database import Pool
from tests.metrics.clients.support import Page

if TYPE_CHECKING:
    from collections.abc import Callable

    from svcready.metrics._pillar import MetricsPillar


@pytest.fixture(autouse=True)
def _fresh_pools() -> None:
    """Forget the pools of tests before, whose engines may not be collected yet."""
    Pool._all.clear()


@pytest.fixture
def page(make_pillar: Callable[..., MetricsPillar]) -> Page:
    """Read what a started pillar has in its snapshot."""
    return Page(make_pillar())
