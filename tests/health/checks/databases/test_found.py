"""Databases that are found by themselves, and what they count as."""

from __future__ import annotations

import asyncio
import gc
import sqlite3
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
from sqlalchemy import Engine, create_engine
from sqlalchemy.ext.asyncio import create_async_engine
from sqlalchemy.pool import NullPool, StaticPool

from svcready import health
from svcready._core import events
from svcready.health._check import CHECKS
from svcready.health._events import CheckFound
from svcready.health.checks import _found
from svcready.health.checks._found import Finder

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tests.health.rig import Rig


@pytest.fixture(autouse=True)
def _only_ours() -> None:
    """Have the engines of other tests collected."""
    gc.collect()


@pytest.fixture
def rig(make_rig: Callable[..., Rig]) -> Rig:
    """Return a pillar that has started, of a service that is not ready."""
    made = make_rig()
    made.pillar.start()
    return made


@pytest.fixture
def find(rig: Rig) -> Iterator[Callable[[], Finder]]:
    """Start to look for engines."""
    stops = []

    def start() -> Finder:
        finder = Finder(rig.pillar)
        stops.append(finder.start())
        return finder

    yield start
    for stop in stops:
        stop()


def ranks() -> dict[str, str]:
    """Return how what was found counts, of engines to files of this module alone."""
    return _found.names()


def test_an_engine_made_before_and_one_made_after(
    find: Callable[[], Finder], rig: Rig
) -> None:
    """Both are found; with both, none is taken for the service's own."""
    orders = create_engine("postgresql+psycopg://u:tr0ub4dor@db/orders", echo=False)
    find()
    assert ranks() == {"sqlalchemy.orders": "critical"}
    assert rig.status("sqlalchemy.orders").critical
    assert _found.notices() == ()

    stock = create_engine("postgresql+psycopg://u@db/stock", logging_name="stock")

    assert ranks() == {"sqlalchemy.orders": "degraded", "sqlalchemy.stock": "degraded"}
    assert not rig.status("sqlalchemy.orders").critical
    (notice,) = _found.notices()
    assert "(sqlalchemy.orders, sqlalchemy.stock)" in notice
    assert "tr0ub4dor" not in repr(CHECKS.things())
    assert (orders.url.database, stock.url.database) == ("orders", "stock")


def test_a_library_that_is_imported_after_the_start() -> None:
    """
    Its first engine is found: an application may import it long after `init()`.

    A process of its own, because here it has been imported.
    """
    program = """
import sys
import svcready
from svcready.health.checks import _found

svcready.init(service="orders", settings={"core.strict": True})
assert "sqlalchemy" not in sys.modules
from sqlalchemy import create_engine

orders = create_engine("postgresql+psycopg://u@127.0.0.1:1/orders")
print(_found.names(), file=sys.stderr)
"""
    done = subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True,
        text=True,
        timeout=100,
        check=True,
    )
    assert "{'sqlalchemy.orders': 'critical'}" in done.stderr
    assert "internal error" not in done.stdout


def test_what_is_found_late_is_told(find: Callable[[], Finder], rig: Rig) -> None:
    """The start line has been written, so each is told of, and what it counts as."""
    told: list[CheckFound] = []
    end = events.subscribe(CheckFound, told.append)
    find()
    rig.pillar.lifecycle.ready()
    orders = create_engine("postgresql+psycopg://u@127.0.0.1:1/orders")
    stock = create_engine("postgresql+psycopg://u@127.0.0.1:1/stock")
    rig.pillar.wake()
    rig.step()
    assert set(ranks().values()) == {"degraded"}
    del stock
    gc.collect()
    rig.advance(20.0)
    end()

    assert ranks() == {"sqlalchemy.orders": "critical"}
    assert [(found.name, found.criticality) for found in told] == [
        ("sqlalchemy.orders", "critical"),
        ("sqlalchemy.orders", "degraded"),
        ("sqlalchemy.stock", "degraded"),
        ("sqlalchemy.orders", "critical"),
    ]
    assert told[0].target == "postgresql://127.0.0.1:1/orders"
    del orders


def test_a_late_engine_takes_no_working_service_out(
    find: Callable[[], Finder], rig: Rig
) -> None:
    """Until its first result its check only warns, though it is critical."""
    find()
    rig.pillar.wake()
    rig.pillar.lifecycle.ready()
    rig.pillar.runner.step()
    assert rig.pillar.probe("readiness").status == 200
    engine = create_engine("postgresql+psycopg://u@127.0.0.1:1/orders")

    assert ranks() == {"sqlalchemy.orders": "critical"}
    assert rig.pillar.probe("readiness").status == 200
    rig.step()
    assert rig.pillar.probe("readiness").status == 503
    del engine


def test_a_file_that_is_yet_to_be_made_is_the_applications_to_make(
    find: Callable[[], Finder], rig: Rig, tmp_path: Path
) -> None:
    """The check does not make it, which could stand in for its tables."""
    engine = create_engine(f"sqlite:///{tmp_path}/a.db")
    health.add_engine(engine, name="database", critical=True)
    find()
    rig.pillar.wake()
    rig.pillar.lifecycle.ready()
    rig.step()

    assert not (tmp_path / "a.db").exists()
    assert rig.status("database").status == "warn"
    assert rig.pillar.probe("readiness").status == 200


def test_an_engine_that_was_for_migrations_fails_nobody(
    find: Callable[[], Finder], rig: Rig, tmp_path: Path
) -> None:
    """Of several engines of one database one that works is enough, in the end."""
    (tmp_path / "a.db").touch()
    url = f"sqlite:///{tmp_path}/a.db"

    def refuse() -> sqlite3.Connection:
        raise sqlite3.OperationalError("this user may connect no more")

    over = create_engine(url, creator=refuse, poolclass=NullPool)
    engine = create_engine(url)
    with engine.connect():
        pass

    find()
    rig.pillar.wake()
    rig.pillar.lifecycle.ready()
    rig.step()
    for _ in range(5):
        rig.advance(20.0)

    assert rig.status("sqlalchemy.a.db").status == "pass"
    assert rig.pillar.probe("readiness").status == 200
    engine.dispose()
    del over


def test_an_engine_of_the_same_database_is_the_same(
    find: Callable[[], Finder],
) -> None:
    """Two pools of one database are one check, sync and async ones two."""
    first = create_engine("postgresql+psycopg://a:1@db/orders")
    second = create_engine("postgresql+psycopg://b:2@db/orders")
    third = create_async_engine("postgresql+psycopg://b:2@db/orders")
    views = [first.execution_options(isolation_level="AUTOCOMMIT")]
    find()

    assert set(ranks()) == {"sqlalchemy.orders", "sqlalchemy.orders.async"}
    assert set(ranks().values()) == {"critical"}
    del second, third, views


def test_databases_of_one_name_are_told_apart(find: Callable[[], Finder]) -> None:
    """The second has its host in its name."""
    engines = [
        create_engine(f"postgresql+psycopg://u@{host}/orders")
        for host in ("two.example.org", "one")
    ]
    find()

    assert CHECKS.names() == ("sqlalchemy.orders", "sqlalchemy.orders.two.example.org")
    del engines


def test_databases_of_one_long_name_are_told_apart(find: Callable[[], Finder]) -> None:
    """PostgreSQL's names may be nearly as long as a check's, which end in a hash."""
    engines = [
        create_engine(f"postgresql+psycopg://u@{host}/{'orders_' * 9}")
        for host in ("one", "two")
    ]
    find()

    assert len(CHECKS.names()) == len(engines)


def test_databases_in_memory_are_left_out(find: Callable[[], Finder]) -> None:
    """There is nothing to lose contact with."""
    engines = [
        create_engine(url, poolclass=StaticPool)
        for url in (
            "sqlite://",
            "sqlite:///:memory:",
            "sqlite:///file:x?mode=memory&uri=true",
        )
    ]
    find()

    assert ranks() == {}
    del engines


def test_what_the_application_checks_itself_is_its_own(
    find: Callable[[], Finder], rig: Rig
) -> None:
    """Its check replaces ours, whichever came first, and none is guessed then."""
    engine = create_engine("postgresql+psycopg://u@db/orders")
    other = create_engine("postgresql+psycopg://u@db/stock")
    find()
    health.add_engine(engine, name="database", critical=True)

    assert sorted(CHECKS.names()) == ["database", "sqlalchemy.stock"]
    assert {s.name for s in rig.pillar.results()} == set(CHECKS.names())
    assert ranks() == {"sqlalchemy.stock": "degraded"}

    late = create_engine("postgresql+psycopg://u@db/late")
    health.add_engine(late)
    assert ranks() == {"sqlalchemy.stock": "degraded"}
    del other


def test_a_check_of_the_same_name_wins(find: Callable[[], Finder]) -> None:
    """Declared before or after, without a word."""
    orders = create_engine("postgresql+psycopg://u@db/orders")

    def before() -> None:
        pass

    health.check("sqlalchemy.orders")(before)
    find()
    assert CHECKS.get("sqlalchemy.orders").function is before  # type: ignore[union-attr]

    stock = create_engine("postgresql+psycopg://u@db/stock")
    assert ranks() == {"sqlalchemy.stock": "degraded"}

    def after() -> None:
        pass

    health.check("sqlalchemy.stock", critical=True)(after)
    assert CHECKS.get("sqlalchemy.stock").function is after  # type: ignore[union-attr]
    assert ranks() == {}
    del orders, stock


def test_an_engine_that_is_gone_has_no_check(
    find: Callable[[], Finder], rig: Rig
) -> None:
    """It is not kept alive, and its check goes with its next run."""
    engine = create_engine("postgresql+psycopg://u@127.0.0.1:1/orders")
    find()
    rig.pillar.wake()
    rig.step()
    assert rig.status("sqlalchemy.orders").status == "fail"
    del engine
    gc.collect()
    rig.advance(20.0)

    assert CHECKS.names() == ()
    assert rig.pillar.results() == ()


def test_an_engine_that_was_disposed_of_sleeps(
    find: Callable[[], Finder], tmp_path: Path
) -> None:
    """Nobody is asked for it, until the application uses it again."""
    (tmp_path / "a.db").touch()
    engine = create_engine(f"sqlite:///{tmp_path}/a.db")
    find()
    made = []
    dialect = engine.dialect
    inner = dialect.connect

    def connect(*args: object, **kwargs: object) -> object:
        made.append(1)
        return inner(*args, **kwargs)

    vars(dialect)["connect"] = connect
    (check,) = CHECKS.things()
    check.function()
    assert len(made) == 1
    with engine.connect():
        pass

    engine.dispose()
    check.function()
    assert len(made) == 2
    with engine.connect():
        pass

    check.function()
    assert len(made) == 3  # the application's, which it borrowed
    engine.dispose()


def test_the_operator_says_which_is_critical(make_rig: Callable[..., Rig]) -> None:
    """The variable for a check tunes one that was found, and ends the notice."""
    rig = make_rig(values={"sqlalchemy.orders": {"criticality": "critical"}})
    rig.pillar.start()
    engines = [
        create_engine(f"postgresql+psycopg://u@db/{name}")
        for name in ("orders", "stock")
    ]
    finder = Finder(rig.pillar)
    stop = finder.start()
    try:
        assert ranks()["sqlalchemy.orders"] == "critical"
        assert _found.notices() == ()
    finally:
        stop()

    assert CHECKS.names() == ()
    del engines


def test_the_end_takes_all_back(rig: Rig) -> None:
    """Engines are made as before, and nothing that was found is left."""
    before = vars(Engine)["__init__"]
    engine = create_engine("postgresql+psycopg://u@db/orders")
    stop = Finder(rig.pillar).start()
    assert CHECKS.names() == ("sqlalchemy.orders",)
    stop()

    assert CHECKS.names() == ()
    assert rig.pillar.results() == ()
    assert vars(Engine)["__init__"] is before
    create_engine("postgresql+psycopg://u@db/more")
    assert CHECKS.names() == ()
    del engine


def test_an_asynchronous_engine_is_asked_on_a_loop(
    find: Callable[[], Finder], tmp_path: Path
) -> None:
    """Its check is asynchronous from the start."""
    (tmp_path / "a.db").touch()
    engine = create_async_engine(f"sqlite+aiosqlite:///{tmp_path}/a.db")
    find()
    (check,) = CHECKS.things()
    assert check.is_async

    async def main() -> None:
        made = check.function()
        assert hasattr(made, "__await__")
        assert (await made).status == "pass"
        await engine.dispose()

    asyncio.run(main())
