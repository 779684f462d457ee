"""Brokers that are slow to start, once for all tests here."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.servers.rabbitmq import RabbitMQ, rabbitmq_server
from tests.servers.relay import Relay

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager


@pytest.fixture(scope="session")
def rabbit() -> Iterator[RabbitMQ]:
    """Run RabbitMQ."""
    with rabbitmq_server() as server:
        yield server


@pytest.fixture
def broker(rabbit: RabbitMQ) -> Iterator[Relay]:
    """Stand before it."""
    with Relay(rabbit.port) as relay:
        yield relay


@pytest.fixture
def full_broker(rabbit: RabbitMQ) -> Callable[[], AbstractContextManager[None]]:
    """Let it block publishers for a while."""
    return rabbit.full
