"""How many messages an SQS queue holds, asked now and then."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, cast

from svcready._transport.aws import make_client
from svcready.metrics.clients._polling import POLLER
from svcready.metrics.clients._shared import DECLARE

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from botocore.client import BaseClient

__all__ = ["instrument_queue"]

_TIMEOUT_S = 5.0
_STATES = {
    "ApproximateNumberOfMessages": "ready",
    "ApproximateNumberOfMessagesNotVisible": "in_flight",
    "ApproximateNumberOfMessagesDelayed": "delayed",
}


def instrument_queue(
    queue_url: str, client: BaseClient | None = None, *, interval: float = 30.0
) -> Callable[[], None]:
    """
    Observe how many messages an SQS queue holds.

    Each process of the service asks, and together they show the largest answer. The
    call needs `sqs:GetQueueAttributes`. Again for the same queue, it changes nothing.

    Args:
        queue_url: The queue's URL.
        client: An SQS client; by default one of our own.
        interval: Seconds between two questions, each of which AWS bills.

    Returns:
        What ends it.
    """
    known = _observed.get(queue_url)
    if known is not None:
        return known

    queue = _Queue(queue_url, client)
    end_polling = POLLER.poll(queue.ask, interval)

    def end() -> None:
        end_polling()
        _observed.pop(queue_url, None)
        queue.forget()

    return _observed.setdefault(queue_url, end)


_observed: dict[str, Callable[[], None]] = {}


class _Queue:
    """One queue, and what was last heard of it."""

    def __init__(self, url: str, client: BaseClient | None) -> None:
        self._url = url
        self._client = client
        self._name = url.rstrip("/").rpartition("/")[2]
        self._levels = DECLARE.gauge(
            "messaging.queue.messages",
            "Messages that a queue holds, about: ready, in flight, delayed.",
            unit="{message}",
            labels=("messaging_system", "messaging_destination_name", "state"),
            workers="max",  # all ask the same queue
        )

    def ask(self) -> None:
        """Ask AWS; what it does not answer is not known."""
        try:
            found = self._attributes()
        except Exception:
            self.forget()
            raise

        for attribute, state in _STATES.items():
            self._level(state, float(found.get(attribute, math.nan)))

    def forget(self) -> None:
        """Say that the levels are not known."""
        for state in _STATES.values():
            self._level(state, math.nan)

    def _level(self, state: str, value: float) -> None:
        self._levels.labels("aws_sqs", self._name, state).set(value)

    def _attributes(self) -> Mapping[str, str]:
        if self._client is None:
            self._client = make_client("sqs", timeout_s=_TIMEOUT_S)

        ask = cast(
            "Callable[..., Mapping[str, Mapping[str, str]]]",
            getattr(self._client, "get_queue_attributes"),  # noqa: B009 - made by botocore
        )
        answer = ask(QueueUrl=self._url, AttributeNames=list(_STATES))
        return answer.get("Attributes", {})
