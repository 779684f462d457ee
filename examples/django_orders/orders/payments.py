"""The client of the payment service: retried, and left alone while it is down."""

from __future__ import annotations

import os

import httpx

import svcready

PAYMENTS_URL = os.environ.get("PAYMENTS_URL", "http://127.0.0.1:9000")

client = httpx.Client(base_url=PAYMENTS_URL, timeout=1.0)


def may_pass(error: Exception) -> bool:
    """Tell whether another attempt can succeed: no answer came, or a 5xx."""
    if isinstance(error, httpx.HTTPStatusError):
        return error.response.is_server_error

    return isinstance(error, httpx.TransportError)


@svcready.retry("payments", on=may_pass)
@svcready.circuit_breaker("payments", consecutive_failures=5, open_for=5.0)
def charge(order_id: int, amount: int) -> str:
    """
    Charge an order and return the receipt.

    The idempotency key makes a repeated attempt safe: it is the same payment.

    Args:
        order_id: The order.
        amount: In cents.

    Raises:
        httpx.HTTPError: The last attempt failed.
        svcready.errors.CircuitOpen: Payments are known to be down; nothing was sent.
    """
    response = client.post(
        "/payments",
        json={"order": order_id, "amount": amount},
        headers={"Idempotency-Key": f"order-{order_id}"},
    )
    response.raise_for_status()
    return str(response.json()["receipt"])
