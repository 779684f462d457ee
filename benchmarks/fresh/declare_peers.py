"""A module that declares what the peers know: no health check among them."""

from __future__ import annotations

import stamina
import structlog
from circuitbreaker import circuit
from opentelemetry import trace
from prometheus_client import Counter

log = structlog.get_logger(__name__)
orders = Counter("orders_created", "Orders accepted", ("kind",))


@stamina.retry(on=ConnectionError)
@circuit(name="payments")
def charge(amount: int) -> int:
    """Charge nothing."""
    return amount


@trace.get_tracer(__name__).start_as_current_span("price")
def price(amount: int) -> int:
    """Price nothing."""
    return amount
