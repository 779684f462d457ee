"""Transactions of plain sqlite3, whose errors don't tell whether theirs is over."""

from __future__ import annotations

import sqlite3
from contextlib import contextmanager
from typing import TYPE_CHECKING

from svcready.resilience._database._transactions import mark_ended

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["run_whole"]


@contextmanager
def run_whole(connection: sqlite3.Connection) -> Iterator[sqlite3.Connection]:
    """Begin a transaction and end it, and say so on the error that has ended it."""
    try:
        # SQLite refuses one within another, and that one is left as it is.
        connection.execute(f"BEGIN {connection.isolation_level or ''}")
    except sqlite3.Error as error:
        if not connection.in_transaction:
            mark_ended(error)

        raise

    try:
        yield connection
        if connection.in_transaction:
            # By SQL, as commit() does nothing on a connection with autocommit=True.
            connection.execute("COMMIT")
    except BaseException as error:
        # If it isn't open any more, somebody may have committed a part of it.
        if _is_open(connection):
            connection.execute("ROLLBACK")
            if isinstance(error, sqlite3.Error):  # others' transactions may go on
                mark_ended(error)

        raise


def _is_open(connection: sqlite3.Connection) -> bool:
    try:
        return connection.in_transaction
    except sqlite3.ProgrammingError:  # closed
        return False
