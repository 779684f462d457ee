"""The orders' views."""

from __future__ import annotations

import json

import httpx
from django.http import HttpRequest, JsonResponse
from django.shortcuts import get_object_or_404
from django.views.decorators.http import require_GET, require_http_methods, require_POST

import svcready
from orders.models import Order
from orders.payments import charge

log = svcready.get_logger(__name__)
orders_created = svcready.counter("orders_created", "Orders accepted")
orders_paid = svcready.counter(
    "orders_paid", "Attempts to pay an order", labels=("outcome",)
)


@require_http_methods(["GET", "POST"])
def collection(request: HttpRequest) -> JsonResponse:
    """Return the newest orders, or accept one."""
    if request.method == "GET":
        newest = Order.objects.order_by("-id")[:100]
        return JsonResponse([order.view() for order in newest], safe=False)

    try:
        sent = json.loads(request.body)
        item, amount = sent["item"], sent["amount"]
    except (ValueError, KeyError, TypeError):
        item = amount = None

    if not isinstance(item, str) or not isinstance(amount, int) or amount <= 0:
        detail = "item is a text, amount a positive number of cents"
        return JsonResponse({"detail": detail}, status=422)

    order = Order.objects.create(item=item, amount=amount)
    orders_created.inc()
    log.info("order accepted", order_id=order.pk, amount=amount)
    return JsonResponse(order.view(), status=201)


@require_GET
def read(_: HttpRequest, order_id: int) -> JsonResponse:
    """Return one order."""
    return JsonResponse(get_object_or_404(Order, pk=order_id).view())


@require_POST
def pay(_: HttpRequest, order_id: int) -> JsonResponse:
    """Pay an order, once."""
    order = get_object_or_404(Order, pk=order_id)
    if order.status == "paid":
        return JsonResponse(order.view())

    try:
        order.receipt = charge(order.pk, order.amount)
    except svcready.errors.CircuitOpen as refusal:
        orders_paid.labels("refused").inc()
        wait = {"Retry-After": str(round(refusal.retry_after or 1) or 1)}
        return JsonResponse({"detail": "payments are down"}, status=503, headers=wait)
    except httpx.HTTPError as error:
        orders_paid.labels("failed").inc()
        log.warning("payment failed", order_id=order.pk, reason=type(error).__name__)
        return JsonResponse({"detail": "payment failed"}, status=502)

    orders_paid.labels("paid").inc()
    order.status = "paid"
    order.save()
    log.info("order paid", order_id=order.pk, receipt=order.receipt)
    return JsonResponse(order.view())
