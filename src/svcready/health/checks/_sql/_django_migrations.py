"""The check for migrations of a Django project that nobody has run yet."""

from __future__ import annotations

from typing import TYPE_CHECKING

from svcready.health._result import CheckResult
from svcready.health._running._allowed import allowed_s
from svcready.health.checks._adding import ReadyMade, add
from svcready.health.checks._named import derive_name
from svcready.health.checks._sql._django import lent_to_thread

if TYPE_CHECKING:
    from typing import Unpack

    from django.db.backends.base.base import BaseDatabaseWrapper

    from svcready.health.checks._adding import Options

__all__ = ["add_django_migrations"]

_INTERVAL = "10m"
_TIMEOUT = "10s"
_SHARE = 0.9
_SHOWN = 3


def add_django_migrations(alias: str = "default", **options: Unpack[Options]) -> None:
    """
    Warn while the code has migrations that the database has not; never run them.

    A check `django.migrations`, or `django.migrations.<alias>`. It looks when the
    service starts and every ten minutes, with a time-out of ten seconds, unless the
    options say otherwise; the project's migrations are only read again when those
    that were run are others.

    Args:
        alias: The database, as in `DATABASES`.
        options: As for `health.check`.

    Raises:
        DeclarationError: An option is wrong, or another check has the name.
    """
    said: Options = {"interval": _INTERVAL, "timeout": _TIMEOUT, **options}
    name = derive_name("django.migrations", "" if alias == "default" else alias)
    run = _Migrations(alias).run
    add(name, ReadyMade(run, kind="datastore", target=f"django {alias}"), said)


class _Migrations:
    """What the database has, against what the code has."""

    def __init__(self, alias: str) -> None:
        self._alias = alias
        self._applied: frozenset[tuple[str, str]] | None = None
        self._pending: list[str] = []

    def run(self) -> CheckResult:
        """Run the check."""
        # Models look the connection up by its alias, on this thread of ours.
        with lent_to_thread(self._alias, _SHARE * allowed_s()) as own:
            self._look(own)

        if not self._pending:
            return CheckResult("pass", observed=0.0, unit="1")

        shown = ", ".join(self._pending[:_SHOWN])
        more = ", …" if len(self._pending) > _SHOWN else ""
        count = len(self._pending)
        text = f"{count} migration{'s'[: count > 1]} not run: {shown}{more}"
        return CheckResult("warn", text, float(count), "1")

    def _look(self, connection: BaseDatabaseWrapper) -> None:
        from django.db.migrations.executor import MigrationExecutor
        from django.db.migrations.recorder import MigrationRecorder

        applied = frozenset(MigrationRecorder(connection).applied_migrations())
        if applied == self._applied:
            return

        # Reading the project's migrations loads their modules anew.
        executor = MigrationExecutor(connection)
        plan = executor.migration_plan(executor.loader.graph.leaf_nodes())
        self._pending = [str(migration) for migration, _ in plan]
        self._applied = applied
