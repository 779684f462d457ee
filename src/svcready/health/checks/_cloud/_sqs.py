"""The checks of an SQS queue and of a dead-letter queue: do messages pile up."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, NamedTuple, cast
from urllib.parse import urlsplit

from svcready.errors import DeclarationError
from svcready.health._result import CheckResult
from svcready.health.checks._adding import add
from svcready.health.checks._cloud._aws import aws_check, unhurried
from svcready.health.checks._named import name_for
from svcready.health.checks._subjects import check_text

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Unpack

    from botocore.client import BaseClient

    from svcready.health.checks._adding import Options, ReadyMade
    from svcready.health.checks._cloud._aws import Call

__all__ = ["add_dlq", "add_sqs_queue"]

_COUNT = "ApproximateNumberOfMessages"
_MISSING = {
    "AWS.SimpleQueueService.NonExistentQueue": "the queue does not exist",
    "QueueDoesNotExist": "the queue does not exist",
}


def add_sqs_queue(
    url: str,
    *,
    name: str | None = None,
    warn_above: int | None = None,
    fail_above: int | None = None,
    warn_age: float | timedelta | str | None = None,
    client: BaseClient | None = None,
    **options: Unpack[Options],
) -> None:
    """
    Declare a health check of an SQS queue: that it is there, and how full it is.

    It reads the queue's attributes once a minute, and no message. The role needs
    `sqs:GetQueueAttributes`; without it the check warns.

    Args:
        url: The queue's URL.
        name: The check's; `sqs-` and the queue's name if not given.
        warn_above: More messages than that waiting are a warning.
        fail_above: More than that are a failure.
        warn_age: An oldest message older than that, in seconds or as `"10m"`, is a
            warning. Only CloudWatch knows the age, some minutes late and for a call
            of its own (`cloudwatch:GetMetricStatistics`), so it is not asked without.
        client: A client of the application's whose account and endpoint are used; a
            client of the check's own makes the calls.
        options: As of `svcready.health.check`; `interval` 60 s and `timeout` 5 s if
            not given.

    Raises:
        DeclarationError: An argument is wrong, or another check has the name.
    """
    check_text("add_sqs_queue", "the queue's URL", url)
    limits = _Limits(warn_above, fail_above, _age(warn_age), "messages that wait: {}")
    ready = _ready(url, client, limits)
    add(name or name_for("sqs", _name_of(url)), ready, unhurried(options))


def add_dlq(
    url: str,
    *,
    name: str | None = None,
    warn_above: int = 0,
    fail_above: int | None = None,
    client: BaseClient | None = None,
    **options: Unpack[Options],
) -> None:
    """
    Declare a health check of a dead-letter queue, which warns unless it is empty.

    As `add_sqs_queue` in everything else.

    Args:
        url: The queue's URL.
        name: The check's; `dlq-` and the queue's name if not given.
        warn_above: More messages than that are a warning.
        fail_above: More than that are a failure.
        client: A client of the application's whose account and endpoint are used.
        options: As of `svcready.health.check`; `interval` 60 s and `timeout` 5 s if
            not given.

    Raises:
        DeclarationError: An argument is wrong, or another check has the name.
    """
    check_text("add_dlq", "the queue's URL", url)
    say = "messages that could not be processed: {}"
    ready = _ready(url, client, _Limits(warn_above, fail_above, None, say))
    add(name or name_for("dlq", _name_of(url)), ready, unhurried(options))


class _Limits(NamedTuple):
    """What is too much of a queue."""

    warn_above: int | None
    fail_above: int | None
    warn_age_s: float | None
    say: str
    """How to say how many there are."""


def _ready(url: str, client: BaseClient | None, limits: _Limits) -> ReadyMade:
    for field in ("warn_above", "fail_above"):
        limit = getattr(limits, field)
        if limit is not None and (type(limit) is not int or limit < 0):
            msg = f"{field}={limit!r} is not allowed: use a whole number from 0"
            raise DeclarationError(msg)

    return aws_check(
        "sqs",
        lambda call: _look(call, url, limits),
        action="sqs:GetQueueAttributes",
        target=f"sqs {url}",
        kind="component",
        measurement="messages",
        region="" if client is not None else _region_of(url),
        like=client,
        known=_MISSING,
    )


def _look(call: Call, url: str, limits: _Limits) -> CheckResult:
    answer = call("get_queue_attributes", QueueUrl=url, AttributeNames=[_COUNT])
    attributes = cast("Mapping[str, str]", answer["Attributes"])
    count = int(attributes[_COUNT])
    status, output = "pass", ""
    if limits.fail_above is not None and count > limits.fail_above:
        status, output = "fail", limits.say.format(count)
    elif limits.warn_above is not None and count > limits.warn_above:
        status, output = "warn", limits.say.format(count)
    elif limits.warn_age_s is not None and count:
        age_s = _oldest_s(call, url)
        if age_s > limits.warn_age_s:
            status, output = "warn", f"the oldest message is {age_s:.0f} s old"

    return CheckResult(status, output, count, "1")


def _oldest_s(call: Call, url: str) -> float:
    """Return the age of the oldest message, as far as CloudWatch knows it."""
    now = datetime.now(UTC)
    answer = call(
        "get_metric_statistics",
        of="cloudwatch",
        Namespace="AWS/SQS",
        MetricName="ApproximateAgeOfOldestMessage",
        Dimensions=[{"Name": "QueueName", "Value": _name_of(url)}],
        StartTime=now - timedelta(minutes=10),
        EndTime=now,
        Period=60,
        Statistics=["Maximum"],
    )
    points = cast("Sequence[Mapping[str, float]]", answer["Datapoints"])
    if not points:
        return 0.0

    return float(max(points, key=lambda point: point["Timestamp"])["Maximum"])


def _age(value: float | timedelta | str | None) -> float | None:
    if value is None:
        return None

    from svcready.config._kinds import duration

    kind = duration(0.0, 14 * 86400.0)  # SQS keeps nothing longer
    try:
        return kind.parse(value)
    except ValueError:
        msg = f"warn_age={value!r} is not allowed: use {kind.allowed}"
        raise DeclarationError(msg) from None


def _name_of(url: str) -> str:
    name = urlsplit(url).path.rpartition("/")[2]
    if not name:
        raise DeclarationError(
            "the URL of a queue ends with its name; this one doesn't"
        )

    return name


def _region_of(url: str) -> str:
    parts = (urlsplit(url).hostname or "").split(".")
    return parts[1] if parts[0] == "sqs" and len(parts) > 3 else ""
