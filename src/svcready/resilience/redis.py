"""
What Redis's errors mean to policies.

```python
import svcready
from svcready.resilience import redis

cache = redis.without_retries(Redis())


@svcready.policy("cache", preset="redis")
def read(key): ...  # calls by redis-py, sync or async, a cluster's included
```

redis-py is not imported to judge: an error is known by its class's name.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

from svcready.resilience._redis._errors import may_pass, outcome_of

if TYPE_CHECKING:
    T = TypeVar("T")

__all__ = ["answered", "local", "transient", "unrelated", "without_retries"]


def transient(error: Exception) -> bool:
    """
    Return whether the command behind *error* may succeed if it is given again.

    Broken connections and time-outs, a server that loads its data or has become a
    replica, a cluster that is down or moves slots. Never: what a command was refused
    for, a wrong password, no free connection in the pool.

    After a broken connection or a time-out the server may have run the command. Where
    that does harm (`INCR`, `LPUSH`), retry what makes it harmless: a script that looks
    first, `SET ... NX`.

    Args:
        error: What a call raised.
    """
    return may_pass(error)


def answered(error: Exception) -> bool:
    """
    Return whether *error* shows that the server works, if only to say no.

    Every answer but those that are transient: a wrong type, a script that is not
    there, a lock that somebody has.
    A circuit breaker counts it as a success (`success=redis.answered`).

    Args:
        error: What a call raised.
    """
    return outcome_of(error) == "success"


def local(error: Exception) -> bool:
    """
    Return whether *error* never left the process, for a breaker's `inconclusive`.

    The pool had no free connection.

    Args:
        error: What a call raised.
    """
    return outcome_of(error) == "inconclusive"


def unrelated(error: Exception) -> bool:
    """
    Return whether *error* says nothing of the server, for a breaker's `ignore`.

    It is no error of Redis's, or the deadline did not wait for the answer.

    Args:
        error: What a call raised.
    """
    return outcome_of(error) == "ignored"


def without_retries(client: T) -> T:
    """
    Switch off a client's own retries, because attempts of both would multiply.

    redis-py makes three of its own with waits of up to ten seconds.

    Args:
        client: Of redis-py's, sync or async, a cluster's included; changed in place.

    Returns:
        *client*.

    Raises:
        TypeError: It is no such client.
    """
    client_: Any = client
    if not hasattr(client, "set_retry"):
        raise TypeError(f"{type(client).__qualname__} is no client of redis-py's")

    from redis.asyncio.retry import Retry as AsyncRetry
    from redis.backoff import NoBackoff
    from redis.retry import Retry

    kind = AsyncRetry if "asyncio" in type(client).__module__ else Retry
    never = kind(NoBackoff(), 0)
    try:
        client_.set_retry(never)
    except AttributeError:
        # It has told the pool; a BlockingConnectionPool can't tell its connections.
        for connection in getattr(client_.connection_pool, "_connections", ()):
            connection.retry = never

    return client
