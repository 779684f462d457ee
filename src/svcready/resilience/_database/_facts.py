"""What an error of a database's client says: the codes, and the classes it is of."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from svcready.resilience._lineage import lineage

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["Facts", "facts_of"]

_MYSQL = ("pymysql.Error", "MySQLdb.Error", "asyncmy.Error", "aiomysql.Error")
_MOST_WRAPPED = 4


class Facts(NamedTuple):
    """What is known of an error."""

    kinds: frozenset[str]
    """The classes, those of the errors that it wraps included, with their library."""
    sqlstate: str | None
    """The five characters of the SQL standard."""
    mysql: int | None
    """MySQL's own number."""
    sqlite: int | None
    """SQLite's primary result code."""
    invalidated: bool
    """SQLAlchemy has found the connection to be broken."""
    connecting: bool
    """There was no connection yet."""
    text: str
    """The message of the innermost one, for classes that say too little."""

    def is_one_of(self, *kinds: str) -> bool:
        """Return whether it is of one of these classes."""
        return not self.kinds.isdisjoint(kinds)


def facts_of(error: Exception) -> Facts:
    """Read the codes and classes of an error, and of what libraries wrapped in it."""
    kinds: set[str] = set()
    sqlstate: str | None = None
    mysql: int | None = None
    sqlite: int | None = None
    invalidated = connecting = False
    inner: BaseException = error
    for inner in _unwrapped(error):
        own = lineage(type(inner))
        kinds |= own
        found = getattr(inner, "sqlstate", None) or getattr(inner, "pgcode", None)
        if isinstance(found, str):
            sqlstate = found

        number = getattr(inner, "errno", None) if "mysql.Error" in own else None
        if not own.isdisjoint(_MYSQL) and inner.args:
            number = inner.args[0]

        if isinstance(number, int):
            mysql = number

        code = getattr(inner, "sqlite_errorcode", None)
        if isinstance(code, int):
            sqlite = code & 0xFF

        invalidated |= getattr(inner, "connection_invalidated", False) is True
        if "psycopg.Error" in own:
            connecting |= getattr(inner, "pgconn", None) is not None

    return Facts(
        frozenset(kinds), sqlstate, mysql, sqlite, invalidated, connecting, str(inner)
    )


def _unwrapped(error: BaseException) -> Iterator[BaseException]:
    """Give an error, and what SQLAlchemy or Django made it of."""
    current: object = error
    for _ in range(_MOST_WRAPPED):
        if not isinstance(current, BaseException):
            return

        yield current
        own = lineage(type(current))
        if "sqlalchemy.DBAPIError" in own:
            current = getattr(current, "orig", None)
        elif "django.Error" in own or "sqlalchemy.Error" in own:
            current = current.__cause__
        else:
            return
