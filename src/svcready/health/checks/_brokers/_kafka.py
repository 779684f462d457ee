"""The check of a Kafka cluster, by the client library that the application uses."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Protocol, cast

from svcready._core.optional import installed
from svcready.errors import DeclarationError, MissingExtraError
from svcready.health._result import CheckResult
from svcready.health._running._allowed import allowed_s
from svcready.health.checks._adding import ReadyMade, add
from svcready.health.checks._brokers._aiokafka import OwnProbe, TheirProbe, leaderless
from svcready.health.checks._deadline import share_of
from svcready.health.checks._kept import Kept
from svcready.health.checks._subjects import refuse

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Unpack

    from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
    from aiokafka.admin import AIOKafkaAdminClient
    from confluent_kafka import Consumer, Producer
    from confluent_kafka.admin import AdminClient

    from svcready.health.checks._adding import Options

__all__ = ["add_kafka"]


def add_kafka(
    client: (
        Producer
        | Consumer
        | AdminClient
        | AIOKafkaProducer
        | AIOKafkaConsumer
        | AIOKafkaAdminClient
        | Mapping[str, object]
        | str
    ),
    *,
    name: str | None = None,
    topic: str = "",
    **options: Unpack[Options],
) -> None:
    """
    Declare a health check of a Kafka cluster.

    It asks a broker for the cluster's metadata: of *topic*, or of all topics where a
    client of confluent-kafka gives no other choice. It warns of partitions of *topic*
    that have no leader, which cannot be written to.

    Args:
        client: The application's client of confluent-kafka or aiokafka; or how a
            client of the check's own connects: bootstrap servers as text, or the
            configuration in either library's words.
        name: The check's; `kafka` if not given.
        topic: What the application uses and the cluster has: asking for one that is
            missing may create it. Clusters of thousands of topics want it given.
        options: As of `svcready.health.check`.

    Raises:
        DeclarationError: An option is wrong, another check has the name, or *client*
            is none.
        MissingExtraError: Neither library is installed.
    """
    subject: object = client
    if isinstance(client, str | Mapping):
        ready = _own(client, topic)
    elif _is_aiokafka(subject):
        their = TheirProbe(subject, topic)
        ready = _ready(their.run, f"kafka {their.where()}")
    elif hasattr(subject, "list_topics"):
        confluent = cast("_Confluent", subject)
        target = (
            f"kafka of the {type(subject).__name__}"  # it does not tell its servers
        )
        ready = _ready(lambda: _look(confluent, topic), target)
    else:
        raise refuse("add_kafka", "a client or bootstrap servers", subject)

    add(name or "kafka", ready, options)


class _Confluent(Protocol):
    def list_topics(self, *, timeout: float) -> object: ...


def _ready(
    run: Callable[[], object], target: str, close: Callable[[], None] | None = None
) -> ReadyMade:
    return ReadyMade(run, kind="component", target=target, close=close)


def _own(said: str | Mapping[str, object], topic: str) -> ReadyMade:
    """Make the check with a client of its own."""
    if isinstance(said, str):
        dotted = installed("confluent_kafka")
        if not dotted and not installed("aiokafka"):
            msg = (
                "health.add_kafka needs the package 'confluent-kafka' or 'aiokafka', "
                "and none is installed: pip install confluent-kafka"
            )
            raise MissingExtraError(msg, name="confluent_kafka")

        said = {"bootstrap.servers" if dotted else "bootstrap_servers": said}

    if "bootstrap.servers" in said:
        probe = _OwnProbe(said, topic)
        where = str(said["bootstrap.servers"])
        return _ready(probe.run, f"kafka {where}", probe.close)

    if "bootstrap_servers" in said:
        own = OwnProbe(said, topic)
        return _ready(own.run, f"kafka {own.where()}", own.close)

    msg = (
        "health.add_kafka needs 'bootstrap.servers' (confluent-kafka) or "
        f"'bootstrap_servers' (aiokafka) among {sorted(said)}"
    )
    raise DeclarationError(msg)


class _OwnProbe:
    """
    Looks by a client of confluent-kafka that is the check's own.

    It is kept whatever happens: it connects again by itself, by threads of its own
    that would otherwise come and go with each run.

    Args:
        said: Its configuration.
        topic: What to ask for; all topics if empty.
    """

    def __init__(self, said: Mapping[str, object], topic: str) -> None:
        self._said = dict(said)
        self._topic = topic
        self._kept: Kept[_Confluent] = Kept(lambda _: None)  # to let go is to close
        self.close = self._kept.close

    def run(self) -> CheckResult:
        """Ask for the metadata."""
        client = self._kept.take() or self._made()
        try:
            return _look(client, self._topic)
        finally:
            self._kept.keep(client)

    def _made(self) -> _Confluent:
        from confluent_kafka.admin import AdminClient

        configuration: dict[str, object] = {
            "client.id": "svcready-health-check",
            "reconnect.backoff.max.ms": 1000,
            **self._said,
            "log_level": 0,  # it writes to stderr at each attempt to connect
        }
        made: _Confluent = AdminClient(configuration)  # type: ignore[arg-type]
        return made


def _look(client: _Confluent, topic: str) -> CheckResult:
    from confluent_kafka import KafkaException

    only = {"topic": topic} if topic else {}
    try:
        metadata = client.list_topics(timeout=share_of(allowed_s()), **only)
    except KafkaException as error:
        why = error.args[0]
        return CheckResult("fail", f"{why.name()}: {why.str()}")

    return _judge(metadata, topic)


def _judge(metadata: object, topic: str) -> CheckResult:
    if not metadata.brokers:  # type: ignore[attr-defined]
        return CheckResult("fail", "the cluster names no broker")

    if not topic:
        return CheckResult("pass")

    found = metadata.topics[topic]  # type: ignore[attr-defined]
    if found.error is not None:
        refused = found.error.name() == "TOPIC_AUTHORIZATION_FAILED"
        status = "warn" if refused else "fail"
        return CheckResult(status, f"topic {topic}: {found.error.str()}")

    leaders = [partition.leader for partition in found.partitions.values()]
    return leaderless(topic, leaders)


def _is_aiokafka(client: object) -> bool:
    return any(
        kind.__module__.partition(".")[0] == "aiokafka" for kind in type(client).__mro__
    )
