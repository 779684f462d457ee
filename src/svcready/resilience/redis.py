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

from svcready.resilience import _deadline
from svcready.resilience._lineage import lineage

if TYPE_CHECKING:
    T = TypeVar("T")

__all__ = ["outcome", "transient", "without_retries"]

_TRANSIENT = (
    "redis.ConnectionError",
    "redis.TimeoutError",
    "redis.BusyLoadingError",
    "redis.ReadOnlyError",  # of a replica that was the master
    "redis.ClusterDownError",
    "redis.TryAgainError",
    "redis.SlotNotCoveredError",
    "builtins.ConnectionError",
)
_FAILED = (*_TRANSIENT, "redis.OutOfMemoryError", "redis.AuthenticationError")
_REFUSED = (
    "redis.AuthenticationError",
    "redis.AuthorizationError",
    "redis.ExternalAuthProviderError",
)
_FULL = "No connection available."


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
    kinds = lineage(type(error))
    if _is_full(error, kinds) or not kinds.isdisjoint(_REFUSED):
        return False

    return not kinds.isdisjoint(_TRANSIENT)


def outcome(error: Exception) -> str:
    """
    Return what *error* is to a circuit breaker.

    Args:
        error: What a call raised.

    Returns:
        `failure` for what is transient, a wrong password and a full memory; `success`
        for every other answer of the server's, and locks that others have;
        `inconclusive` where the pool had no free connection; `ignored` for errors
        that are not Redis's, and for an answer that the deadline did not wait for.
    """
    kinds = lineage(type(error))
    if _is_full(error, kinds):
        return "inconclusive"

    late = not kinds.isdisjoint(("redis.TimeoutError", "builtins.TimeoutError"))
    if late and _deadline.remaining() <= 0.0:
        return "ignored"

    if late or not kinds.isdisjoint(_FAILED):
        return "failure"

    known = not kinds.isdisjoint(("redis.RedisError", "redis.RedisClusterException"))
    return "success" if known else "ignored"


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

    from redis.backoff import NoBackoff

    if "asyncio" in type(client).__module__:
        from redis.asyncio.retry import Retry as AsyncRetry

        client_.set_retry(AsyncRetry(NoBackoff(), 0))
    else:
        from redis.retry import Retry

        client_.set_retry(Retry(NoBackoff(), 0))

    return client


def _is_full(error: Exception, kinds: frozenset[str]) -> bool:
    if "redis.MaxConnectionsError" in kinds:
        return True

    return "redis.ConnectionError" in kinds and str(error) == _FULL
