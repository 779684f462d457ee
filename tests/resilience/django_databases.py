"""A Django project whose transactions are retried and limited; prints what happened."""

from __future__ import annotations

import json
import sys
import threading
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import django
from django.conf import settings

from svcready.resilience import database, policy
from svcready.resilience._timing import _deadline

if TYPE_CHECKING:
    from collections.abc import Iterator

SHOW = "SELECT extract(epoch FROM current_setting('statement_timeout')::interval)"
found: dict[str, object] = {}


def configure(where: str) -> None:
    """Set Django up with one database."""
    user, _, rest = where.partition("@")
    host, _, rest = rest.partition(":")
    port, _, name = rest.partition("/")
    settings.configure(
        DATABASES={
            "default": {
                "ENGINE": "django.db.backends.postgresql",
                "USER": user,
                "HOST": host,
                "PORT": port,
                "NAME": name,
            }
        }
    )
    django.setup()


@contextmanager
def within(seconds: float) -> Iterator[None]:
    """Put a deadline in force."""
    token = _deadline.put(time.monotonic() + seconds)
    try:
        yield
    finally:
        _deadline.lift(token)


def execute(sql: str) -> Any:
    """Run a statement; return its first column, if it has one."""
    from django.db import connection

    with connection.cursor() as cursor:
        cursor.execute(sql)
        return cursor.fetchone()[0] if cursor.description else None


def deadlock(name: str, *, outside: bool) -> None:
    """Have two transfers deadlock, the policy in or around their transactions."""
    from django.db import connections, transaction

    guarded = policy(name, preset="database")
    barrier = threading.Barrier(2, timeout=20)
    visits: list[int] = []
    raised: list[str] = []

    def move(source: int, target: int) -> None:
        execute(f"UPDATE stock SET n = n - 1 WHERE id = {source}")
        visits.append(source)
        if len(visits) <= 2:
            barrier.wait()

        execute(f"UPDATE stock SET n = n + 1 WHERE id = {target}")

    def run(source: int, target: int) -> None:
        try:
            if outside:
                guarded.call(transaction.atomic(move), source, target)
            else:
                with transaction.atomic():
                    guarded.call(move, source, target)
        except Exception as error:  # noqa: BLE001 - is what is looked at
            raised.append(type(error).__name__)
        finally:
            connections.close_all()

    threads = [threading.Thread(target=run, args=pair) for pair in ((1, 2), (2, 1))]
    for thread in threads:
        thread.start()

    for thread in threads:
        thread.join()

    found[name] = {"again": len(visits) > 2, "raised": raised}


def limits() -> None:
    """Look at the limit in and out of transactions."""
    from django.db import connection, connections, transaction
    from django.db.utils import OperationalError

    undo = database.bound_statements(connections)
    with within(5.0):
        found["autocommit"] = 0.0 < execute(SHOW) <= 5.0
        with transaction.atomic():
            found["atomic"] = 0.0 < execute(SHOW) <= 5.0
            with transaction.atomic():
                execute("SELECT 1")
                transaction.set_rollback(True)

            found["after a savepoint"] = 0.0 < execute(SHOW) <= 5.0
            found["in transaction"] = database.in_transaction(connection)

    found["after"] = float(execute(SHOW))
    with transaction.atomic():
        with within(5.0):
            execute("SELECT 1")

        found["lifted"] = float(execute(SHOW))

    with transaction.atomic():
        found["next"] = float(execute(SHOW))
        with within(5.0):
            database.statement_timeout(connection)

    started_s = time.monotonic()
    try:
        with within(0.2):
            execute("SELECT pg_sleep(20)")
    except OperationalError as error:
        found["cancelled"] = [str(error)[:39], database.transient(error)]

    found["in time"] = time.monotonic() - started_s < 5.0
    found["usable"] = execute("SELECT 1")
    undo()
    with within(5.0):
        found["undone"] = float(execute(SHOW))


def main() -> None:
    """Do all of it."""
    configure(sys.argv[1])
    execute("CREATE TABLE stock (id int PRIMARY KEY, n int)")
    execute("INSERT INTO stock VALUES (1, 9), (2, 9)")
    try:
        deadlock("outside", outside=True)
        deadlock("inside", outside=False)
        limits()
    finally:
        execute("DROP TABLE stock")

    print(json.dumps(found))


if __name__ == "__main__":
    main()
