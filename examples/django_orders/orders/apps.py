"""The orders' app: the health check comes with it."""

from __future__ import annotations

from django.apps import AppConfig
from django.db import connection

import svcready


class OrdersConfig(AppConfig):
    """The orders' app."""

    name = "orders"


@svcready.health.check("database", critical=True)
def database_answers() -> None:
    """Ask the database for nothing; readiness fails while that fails."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT 1")
