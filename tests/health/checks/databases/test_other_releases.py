"""Checks with releases of libraries that have another inside than the known ones."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, cast

import psycopg
import pytest
from psycopg_pool import ConnectionPool
from sqlalchemy import create_engine, text
from sqlalchemy.pool import Pool, QueuePool, base

from svcready import health
from svcready.health.checks._sql._psycopg import connect_within
from tests.health.checks.databases.support import ALLOWED_S, IN_TIME_S, Server, run

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sqlalchemy import Engine

    from tests.conftest import Faults

NAME = "sqlalchemy.postgres"


@pytest.fixture
def engine(server: Server) -> Iterator[Engine]:
    """Make an engine with a check and one connection, which lies ready."""
    made = create_engine(server.engine_url(), pool_size=1, max_overflow=0)
    health.add_engine(made)
    with made.connect() as connection:
        connection.execute(text("SELECT 1"))

    yield made
    made.dispose()


@pytest.mark.parametrize(
    ("owner", "part"),
    [
        (base._ConnectionFairy, "_checkout"),
        (base._ConnectionRecord, "_checkin_failed"),
        (base._ConnectionRecord, "_is_hard_or_soft_invalidated"),
        (QueuePool, "_do_return_conn"),
    ],
)
def test_a_pool_that_cannot_be_looked_into(
    server: Server, engine: Engine, faults: Faults, owner: type, part: str
) -> None:
    """The database is asked past it, the fault is reported, and nothing is lost."""
    with pytest.MonkeyPatch.context() as later:
        later.delattr(owner, part)
        if owner is QueuePool:
            later.delattr(Pool, part)

        for _ in range(3):
            assert run(NAME).status == "pass"
            assert part in str(faults.claim("health.checks"))

    assert isinstance(engine.pool, QueuePool)
    assert (engine.pool.checkedin(), engine.pool.checkedout()) == (1, 0)
    server.settle(1)
    server.relay.refuse()
    assert run(NAME).status == "fail"


@pytest.mark.parametrize("part", ["checkedout", "size"])
def test_a_pool_that_does_not_tell_how_full_it_is(
    engine: Engine, faults: Faults, part: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The database is asked all the same."""
    with engine.connect():
        monkeypatch.delattr(QueuePool, part)
        assert run(NAME).status == "pass"

    assert part in str(faults.claim("health.checks"))


def test_an_engine_that_cannot_be_connected_as(
    server: Server, engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is a warning: an upgrade of a library is no reason to leave rotation."""
    monkeypatch.delattr(base.Pool, "_invoke_creator", raising=False)
    with engine.connect():
        vars(engine.pool).pop("_invoke_creator", None)
        ran = run(NAME)

    assert ran.status == "warn"
    assert "this release of SQLAlchemy is not known" in ran.result.output


def test_psycopg_without_steps(server: Server) -> None:
    """Its own time-out is what is left, of whole seconds, two at least."""

    class Later:
        """A connection's class that connects in a way of its own."""

        @classmethod
        def connect(cls, *args: str, **kwargs: int) -> psycopg.Connection[object]:
            return psycopg.Connection.connect(*args, **kwargs)  # type: ignore[arg-type]

    kind = cast("type[psycopg.Connection[object]]", Later)
    connect_within(kind, ALLOWED_S, server.url).close()
    server.relay.swallow()
    began_s = time.monotonic()
    with pytest.raises(psycopg.OperationalError):
        connect_within(kind, ALLOWED_S, server.url)

    assert time.monotonic() - began_s < IN_TIME_S


def test_a_psycopg_pool_whose_connections_are_elsewhere(
    server: Server, faults: Faults
) -> None:
    """The check connects by itself, and the pool keeps what it has."""
    with ConnectionPool(server.url, min_size=1, max_size=1, open=True) as pool:
        pool.wait()
        health.add_psycopg_pool(pool)
        kept = vars(pool).pop("_pool")
        ran = run("psycopg_pool.postgres")
        pool._pool = kept
        assert ran.status == "pass"
        assert pool.get_stats()["pool_available"] == 1

    assert "_pool" in str(faults.claim("health.checks"))
