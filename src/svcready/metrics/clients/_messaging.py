"""The metrics of message brokers' clients, by OpenTelemetry's conventions."""

from __future__ import annotations

from typing import TYPE_CHECKING

from svcready.metrics._instruments._register import REGISTER
from svcready.metrics.clients._shared import DECLARE

if TYPE_CHECKING:
    from svcready.metrics._instruments._timer import Stopwatch

__all__ = ["Messaging", "messaging"]

_PROCESS = "messaging.process.duration"
_WHERE = ("messaging_system", "messaging_destination_name", "messaging_operation_name")


class Messaging:
    """
    What a broker's clients send, receive, settle and process.

    Args:
        system: `aws_sqs`, `rabbitmq`, ... as OpenTelemetry has it.
    """

    __slots__ = ("_consumed", "_duration", "_sent", "_settled", "_system", "process")

    def __init__(self, system: str) -> None:
        self._system = system
        self._duration = DECLARE.timer(
            "messaging.client.operation.duration",
            "Duration of sending, receiving and settling messages.",
            labels=(*_WHERE, "error_type"),
        )
        self.process = DECLARE.timer(
            _PROCESS,
            "Duration of processing a message, or what was received at once.",
            labels=(*_WHERE, "error_type"),
        )
        self._sent, self._consumed, self._settled = (
            DECLARE.counter(
                f"messaging.client.{what}.messages",
                text,
                unit="{message}",
                labels=(*_WHERE, "error_type"),
            )
            for what, text in (
                ("sent", "Messages that were to be sent to the broker."),
                ("consumed", "Messages that were delivered to the application."),
                ("settled", "Messages that were acknowledged, rejected or deleted."),
            )
        )

    @property
    def watch(self) -> Stopwatch:
        """What tells the time in seconds."""
        return self._duration.stopwatch

    def took(
        self, destination: str, operation: str, seconds: float, error: str = ""
    ) -> None:
        """Record how long a call of the broker took."""
        keys = (self._system, destination, operation)
        self._duration.labels(*keys, error).observe(seconds)

    def sent(
        self, destination: str, operation: str, messages: int = 1, error: str = ""
    ) -> None:
        """Count messages that were sent, or, with an error, that could not be."""
        if messages:
            keys = (self._system, destination, operation)
            self._sent.labels(*keys, error).inc(messages)

    def consumed(
        self, destination: str, operation: str, messages: int = 1, error: str = ""
    ) -> None:
        """Count messages that came."""
        if messages:
            keys = (self._system, destination, operation)
            self._consumed.labels(*keys, error).inc(messages)

    def settled(
        self, destination: str, operation: str, messages: int = 1, error: str = ""
    ) -> None:
        """Count messages that were done with, one way or the other."""
        if messages:
            keys = (self._system, destination, operation)
            self._settled.labels(*keys, error).inc(messages)

    def processed(
        self,
        destination: str,
        seconds: float,
        error: str = "",
        operation: str = "process",
    ) -> None:
        """Record how long the application took for a message."""
        keys = (self._system, destination, operation)
        self.process.labels(*keys, error).observe(seconds)


_kept: dict[str, Messaging] = {}


def messaging(system: str) -> Messaging:
    """Return the metrics of *system*, made once; for what is asked often."""
    known = _kept.get(system)
    if known is None or known.process is not REGISTER.get(_PROCESS):
        known = _kept[system] = Messaging(system)

    return known
