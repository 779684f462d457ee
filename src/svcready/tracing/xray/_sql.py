"""The field `sql` of a subsegment, from the old and the stable conventions."""

from __future__ import annotations

from typing import TYPE_CHECKING

from svcready.tracing.xray._reading import TEXT_CHARS

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import ReadableSpan

    from svcready.tracing.xray._reading import Given

__all__ = ["SQL_NAMES", "sql_of"]

SQL_NAMES = frozenset({"db.system", "db.system.name"})
_STABLE = {
    "ibm.db2": "db2",
    "microsoft.sql_server": "mssql",
    "oracle.db": "oracle",
}
_SYSTEMS = frozenset(
    {
        "db2",
        "derby",
        "hive",
        "mariadb",
        "mssql",
        "mysql",
        "oracle",
        "other_sql",
        "postgresql",
        "sqlite",
        "teradata",
    }
)


def sql_of(span: ReadableSpan, given: Given) -> dict[str, object] | None:
    """Return the field `sql`; None if the span calls no SQL database."""
    values = given.values
    system = values.get("db.system.name") or values.get("db.system")
    if not isinstance(system, str):
        return None

    system = _STABLE.get(system, system)
    if system not in _SYSTEMS:
        return None

    given.take("db.system.name", "db.system")
    sql: dict[str, object] = {
        # The collector's choice: the console shows it, and the address is below.
        "url": span.name[:TEXT_CHARS],
        "connection_string": _connection(given),
        "database_type": system,
    }
    user = given.text("db.user")
    if user:
        sql["user"] = user

    query = given.text("db.query.text", "db.statement")
    if query:
        sql["sanitized_query"] = query

    return sql


def _connection(given: Given) -> str:
    values = given.values
    place = str(values.get("db.connection_string") or "")
    if not place:
        host = values.get("server.address") or values.get("net.peer.name")
        port = values.get("server.port") or values.get("net.peer.port")
        place = str(host or "localhost")
        if host and port:
            place = f"{place}:{port}"

    database = values.get("db.namespace") or values.get("db.name") or ""
    whole = f"{place}/{database}"
    if len(whole) <= TEXT_CHARS:
        given.take("db.connection_string", "db.namespace", "db.name")

    return whole[:TEXT_CHARS]
