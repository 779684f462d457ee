"""
What AWS's answers and errors mean to policies, and policies around botocore's calls.

```python
import boto3
from svcready.resilience import aws

table = aws.guard(boto3.client("dynamodb"), "orders-table")
table.get_item(TableName="orders", Key=key)  # retried, behind a circuit breaker
```

botocore is not imported: an error of its is known by its class's name.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

from svcready.resilience import _deadline
from svcready.resilience._aws._errors import (
    answer_of,
    is_broken,
    is_throttled,
    may_pass,
)
from svcready.resilience._lineage import lineage

if TYPE_CHECKING:
    from collections.abc import Callable

    from svcready.resilience._policy import Policy

    T = TypeVar("T")

__all__ = ["guard", "outcome", "overloaded", "retry_after", "transient"]

_SERVER_ERROR = 500
_LONGEST_MS = 86_400_000


def transient(error: Exception) -> bool:
    """
    Return whether the request behind *error* may succeed if it is made again.

    As botocore's own `standard` retries judge: throttling, 500, 502, 503 and 504,
    time-outs and broken connections; and of a cancelled transaction of DynamoDB's if
    every item's reason may pass. Not if botocore has made its own attempts already,
    because attempts would multiply.

    AWS calls for repeating every operation in these cases, writes included. Where an
    operation has an idempotency token, `guard` sends the same one in each attempt.

    Args:
        error: What a call raised.
    """
    answer = answer_of(error)
    if answer is None:
        return is_broken(error)

    return may_pass(answer) and not answer.retried


def retry_after(error: Exception) -> float | None:
    """
    Return how many seconds the service asks to wait: `x-amz-retry-after`.

    Args:
        error: What a call raised.
    """
    answer = answer_of(error)
    told = "" if answer is None else answer.headers.get("x-amz-retry-after", "")
    if not (told.isascii() and told.isdigit()):
        return None

    return min(int(told[:12]), _LONGEST_MS) / 1000.0


def outcome(error: Exception) -> str:
    """
    Return what *error* is to a circuit breaker.

    Args:
        error: What a call raised.

    Returns:
        `failure` for throttling, for answers from 500 on and for broken connections;
        `success` for all other answers, a condition that did not hold included;
        `inconclusive` for what never left the process, such as wrong parameters or
        no credentials; `ignored` for errors that are not AWS's, and for an answer
        that the deadline did not wait for.
    """
    answer = answer_of(error)
    if answer is not None:
        failed = answer.status >= _SERVER_ERROR or is_throttled(answer)
        return "failure" if failed else "success"

    kinds = lineage(type(error))
    if "botocore.ReadTimeoutError" in kinds and _deadline.remaining() <= 0.0:
        return "ignored"

    if is_broken(error) or "builtins.TimeoutError" in kinds:
        return "failure"

    return "inconclusive" if "botocore.BotoCoreError" in kinds else "ignored"


def overloaded(error: Exception) -> bool:
    """
    Return whether the service says that it is asked too much.

    Args:
        error: What a call raised.
    """
    answer = answer_of(error)
    return answer is not None and is_throttled(answer)


def guard(
    client: T, policy: Policy | str | Callable[[str], Policy | str] | None = None
) -> T:
    """
    Put a policy around each call of an AWS client, or of a session's clients.

    Every attempt meets the policy's breaker and bulkhead, waits for an answer no
    longer than the deadline leaves, and sends the same idempotency token and the
    whole body; a body that can't be read again is sent once. Where the policy has a
    retry or a hedge, botocore's own retries are switched off for this client, because
    attempts would multiply; else they stay.

    Args:
        client: A client of boto3's, botocore's or aiobotocore's, guarded in place, or
            a session, whose clients are guarded as it makes them. Twice changes
            nothing.
        policy: A policy, its name, or a function that tells either of
            `dynamodb.GetItem`. A name that is declared nowhere until the first call
            gets the preset `aws`. None: `aws.dynamodb` and so on, by service.

    Returns:
        *client*.

    Raises:
        DeclarationError: The name can't be one.
        TypeError: It is neither client nor session.
    """
    from svcready.resilience._aws import _sessions
    from svcready.resilience._aws._calls import named

    if policy is not None and not callable(policy):
        named(policy, "")  # says now what is wrong with it

    def policies_of(made: Any) -> Policy | str | Callable[[str], Policy | str]:
        return policy or f"aws.{made.meta.service_model.service_name}"

    if "botocore.BaseClient" in lineage(type(client)):
        _sessions.guard_client(client, policies_of(client))
    elif type(client).__name__ in {"Session", "AioSession"}:
        _sessions.guard_session(client, policies_of)
    else:
        raise TypeError(f"{type(client).__qualname__} is neither client nor session")

    return client
