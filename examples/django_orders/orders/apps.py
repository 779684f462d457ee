"""The orders' app; the health check of its database is svcready's."""

from __future__ import annotations

from django.apps import AppConfig


class OrdersConfig(AppConfig):
    """The orders' app."""

    name = "orders"
