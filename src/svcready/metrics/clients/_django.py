"""Metrics of Django's database connections: queries, and transactions by their end."""

from __future__ import annotations

import os
import weakref
from typing import TYPE_CHECKING

from svcready.metrics.clients._database import Database, system_of
from svcready.metrics.clients._shared import Installed, error_type, quiet

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from django.db.backends.base.base import BaseDatabaseWrapper

__all__ = ["instrument_django"]

_installed: Installed[type[BaseDatabaseWrapper]] = Installed()


def instrument_django() -> Callable[[], None]:
    """
    Measure the queries and transactions of all of Django's database connections.

    Connections are found when they are made, and those that the calling thread has
    already; settings may call it. Single statements in autocommit are queries, and no
    transactions.

    Returns:
        What takes the instrumentation back.
    """
    from django.db.backends.base.base import BaseDatabaseWrapper

    return _installed.once(BaseDatabaseWrapper, _install)


def _install(
    _: type[BaseDatabaseWrapper],
) -> Callable[[type[BaseDatabaseWrapper]], None]:
    from django.apps import apps
    from django.db import connections
    from django.db.backends.signals import connection_created

    watch = _Watch()
    connection_created.connect(watch.made, weak=False, dispatch_uid="svcready.metrics")
    if apps.ready:  # else the settings may not be read yet
        for connection in connections.all(initialized_only=True):
            watch.made(connection)

    def remove(_: type[BaseDatabaseWrapper]) -> None:
        connection_created.disconnect(dispatch_uid="svcready.metrics")
        watch.stop()

    return remove


class _Watch:
    """What every connection is told to call."""

    def __init__(self) -> None:
        self._databases: dict[tuple[str, str, str], Database] = {}
        self._known: weakref.WeakSet[BaseDatabaseWrapper] = weakref.WeakSet()
        self._active = True

    def made(self, connection: BaseDatabaseWrapper, **_: object) -> None:
        """Measure a connection, which may be made again and again."""
        with quiet:
            if connection not in self._known:
                self._known.add(connection)
                # First, because who leaves a `with execute_wrapper` takes the last.
                connection.execute_wrappers.insert(0, self.execute)
                for method in ("commit", "rollback"):
                    vars(connection)[method] = self._ending(connection, method)

    def stop(self) -> None:
        """Measure no more; other threads' connections notice at their next query."""
        self._active = False
        for connection in tuple(self._known):
            if self.execute in connection.execute_wrappers:
                connection.execute_wrappers.remove(self.execute)

            for method in ("commit", "rollback"):
                vars(connection).pop(method, None)

    def execute(
        self,
        execute: Callable[..., object],
        sql: object,
        params: object,
        many: bool,  # noqa: FBT001 - Django's signature
        context: Mapping[str, object],
    ) -> object:
        """Run a query, measured."""
        if not self._active:
            return execute(sql, params, many, context)

        database = self._database(context["connection"])
        started_s = database.watch.now()
        try:
            result = execute(sql, params, many, context)
        except BaseException as error:
            with quiet:
                # Django's exception is one of few; the driver's says more.
                kind = error_type(error.__cause__ or error)
                database.took(sql, database.watch.now() - started_s, kind)

            raise

        with quiet:
            database.took(sql, database.watch.now() - started_s)

        return result

    def _ending(
        self, connection: BaseDatabaseWrapper, method: str
    ) -> Callable[[], None]:
        reference, inner = weakref.ref(connection), getattr(type(connection), method)

        def end() -> None:
            connection = reference()
            inner(connection)
            with quiet:
                database = self._database(connection)
                if method == "commit":
                    database.committed()
                else:
                    database.rolled_back()

        return end

    def _database(self, connection: object) -> Database:
        vendor: str = getattr(connection, "vendor", "")
        settings: Mapping[str, object] = getattr(connection, "settings_dict", {})
        name, host = str(settings.get("NAME") or ""), str(settings.get("HOST") or "")
        key = (vendor, name, host)
        database = self._databases.get(key)
        if database is None:
            if vendor == "sqlite":
                name = os.path.basename(name)  # noqa: PTH119 - or a URI

            made = Database(system_of(vendor), name, host)
            database = self._databases.setdefault(key, made)

        return database
