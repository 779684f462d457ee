"""Statements of Django's connections that end with the deadline."""

from __future__ import annotations

import math
import weakref
from typing import TYPE_CHECKING, Any

from svcready.resilience._database._engines import run_steps
from svcready.resilience._database._hints import hinted
from svcready.resilience._database._limits import Limit, is_control, is_data
from svcready.resilience._timing import _deadline

if TYPE_CHECKING:
    from collections.abc import Callable

    from django.db.backends.base.base import BaseDatabaseWrapper

__all__ = ["bind_connections", "keep_django_limit"]

_LIMITS: weakref.WeakKeyDictionary[object, Limit] = weakref.WeakKeyDictionary()
_PART = "ROLLBACK TO"
_IDLE = 0  # libpq's PQTRANS_IDLE


def bind_connections() -> Callable[[], None]:
    """Have all connections' statements end with the deadline; return what undoes it."""
    from django.db import connections
    from django.db.backends.signals import connection_created

    def bind(connection: BaseDatabaseWrapper, **_: object) -> None:
        if _around not in connection.execute_wrappers:
            connection.execute_wrappers.append(_around)

    def undo() -> None:
        connection_created.disconnect(bind)
        for connection in connections.all(initialized_only=True):
            if _around in connection.execute_wrappers:
                connection.execute_wrappers.remove(_around)

    connection_created.connect(bind, weak=False)
    for connection in connections.all(initialized_only=True):
        bind(connection)

    return undo


def keep_django_limit(connection: Any, sql: str = "") -> None:
    """Set the limit for the transaction that is open, or take it back, as needs be."""
    raw = connection.connection
    limit = _LIMITS.get(raw)
    left_s = _deadline.remaining()
    if limit is None:
        if left_s == math.inf:
            return

        limit = _LIMITS[raw] = Limit()

    if int(raw.info.transaction_status) == _IDLE:
        limit.begin()

    if sql.startswith(_PART):
        limit.roll_back_part()
    elif not is_control(sql):
        run_steps(limit, raw.cursor, data=is_data(sql))


def _around(
    execute: Callable[..., object],
    sql: str,
    params: object,
    many: bool,  # noqa: FBT001 - as Django calls it
    context: Any,
) -> object:
    connection = context["connection"]
    if connection.vendor == "mysql":
        left_s = _deadline.remaining()
        if left_s < math.inf:
            sql = hinted(sql, left_s, mariadb=connection.mysql_is_mariadb)

    elif connection.vendor == "postgresql" and connection.connection is not None:
        if not connection.get_autocommit():
            keep_django_limit(connection, str(sql))
        elif _deadline.remaining() < math.inf and is_data(str(sql)):
            # What is set without a transaction would hold beyond the statement.
            from django.db.transaction import atomic

            with atomic(using=connection.alias):
                keep_django_limit(connection, str(sql))
                return execute(sql, params, many, context)

    return execute(sql, params, many, context)
