"""The check of a Redis server, replica or cluster, by the application's client."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol, cast

from svcready.health._result import CheckResult
from svcready.health._running._allowed import allowed_s
from svcready.health.checks._adding import ReadyMade, add
from svcready.health.checks._brokers._redis_subject import (
    Subject,
    is_about_sentinels,
    is_async,
    is_client,
)
from svcready.health.checks._deadline import share_of
from svcready.health.checks._kept import Kept
from svcready.health.checks._subjects import refuse

if TYPE_CHECKING:
    from asyncio import AbstractEventLoop
    from collections.abc import Awaitable, Iterable
    from typing import Unpack

    from redis import Redis, RedisCluster
    from redis.asyncio import Redis as AsyncRedis
    from redis.asyncio import RedisCluster as AsyncRedisCluster

    from svcready.health.checks._adding import Options

__all__ = ["add_redis"]

_NO_MASTER = CheckResult("fail", "no Sentinel that answers knows the master")
_LOADING = CheckResult("warn", "it is loading its data and answers nothing yet")


def add_redis(
    client: Redis | AsyncRedis | RedisCluster | AsyncRedisCluster,
    *,
    name: str | None = None,
    replica: bool | None = None,
    **options: Unpack[Options],
) -> None:
    """
    Declare a health check of the Redis that *client* talks to.

    It asks PING and ROLE (of a cluster CLUSTER INFO) on a connection of its own, made
    as the client's pool makes them and kept, so that the pool is neither drained nor
    left with a broken connection. Nothing that it asks takes longer than the check's
    time-out, whatever the client's is. It warns of a server that loads its data, of a
    replica where a master is meant, of one without its master, and of the client's
    pool when that is exhausted.

    Args:
        client: A client of `redis` or `redis.asyncio`: plain, of a cluster, or made
            by a Sentinel.
        name: The check's; `redis` if not given.
        replica: Whether a replica is meant; if not given, a Sentinel's client says so
            and any other means a master.
        options: As of `svcready.health.check`.

    Raises:
        DeclarationError: It is no client, an option is wrong, or another check has
            the name.
    """
    if not is_client(client):
        raise refuse("add_redis", "a client of redis-py", client)

    subject = Subject(client, replica=replica)
    probe = _AsyncProbe(subject) if is_async(type(client)) else _Probe(subject)
    ready = ReadyMade(
        probe.run, kind="datastore", target=subject.target(), close=probe.close
    )
    add(name or "redis", ready, options)


class _Connection(Protocol):
    def connect(self) -> None: ...

    def pack_commands(self, commands: Iterable[Iterable[str]]) -> list[bytes]: ...

    def send_packed_command(self, command: list[bytes], check_health: bool) -> None: ...  # noqa: FBT001

    def read_response(self) -> object: ...

    def disconnect(self) -> None: ...


class _AsyncConnection(Protocol):
    def connect(self) -> Awaitable[None]: ...

    def pack_commands(self, commands: Iterable[Iterable[str]]) -> list[bytes]: ...

    def send_packed_command(
        self,
        command: list[bytes],
        check_health: bool,  # noqa: FBT001
    ) -> Awaitable[None]: ...

    def read_response(self) -> Awaitable[object]: ...

    def disconnect(self, nowait: bool = False) -> Awaitable[None]: ...  # noqa: FBT001, FBT002


class _Probe:
    """
    Looks by a connection that blocks its thread.

    Args:
        subject: At what.
    """

    def __init__(self, subject: Subject) -> None:
        self._subject = subject
        self._kept: Kept[tuple[float, _Connection]] = Kept(
            lambda kept: kept[1].disconnect()
        )
        self.close = self._kept.close

    def run(self) -> CheckResult:
        """Ask on the kept connection, or on a new one if that is broken."""
        from redis.exceptions import BusyLoadingError
        from redis.exceptions import ConnectionError as Broken

        limit_s = share_of(allowed_s())
        kept = self._kept.take()
        try:
            if kept is not None and kept[0] == limit_s:
                try:
                    return self._ask(kept[1], limit_s)
                except Broken:
                    pass  # the server closed it, which an idle one cannot notice
            elif kept is not None:
                kept[1].disconnect()

            made = cast("_Connection", self._subject.connection(limit_s))
            return self._ask(made, limit_s)
        except BusyLoadingError:
            return _LOADING
        except Broken as error:
            if is_about_sentinels(error):
                return _NO_MASTER

            raise

    def _ask(self, connection: _Connection, limit_s: float) -> CheckResult:
        from redis.exceptions import ResponseError

        answers: list[object] = []
        try:
            connection.connect()
            packed = connection.pack_commands(self._subject.commands)
            connection.send_packed_command(packed, False)
            for _ in self._subject.commands:
                try:
                    answers.append(connection.read_response())
                except ResponseError as error:  # an answer, too
                    answers.append(error)
        except BaseException:
            self._subject.pass_turn()
            connection.disconnect()
            raise

        result, is_right = self._subject.judge(answers)
        if is_right:
            self._kept.keep((limit_s, connection))
        else:
            connection.disconnect()

        return result


class _AsyncProbe:
    """
    Looks by a connection of the event loop on which the check runs.

    Args:
        subject: At what.
    """

    def __init__(self, subject: Subject) -> None:
        self._subject = subject
        self._kept: Kept[tuple[AbstractEventLoop, _AsyncConnection]] = Kept(_let_go)
        self.close = self._kept.close

    async def run(self) -> CheckResult:
        """Ask on the kept connection, or on a new one if that is broken."""
        import asyncio

        from redis.exceptions import BusyLoadingError
        from redis.exceptions import ConnectionError as Broken

        limit_s = share_of(allowed_s())
        loop = asyncio.get_running_loop()
        kept = self._kept.take()
        try:
            async with asyncio.timeout(limit_s):
                if kept is not None and kept[0] is loop:
                    try:
                        return await self._ask(loop, kept[1])
                    except Broken:
                        pass  # the server closed it, which an idle one cannot notice
                elif kept is not None:
                    _let_go(kept)

                made = cast("_AsyncConnection", self._subject.connection(limit_s))
                return await self._ask(loop, made)
        except BusyLoadingError:
            return _LOADING
        except Broken as error:
            if is_about_sentinels(error):
                return _NO_MASTER

            raise
        except TimeoutError:
            return CheckResult("fail", f"no answer within {allowed_s():g} s")

    async def _ask(
        self, loop: AbstractEventLoop, connection: _AsyncConnection
    ) -> CheckResult:
        from redis.exceptions import ResponseError

        answers: list[object] = []
        try:
            await connection.connect()
            packed = connection.pack_commands(self._subject.commands)
            await connection.send_packed_command(packed, False)
            for _ in self._subject.commands:
                try:
                    answers.append(await connection.read_response())
                except ResponseError as error:  # an answer, too
                    answers.append(error)
        except BaseException:
            self._subject.pass_turn()
            await connection.disconnect(nowait=True)
            raise

        result, is_right = self._subject.judge(answers)
        if is_right:
            self._kept.keep((loop, connection))
        else:
            await connection.disconnect(nowait=True)

        return result


def _let_go(kept: tuple[AbstractEventLoop, _AsyncConnection]) -> None:
    """Close a connection from another thread, or of another loop than this one."""
    loop, connection = kept
    if loop.is_running():
        loop.call_soon_threadsafe(
            lambda: loop.create_task(connection.disconnect(nowait=True))  # type: ignore[arg-type]
        )
