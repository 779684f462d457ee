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

from svcready.resilience._aws._errors import (
    answer_of,
    is_broken,
    is_throttled,
    may_pass,
    outcome_of,
)
from svcready.resilience._lineage import lineage

if TYPE_CHECKING:
    from collections.abc import Callable

    from svcready.resilience._composing._policy import Policy

    T = TypeVar("T")

__all__ = [
    "answered",
    "guard",
    "local",
    "overloaded",
    "retry_after",
    "transient",
    "unrelated",
]

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


def answered(error: Exception) -> bool:
    """
    Return whether *error* shows that the service works, if only to say no.

    All answers below 500 but throttling: a condition that did not hold, a key that
    is not there, no permission.
    A circuit breaker counts it as a success (`success=aws.answered`).

    Args:
        error: What a call raised.
    """
    return outcome_of(error) == "success"


def local(error: Exception) -> bool:
    """
    Return whether *error* never left the process, for a breaker's `inconclusive`.

    The parameters are wrong, or there are no credentials.

    Args:
        error: What a call raised.
    """
    return outcome_of(error) == "inconclusive"


def unrelated(error: Exception) -> bool:
    """
    Return whether *error* says nothing of the service, for a breaker's `ignore`.

    It is no error of AWS's, or the deadline did not wait for the answer.

    Args:
        error: What a call raised.
    """
    return outcome_of(error) == "ignored"


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
