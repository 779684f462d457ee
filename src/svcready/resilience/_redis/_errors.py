"""What an error of redis-py's says: broken, busy, refused, or never sent."""

from __future__ import annotations

from svcready.resilience._lineage import lineage
from svcready.resilience._timing import _deadline

__all__ = ["may_pass", "outcome_of"]

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
# A full pool; the second one up to redis-py 5, which had no class for it.
_FULL = ("No connection available.", "Too many connections")


def may_pass(error: Exception) -> bool:
    """Return whether the same command may succeed soon."""
    kinds = lineage(type(error))
    if _is_full(error, kinds) or not kinds.isdisjoint(_REFUSED):
        return False

    return not kinds.isdisjoint(_TRANSIENT)


def outcome_of(error: Exception) -> str:
    """Return what an error is to a circuit breaker."""
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


def _is_full(error: Exception, kinds: frozenset[str]) -> bool:
    if "redis.MaxConnectionsError" in kinds:
        return True

    return "redis.ConnectionError" in kinds and str(error) in _FULL
