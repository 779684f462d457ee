"""Checks of SQLAlchemy's engines with the other drivers of PostgreSQL."""

from __future__ import annotations

import asyncio
import gc
from typing import TYPE_CHECKING

import pytest
from sqlalchemy import create_engine, text
from sqlalchemy.ext.asyncio import create_async_engine

from svcready import health
from svcready.health._check import CHECKS
from tests.health.checks.databases.support import (
    IN_TIME_S,
    PASSWORD,
    Ran,
    Server,
    run,
    run_async,
    tasks,
    threads,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

NAME = "sqlalchemy.postgres"


def _url(server: Server, driver: str) -> str:
    pytest.importorskip(driver)
    return server.url.replace("://", f"+{driver}://")


def _failed(ran: Ran) -> None:
    assert ran.status == "fail"
    assert ran.seconds < IN_TIME_S
    assert PASSWORD not in ran.result.output


@pytest.fixture
def _collected(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> Iterator[None]:
    """
    Have the test's connections collected before the next test, without a word.

    pg8000 leaves its socket to the collector, with what could not be sent, which is
    tried again then; and the lines of SQLAlchemy's pool about it keep the connection.
    """
    monkeypatch.setattr("sys.unraisablehook", lambda _: None)
    yield
    CHECKS.clear()
    caplog.get_records("call").clear()
    while gc.collect():
        pass


@pytest.mark.usefixtures("_collected")
@pytest.mark.parametrize("driver", ["psycopg2", "pg8000"])
def test_up_down_and_hanging(server: Server, driver: str) -> None:
    """It passes, fails when refused or swallowed in time, and recovers."""
    engine = create_engine(_url(server, driver))
    health.add_engine(engine)
    assert run(NAME).status == "pass"  # on a connection of its own
    with engine.connect() as connection:
        connection.execute(text("SELECT 1"))

    assert [run(NAME).status for _ in range(5)] == ["pass"] * 5  # on the pool's
    server.settle(1)
    server.relay.swallow()
    pooled = run(NAME)
    _failed(pooled)
    assert "a pooled connection gave no answer" in pooled.result.output
    _failed(run(NAME))
    server.settle(0)
    assert threads() == set()
    server.relay.refuse()
    _failed(run(NAME))
    server.relay.through()
    assert run(NAME).status == "pass"
    engine.dispose()


def test_asyncpg(server: Server) -> None:
    """The same on a loop."""

    async def main() -> None:
        engine = create_async_engine(_url(server, "asyncpg"))
        health.add_engine(engine)
        assert (await run_async(NAME)).status == "pass"
        async with engine.connect() as connection:
            await connection.execute(text("SELECT 1"))

        for _ in range(5):
            assert (await run_async(NAME)).status == "pass"

        server.settle(1)
        server.relay.swallow()
        pooled = await run_async(NAME)
        _failed(pooled)
        assert "a pooled connection gave no answer" in pooled.result.output
        for _ in range(3):
            _failed(await run_async(NAME))

        server.relay.refuse()
        _failed(await run_async(NAME))
        server.relay.through()
        assert (await run_async(NAME)).status == "pass"
        await engine.dispose()
        assert tasks() == 0

    asyncio.run(main())
