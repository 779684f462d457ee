"""
What the errors of message brokers mean to policies.

```python
import svcready
from svcready.resilience import message


@svcready.retry("orders-events", on=message.transient, attempts=5)
@svcready.circuit_breaker("orders-events", outcome=message.outcome)
def publish(event): ...  # by pika, aio-pika, kombu, confluent_kafka, aiokafka, boto3
```

None of the libraries is imported: an error of theirs is known by its class's name. For
SQS and SNS `aws` judges, for Redis's streams `redis`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from svcready.resilience import _deadline, aws, redis
from svcready.resilience._lineage import lineage
from svcready.resilience._message._errors import Kind, kind_of_error

if TYPE_CHECKING:
    from types import ModuleType

__all__ = ["outcome", "retry_after", "transient"]


def transient(error: Exception) -> bool:
    """
    Return whether a message may be sent or taken if that is tried again.

    Connections and channels that broke, a broker that goes down or refuses for now
    (a negative confirm, a leader that is being elected, replicas that are missing).
    Never: an exchange or queue that does not exist, a message that no queue takes, one
    that is too large, a wrong password.

    A message whose confirm was lost may have arrived: consumers must know it by its
    id.

    Args:
        error: What a call raised.
    """
    judge = _other(error)
    if judge is not None:
        return bool(judge.transient(error))

    return kind_of_error(error) is Kind.LOST


def retry_after(error: Exception) -> float | None:
    """
    Return how many seconds the broker asks to wait, which only AWS's do.

    Args:
        error: What a call raised.
    """
    return aws.retry_after(error)


def outcome(error: Exception) -> str:
    """
    Return what *error* is to a circuit breaker.

    Args:
        error: What a call raised.

    Returns:
        `failure` for what is transient, and where the broker can't be used as it is;
        `success` where it answered that it will not; `inconclusive` for what never
        left the process, a full queue of the client's included; `ignored` for errors
        that are no broker's, as those of a consumer's own work, and for an answer
        that the deadline did not wait for.
    """
    judge = _other(error)
    if judge is not None:
        return str(judge.outcome(error))

    kind = kind_of_error(error)
    if kind is Kind.LATE:
        return "failure" if _deadline.remaining() > 0.0 else "ignored"

    return _OUTCOMES[kind]


_OUTCOMES = {
    Kind.LOST: "failure",
    Kind.UNUSABLE: "failure",
    Kind.REFUSED: "success",
    Kind.LOCAL: "inconclusive",
    Kind.UNKNOWN: "ignored",
}


def _other(error: Exception) -> ModuleType | None:
    """Return who judges the errors of brokers that are something else besides."""
    kinds = lineage(type(error))
    if not kinds.isdisjoint(("botocore.ClientError", "botocore.BotoCoreError")):
        return aws

    redis_kinds = ("redis.RedisError", "redis.RedisClusterException")
    return None if kinds.isdisjoint(redis_kinds) else redis
