"""The messages of SQS and SNS in botocore's calls."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from svcready._core.http import OTHER_VALUE
from svcready.metrics.clients._messaging import Messaging

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["Addressed", "AwsMessages"]


class Addressed(NamedTuple):
    """A call that has to do with messages."""

    system: str
    destination: str
    """The name of the queue or topic."""
    operation: str
    """`send publish receive delete`."""
    messages: int
    """How many it hands over; 0 if it asks for some."""


_OPERATIONS = {
    "SendMessage": ("aws_sqs", "send", ""),
    "SendMessageBatch": ("aws_sqs", "send", "Entries"),
    "ReceiveMessage": ("aws_sqs", "receive", ""),
    "DeleteMessage": ("aws_sqs", "delete", ""),
    "DeleteMessageBatch": ("aws_sqs", "delete", "Entries"),
    "Publish": ("aws.sns", "publish", ""),
    "PublishBatch": ("aws.sns", "publish", "PublishBatchRequestEntries"),
}


class AwsMessages:
    """Counts the messages of calls, by queue and topic."""

    __slots__ = ("_by_system",)

    def __init__(self) -> None:
        self._by_system = {name: Messaging(name) for name in ("aws_sqs", "aws.sns")}

    def addressed(
        self, operation: str, params: Mapping[str, object]
    ) -> Addressed | None:
        """Return what a call with these parameters is about; None if no message."""
        known = _OPERATIONS.get(operation)
        if known is None:
            return None

        system, name, entries = known
        batch = params.get(entries) if entries else None
        messages = len(batch) if isinstance(batch, list) else 1
        return Addressed(
            system,
            _destination(params),
            name,
            0 if operation == "ReceiveMessage" else messages,
        )

    def ended(
        self,
        call: Addressed,
        seconds: float,
        error: str,
        parsed: Mapping[str, object],
    ) -> None:
        """Record a call: what it handed over, and what of that AWS refused."""
        system, destination, operation, messages = call
        metrics = self._by_system[system]
        metrics.took(destination, operation, seconds, error)
        if operation == "receive":
            metrics.consumed(destination, operation, _length(parsed.get("Messages")))
            return

        count = metrics.settled if operation == "delete" else metrics.sent
        if error:
            count(destination, operation, messages, error)
            return

        failed = parsed.get("Failed")
        refused = failed if isinstance(failed, list) else []
        for entry in refused:
            count(destination, operation, 1, str(entry.get("Code") or OTHER_VALUE))

        count(destination, operation, max(0, messages - len(refused)))


def _destination(params: Mapping[str, object]) -> str:
    url = params.get("QueueUrl")
    if isinstance(url, str):
        return url.rstrip("/").rpartition("/")[2]

    topic = params.get("TopicArn") or params.get("TargetArn")
    if not isinstance(topic, str):
        return ""  # a telephone number, which is nobody's business

    # A device's endpoint is one of millions: its ARN ends application/kind/id.
    return topic.rpartition(":")[2].partition("/")[0]


def _length(items: object) -> int:
    return len(items) if isinstance(items, list) else 0
