"""A PostgreSQL server behind a relay, and little time for every check."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from svcready.health._running import _allowed
from tests.health.checks.databases.support import ALLOWED_S, Server
from tests.servers.postgres import postgres
from tests.servers.relay import Relay

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(autouse=True)
def _little_time() -> Iterator[None]:
    token = _allowed._allowed_s.set(ALLOWED_S)
    yield
    _allowed._allowed_s.reset(token)


@pytest.fixture(scope="module")
def _started() -> Iterator[str]:
    with postgres() as where:
        yield where


@pytest.fixture
def server(_started: str) -> Iterator[Server]:
    """Return a server that is up; nobody is connected at the end."""
    port = int(_started.rpartition(":")[2].partition("/")[0])
    with Relay(port) as relay:
        yield Server(relay, port)
