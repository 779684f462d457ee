"""What an error of a broker's client says: lost, refused, or never sent."""

from __future__ import annotations

from enum import Enum
from typing import TYPE_CHECKING

from svcready.resilience._lineage import names_of

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["Kind", "kind_of_error"]


class Kind(Enum):
    """What happened to a message or a command."""

    LOST = "lost"
    """The connection broke or the broker can't take it now; later it may."""
    REFUSED = "refused"
    """The broker answered that it will not, whenever it is asked."""
    UNUSABLE = "unusable"
    """The broker lets this client not in, or they don't understand each other."""
    LOCAL = "local"
    """It never left the process."""
    LATE = "late"
    """Nobody waited for the answer any longer."""
    UNKNOWN = "unknown"
    """The error is no broker's."""


_CLASSES: Mapping[str, Kind] = {
    "pika.AuthenticationError": Kind.UNUSABLE,
    "pika.ProbableAuthenticationError": Kind.UNUSABLE,
    "pika.ProbableAccessDeniedError": Kind.UNUSABLE,
    "pika.IncompatibleProtocolError": Kind.UNUSABLE,
    "pika.ProtocolSyntaxError": Kind.UNUSABLE,
    "pika.UnexpectedFrameError": Kind.UNUSABLE,
    "pika.NoFreeChannels": Kind.LOCAL,
    "pika.ConnectionClosedByClient": Kind.LOCAL,
    "pika.ChannelClosedByClient": Kind.LOCAL,
    "pika.ReentrancyError": Kind.LOCAL,
    "pika.ShortStringTooLong": Kind.LOCAL,
    "pika.AMQPConnectionError": Kind.LOST,
    "pika.NackError": Kind.LOST,
    "pika.ConsumerCancelled": Kind.LOST,
    "pika.ChannelWrongStateError": Kind.LOST,
    "pika.ChannelClosed": Kind.REFUSED,
    "pika.UnroutableError": Kind.REFUSED,
    "pika.AMQPError": Kind.UNUSABLE,
    "aiormq.AuthenticationError": Kind.UNUSABLE,
    "aiormq.ProbableAuthenticationError": Kind.UNUSABLE,
    "aiormq.IncompatibleProtocolError": Kind.UNUSABLE,
    "aiormq.ConnectionNotAllowed": Kind.UNUSABLE,
    "aiormq.ConnectionCommandInvalid": Kind.UNUSABLE,
    "aiormq.ConnectionSyntaxError": Kind.UNUSABLE,
    "aiormq.ConnectionFrameError": Kind.UNUSABLE,
    "aiormq.ConnectionUnexpectedFrame": Kind.UNUSABLE,
    "aiormq.ConnectionNotImplemented": Kind.UNUSABLE,
    "aiormq.AMQPConnectionError": Kind.LOST,
    "aiormq.ChannelInvalidStateError": Kind.LOST,
    "aiormq.PublishError": Kind.REFUSED,
    "aiormq.DeliveryError": Kind.LOST,
    "aiormq.ChannelClosed": Kind.REFUSED,
    "aiormq.AMQPChannelError": Kind.LOST,
    "aiormq.AMQPError": Kind.UNUSABLE,
    "aio_pika.QueueEmpty": Kind.REFUSED,
    "aio_pika.MessageProcessError": Kind.UNKNOWN,
    "kombu.OperationalError": Kind.LOST,
    "kombu.LimitExceeded": Kind.LOCAL,
    "amqp.RecoverableConnectionError": Kind.LOST,
    "amqp.RecoverableChannelError": Kind.LOST,
    "amqp.ChannelError": Kind.REFUSED,
    "amqp.ConnectionError": Kind.UNUSABLE,
    "aiokafka.KafkaTimeoutError": Kind.LOST,
    "aiokafka.BrokerResponseError": Kind.REFUSED,
    "aiokafka.AuthenticationFailedError": Kind.UNUSABLE,
    "aiokafka.KafkaError": Kind.LOCAL,
    "kafka.KafkaTimeoutError": Kind.LOST,
    "kafka.BrokerResponseError": Kind.REFUSED,
    "kafka.KafkaError": Kind.LOCAL,
    "builtins.BufferError": Kind.LOCAL,  # confluent_kafka's queue is full
    "builtins.ConnectionError": Kind.LOST,
    "socket.gaierror": Kind.LOST,
    "builtins.TimeoutError": Kind.LATE,
}
"""By library and class; of an error's classes the first that is here tells."""

# RabbitMQ and AMQP 0-9-1: what a broker closes with that later may be otherwise.
_PASSING_REPLIES = frozenset((320, 506, 541))
_KAFKA_LOST = frozenset(
    (
        *("_TRANSPORT", "_ALL_BROKERS_DOWN", "_RESOLVE", "_TIMED_OUT", "_RETRY"),
        *("_TIMED_OUT_QUEUE", "_MSG_TIMED_OUT", "_WAIT_COORD", "_ISR_INSUFF"),
        *("_UNKNOWN_BROKER", "_NODE_UPDATE", "_DESTROY_BROKER"),
        *("LEADER_NOT_AVAILABLE", "NOT_LEADER_FOR_PARTITION", "REQUEST_TIMED_OUT"),
        *("BROKER_NOT_AVAILABLE", "REPLICA_NOT_AVAILABLE", "NETWORK_EXCEPTION"),
        *("COORDINATOR_LOAD_IN_PROGRESS", "COORDINATOR_NOT_AVAILABLE"),
        *("NOT_COORDINATOR", "NOT_ENOUGH_REPLICAS", "NOT_CONTROLLER"),
        *("NOT_ENOUGH_REPLICAS_AFTER_APPEND", "KAFKA_STORAGE_ERROR"),
        *("CONCURRENT_TRANSACTIONS", "THROTTLING_QUOTA_EXCEEDED"),
        *("UNKNOWN_TOPIC_OR_PART", "UNSTABLE_OFFSET_COMMIT", "OFFSET_NOT_AVAILABLE"),
    )
)
_KAFKA_UNUSABLE = frozenset(("_SSL", "_AUTHENTICATION", "SASL_AUTHENTICATION_FAILED"))
_KAFKA_FINAL = frozenset(("_FATAL", "_FENCED"))


def kind_of_error(error: Exception) -> Kind:
    """Tell what an error says."""
    names = names_of(type(error))
    if "cimpl.KafkaException" in names:
        return _confluent(error)

    kind = next((_CLASSES[name] for name in names if name in _CLASSES), Kind.UNKNOWN)
    if (
        kind in {Kind.REFUSED, Kind.LOCAL}
        and getattr(error, "retriable", False) is True
    ):
        return Kind.LOST

    # Such as a node that is shut down, which says so with a code.
    code = getattr(error, "reply_code", None)
    if "pika.ConnectionClosedByBroker" in names:
        return Kind.LOST if code in _PASSING_REPLIES else Kind.UNUSABLE

    if "pika.ChannelClosedByBroker" in names and code in _PASSING_REPLIES:
        return Kind.LOST

    return kind


def _confluent(error: Exception) -> Kind:
    told = error.args[0] if error.args else None
    name = str(getattr(told, "name", str)())
    retriable = bool(getattr(told, "retriable", bool)())
    if retriable or name in _KAFKA_LOST:
        return Kind.LOST

    if name in _KAFKA_UNUSABLE:
        return Kind.UNUSABLE

    answered = name in _KAFKA_FINAL or not name.startswith("_")
    return Kind.REFUSED if answered else Kind.LOCAL
