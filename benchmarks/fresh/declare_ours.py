"""A module that declares one of each kind with svcready, before any `init()`."""

from __future__ import annotations

import svcready

log = svcready.get_logger(__name__)
orders = svcready.counter("orders_created", "Orders accepted", labels=("kind",))


@svcready.health.check("database", critical=True)
def database() -> None:
    """Check nothing."""


@svcready.retry("payments", on=ConnectionError)
@svcready.circuit_breaker("payments")
def charge(amount: int) -> int:
    """Charge nothing."""
    return amount


@svcready.span("price")
def price(amount: int) -> int:
    """Price nothing."""
    return amount
