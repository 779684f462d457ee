"""What the check of Redis knows of the application's client, and what answers mean."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, cast

from svcready.health._result import CheckResult
from svcready.health.checks._brokers._redis_sentinel import Sentinels

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from svcready.health.checks._brokers._redis_sentinel import SentinelsPool

__all__ = [
    "Answered",
    "Maker",
    "Subject",
    "is_about_sentinels",
    "is_async",
    "is_client",
]

# What a connection gets from its pool to serve it.
_POOLS_OWN = ("maint_", "maintenance_", "oss_cluster_", "orig_")


class Maker(NamedTuple):
    """How connections to one server are made."""

    make: Callable[..., object]
    arguments: Mapping[str, object]

    def where(self) -> str:
        """Say where the server is, without secrets."""
        arguments = self.arguments
        path = arguments.get("path")
        if path:
            return f"unix:{path}"

        where = f"{arguments.get('host', 'localhost')}:{arguments.get('port', 6379)}"
        database = arguments.get("db") or 0
        return f"{where}/{database}" if database else where


class Answered(NamedTuple):
    """What the answers of a server mean."""

    result: CheckResult
    is_right: bool
    """Whether it is the server to stay connected with."""


class Subject:
    """
    What is checked, as the application's client knows it.

    Args:
        client: The application's.
        replica: Whether a replica is meant; None to decide by the client.
    """

    def __init__(self, client: object, *, replica: bool | None) -> None:
        self._client = client
        self._turn = 0
        self._is_cluster = any(
            kind.__name__ == "RedisCluster" for kind in type(client).__mro__
        )
        self._pool: object = getattr(client, "connection_pool", None)
        # A Sentinel's pool knows which of the two it looks for.
        self._replica = (
            not getattr(self._pool, "is_master", True) if replica is None else replica
        )
        self.commands: tuple[tuple[str, ...], ...] = (
            ("PING",),
            ("CLUSTER", "INFO") if self._is_cluster else ("ROLE",),
        )
        """What is asked."""

    def maker(self) -> Maker:
        """Return how to connect; of a cluster, the node whose turn it is."""
        makers = self._makers()
        return makers[self._turn % len(makers)]

    def pass_turn(self) -> None:
        """Ask another node of a cluster the next time, because this one failed."""
        self._turn += 1

    def connection(self, limit_s: float) -> object:
        """Make a connection that waits no longer than *limit_s* for anything."""
        maker = self.maker()
        arguments = _limited(maker.arguments, limit_s, is_async=is_async(maker.make))
        # An asynchronous run has one time-out for all that it does.
        if hasattr(self._pool, "sentinel_manager") and not is_async(maker.make):
            pool = cast("SentinelsPool", self._pool)
            arguments["connection_pool"] = Sentinels(pool, limit_s, _limited)

        return maker.make(**arguments)

    def target(self) -> str:
        """Say what is checked, without secrets."""
        service = getattr(self._pool, "service_name", None)
        if service is not None:
            return f"redis sentinel {service}"

        where = ", ".join(sorted({maker.where() for maker in self._makers()}))
        return f"redis cluster {where}" if self._is_cluster else f"redis {where}"

    def judge(self, answers: list[object]) -> Answered:
        """Make a result of what PING and the other command said."""
        pong, told = answers
        if isinstance(pong, Exception) and "NOPERM" not in _text(pong):
            return Answered(CheckResult("warn", f"it answers {_text(pong)}"), False)

        if not isinstance(told, Exception):  # it may not be allowed to ask
            status, reason = (
                _judge_cluster(told) if self._is_cluster else self._judge_role(told)
            )
            if reason:
                return Answered(CheckResult(status, reason), False)

        if self._is_exhausted():
            reason = "pool exhausted: the application's client has no connection left"
            return Answered(CheckResult("warn", reason), True)

        return Answered(CheckResult("pass"), True)

    def _makers(self) -> list[Maker]:
        if not self._is_cluster:
            return [_maker_of(self._pool)]

        client = self._client
        nodes = list(client.get_nodes())  # type: ignore[attr-defined]
        if not nodes:  # an asynchronous one knows no others before its first command
            manager = client.nodes_manager  # type: ignore[attr-defined]
            nodes = list(manager.startup_nodes.values())

        if is_async(type(client)):
            return [_maker_of(node) for node in nodes]

        ask = client.get_redis_connection  # type: ignore[attr-defined]
        return [_maker_of(ask(node).connection_pool) for node in nodes]

    def _judge_role(self, told: object) -> tuple[str, str]:
        role = [_text(part) for part in told] if isinstance(told, list | tuple) else []
        if role[:1] == ["slave"]:
            if not self._replica:
                return "warn", "it is a read-only replica, where a master is meant"

            if role[3:4] != ["connected"]:
                state = "".join(role[3:4])
                return "warn", f"the replica has lost its master (state {state})"

        return "pass", ""

    def _is_exhausted(self) -> bool:
        pool = self._pool
        can_get = getattr(pool, "can_get_connection", None)
        if can_get is not None:  # the asynchronous one says it itself
            return not can_get()

        queue = getattr(pool, "pool", None)  # of one that waits
        if queue is not None:
            return bool(queue.qsize() == 0)

        most = getattr(pool, "max_connections", None)
        in_use = getattr(pool, "_in_use_connections", ())
        return most is not None and len(in_use) >= most


def is_client(client: object) -> bool:
    """Tell whether it has what a client of redis-py has, and can be asked."""
    pool = getattr(client, "connection_pool", None)
    return hasattr(pool, "connection_class") or hasattr(client, "nodes_manager")


def is_async(kind: object) -> bool:
    """Tell whether a class is of `redis.asyncio`, without importing it."""
    return any(
        base.__module__.startswith("redis.asyncio.")
        for base in getattr(kind, "__mro__", ())
    )


def is_about_sentinels(error: Exception) -> bool:
    """Tell whether no Sentinel said where to connect to; its text is of clients."""
    return type(error).__name__ == "MasterNotFoundError"


def _limited(
    arguments: Mapping[str, object], limit_s: float, *, is_async: bool = False
) -> dict[str, object]:
    """Return *arguments* for a connection that waits so long, and tries once."""
    from redis.backoff import NoBackoff

    retry: Callable[[object, int], object]
    if is_async:
        from redis.asyncio.retry import Retry as AsyncRetry

        retry = AsyncRetry  # type: ignore[assignment]
    else:
        from redis.retry import Retry

        retry = Retry  # type: ignore[assignment]

    kept = {
        key: value for key, value in arguments.items() if not key.startswith(_POOLS_OWN)
    }
    return kept | {
        "socket_timeout": limit_s,
        "socket_connect_timeout": limit_s,
        "retry": retry(NoBackoff(), 0),
        "retry_on_timeout": False,
        "retry_on_error": [],
        "health_check_interval": 0,
    }


def _maker_of(pool: object) -> Maker:
    return Maker(
        pool.connection_class,  # type: ignore[attr-defined]
        pool.connection_kwargs,  # type: ignore[attr-defined]
    )


def _judge_cluster(told: object) -> tuple[str, str]:
    lines = told if isinstance(told, dict) else _pairs(_text(told))
    state = _text(lines.get("cluster_state", "ok"))
    if state != "ok":
        return "fail", f"the cluster's state is {state}"

    failing = _text(lines.get("cluster_slots_fail", "0"))
    if failing != "0":
        return "warn", f"{failing} slots of the cluster are failing"

    return "pass", ""


def _pairs(text: str) -> dict[str, str]:
    return dict(line.strip().split(":", 1) for line in text.splitlines() if ":" in line)


def _text(value: object) -> str:
    return value.decode(errors="replace") if isinstance(value, bytes) else str(value)
