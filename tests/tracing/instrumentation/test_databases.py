"""Queries by SQLAlchemy, psycopg and redis, against what they are for."""

from __future__ import annotations

import asyncio
import socketserver
import threading
from typing import TYPE_CHECKING

import pytest

import svcready
from svcready.testing import running
from svcready.tracing.instrumentation import _options
from tests.servers.postgres import postgres
from tests.tracing.instrumentation.support import made_by

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from svcready.testing import Harness

pytest.importorskip("opentelemetry.instrumentation.instrumentor")
sqlalchemy = pytest.importorskip("sqlalchemy")
psycopg = pytest.importorskip("psycopg")
redis = pytest.importorskip("redis")

# As applications have it: bound before anything is switched on.
from sqlalchemy import create_engine  # noqa: E402
from sqlalchemy.ext.asyncio import create_async_engine  # noqa: E402


@pytest.fixture(scope="module")
def where() -> Iterator[str]:
    """Run PostgreSQL."""
    with postgres() as where:
        yield where


class _Resp(socketserver.StreamRequestHandler):
    """Answers in Redis' protocol: errors to GET of `broken`, OK to everything else."""

    def handle(self) -> None:
        while line := self.rfile.readline():
            words = [self._word() for _ in range(int(line[1:]))]
            if words[0] == b"HELLO":
                self.wfile.write(b"-ERR unknown command\r\n")
            elif words[:2] == [b"GET", b"broken"]:
                self.wfile.write(b"-WRONGTYPE not a string\r\n")
            elif words[0] == b"EXEC":
                self.wfile.write(b"*2\r\n+OK\r\n+OK\r\n")
            else:
                self.wfile.write(b"+OK\r\n")

    def _word(self) -> bytes:
        length = int(self.rfile.readline()[1:])
        return self.rfile.read(length + 2)[:-2]


@pytest.fixture
def port() -> Iterator[int]:
    """Run what answers in Redis' protocol."""
    server = socketserver.ThreadingTCPServer(("127.0.0.1", 0), _Resp)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    yield server.server_address[1]
    server.shutdown()
    server.server_close()
    thread.join()


def statements(harness: Harness, package: str) -> list[str]:
    """Return the names of the spans of queries, without those of connecting."""
    return [s.name for s in made_by(harness, package) if s.name != "connect"]


def test_sqlalchemy_names_the_operation_and_the_database(
    harness: Harness, tmp_path: Path
) -> None:
    """`SELECT orders.db` with the text, and no user; old names are gone."""
    engine = sqlalchemy.create_engine(f"sqlite:///{tmp_path}/orders.db")
    with svcready.span("work"), engine.begin() as connection:
        connection.execute(sqlalchemy.text("SELECT 1"))

    (made,) = [s for s in made_by(harness, "sqlalchemy") if s.name != "connect"]
    (work,) = [span for span in harness.spans if span.name == "work"]
    assert (made.name, made.kind) == (f"SELECT {tmp_path}/orders.db", "client")
    assert made.parent_id == work.span_id
    assert made.attributes == {
        "db.system.name": "sqlite",
        "db.operation.name": "SELECT",
        "db.namespace": f"{tmp_path}/orders.db",
        "db.query.text": "SELECT 1",
    }


def test_a_failed_statement_says_so(harness: Harness) -> None:
    """The status is an error, and there is an error type."""
    engine = sqlalchemy.create_engine("sqlite://")
    with engine.connect() as connection, pytest.raises(sqlalchemy.exc.DBAPIError):
        connection.execute(sqlalchemy.text("SELECT * FROM nothing"))

    (made,) = [s for s in made_by(harness, "sqlalchemy") if s.name != "connect"]
    assert made.status == "error"
    assert made.attributes["error.type"] == "_OTHER"


def test_engines_from_before_are_traced() -> None:
    """`init()` comes after the imports, and often after the engines."""
    before = create_engine("sqlite://")
    with running() as harness:
        with before.begin() as connection:
            connection.execute(sqlalchemy.text("SELECT 1"))

        assert statements(harness, "sqlalchemy") == ["SELECT"]
        with before.begin() as connection:
            connection.execute(sqlalchemy.text("SELECT 2"))

        assert statements(harness, "sqlalchemy") == ["SELECT", "SELECT"]

    with before.begin() as connection:
        connection.execute(sqlalchemy.text("SELECT 3"))

    assert len(statements(harness, "sqlalchemy")) == 2


def test_engines_of_a_name_bound_before_are_traced_once(harness: Harness) -> None:
    """So are those that go through the patched function, and asynchronous ones."""
    pytest.importorskip("aiosqlite")
    for make in (create_engine, sqlalchemy.create_engine):
        with make("sqlite://").begin() as connection:
            connection.execute(sqlalchemy.text("SELECT 1"))

    assert statements(harness, "sqlalchemy") == ["SELECT", "SELECT"]

    async def query() -> None:
        engine = create_async_engine("sqlite+aiosqlite://")
        async with engine.begin() as connection:
            await connection.execute(sqlalchemy.text("SELECT 1"))

        await engine.dispose()

    asyncio.run(query())
    assert len(statements(harness, "sqlalchemy")) == 3


def test_sqlalchemy_without_greenlet_is_traced(monkeypatch: pytest.MonkeyPatch) -> None:
    """SQLAlchemy 2.1 comes without it, and the package would fail half way."""
    monkeypatch.setattr(_options, "installed", lambda _: False)
    before = sqlalchemy.create_engine
    engine = sqlalchemy.create_engine("sqlite://")
    with running() as harness:
        assert sqlalchemy.create_engine is before
        assert harness.runtime.problems() == ()
        with engine.begin() as connection:
            connection.execute(sqlalchemy.text("SELECT 1"))

        assert [s.name for s in made_by(harness, "sqlalchemy")] == ["SELECT"]

    with engine.begin() as connection:
        connection.execute(sqlalchemy.text("SELECT 2"))

    assert len(made_by(harness, "sqlalchemy")) == 1


def test_psycopg_names_the_operation_and_the_database(
    harness: Harness, where: str
) -> None:
    """The operation is the statement's first word, comments left out."""
    with (
        svcready.span("work"),
        psycopg.connect(f"postgresql://{where}") as connection,
        connection.cursor() as cursor,
    ):
        cursor.execute("/* for the report */ select %s::int", (1,))

    (made,) = made_by(harness, "psycopg")
    (work,) = [span for span in harness.spans if span.name == "work"]
    assert (made.name, made.kind) == ("select postgres", "client")
    assert made.parent_id == work.span_id
    port = int(where.rpartition(":")[2].partition("/")[0])
    assert made.attributes == {
        "db.system.name": "postgresql",
        "db.operation.name": "select",
        "db.namespace": "postgres",
        "db.query.text": "/* for the report */ select %s::int",
        "server.address": "127.0.0.1",
        "server.port": port,
    }


def test_asynchronous_psycopg_is_traced(harness: Harness, where: str) -> None:
    """And a statement that the server refuses has the driver's error as type."""

    async def query() -> None:
        connection = await psycopg.AsyncConnection.connect(f"postgresql://{where}")
        async with connection:
            await connection.execute("SELECT * FROM nothing")

    with pytest.raises(psycopg.errors.UndefinedTable):
        asyncio.run(query())

    (made,) = made_by(harness, "psycopg")
    assert made.attributes["error.type"] == "psycopg.errors.UndefinedTable"


def test_a_query_of_sqlalchemy_by_psycopg_is_one_span(
    harness: Harness, where: str
) -> None:
    """SQLAlchemy's, which knows more; psycopg's own connections go on being traced."""
    engine = sqlalchemy.create_engine(f"postgresql+psycopg://{where}")
    with engine.begin() as connection:
        connection.execute(sqlalchemy.text("SELECT 42"))

    engine.dispose()
    spans = harness.spans
    selects = [s for s in spans if s.attributes.get("db.query.text") == "SELECT 42"]
    assert [s.scope.rpartition(".")[2] for s in selects] == ["sqlalchemy"]
    assert selects[0].attributes["server.address"] == "127.0.0.1"
    with psycopg.connect(f"postgresql://{where}") as own:
        own.execute("SELECT 43")

    assert [s.name for s in made_by(harness, "psycopg")] == ["SELECT postgres"]


def test_redis_names_the_command_and_the_server(harness: Harness, port: int) -> None:
    """The database's number is its namespace, which says nothing in a name."""
    with redis.Redis(port=port, db=3, host="127.0.0.1", protocol=2) as client:
        client.set("card", "hunter2")

    (made,) = made_by(harness, "redis")
    assert (made.name, made.kind) == (f"SET 127.0.0.1:{port}", "client")
    assert made.attributes == {
        "db.system.name": "redis",
        "db.operation.name": "SET",
        "db.namespace": "3",
        "db.query.text": "SET ? ?",
        "server.address": "127.0.0.1",
        "server.port": port,
        "network.transport": "tcp",
    }


def test_a_pipeline_of_redis_is_one_operation(harness: Harness, port: int) -> None:
    """It says how many commands it had, and which if they were all the same."""
    with redis.Redis(port=port, host="127.0.0.1", protocol=2) as client:
        client.pipeline().set("a", "1").set("b", "2").execute()
        client.pipeline().set("a", "1").get("b").execute()

    same, mixed = made_by(harness, "redis")
    assert same.name == f"PIPELINE SET 127.0.0.1:{port}"
    assert same.attributes["db.operation.batch.size"] == 2
    assert mixed.name == f"PIPELINE 127.0.0.1:{port}"


def test_an_error_of_redis_has_its_type(harness: Harness, port: int) -> None:
    """The client's class of error."""
    with (
        redis.Redis(port=port, host="127.0.0.1", protocol=2) as client,
        pytest.raises(redis.ResponseError),
    ):
        client.get("broken")

    (made,) = made_by(harness, "redis")
    assert made.attributes["error.type"] == "redis.exceptions.ResponseError"
