"""A module as applications have them: it declares one of each kind at import."""

from __future__ import annotations

import svcready

log = svcready.get_logger(__name__)
orders = svcready.counter("declares_orders", "Orders accepted", labels=("kind",))
retail = orders.labels("retail")
waiting = svcready.up_down_counter("declares_waiting", "Orders not yet packed")
stock = svcready.gauge("declares_stock", "Goods in stock", workers="latest")
size = svcready.histogram("declares_size", "Size of an order", unit="By")
checkout = svcready.timer("declares_checkout", "Time to check out")


@svcready.health.check("declares-database", critical=True)
async def database() -> None:
    """Answer, as a database would."""


@svcready.deadline("declares-payments", 5)
@svcready.timeout("declares-payments", 2)
@svcready.retry("declares-payments", on=ConnectionError)
@svcready.circuit_breaker("declares-payments")
async def charge(order: str) -> str:
    """Charge for an order."""
    return order


@svcready.counted("declares_packed", labels=("order",))
@svcready.span("declares-pack")
def pack(order: str) -> str:
    """Pack an order."""
    log.info("packing", order=order)
    return order


retail.inc()
waiting.inc()
stock.set(5)
size.observe(3)
