"""What DynamoDB says of its throughput in its answers."""

from __future__ import annotations

from typing import TYPE_CHECKING

from svcready.metrics.clients._shared import DECLARE

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

__all__ = ["DynamoDB"]

_TABLE = "aws_dynamodb_table_name"


class DynamoDB:
    """Counts consumed capacity, and what batches left undone, by table."""

    __slots__ = ("_consumed", "_unprocessed")

    def __init__(self) -> None:
        self._consumed = DECLARE.counter(
            "aws.dynamodb.consumed_capacity",
            "Capacity units that DynamoDB says calls consumed.",
            unit="{unit}",
            labels=("rpc_method", _TABLE),
        )
        self._unprocessed = DECLARE.counter(
            "aws.dynamodb.unprocessed_items",
            "Items and keys of batches that DynamoDB left undone, mostly throttled.",
            unit="{item}",
            labels=("rpc_method", _TABLE),
        )

    def answered(self, method: str, parsed: Mapping[str, object]) -> None:
        """Count what an answer to *method* says."""
        consumed = parsed.get("ConsumedCapacity")
        tables: Iterable[Mapping[str, object]]
        tables = consumed if isinstance(consumed, list) else filter(None, [consumed])  # type: ignore[list-item]
        for each in tables:
            units = each.get("CapacityUnits")
            if isinstance(units, int | float):
                self._consumed.labels(method, each.get("TableName", "")).inc(units)

        left = parsed.get("UnprocessedItems") or parsed.get("UnprocessedKeys")
        if isinstance(left, dict):
            for table, items in left.items():
                keys = items.get("Keys", ()) if isinstance(items, dict) else items
                self._unprocessed.labels(method, table).inc(len(keys))
