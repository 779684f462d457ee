"""Checks of PostgreSQL by psycopg, on connections of their own or from a pool."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol, TypeVar, cast

from svcready.errors import DeclarationError
from svcready.health.checks._adding import ReadyMade, add
from svcready.health.checks._named import derive_name
from svcready.health.checks._sql._databases import (
    NoAnswerError,
    ask,
    check_database,
    ends_s,
    fill,
    left_s,
    target_of,
)
from svcready.health.checks._subjects import needs, refuse

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Generator, Mapping
    from typing import TypeAlias, Unpack

    from psycopg import AsyncConnection, Connection

    from svcready.health._result import CheckResult
    from svcready.health.checks._adding import Options
    from svcready.health.checks._sql._databases import Held

    Factory: TypeAlias = Callable[
        [], Connection[object] | Awaitable[AsyncConnection[object]]
    ]

__all__ = [
    "Own",
    "Pings",
    "add_psycopg",
    "connect_within",
    "parts_of",
    "target_in",
]

T = TypeVar("T")

_STEP_S = 0.1  # how often psycopg looks up while it connects


def add_psycopg(
    conninfo: str | Factory, *, name: str | None = None, **options: Unpack[Options]
) -> None:
    """
    Check that a PostgreSQL server answers, on a new connection each time.

    Args:
        conninfo: A connection string or URL, or a function, plain or async, that
            returns a psycopg connection, which the check closes; it sees to its own
            time-out for connecting.
        name: `psycopg.<database>` if not given.
        options: As for `health.check`.

    Raises:
        DeclarationError: The string is none, an option is wrong, or another check has
            the name.
        MissingExtraError: A string is given, and psycopg is not installed.
    """
    given: object = conninfo
    if not isinstance(given, str) and not callable(given):
        takes = "a connection string or a function that connects"
        raise refuse("add_psycopg", takes, given)

    if not isinstance(conninfo, str):
        add(
            name or derive_name("psycopg", "connection"),
            ReadyMade(_Made(conninfo).run, kind="datastore", target="postgresql"),
            options,
        )
        return

    needs("add_psycopg", "psycopg")
    own = _Given(conninfo)
    add(
        name or derive_name("psycopg", own.database),
        ReadyMade(own.run, kind="datastore", target=own.target),
        options,
    )


def connect_within(
    kind: type[Connection[T]], seconds: float, *args: object, **kwargs: object
) -> Connection[T]:
    """
    Connect, in *seconds* at most for all addresses together.

    psycopg's own `connect_timeout` is of whole seconds, two at least, for each address
    that a host has.

    Args:
        kind: The class of connections; one that makes its own password does here, too.
        seconds: The time.
        args: As for its `connect`.
        kwargs: As for its `connect`.

    Raises:
        NoAnswerError: There is no connection by then.
    """
    end_s = ends_s(seconds - _STEP_S)
    if not hasattr(kind, "_connect_gen"):  # a later psycopg's
        fill(kwargs, ("connect_timeout",), seconds)
        return kind.connect(*args, **kwargs)  # type: ignore[arg-type]

    def steps(_: object, /, *of: str, **more: object) -> Generator[Any, Any, Any]:
        begun = kind._connect_gen(*of, **more)  # type: ignore[arg-type]  # noqa: SLF001
        return _until(end_s, begun)

    timed = type(kind.__name__, (kind,), {"_connect_gen": classmethod(steps)})
    connect = timed.connect  # type: ignore[attr-defined]
    if getattr(connect, "__self__", timed) is not timed:
        # OpenTelemetry's instrumentation, when it ends, leaves it bound to its class.
        connect = connect.__func__.__get__(timed)

    try:
        connection: Connection[T] = connect(*args, **kwargs)
    except Exception as error:
        if left_s(end_s) > 0.0:
            raise

        raise NoAnswerError(f"no connection within {seconds:.2g} s") from error

    return connection


def _until(end_s: float, steps: Generator[Any, Any, Any]) -> Generator[Any, Any, Any]:
    """Go through the steps of connecting, as long as there is time."""
    from psycopg import OperationalError

    try:
        step = next(steps)
        while True:
            ready = yield step
            if not ready and left_s(end_s) <= 0.0:
                steps.close()
                raise OperationalError("no answer")

            step = steps.send(ready)
    except StopIteration as stop:
        return stop.value


class Pings(Protocol):
    """A connection, as far as a check uses it."""

    autocommit: bool

    def execute(self, query: str) -> object:
        """Have the server execute *query*."""
        ...

    def close(self) -> None:
        """Close it."""
        ...


class Own:
    """A connection that the check made."""

    def __init__(self, connection: Pings) -> None:
        self.driver = connection

    def ping(self) -> None:
        """Have the server answer."""
        self.driver.execute("SELECT 1")

    def keep(self) -> None:
        """Close it."""
        self.driver.close()

    drop = keep


class _Given:
    """A server by its connection string."""

    def __init__(self, conninfo: str) -> None:
        from psycopg import ProgrammingError

        self._conninfo = conninfo
        try:
            parts = parts_of(conninfo, {})
        except ProgrammingError:  # whose text quotes the string
            msg = "health.add_psycopg: this is no connection string that libpq reads"
            raise DeclarationError(msg) from None

        self.target = target_in(parts)
        self.database = parts["dbname"]
        self.secrets = (parts["password"],)

    def levels(self) -> None:
        """Return nothing: there is no pool."""

    def borrow(self) -> None:
        """Return nothing: there is no pool."""

    def connect(self, seconds: float) -> Held:
        """Make a connection."""
        from psycopg import Connection

        made = connect_within(Connection, seconds, self._conninfo, autocommit=True)
        return Own(cast("Pings", made))

    def run(self) -> CheckResult:
        """Run the check."""
        return check_database(self)


class _Made:
    """A server by a function that connects to it."""

    def __init__(self, connect: Factory) -> None:
        self._connect = connect

    def run(self) -> object:
        """Run the check, or return what does, once a loop runs it."""
        end_s = ends_s()
        made = self._connect()
        if hasattr(made, "__await__"):
            from svcready.health.checks._sql._psycopg_async import ask_made

            return ask_made(made, end_s)

        ask(Own(cast("Pings", made)), left_s(end_s))
        return True


def parts_of(conninfo: str, kwargs: Mapping[str, object]) -> dict[str, str]:
    """Return the parts of what is connected with that a check looks at."""
    from psycopg.conninfo import conninfo_to_dict

    names = ("host", "port", "dbname", "password", "hostaddr", "service")
    found = {**conninfo_to_dict(conninfo), **kwargs}
    return {name: str(found.get(name) or "") for name in names}


def target_in(parts: Mapping[str, str]) -> str:
    """Return where a server is, for people."""
    host = parts["host"] or parts["hostaddr"] or parts["service"]
    return target_of("postgresql", host, parts["port"], parts["dbname"])
