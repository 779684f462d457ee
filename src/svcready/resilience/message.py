"""
What the errors of message brokers mean to policies.

```python
import svcready
from svcready.resilience import message


@svcready.retry("orders-events", on=message.transient, attempts=5)
@svcready.circuit_breaker("orders-events", success=message.answered)
def publish(event): ...  # by pika, aio-pika, kombu, confluent_kafka, aiokafka, boto3
```

None of the libraries is imported: an error of theirs is known by its class's name. For
SQS and SNS `aws` judges, for Redis's streams `redis`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from svcready.resilience import aws
from svcready.resilience._aws import _errors as _aws_errors
from svcready.resilience._lineage import lineage
from svcready.resilience._message._errors import Kind, kind_of_error
from svcready.resilience._redis import _errors as _redis_errors
from svcready.resilience._timing import _deadline

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["answered", "local", "retry_after", "transient", "unrelated"]

_OUTCOMES = {
    Kind.LOST: "failure",
    Kind.UNUSABLE: "failure",
    Kind.REFUSED: "success",
    Kind.LOCAL: "inconclusive",
    Kind.UNKNOWN: "ignored",
}


class _Judge(NamedTuple):
    """Who judges the errors of one library."""

    may_pass: Callable[[Exception], bool]
    outcome_of: Callable[[Exception], str]


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
        return judge.may_pass(error)

    return kind_of_error(error) is Kind.LOST


def retry_after(error: Exception) -> float | None:
    """
    Return how many seconds the broker asks to wait, which only AWS's do.

    Args:
        error: What a call raised.
    """
    return aws.retry_after(error)


def answered(error: Exception) -> bool:
    """
    Return whether *error* shows that the broker works, if only to say no.

    It said that it will not, whenever it is asked: a queue that is not there, a
    message that no queue takes.
    A circuit breaker counts it as a success (`success=message.answered`).

    Args:
        error: What a call raised.
    """
    return _outcome_of(error) == "success"


def local(error: Exception) -> bool:
    """
    Return whether *error* never left the process, for a breaker's `inconclusive`.

    The client's own queue is full, or the call is wrong itself.

    Args:
        error: What a call raised.
    """
    return _outcome_of(error) == "inconclusive"


def unrelated(error: Exception) -> bool:
    """
    Return whether *error* says nothing of the broker, for a breaker's `ignore`.

    It is no broker's error, as those of a consumer's own work, or the deadline did
    not wait for the answer.

    Args:
        error: What a call raised.
    """
    return _outcome_of(error) == "ignored"


def _outcome_of(error: Exception) -> str:
    judge = _other(error)
    if judge is not None:
        return judge.outcome_of(error)

    kind = kind_of_error(error)
    if kind is Kind.LATE:
        return "failure" if _deadline.remaining() > 0.0 else "ignored"

    return _OUTCOMES[kind]


def _other(error: Exception) -> _Judge | None:
    """Return who judges the errors of brokers that are something else besides."""
    kinds = lineage(type(error))
    if not kinds.isdisjoint(("botocore.ClientError", "botocore.BotoCoreError")):
        return _Judge(aws.transient, _aws_errors.outcome_of)

    redis_kinds = ("redis.RedisError", "redis.RedisClusterException")
    if not kinds.isdisjoint(redis_kinds):
        return _Judge(_redis_errors.may_pass, _redis_errors.outcome_of)

    return None
