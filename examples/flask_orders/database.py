"""The orders' table, on the standard library's SQLite."""

from __future__ import annotations

import os
import sqlite3
from contextlib import closing, contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

DATABASE = os.environ.get("ORDERS_DATABASE", "orders.db")
TABLE = """
    CREATE TABLE IF NOT EXISTS orders (
        id INTEGER PRIMARY KEY,
        item TEXT NOT NULL,
        amount INTEGER NOT NULL,  -- in cents
        status TEXT NOT NULL DEFAULT 'open',
        receipt TEXT
    )
"""

Order = dict[str, object]


@contextmanager
def transaction() -> Iterator[sqlite3.Connection]:
    """Open the database for one transaction."""
    with closing(sqlite3.connect(DATABASE)) as connection, connection:
        connection.row_factory = sqlite3.Row
        yield connection


def create_tables() -> None:
    """Create what is missing."""
    with transaction() as connection:
        connection.execute(TABLE)


def add(item: str, amount: int) -> Order:
    """Store a new order and return it."""
    with transaction() as connection:
        row = connection.execute(
            "INSERT INTO orders (item, amount) VALUES (?, ?) RETURNING *",
            (item, amount),
        ).fetchone()
        return dict(row)


def newest(limit: int = 100) -> list[Order]:
    """Return the newest orders."""
    with transaction() as connection:
        rows = connection.execute(
            "SELECT * FROM orders ORDER BY id DESC LIMIT ?", (limit,)
        )
        return [dict(row) for row in rows]


def get(order_id: int) -> Order | None:
    """Return one order, or None."""
    with transaction() as connection:
        row = connection.execute(
            "SELECT * FROM orders WHERE id = ?", (order_id,)
        ).fetchone()
        return None if row is None else dict(row)


def mark_paid(order_id: int, receipt: str) -> None:
    """Store that an order is paid."""
    with transaction() as connection:
        connection.execute(
            "UPDATE orders SET status = 'paid', receipt = ? WHERE id = ?",
            (receipt, order_id),
        )


def ping() -> None:
    """Ask the database for nothing."""
    with transaction() as connection:
        connection.execute("SELECT 1")
