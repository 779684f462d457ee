"""What the codes of PostgreSQL, MySQL and SQLite say of a failed transaction."""

from __future__ import annotations

__all__ = [
    "ANSWERED",
    "ANSWERED_MYSQL",
    "HALF_MYSQL",
    "LOST",
    "LOST_MYSQL",
    "ROLLED_BACK",
    "ROLLED_BACK_MYSQL",
    "ROLLED_BACK_SQLITE",
    "STATEMENT_TIMEOUT",
]

# PostgreSQL, Appendix A: <https://www.postgresql.org/docs/current/errcodes-appendix.html>
ROLLED_BACK = (
    "40000",  # transaction_rollback
    "40001",  # serialization_failure
    "40P01",  # deadlock_detected
    "55P03",  # lock_not_available
    "08001",  # sqlclient_unable_to_establish_sqlconnection
    "08004",  # sqlserver_rejected_establishment_of_sqlconnection
    "53300",  # too_many_connections
    "57P03",  # cannot_connect_now
    "57P05",  # idle_session_timeout: nothing was at work
)
"""Nothing of the transaction is in force, and it may succeed if it runs again."""

LOST = (
    "08000",  # connection_exception
    "08003",  # connection_does_not_exist
    "08006",  # connection_failure
    "08007",  # transaction_resolution_unknown
    "57P01",  # admin_shutdown
    "57P02",  # crash_shutdown
)
"""The connection broke; a transaction that was committing may be in force."""

STATEMENT_TIMEOUT = "57014"
"""`query_canceled`: `statement_timeout`, or somebody asked."""

ANSWERED = (
    "02",  # no data
    "0A",  # feature not supported
    "21",  # cardinality violation
    "22",  # data exception
    "23",  # integrity constraint violation
    "24",  # invalid cursor state
    "25P02",  # in_failed_sql_transaction
    "26",  # invalid SQL statement name
    "27",  # triggered data change violation
    "2B",  # dependent privilege descriptors still exist
    "2F",  # SQL routine exception
    "34",  # invalid cursor name
    "38",  # external routine exception
    "3B",  # savepoint exception
    "40000",
    "40001",
    "40002",  # transaction_integrity_constraint_violation
    "40P01",
    "42",  # syntax error or access rule violation
    "44",  # WITH CHECK OPTION violation
    "55",  # object not in prerequisite state, lock_not_available
    "P0",  # PL/pgSQL's RAISE
)
"""The database works: it looked at the statement and said no. Codes or classes."""

# MySQL, Server and Client Error Message Reference.
ROLLED_BACK_MYSQL = frozenset(
    (
        1040,  # ER_CON_COUNT_ERROR
        1203,  # ER_TOO_MANY_USER_CONNECTIONS
        1205,  # ER_LOCK_WAIT_TIMEOUT
        1213,  # ER_LOCK_DEADLOCK
        2002,  # CR_CONNECTION_ERROR
        2003,  # CR_CONN_HOST_ERROR
        3572,  # ER_LOCK_NOWAIT
    )
)
HALF_MYSQL = frozenset((1205, 3572))
"""After which InnoDB undoes the statement alone, unless it is told otherwise."""
LOST_MYSQL = frozenset(
    (
        1053,  # ER_SERVER_SHUTDOWN
        1927,  # ER_CONNECTION_KILLED, MariaDB
        2006,  # CR_SERVER_GONE_ERROR
        2013,  # CR_SERVER_LOST
        2055,  # CR_SERVER_LOST_EXTENDED
    )
)
ANSWERED_MYSQL = frozenset((1205, 1213, 3572))

ROLLED_BACK_SQLITE = frozenset((5, 6))
"""SQLITE_BUSY and SQLITE_LOCKED, the low byte of the code."""
