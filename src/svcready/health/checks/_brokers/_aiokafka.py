"""The check of a Kafka cluster by aiokafka."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING, cast

from svcready.health._result import CheckResult
from svcready.health._running._allowed import allowed_s
from svcready.health.checks._brokers._hushed import hushed
from svcready.health.checks._deadline import share_of
from svcready.health.checks._kept import Kept
from svcready.health.checks._trip import Trip

if TYPE_CHECKING:
    from asyncio import AbstractEventLoop
    from collections.abc import Mapping, Sequence

    from aiokafka.client import AIOKafkaClient

__all__ = ["OwnProbe", "TheirProbe", "leaderless"]

_NOT_ALLOWED = 29  # TOPIC_AUTHORIZATION_FAILED, of Kafka's protocol
_NO_LEADER_YET = 5  # LEADER_NOT_AVAILABLE


class TheirProbe:
    """
    Looks by the application's producer, consumer or admin client.

    Args:
        client: The application's.
        topic: What to ask for; only the brokers if empty.
    """

    def __init__(self, client: object, topic: str) -> None:
        self._owner = client
        inner = getattr(client, "client", None) or client._client  # type: ignore[attr-defined] # noqa: SLF001
        self._client = cast("AIOKafkaClient", inner)
        apart = hasattr(client, "subscription")  # a consumer
        self._trip = Trip(_Asker(self._client, topic, apart=apart).ask)
        self._failed = False

    def where(self) -> str:
        """Say where the cluster is."""
        return _where(self._client.hosts)

    async def run(self) -> CheckResult:
        """Ask a broker, unless the client has been stopped."""
        import asyncio

        if getattr(self._owner, "_closed", False):
            return CheckResult("fail", "the application has stopped the client")

        limit_s = share_of(allowed_s())
        if self._failed:
            # The client would write to the application's log, from a task of its own,
            # each time that it is asked for a broker that is not there.
            async with asyncio.timeout(limit_s):
                await _reach(self._client)

        self._failed = True
        loop: AbstractEventLoop = self._client._loop  # noqa: SLF001
        result = await self._trip.go(loop, limit_s)
        self._failed = result.status == "fail"
        return result


class OwnProbe:
    """
    Looks by a client of its own, on the loop on which the check runs.

    Args:
        said: What to make the client with.
        topic: What to ask for; only the brokers if empty.
    """

    def __init__(self, said: Mapping[str, object], topic: str) -> None:
        self._said = dict(said)
        self._topic = topic
        self._kept: Kept[tuple[AbstractEventLoop, AIOKafkaClient]] = Kept(_let_go)
        self.close = self._kept.close

    def where(self) -> str:
        """Say where the cluster is."""
        servers = self._said["bootstrap_servers"]
        return servers if isinstance(servers, str) else ",".join(map(str, servers))  # type: ignore[call-overload]

    async def run(self) -> CheckResult:
        """Ask on the kept client, or on a new one."""
        import asyncio

        limit_s = share_of(allowed_s())
        loop = asyncio.get_running_loop()
        kept = self._kept.take()
        if kept is not None and kept[0] is not loop:
            _let_go(kept)
            kept = None

        client = kept[1] if kept else self._made(limit_s)
        try:
            async with asyncio.timeout(limit_s):
                with hushed("aiokafka", lasting=True):
                    if not kept:
                        await client.bootstrap()

                    result = await _Asker(client, self._topic, apart=False).ask()
        except BaseException:
            await client.close()
            raise

        self._kept.keep((loop, client))
        return result

    def _made(self, limit_s: float) -> AIOKafkaClient:
        from aiokafka.client import AIOKafkaClient as Client

        made: AIOKafkaClient = Client(
            **{
                "client_id": "svcready-health-check",
                **self._said,
                # It gives up by itself, which ends its connections better than a
                # cancellation does.
                "request_timeout_ms": max(1, int(limit_s * 1000 / 2)),
            }
        )
        return made


def leaderless(topic: str, leaders: Sequence[int]) -> CheckResult:
    """Make a result of the leaders of a topic's partitions; -1 is none."""
    without = sum(1 for leader in leaders if leader < 0)
    if not without:
        return CheckResult("pass")

    many = f"{without} of {len(leaders)} partitions"
    return CheckResult("warn", f"topic {topic}: {many} have no leader")


class _Asker:
    """
    Asks one broker after the other, until one answers.

    Args:
        client: By which connections.
        topic: What to ask for; only the brokers if empty.
        apart: Whether on connections apart from those of the records, on which an
            answer waits for those that a consumer asked for.
    """

    def __init__(self, client: AIOKafkaClient, topic: str, *, apart: bool) -> None:
        self._client = client
        self._topic = topic
        self._apart = apart
        self._good = -1

    async def ask(self) -> CheckResult:
        """Ask for the metadata; raise what the last broker's failure was."""
        from aiokafka.client import ConnectionGroup
        from aiokafka.errors import KafkaError

        nodes = [broker.nodeId for broker in self._client.cluster.brokers()]
        if not nodes:
            return CheckResult("fail", "the client has not been started")

        random.shuffle(nodes)
        nodes.sort(key=lambda node: node != self._good)  # a new connection costs more
        # Before 0.14, other connections lead to coordinators only.
        cluster = self._client.cluster
        apart = self._apart and not hasattr(cluster, "coordinator_metadata")
        group = ConnectionGroup.COORDINATION if apart else ConnectionGroup.DEFAULT
        error: Exception = KafkaError("no broker")
        for node in nodes:
            request = _request([self._topic] if self._topic else [])
            try:
                with hushed("aiokafka"):
                    answer = await self._client.send(node, request, group=group)
            except KafkaError as failed:
                error = failed
            else:
                self._good = node
                return _judge(answer.to_object(), self._topic)

        self._good = -1
        raise error


def _is_old() -> bool:
    from aiokafka.protocol.metadata import MetadataRequest

    return isinstance(MetadataRequest, list)  # one by version, before 0.13


def _request(topics: list[str]) -> object:
    from aiokafka.protocol.metadata import MetadataRequest

    # The first version that can ask for no topic is 1.
    kind = MetadataRequest[1] if _is_old() else MetadataRequest
    return kind(topics)


def _judge(answer: Mapping[str, object], topic: str) -> CheckResult:
    from aiokafka.errors import for_code

    if not answer["brokers"]:
        return CheckResult("fail", "the cluster names no broker")

    for found in cast("Sequence[Mapping[str, object]]", answer["topics"]):
        code = cast("int", found["error_code"])
        if code == _NOT_ALLOWED:
            return CheckResult("warn", f"topic {topic}: not allowed to describe it")

        if code not in {0, _NO_LEADER_YET}:
            return CheckResult("fail", f"topic {topic}: {for_code(code).__name__}")

        partitions = cast("Sequence[Mapping[str, int]]", found["partitions"])
        return leaderless(topic, [partition["leader"] for partition in partitions])

    return CheckResult("pass")


async def _reach(client: AIOKafkaClient) -> None:
    """Connect to any broker, and leave it again."""
    import asyncio

    error: OSError = ConnectionError("the client knows no broker")
    for broker in client.cluster.brokers():
        try:
            _, writer = await asyncio.open_connection(broker.host, broker.port)
        except OSError as failed:
            error = failed
        else:
            writer.transport.abort()
            return

    raise error


def _where(hosts: Sequence[tuple[object, ...]]) -> str:
    return ",".join(sorted(f"{host[0]}:{host[1]}" for host in hosts))


def _let_go(kept: tuple[AbstractEventLoop, AIOKafkaClient]) -> None:
    """Close a client from another thread, or of another loop than this one."""
    loop, client = kept
    if loop.is_running():
        loop.call_soon_threadsafe(lambda: loop.create_task(client.close()))
