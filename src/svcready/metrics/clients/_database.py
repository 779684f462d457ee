"""The metrics of database clients, by OpenTelemetry's conventions."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple

from svcready._core.guard import report_fault
from svcready._core.http import OTHER_VALUE
from svcready.metrics.clients._shared import COMPONENT, DECLARE

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from svcready.metrics._instruments._children import CounterChild
    from svcready.metrics._instruments._timer import Stopwatch

__all__ = ["Database", "Pool", "PoolLevels", "Recorders", "operation_of", "system_of"]

# OpenTelemetry's advice for database calls, in seconds.
_BUCKETS = (0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1.0, 5.0, 10.0)
_POOL = "db_client_connection_pool_name"
_OPERATIONS = (
    *("SELECT", "INSERT", "UPDATE", "DELETE", "MERGE", "REPLACE", "UPSERT", "WITH"),
    *("VALUES", "CALL", "EXEC", "EXECUTE", "DO", "COPY", "LOAD", "EXPLAIN"),
    *("BEGIN", "START", "COMMIT", "ROLLBACK", "SAVEPOINT", "RELEASE", "LOCK"),
    *("CREATE", "ALTER", "DROP", "TRUNCATE", "RENAME", "COMMENT", "GRANT", "REVOKE"),
    *("SET", "SHOW", "USE", "PRAGMA", "ANALYZE", "VACUUM", "REINDEX", "REFRESH"),
    *("DECLARE", "FETCH", "MOVE", "CLOSE", "LISTEN", "NOTIFY", "UNLISTEN"),
)
_KNOWN = {
    spelt: word for word in _OPERATIONS for spelt in (word, word.lower(), word.title())
}
_LONGEST_WORD = 12
_FIRST_WORD = re.compile(
    r"(?:\s+|/\*.*?\*/|--[^\n]*(?:\n|\Z)|\()*([A-Za-z]+)", re.DOTALL
)
_LOOKED_AT = 1000
_SYSTEMS = {
    "cockroachdb": "cockroachdb",
    "mariadb": "mariadb",
    "mssql": "microsoft.sql_server",
    "microsoft": "microsoft.sql_server",
    "mysql": "mysql",
    "oracle": "oracle.db",
    "postgresql": "postgresql",
    "sqlite": "sqlite",
}


def operation_of(statement: object) -> str:
    """
    Return the operation of an SQL statement: its first word, in upper case.

    What begins with a word that is none of SQL's usual ones is `_OTHER`, so that no
    statement can make a series of its own.
    """
    if type(statement) is not str:
        return OTHER_VALUE

    known = _KNOWN.get(statement[:_LONGEST_WORD].partition(" ")[0])
    if known is not None:
        return known

    found = _FIRST_WORD.match(statement[:_LOOKED_AT])
    return _KNOWN.get(found[1].upper(), OTHER_VALUE) if found else OTHER_VALUE


def system_of(name: str) -> str:
    """Return OpenTelemetry's name of the database that a library calls *name*."""
    return _SYSTEMS.get(name, "other_sql")


class Database:
    """
    Durations and transactions of one database.

    Args:
        system: `postgresql`, `sqlite`, ... as OpenTelemetry has it.
        namespace: The database's name on its server.
        server: The server's host; empty for a file.
    """

    __slots__ = ("_commits", "_duration", "_kept", "_keys", "_rollbacks", "watch")

    def __init__(self, system: str, namespace: str, server: str) -> None:
        place = ("db_system_name", "db_namespace", "server_address")
        self._keys = (system, namespace, server)
        self._duration = DECLARE.timer(
            "db.client.operation.duration",
            "Duration of database client operations.",
            labels=(*place, "db_operation_name", "error_type"),
            buckets=_BUCKETS,
        )
        transactions = DECLARE.counter(
            "db.client.transactions",
            "Transactions that clients ended, by how: commit or rollback.",
            unit="{transaction}",
            labels=(*place, "outcome"),
        )
        self._commits = transactions.labels(*self._keys, "commit")
        self._rollbacks = transactions.labels(*self._keys, "rollback")
        self._kept: dict[str, Callable[[float], None]] = {}
        self.watch: Stopwatch = self._duration.stopwatch
        """Tells the time in seconds."""

    def took(self, statement: object, seconds: float, error: str = "") -> None:
        """
        Record an operation.

        Args:
            statement: Only its first word is looked at.
            seconds: How long it took.
            error: The class of the error in which it ended.
        """
        operation = operation_of(statement)
        if error:
            self._duration.labels(*self._keys, operation, error).observe(seconds)
            return

        observe = self._kept.get(operation)
        if observe is None:
            child = self._duration.labels(*self._keys, operation, "")
            observe = self._kept[operation] = child.observe

        observe(seconds)

    def committed(self) -> None:
        """Count a transaction that the client committed."""
        self._commits.inc()

    def rolled_back(self) -> None:
        """Count a transaction that the client rolled back, or left without commit."""
        self._rollbacks.inc()


class PoolLevels(NamedTuple):
    """What a pool of connections holds at one moment."""

    used: float
    """Connections lent out."""
    idle: float | None = None
    """Connections open and not lent out; None if the pool keeps none."""
    most: float | None = None
    """Connections that it may have; None if there is no limit."""
    most_idle: float | None = None
    """Connections that it keeps when they are not used; None if it keeps none."""
    pending: float = 0
    """Callers that wait for one."""


class Recorders(NamedTuple):
    """Where the times and failures of one pool go."""

    wait: Callable[[float], None]
    use: Callable[[float], None]
    create: Callable[[float], None]
    timeout: CounterChild
    refused: CounterChild
    lost: CounterChild
    watch: Stopwatch


class Pool:
    """
    The pools of connections of one name, whose levels are read at each snapshot.

    Pools of the same name (one for each event loop, say) are added up; those that are
    gone count no more.
    """

    _all: dict[str, Pool] = {}  # noqa: RUF012 - the process' own, as the series are

    def __init__(self, name: str) -> None:
        self._name = name
        self._readers: tuple[Callable[[], PoolLevels | None], ...] = ()

    @classmethod
    def named(cls, name: str) -> Pool:
        """Return the pools called *name*."""
        return cls._all.setdefault(name, cls(name))

    def recorders(self) -> Recorders:
        """Declare the metrics of pools; return where those of this name go."""
        name = self._name
        wait, use, create = (
            DECLARE.timer(f"db.client.connection.{what}", text, labels=(_POOL,))
            for what, text in (
                ("wait_time", "Time to obtain an open connection from the pool."),
                ("use_time", "Time between borrowing a connection and returning it."),
                ("create_time", "Time to create a connection."),
            )
        )
        timeouts = DECLARE.counter(
            "db.client.connection.timeouts",
            "Waits for a connection that were given up.",
            unit="{timeout}",
            labels=(_POOL,),
        )
        errors = DECLARE.counter(
            "db.client.connection.errors",
            "Connections that could not be made (connect) or broke (lost).",
            unit="{error}",
            labels=(_POOL, "reason"),
        )
        return Recorders(
            wait.labels(name).observe,
            use.labels(name).observe,
            create.labels(name).observe,
            timeouts.labels(name),
            errors.labels(name, "connect"),
            errors.labels(name, "lost"),
            wait.stopwatch,
        )

    def watch(self, read: Callable[[], PoolLevels | None]) -> None:
        """
        Read a pool's levels at each snapshot.

        Args:
            read: Returns them, quickly; None once the pool is gone or is not to be
                read any more.
        """
        self._readers = (*self._readers, read)
        first = self._levels()
        count = DECLARE.gauge(
            "db.client.connection.count",
            "Connections that are in the state.",
            unit="{connection}",
            labels=(_POOL, "db_client_connection_state"),
        )
        count.labels(self._name, "used").set_function(lambda: self._levels().used)
        if first.idle is not None:
            idle = count.labels(self._name, "idle")
            idle.set_function(lambda: self._levels().idle or 0)

        pending = DECLARE.gauge(
            "db.client.connection.pending_requests",
            "Callers that wait for an open connection.",
            unit="{request}",
            labels=(_POOL,),
        )
        pending.labels(self._name).set_function(lambda: self._levels().pending)
        if first.most is not None:
            most = DECLARE.gauge(
                "db.client.connection.max",
                "Open connections that are allowed.",
                unit="{connection}",
                labels=(_POOL,),
            )
            most.labels(self._name).set_function(lambda: self._levels().most or 0)

        if first.most_idle is not None:
            most = DECLARE.gauge(
                "db.client.connection.idle.max",
                "Idle open connections that are kept.",
                unit="{connection}",
                labels=(_POOL,),
            )
            most.labels(self._name).set_function(lambda: self._levels().most_idle or 0)

    def _levels(self) -> PoolLevels:
        read: list[PoolLevels] = []
        gone = set()
        for reader in self._readers:
            try:
                levels = reader()
            except Exception as error:  # noqa: BLE001 - the other pools are read on
                report_fault(COMPONENT, error)
                continue

            if levels is None:
                gone.add(reader)
            else:
                read.append(levels)

        if gone:
            self._readers = tuple(r for r in self._readers if r not in gone)

        return PoolLevels(
            sum(levels.used for levels in read),
            _sum(levels.idle for levels in read),
            _sum(levels.most for levels in read),
            _sum(levels.most_idle for levels in read),
            sum(levels.pending for levels in read),
        )


def _sum(values: Iterable[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return sum(known) if known else None
