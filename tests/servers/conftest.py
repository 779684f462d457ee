"""The services under test: one process per server for all claims that can share it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.servers.harness import Service
from tests.servers.matrix import SERVERS, Stack, start
from tests.servers.peers import Collector

EVERYTHING_TRACED = {
    "SVCREADY_TRACING_SAMPLING": "100%",
    "SVCREADY_TRACING_EXPORT_DELAY_S": "0.05",
    "SVCREADY_ADMIN_TOKENS": "the-right-token",
}


@pytest.fixture(scope="session", params=SERVERS, ids=str)
def stack(request: pytest.FixtureRequest) -> Stack:
    """A framework under a server."""
    chosen: Stack = request.param
    return chosen


@pytest.fixture(scope="session")
def collector(stack: Stack) -> Iterator[Collector]:
    """The collector, and downstream, of the running service."""
    with Collector() as running:
        yield running


@pytest.fixture(scope="session")
def shared_service(
    stack: Stack, collector: Collector, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Service]:
    """The service, running, every request of it traced."""
    made = start(
        stack,
        tmp_path_factory.mktemp(stack.name),
        **EVERYTHING_TRACED,
        SVCREADY_OTLP_ENDPOINT=collector.url,
        PEER_URL=collector.url,
    )
    with made:
        yield made


@pytest.fixture
def service(shared_service: Service) -> Iterator[Service]:
    """The service, with no request of an earlier test on its way."""
    yield shared_service
    shared_service.settle()
