"""Checks of Django's databases, as the project's settings have them."""

from __future__ import annotations

from contextlib import contextmanager, suppress
from functools import partial
from typing import TYPE_CHECKING, Protocol, cast

from svcready.errors import DeclarationError
from svcready.health.checks._adding import ReadyMade, add
from svcready.health.checks._named import derive_name
from svcready.health.checks._sql._cutting import Cutter
from svcready.health.checks._sql._databases import (
    NoAnswerError,
    check_database,
    ends_s,
    fill,
    left_s,
    require_file,
    target_of,
    told_silence,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from typing import Unpack

    from django.db.backends.base.base import BaseDatabaseWrapper

    from svcready.health._result import CheckResult
    from svcready.health.checks._adding import Options
    from svcready.health.checks._sql._databases import Held, Levels
    from svcready.health.checks._sql._psycopg_pool import PoolSource

__all__ = [
    "add_django_databases",
    "found_databases",
    "known_aliases",
    "lent_to_thread",
]

_TIMEOUTS = {
    "mysql": ("connect_timeout", "read_timeout", "write_timeout"),
    "oracle": ("tcp_connect_timeout",),
    "postgresql": ("connect_timeout",),
    "sqlite": ("timeout",),
}
_DEFAULT = "default"


def add_django_databases(*aliases: str, **options: Unpack[Options]) -> None:
    """
    Check that Django's databases answer: a check `django.db.<alias>` each.

    Each run has a connection of its own, which it closes; of a database with a pool it
    is one that lies ready there.

    Args:
        aliases: Which of `DATABASES`; all of them if none is given.
        options: As for `health.check`; of `default` critical is True if not given.

    Raises:
        DeclarationError: There is no such alias, an option is wrong, or another check
            has the name.
    """
    from django.db import connections

    for alias in known_aliases(aliases, connections, "DATABASES"):
        said: Options = {"critical": alias == _DEFAULT, **options}
        add(derive_name("django.db", alias), _database_check(alias), said)


def found_databases() -> Iterator[tuple[str, ReadyMade, bool]]:
    """
    Return the checks that the settings ask for: name, check, whether it is critical.

    Those in memory are left out.
    """
    from django.db import connections

    for alias, settings in connections.settings.items():
        if not _is_in_memory(settings):
            check = _database_check(alias, found=True)
            yield derive_name("django.db", alias), check, alias == _DEFAULT


def _own_wrapper(alias: str, seconds: float) -> BaseDatabaseWrapper:
    """
    Make a connection object of Django's that no other thread or code has.

    Args:
        alias: The database's.
        seconds: How long connecting may take, as far as the driver knows an end.
    """
    from django.db import connections
    from django.db.utils import load_backend

    settings = dict(connections.settings[alias])
    options = settings["OPTIONS"] = dict(settings.get("OPTIONS") or {})
    options.pop("pool", None)
    backend = load_backend(settings["ENGINE"])
    wrapper: BaseDatabaseWrapper = backend.DatabaseWrapper(settings, alias)
    if _is_plain_psycopg(wrapper):
        vars(wrapper)["get_new_connection"] = partial(_connect_psycopg, seconds)
    else:
        fill(options, _TIMEOUTS.get(wrapper.vendor, ()), seconds)

    return wrapper


@contextmanager
def lent_to_thread(alias: str, seconds: float) -> Iterator[BaseDatabaseWrapper]:
    """
    Have Django use a connection of the check's own on this thread, for a while.

    Args:
        alias: The database's.
        seconds: After how long it is cut, connecting included.

    Raises:
        NoAnswerError: It was.
    """
    from django.db import connections

    end_s = ends_s(seconds)
    own = _own_wrapper(alias, seconds)
    connections[alias] = own
    try:
        own.ensure_connection()
        cutter = Cutter(own.connection, left_s(end_s))
        try:
            with cutter:
                yield own
        except Exception as error:
            if cutter.fired:
                raise NoAnswerError(told_silence(seconds)) from error

            raise
    finally:
        own.close()
        del connections[alias]


def known_aliases(
    aliases: tuple[str, ...], handler: Iterable[str], setting: str
) -> tuple[str, ...]:
    """Return *aliases*, which must be known, or all that are if there are none."""
    known = tuple(handler)
    for alias in aliases:
        if alias not in known:
            msg = f"there is no {alias!r} in {setting}: there are {', '.join(known)}"
            raise DeclarationError(msg)

    return aliases or known


def _is_in_memory(settings: Mapping[str, object]) -> bool:
    engine, name = str(settings.get("ENGINE")), str(settings.get("NAME"))
    if engine.endswith(".dummy"):
        return True

    return "sqlite" in engine and (":memory:" in name or "mode=memory" in name)


def _database_check(alias: str, *, found: bool = False) -> ReadyMade:
    from django.db import connections

    settings = connections.settings[alias]
    system = str(settings["ENGINE"]).rpartition(".")[2]
    options = settings.get("OPTIONS") or {}
    target = target_of(
        system,
        settings.get("HOST") or options.get("service"),
        settings.get("PORT"),
        settings.get("NAME"),
    )
    run = _Database(alias).run
    return ReadyMade(run, kind="datastore", target=target, found=found)


class _Database:
    """The connections to one of Django's databases."""

    def __init__(self, alias: str) -> None:
        self._alias = alias

    @property
    def secrets(self) -> tuple[str, ...]:
        """The password."""
        from django.db import connections

        settings = connections.settings[self._alias]
        options = settings.get("OPTIONS") or {}
        found = (settings.get("PASSWORD"), options.get("password"))
        return tuple(str(secret) for secret in found if secret)

    def levels(self) -> Levels | None:
        """Return how full Django's pool is, if it has one."""
        pool = self._pool()
        return None if pool is None else pool.levels()

    def borrow(self) -> Held | None:
        """Return a connection that lies ready in Django's pool, if it has one."""
        pool = self._pool()
        return None if pool is None else pool.borrow()

    def connect(self, seconds: float) -> Held:
        """Make a connection as Django does, but for its pool."""
        wrapper = _own_wrapper(self._alias, seconds)
        if wrapper.vendor == "sqlite":
            require_file(wrapper.settings_dict["NAME"])

        made = wrapper.get_new_connection(wrapper.get_connection_params())
        return _Own(wrapper, made)

    def run(self) -> CheckResult:
        """Run the check."""
        return check_database(self)

    def _pool(self) -> PoolSource | None:
        from svcready.health.checks._sql._psycopg_pool import PoolSource

        pools = getattr(_wrapper_class(self._alias), "_connection_pools", None) or {}
        pool = pools.get(self._alias)  # not made or opened before Django does
        return None if pool is None else PoolSource(pool)


def _wrapper_class(alias: str) -> type[BaseDatabaseWrapper]:
    from django.db import connections
    from django.db.utils import load_backend

    backend = load_backend(connections.settings[alias]["ENGINE"])
    return cast("type[BaseDatabaseWrapper]", backend.DatabaseWrapper)


def _is_plain_psycopg(wrapper: BaseDatabaseWrapper) -> bool:
    """Tell whether it is Django's own way of connecting by psycopg, and no other."""
    if wrapper.vendor != "postgresql":
        return False

    from django.db.backends.postgresql.base import DatabaseWrapper
    from django.db.backends.postgresql.psycopg_any import is_psycopg3

    made_by = type(wrapper).get_new_connection
    return is_psycopg3 and made_by is DatabaseWrapper.get_new_connection


def _connect_psycopg(seconds: float, params: dict[str, object]) -> object:
    from psycopg import Connection

    from svcready.health.checks._sql._psycopg import connect_within

    return connect_within(Connection, seconds, "", **params)


class _Cursor(Protocol):
    def execute(self, sql: str) -> object: ...
    def fetchone(self) -> object: ...


class _Connection(Protocol):
    def cursor(self) -> _Cursor: ...
    def close(self) -> None: ...


class _Own:
    """A connection that the check made."""

    def __init__(self, wrapper: BaseDatabaseWrapper, connection: object) -> None:
        self._suffix: str = wrapper.features.bare_select_suffix
        self.driver = cast("_Connection", connection)

    def ping(self) -> None:
        """Have the server answer, in its dialect."""
        cursor = self.driver.cursor()
        cursor.execute(f"SELECT 1{self._suffix}")
        cursor.fetchone()

    def keep(self) -> None:
        """Close it."""
        self.driver.close()

    def drop(self) -> None:
        """Close it."""
        with suppress(Exception):  # it was lost already
            self.driver.close()
