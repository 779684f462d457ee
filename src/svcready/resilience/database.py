"""
What a database's errors mean to policies, and statements that end with the deadline.

```python
import svcready
from svcready.resilience import database


@svcready.retry("orders-db", on=database.transient, wait_base="50ms")
@svcready.circuit_breaker("orders-db", outcome=database.outcome)
def book(order):
    with Session.begin() as session:
        ...  # the whole transaction, so that all is rerun
```

It knows SQLAlchemy, Django, psycopg, psycopg2, asyncpg, the clients of MySQL and
sqlite3. None of them is imported: an error is known by its class's name and its code.
"""

from __future__ import annotations

from svcready.resilience._database import _transactions, _verdicts

__all__ = ["in_transaction", "outcome", "rolled_back", "transient"]


def transient(error: Exception) -> bool:
    """
    Return whether the transaction behind *error* may succeed if it is run again.

    Serialization failures, deadlocks, locks that were not to be had, connections that
    broke, a server that goes down, comes up or takes no more connections. Never: what
    the database said no to, a statement's time-out, a pool without a free connection.

    What is run again must be the whole transaction. So the answer is no if the one
    that failed is still open, because it began outside of what would be retried: an
    SQLAlchemy session or connection in a transaction, Django's `atomic`, a driver's
    connection in one.

    A connection that broke during COMMIT leaves unknown what happened. Where it would
    do harm to book twice, use `rolled_back`.

    Args:
        error: What a call raised.
    """
    return _verdicts.is_transient(error)


def rolled_back(error: Exception) -> bool:
    """
    Return the same as `transient`, where it is certain that nothing was done.

    These are its errors without connections that broke half way.

    Args:
        error: What a call raised.
    """
    return _verdicts.is_rolled_back(error)


def outcome(error: Exception) -> str:
    """
    Return what *error* is to a circuit breaker.

    Args:
        error: What a call raised.

    Returns:
        `success` where the database works, if only to say no: broken constraints,
        wrong values, wrong statements, no rows, deadlocks and other conflicts.
        `inconclusive` for what never left the process: no free connection in the
        pool, a statement that SQLAlchemy could not make. `ignored` for errors that
        are no database's, and for a statement that the deadline cut off. `failure`
        for everything else.
    """
    return _verdicts.outcome_of(error)


def in_transaction(connection: object) -> bool:
    """
    Return whether a transaction is open, a failed one included.

    Args:
        connection: A session or connection of SQLAlchemy's, sync or async, one of
            psycopg's, psycopg2's or asyncpg's, or Django's `connection`.

    Raises:
        TypeError: It is none of these.
    """
    answer = _transactions.is_in_transaction(connection)
    if answer is None:
        raise TypeError(f"{type(connection).__qualname__} is no connection to ask")

    return answer
