"""The orders' table."""

from __future__ import annotations

from django.db import models


class Order(models.Model):
    """One order; amounts are in cents."""

    item = models.TextField()
    amount = models.PositiveIntegerField()
    status = models.TextField(default="open")
    receipt = models.TextField(null=True)  # noqa: DJ001 - none yet is not an empty one

    def __str__(self) -> str:
        return f"order {self.pk}"

    def view(self) -> dict[str, object]:
        """Return what a customer sees."""
        return {
            "id": self.pk,
            "item": self.item,
            "amount": self.amount,
            "status": self.status,
            "receipt": self.receipt,
        }
