"""The names that ready-made checks have when they are given none."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from svcready import health
from svcready._core.declarations import check_name
from svcready.health._check import CHECKS
from svcready.health.checks._named import derive_name, name_for

if TYPE_CHECKING:
    from collections.abc import Callable


def test_what_is_short_is_told_as_it_is() -> None:
    """What a name cannot hold is replaced, the rest stays."""
    assert name_for("tcp", "Cache.internal", 6379) == "tcp-cache.internal-6379"
    assert name_for("disk", "var", "lib/data") == "disk-var-lib-data"
    assert derive_name("sqlalchemy", "Orders (new)") == "sqlalchemy.orders_new_"
    assert derive_name("sqlalchemy", "orders", "async") == "sqlalchemy.orders.async"


@pytest.mark.parametrize(
    "kind", ["s3", "http", "dynamodb", "psycopg_pool", "django.migrations"]
)
@pytest.mark.parametrize("make", [name_for, derive_name])
def test_what_is_long_stays_valid_and_its_own(
    make: Callable[[str, str], str], kind: str
) -> None:
    """Of any kind and length, two that differ anywhere have two names."""
    names = [
        make(kind, f"{first}{'x' * length}{last}")
        for first in "ab"
        for last in "ab"
        for length in (40, 43, 44, 45, 46, 52, 60, 250)
    ]

    assert [check_name("health check", name) for name in names] == names
    assert all(name.startswith(kind) for name in names)
    assert len({*names}) == len(names)


def test_a_table_of_a_long_name_is_checked() -> None:
    """DynamoDB's tables have up to 255 characters."""
    health.add_dynamodb_table("orders-of-the-northern-warehouse-by-customer-and-day")
    health.add_dynamodb_table("x" * 255)

    assert len(CHECKS.names()) == 2
