"""Checks of asynchronous engines, on the application's loop."""

from __future__ import annotations

import asyncio
import threading
from typing import TYPE_CHECKING

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine, async_sessionmaker, create_async_engine
from sqlalchemy.pool import NullPool, QueuePool

from svcready import health
from svcready.health._check import CHECKS
from tests.health.checks.databases.support import (
    ALLOWED_S,
    IN_TIME_S,
    Server,
    run_async,
    tasks,
    threads,
)

if TYPE_CHECKING:
    from collections.abc import Coroutine
    from pathlib import Path

NAME = "sqlalchemy.postgres"


def make(server: Server, **arguments: object) -> AsyncEngine:
    """Make an engine with a check."""
    engine = create_async_engine(server.engine_url(), **arguments)
    health.add_engine(engine)
    return engine


async def use(engine: AsyncEngine) -> int:
    """Do what the application does; return the process that served it."""
    async with engine.connect() as connection:
        found = await connection.execute(text("SELECT pg_backend_pid()"))
        pid: int = found.scalar_one()
        return pid


def test_it_is_declared_as_asynchronous(server: Server) -> None:
    """The runner takes it to a loop from the first run on."""
    make(server)
    (check,) = CHECKS.things()

    assert check.is_async


def test_an_idle_connection_is_asked_and_given_back(server: Server) -> None:
    """The check makes no connection where one lies ready, and keeps none."""

    async def main() -> None:
        engine = make(server)
        pid = await use(engine)
        for _ in range(20):
            assert (await run_async(NAME)).status == "pass"

        assert await use(engine) == pid
        assert server.relay.most_connections == 1
        await engine.dispose()

    asyncio.run(main())


@pytest.mark.parametrize("arguments", [{}, {"poolclass": NullPool}])
def test_a_connection_of_its_own(server: Server, arguments: dict[str, object]) -> None:
    """Where none lies ready it makes one, past the pool, and closes it."""

    async def main() -> None:
        make(server, **arguments)
        for _ in range(3):
            assert (await run_async(NAME)).status == "pass"
            await asyncio.to_thread(server.settle, 0)

    asyncio.run(main())


@pytest.mark.parametrize("pre_ping", [True, False])
def test_a_black_hole(server: Server, *, pre_ping: bool) -> None:
    """A run ends in time, its connection is no more, and the loop goes on."""

    async def main() -> None:
        engine = make(server, pool_pre_ping=pre_ping)
        async with engine.connect(), engine.connect():
            pass

        server.relay.swallow()
        for _ in range(5):
            ran = await run_async(NAME)
            assert ran.status == "fail"
            assert "no connection within" in ran.result.output
            assert ran.seconds < IN_TIME_S

        assert tasks() == 0
        assert threads() == set()
        await asyncio.to_thread(server.settle, 0)
        server.relay.through()
        assert await use(engine)
        assert (await run_async(NAME)).status == "pass"
        await engine.dispose()

    asyncio.run(main())


def test_a_server_that_is_stopped(server: Server) -> None:
    """A frozen server is found out in time."""

    async def main() -> None:
        engine = make(server)
        await use(engine)
        with server.stopped():
            ran = await run_async(NAME)
            assert ran.status == "fail"
            assert ran.seconds < IN_TIME_S

        assert (await run_async(NAME)).status == "pass"
        await engine.dispose()

    asyncio.run(main())


def test_down(server: Server) -> None:
    """A server that refuses is a failure at once."""

    async def main() -> None:
        engine = make(server)
        await use(engine)
        server.relay.refuse()
        for _ in range(5):
            ran = await run_async(NAME)
            assert ran.status == "fail"
            assert ran.seconds < ALLOWED_S / 2

        server.relay.through()
        assert (await run_async(NAME)).status == "pass"
        await engine.dispose()

    asyncio.run(main())


def test_a_full_pool_is_told_apart(server: Server) -> None:
    """With nothing left to lend the check warns at once."""

    async def main() -> None:
        engine = make(server, pool_size=1, max_overflow=0)
        async with engine.connect():
            ran = await run_async(NAME)

        assert ran.result.output.startswith("pool exhausted: 1 of 1")
        assert ran.status == "warn"
        assert ran.seconds < ALLOWED_S / 2
        await engine.dispose()

    asyncio.run(main())


def test_a_run_that_is_cancelled_discards_its_connection(server: Server) -> None:
    """What the runner gives up is not handed to the application afterwards."""

    async def main() -> None:
        engine = make(server)
        hung = await use(engine)
        with server.stopped(hung):
            task = asyncio.ensure_future(run_async(NAME))
            await asyncio.to_thread(_until_lent, engine)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await asyncio.wait_for(task, IN_TIME_S)

            assert await use(engine) != hung

        await engine.dispose()

    asyncio.run(main())


def _until_lent(engine: AsyncEngine) -> None:
    from tests.servers.harness import eventually

    pool = engine.sync_engine.pool
    assert isinstance(pool, QueuePool)
    eventually(lambda: pool.checkedin() == 0, "the check to take the connection")


def test_a_private_loop_leaves_the_pool_alone(server: Server) -> None:
    """A pool belongs to the application's loop; elsewhere the check connects itself."""

    async def idle() -> AsyncEngine:
        engine = make(server)
        await use(engine)
        return engine

    def on_thread(name: str, main: Coroutine[object, object, None]) -> None:
        thread = threading.Thread(target=asyncio.run, args=(main,), name=name)
        thread.start()
        thread.join()

    statuses = []

    async def check() -> None:
        statuses.append((await run_async(NAME)).status)

    with asyncio.Runner() as runner:
        engine = runner.run(idle())
        on_thread("svcready-check-loop", check())
        assert server.relay.most_connections == 2
        assert statuses == ["pass"]
        runner.run(engine.dispose())


def test_sqlite_and_makers_of_sessions(tmp_path: Path) -> None:
    """Aiosqlite's engines are checked, and found through what is bound to them."""
    (tmp_path / "a.db").touch()
    engine = create_async_engine(f"sqlite+aiosqlite:///{tmp_path}/a.db")
    health.add_engine(async_sessionmaker(engine))

    async def main() -> None:
        for _ in range(3):
            assert (await run_async("sqlalchemy.a.db")).status == "pass"
            async with engine.connect():
                pass

        await engine.dispose()

    asyncio.run(main())
