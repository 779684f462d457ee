"""Metrics of Django's database connections, in a process with settings of its own."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.architecture.house import run_clean_json

pytest.importorskip("django")

if TYPE_CHECKING:
    from pathlib import Path

PROGRAM = """
import json, os, sys, threading
os.environ["SVCREADY_METRICS_INSTRUMENT"] = "django"
import svcready
from svcready.metrics import instrument_django

runtime = svcready.init(service="orders")  # as settings do, before Django is set up
from django.conf import settings

settings.configure(
    DATABASES={
        "default": {
            "ENGINE": "django.db.backends.sqlite3",
            "NAME": sys.argv[1] + "/orders.db",
        },
        "archive": {
            "ENGINE": "django.db.backends.sqlite3",
            "NAME": sys.argv[1] + "/archive.db",
        },
    },
)
import django

django.setup()
from django.db import connection, connections, transaction
from django.db.utils import OperationalError


def run(sql, alias="default"):
    with connections[alias].cursor() as cursor:
        cursor.execute(sql)


def read():
    found = {}
    for name in ("db.client.operation.duration", "db.client.transactions"):
        family = runtime.metrics.snapshot().find(name)
        for point in family.points:
            count = getattr(point, "value", None) or sum(getattr(point, "counts", ()))
            if count:
                found["|".join(point.labels)] = count
    return found


seen = []


def note(execute, sql, params, many, context):
    seen.append(sql)
    return execute(sql, params, many, context)


with connection.execute_wrapper(note):  # connects inside the block
    run("SELECT 1")

run("SELECT 2")
assert seen == ["SELECT 1"], seen
run("select 3", "archive")
with transaction.atomic():
    run("CREATE TABLE items (x INT)")

try:
    with transaction.atomic():
        run("SELECT * FROM missing")
except OperationalError as error:
    caught = type(error).__module__


def elsewhere():
    run("SELECT 4")
    connections.close_all()


thread = threading.Thread(target=elsewhere)
thread.start()
thread.join()
connection.close()
run("SELECT 5")  # connects anew: still measured once
first = read()
undo = instrument_django()
assert instrument_django() is undo
undo()
run("SELECT 6")
with transaction.atomic():
    run("SELECT 7")

last = read()
left = [vars(connection).get(name) for name in ("commit", "rollback")]
wrappers = len(connection.execute_wrappers)
instrument_django()
run("SELECT 8")
print(
    json.dumps(
        {
            "first": first,
            "last": last,
            "left": left,
            "wrappers": wrappers,
            "caught": caught,
            "problems": runtime.problems(),
            "again": read(),
        }
    )
)
"""


def test_queries_and_transactions_are_counted(tmp_path: Path) -> None:
    """
    By connection, operation and error, in every thread, until it is taken back.

    A wrapper of the application's own keeps its place, and what it raises passes.
    """
    told = run_clean_json(PROGRAM, str(tmp_path))

    assert isinstance(told, dict)
    assert told["first"] == {
        "sqlite|orders.db||SELECT|": 4,
        "sqlite|orders.db||CREATE|": 1,
        "sqlite|archive.db||SELECT|": 1,
        "sqlite|orders.db||SELECT|OperationalError": 1,
        "sqlite|orders.db||BEGIN|": 2,
        "sqlite|orders.db||commit": 1,
        "sqlite|orders.db||rollback": 1,
    }
    assert told["last"] == told["first"]
    assert told["left"] == [None, None]
    assert told["wrappers"] == 0
    assert told["caught"] == "django.db.utils"
    assert told["problems"] == []
    assert told["again"]["sqlite|orders.db||SELECT|"] == 5
