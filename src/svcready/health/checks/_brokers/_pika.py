"""The check of RabbitMQ by pika, on a connection of its own."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, cast

from svcready.health._result import CheckResult
from svcready.health._running._allowed import allowed_s
from svcready.health.checks._adding import ReadyMade, add
from svcready.health.checks._brokers._hushed import hushed
from svcready.health.checks._brokers._pika_link import Blocked, Link
from svcready.health.checks._deadline import share_of
from svcready.health.checks._kept import Kept
from svcready.health.checks._subjects import needs, refuse

if TYPE_CHECKING:
    from typing import Unpack

    from pika import BaseConnection, BlockingConnection
    from pika.connection import Parameters

    from svcready.health.checks._adding import Options

__all__ = ["add_pika"]


def add_pika(
    connection: Parameters | BlockingConnection | BaseConnection | str,
    *,
    name: str | None = None,
    publishes: bool = False,
    **options: Unpack[Options],
) -> None:
    """
    Declare a health check of the RabbitMQ to which pika connects.

    A connection of pika's belongs to one thread, so the check never uses the
    application's: it opens one with the same parameters, asks on it each time, keeps
    it and opens it again when it is broken. Of a connection that is given it also
    tells when RabbitMQ has blocked it (a warning: nothing can be published).

    Args:
        connection: Parameters, a URL, or the application's connection, in which case
            this is called on its thread.
        name: The check's; `rabbitmq` if not given.
        publishes: Whether the check also publishes an empty message that no queue
            takes: RabbitMQ tells only who publishes that it blocks publishers. The
            user needs the permission to write to the default exchange.
        options: As of `svcready.health.check`.

    Raises:
        DeclarationError: It is no connection, an option is wrong, or another check
            has the name.
        MissingExtraError: A URL is given, and pika is not installed.
    """
    takes = "pika's parameters, a URL that begins with amqp, or a connection"
    if isinstance(connection, str):
        needs("add_pika", "pika")
        from pika import URLParameters

        try:
            connection = URLParameters(connection)
        except Exception:  # noqa: BLE001 - pika has many, and they may quote it
            raise refuse("add_pika", takes, connection) from None

    blocked = Blocked()
    if hasattr(connection, "add_on_connection_blocked_callback"):
        blocked.follow(connection)
        parameters = getattr(connection, "params", None)
        if parameters is None:  # of a blocking one, which shows them nowhere else
            parameters = connection._impl.params  # noqa: SLF001
    elif hasattr(connection, "virtual_host"):
        parameters = connection
    else:
        raise refuse("add_pika", takes, connection)

    probe = _Probe(cast("Parameters", parameters), blocked, publishes=publishes)
    vhost = parameters.virtual_host
    target = f"rabbitmq {parameters.host}:{parameters.port} vhost {vhost}"
    ready = ReadyMade(probe.run, kind="component", target=target, close=probe.close)
    add(name or "rabbitmq", ready, options)


class _Probe:
    """
    Looks by a connection of its own.

    Args:
        parameters: The application's.
        blocked: Whether its connection is blocked.
        publishes: Whether to publish, in order to be told of a block.
    """

    def __init__(
        self, parameters: Parameters, blocked: Blocked, *, publishes: bool
    ) -> None:
        self._parameters = parameters
        self._blocked = blocked
        self._publishes = publishes
        self._kept: Kept[Link] = Kept(_part)
        self.close = self._kept.close

    def run(self) -> CheckResult:
        """Ask on the kept connection, or on a new one if that is broken."""
        limit_s = share_of(allowed_s())
        ends_s = time.monotonic() + limit_s
        with hushed("pika"):
            link = self._kept.take()
            if link is not None and not link.refresh():  # it broke since the last run
                link.end()
                link = None

            link = link or Link(self._parameters, limit_s)
            try:
                result = link.ask(ends_s, publishes=self._publishes)
            except BaseException:
                link.end()
                raise

            self._kept.keep(link)

        reason = self._blocked.reason
        if result.status == "pass" and reason:
            return CheckResult("warn", f"RabbitMQ blocks the connection: {reason}")

        return result


def _part(link: Link) -> None:
    with hushed("pika"):
        link.end(politely=True)
