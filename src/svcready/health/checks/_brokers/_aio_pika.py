"""The check of RabbitMQ by the application's connection of aio-pika."""

from __future__ import annotations

from typing import TYPE_CHECKING

from svcready.health._result import CheckResult
from svcready.health._running._allowed import allowed_s
from svcready.health.checks._adding import ReadyMade, add
from svcready.health.checks._brokers._hushed import hushed
from svcready.health.checks._deadline import share_of
from svcready.health.checks._subjects import refuse
from svcready.health.checks._trip import Trip

if TYPE_CHECKING:
    from asyncio import AbstractEventLoop
    from typing import Unpack

    from aio_pika.abc import AbstractConnection

    from svcready.health.checks._adding import Options

__all__ = ["add_aio_pika"]

_BLOCKED = CheckResult("warn", "RabbitMQ blocks the connection")


def add_aio_pika(
    connection: AbstractConnection,
    *,
    name: str | None = None,
    **options: Unpack[Options],
) -> None:
    """
    Declare a health check of the RabbitMQ to which *connection* belongs.

    It opens and closes a channel on the application's own connection and event loop,
    wherever the check itself runs, and never a second one while one is not answered.
    It warns when RabbitMQ has blocked the connection, so that nothing can be
    published.

    Args:
        connection: One of `aio_pika.connect_robust` or `connect`.
        name: The check's; `rabbitmq` if not given.
        options: As of `svcready.health.check`.

    Raises:
        DeclarationError: It is no connection, an option is wrong, or another check
            has the name.
    """
    if not hasattr(connection, "url") or not hasattr(connection, "channel"):
        raise refuse("add_aio_pika", "a connection of aio-pika", connection)

    probe = _Probe(connection)
    ready = ReadyMade(probe.run, kind="component", target=probe.target())
    add(name or "rabbitmq", ready, options)


class _Probe:
    """
    Looks by the application's connection.

    Args:
        connection: The application's.
    """

    def __init__(self, connection: AbstractConnection) -> None:
        self._connection = connection
        self._blocked = Trip(self._is_blocked)
        self._channel = Trip(self._open_channel)

    def target(self) -> str:
        """Say what is checked, without secrets."""
        url = self._connection.url  # type: ignore[attr-defined]
        vhost = url.path.removeprefix("/") or "/"
        return f"rabbitmq {url.host}:{url.port or 5672} vhost {vhost}"

    async def run(self) -> CheckResult:
        """Make a round trip, unless the connection is known to be down or blocked."""
        if self._connection.is_closed:
            return CheckResult("fail", "the application has closed the connection")

        transport = self._connection.transport
        if transport is None or transport.connection.is_closed:
            return CheckResult("fail", "disconnected, it has not connected again yet")

        loop: AbstractEventLoop = self._connection.loop  # type: ignore[attr-defined]
        limit_s = share_of(allowed_s())
        if await self._blocked.go(loop, limit_s):
            return _BLOCKED

        try:
            await self._channel.go(loop, limit_s)
        except TimeoutError:
            if await self._blocked.go(loop, limit_s):  # meanwhile
                return _BLOCKED

            raise

        return CheckResult("pass")

    async def _open_channel(self) -> None:
        transport = self._connection.transport
        assert transport is not None
        with hushed("aio_pika", "aiormq"):
            # Not a channel of aio-pika's own kind, which it would open again with
            # every new connection.
            channel = await transport.connection.channel(publisher_confirms=False)
            await channel.close()

    async def _is_blocked(self) -> bool:
        import asyncio

        transport = self._connection.transport
        if transport is None:
            return False

        try:
            async with asyncio.timeout(0):  # it is there at once or not at all
                await transport.connection.ready()
        except TimeoutError:
            return True

        return False
