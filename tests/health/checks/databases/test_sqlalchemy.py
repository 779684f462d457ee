"""Checks of SQLAlchemy's engines, against a PostgreSQL server and files of SQLite."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

import pytest
from sqlalchemy import Engine, create_engine, event, text
from sqlalchemy.orm import sessionmaker
from sqlalchemy.pool import NullPool, QueuePool, StaticPool

from svcready import health
from svcready.errors import DeclarationError
from svcready.health._check import CHECKS
from svcready.health.checks._adding import ReadyMade
from tests.health.checks.databases.support import (
    ALLOWED_S,
    IN_TIME_S,
    PASSWORD,
    Server,
    in_child,
    run,
    threads,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

NAME = "sqlalchemy.postgres"


@pytest.fixture
def make(server: Server) -> Iterator[Callable[..., Engine]]:
    """Make engines that have a check, and are disposed of."""
    made = []

    def make_engine(**arguments: object) -> Engine:
        made.append(create_engine(server.engine_url(), **arguments))
        health.add_engine(made[-1])
        return made[-1]

    yield make_engine
    for engine in made:
        engine.dispose()


def use(engine: Engine) -> int:
    """Do what the application does; return the process that served it."""
    with engine.connect() as connection:
        pid: int = connection.execute(text("SELECT pg_backend_pid()")).scalar_one()
        return pid


def test_an_idle_connection_of_the_pool_is_asked_and_given_back(
    server: Server, make: Callable[..., Engine]
) -> None:
    """The check makes no connection where one lies ready, and keeps none."""
    engine = make()
    pid = use(engine)
    for _ in range(50):
        assert run(NAME).status == "pass"

    assert server.relay.most_connections == 1
    assert use(engine) == pid
    assert isinstance(engine.pool, QueuePool)
    assert (engine.pool.checkedin(), engine.pool.checkedout()) == (1, 0)


@pytest.mark.parametrize("declared_by", ["parent", "child"])
def test_a_child_leaves_its_parents_connections_alone(
    server: Server, declared_by: str
) -> None:
    """
    Two processes that speak on one connection read each other's answers.

    A check that is declared before the fork, or in the child alone, asks on a new
    connection there until the child has made some of its own.
    """
    engine = create_engine(server.engine_url())
    pid = use(engine)
    before = server.spoken(pid)
    if declared_by == "parent":
        health.add_engine(engine)

    def look() -> bool:
        if declared_by == "child":
            health.add_engine(engine)

        return all(run(NAME).status == "pass" for _ in range(3))

    assert in_child(look)
    assert server.spoken(pid) == before
    assert use(engine) == pid

    def look_on_its_own() -> bool:
        engine.dispose(close=False)
        if declared_by == "child":
            health.add_engine(engine)

        threading.Event().wait(0.05)  # a fork is told in hundredths of a second
        own = use(engine)
        before = server.spoken(own)
        return run(NAME).status == "pass" and server.spoken(own) != before

    assert in_child(look_on_its_own)
    engine.dispose()


def test_an_unused_pool_stays_empty(
    server: Server, make: Callable[..., Engine]
) -> None:
    """Where none lies ready the check's own connection is closed, not pooled."""
    engine = make()
    for _ in range(5):
        assert run(NAME).status == "pass"
        server.settle(0)

    assert server.relay.most_connections == 1
    assert isinstance(engine.pool, QueuePool)
    assert engine.pool.checkedin() == 0


@pytest.mark.parametrize("pool", [NullPool, StaticPool])
def test_other_pools_are_left_alone(
    server: Server, make: Callable[..., Engine], pool: type[NullPool]
) -> None:
    """A pool that lends to one thread, or keeps nothing, is no place to borrow from."""
    make(poolclass=pool)

    assert run(NAME).status == "pass"
    server.settle(0)


@pytest.mark.parametrize("used", [True, False])
def test_down(server: Server, make: Callable[..., Engine], *, used: bool) -> None:
    """A server that refuses is a failure, at once, whether or not the pool was used."""
    engine = make(pool_pre_ping=True)
    if used:
        use(engine)

    server.relay.refuse()
    for _ in range(20):
        ran = run(NAME)
        assert ran.status == "fail"
        assert "refused" in ran.result.output
        assert ran.seconds < ALLOWED_S / 2

    server.relay.through()
    assert run(NAME).status == "pass"
    assert use(engine)


@pytest.mark.parametrize("pre_ping", [True, False])
def test_a_black_hole(
    server: Server, make: Callable[..., Engine], *, pre_ping: bool
) -> None:
    """
    A server that says nothing costs a run its time-out, and nothing for longer.

    The pool's hung connections are given to nobody again.
    """
    engine = make(pool_pre_ping=pre_ping)
    with engine.connect(), engine.connect():
        pass

    server.relay.swallow()
    outputs = []
    for _ in range(6):
        ran = run(NAME)
        outputs.append(ran.result.output)
        assert ran.status == "fail"
        assert ran.seconds < IN_TIME_S

    assert "a pooled connection gave no answer" in outputs[0]
    assert all("no connection within" in output for output in outputs)
    assert threads() == set()
    server.settle(0)
    server.relay.through()
    assert use(engine)
    assert run(NAME).status == "pass"


def test_a_server_that_is_stopped(server: Server, make: Callable[..., Engine]) -> None:
    """A frozen server takes connections still, and is found out in time as well."""
    engine = make()
    use(engine)
    with server.stopped():
        for _ in range(2):
            ran = run(NAME)
            assert ran.status == "fail"
            assert "no answer" in ran.result.output or "no conn" in ran.result.output
            assert ran.seconds < IN_TIME_S

    assert threads() == set()
    assert run(NAME).status == "pass"


def test_one_hung_connection_is_no_database_down(
    server: Server, make: Callable[..., Engine]
) -> None:
    """It is discarded with a warning, and the application never gets it."""
    engine = make()
    hung = use(engine)
    with server.stopped(hung):
        ran = run(NAME)

        assert ran.status == "warn"
        assert "was discarded; the database answers on a new one" in ran.result.output
        assert use(engine) != hung
        assert run(NAME).status == "pass"


def test_pooled_connections_that_died_are_no_database_down(
    server: Server, make: Callable[..., Engine]
) -> None:
    """After a restart of the server every idle connection is dead, and it is up."""
    engine = make()
    with engine.connect(), engine.connect(), engine.connect():
        pass

    server.relay.through()  # cuts them
    for _ in range(4):
        assert run(NAME).status == "pass"


def test_a_full_pool_is_told_apart(server: Server, make: Callable[..., Engine]) -> None:
    """With nothing left to lend the check warns at once, and asks past the pool."""
    engine = make(pool_size=1, max_overflow=1)
    with engine.connect(), engine.connect():
        ran = run(NAME)

        assert ran.result.output == (
            "pool exhausted: 2 of 2 connections are in use; the database answers"
        )
        assert ran.status == "warn"
        assert ran.seconds < ALLOWED_S / 2
        server.relay.swallow()
        assert run(NAME).status == "fail"
        server.relay.refuse()
        assert run(NAME).status == "fail"

    server.relay.through()
    assert run(NAME).status == "pass"


def test_a_server_that_is_full_of_the_pool_is_no_database_down(
    server: Server, make: Callable[..., Engine]
) -> None:
    """The server takes no more, because of this very pool: that says nothing of it."""
    engine = make(pool_size=1, max_overflow=0)
    with engine.connect():

        @event.listens_for(engine, "do_connect")
        def refuse(*_: object) -> None:
            raise OSError("FATAL:  sorry, too many clients already")

        ran = run(NAME)

    assert ran.status == "warn"
    assert ran.result.output.startswith("pool exhausted: 1 of 1 connections are in use")


def test_listeners_that_set_the_password_are_asked(
    server: Server, make: Callable[..., Engine]
) -> None:
    """Tokens that are made for each connection are made for the check's, too."""
    engine = make(poolclass=NullPool)
    tokens = []

    @event.listens_for(engine, "do_connect")
    def set_token(
        _dialect: object, _record: object, _args: object, params: dict[str, object]
    ) -> None:
        tokens.append(params)
        params["password"] = "token"

    assert run(NAME).status == "pass"
    assert [params["password"] for params in tokens] == ["token"]


def test_the_applications_connections_get_no_timeout(
    server: Server, make: Callable[..., Engine]
) -> None:
    """What the check's own connections are limited to is nothing to the engine's."""
    engine = make()
    with engine.connect() as connection:
        driver = connection.connection.driver_connection
        assert driver is not None
        assert "connect_timeout" not in driver.info.get_parameters()


def test_no_password_is_told(server: Server) -> None:
    """It is neither in the name nor in the target nor in an error that quotes it."""
    engine = create_engine(server.engine_url(), poolclass=NullPool)

    @event.listens_for(engine, "do_connect")
    def quote(*_: object) -> None:
        raise OSError(f"cannot connect to {server.url}")

    health.add_engine(engine)
    (check,) = CHECKS.things()
    assert isinstance(check.function, ReadyMade)
    target = f"postgresql://127.0.0.1:{server.relay.port}/postgres"
    assert (check.name, check.function.target) == (NAME, target)
    ran = run(NAME)
    assert ran.status == "fail"
    assert "cannot connect to" in ran.result.output
    assert PASSWORD not in ran.result.output


def test_engines_of_one_name_collide(server: Server) -> None:
    """Databases of one name on two hosts need names; the same one again replaces."""
    url = server.engine_url()
    health.add_engine(create_engine(url))
    health.add_engine(create_engine(url))
    other = create_engine(url.replace("127.0.0.1", "replica"))
    with pytest.raises(DeclarationError, match=r"sqlalchemy\.postgres"):
        health.add_engine(other)

    health.add_engine(other, name="replica", critical=True, timeout=1)
    assert [check.name for check in CHECKS.things()] == [NAME, "replica"]


@pytest.mark.parametrize(
    ("url", "name"),
    [
        ("sqlite:///x/Orders 2.db", "sqlalchemy.orders_2.db"),
        ("sqlite://", "sqlalchemy.memory"),
        ("postgresql+psycopg://host", "sqlalchemy.postgresql"),
        ("postgresql+psycopg://host/ünï", "sqlalchemy._n_"),
    ],
)
def test_names(url: str, name: str) -> None:
    """A check is called by its database, in what names can hold."""
    health.add_engine(create_engine(url))

    assert CHECKS.names() == (name,)


def test_what_is_bound_to_an_engine_will_do(tmp_path: Path) -> None:
    """Sessions, their makers and views lead to the engine; anything else is refused."""
    (tmp_path / "a.db").touch()
    engine = create_engine(f"sqlite:///{tmp_path}/a.db")
    maker = sessionmaker(engine)
    health.add_engine(maker, name="maker")
    health.add_engine(engine.execution_options(isolation_level="AUTOCOMMIT"), name="v")
    with maker() as session:
        health.add_engine(session, name="session")

    assert [run(name).status for name in CHECKS.names()] == ["pass"] * 3
    with pytest.raises(DeclarationError, match="takes an engine"):
        health.add_engine(object())  # type: ignore[arg-type]


def test_a_file_that_cannot_be_opened(tmp_path: Path) -> None:
    """SQLite is checked as well: by a file of its own, or of the pool."""
    engine = create_engine(f"sqlite:///{tmp_path}/none/a.db")
    health.add_engine(engine)

    assert run("sqlalchemy.a.db").status == "fail"
    (tmp_path / "none").mkdir()
    assert run("sqlalchemy.a.db").status == "warn"
    with engine.connect():
        pass

    assert run("sqlalchemy.a.db").status == "pass"
    engine.dispose()


def test_expired_connections_are_not_borrowed(
    server: Server, make: Callable[..., Engine]
) -> None:
    """One that the pool would make anew first is left to it, as are its gaps."""
    engine = make(pool_recycle=0)
    use(engine)
    assert run(NAME).status == "pass"
    assert server.relay.most_connections == 2
