"""The check of RabbitMQ by pika: up, down, hanging and blocked."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

import pytest

import svcready
from svcready.health import CheckResult
from svcready.health._check import CHECKS
from tests.health.checks.looking import close, held, look
from tests.servers.harness import eventually

pytest.importorskip("pika")

import pika
import pika.exceptions

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager

    from tests.servers.relay import Relay

PASS = CheckResult("pass")
LIMIT_S = 0.5


@pytest.fixture
def parameters(broker: Relay) -> Iterator[pika.ConnectionParameters]:
    """Lead to the broker through the relay."""
    yield pika.ConnectionParameters(
        "127.0.0.1",
        broker.port,
        credentials=pika.PlainCredentials("guest", "guest"),
        client_properties={"connection_name": "orders"},
    )
    if CHECKS.get("rabbitmq"):
        close("rabbitmq")


def test_passes_on_one_connection(
    parameters: pika.ConnectionParameters, broker: Relay
) -> None:
    """Many runs use one connection, and the end of the service closes it."""
    svcready.health.add_pika(parameters)
    assert [look("rabbitmq") for _ in range(50)] == [PASS] * 50
    assert broker.most_connections == 1
    close("rabbitmq")
    eventually(lambda: not broker.connections, "the connection is closed")
    assert look("rabbitmq") == PASS  # a runtime that is started anew


def test_leaves_the_parameters_alone(parameters: pika.ConnectionParameters) -> None:
    """What the application will connect with is as it was."""
    parameters.heartbeat = 60
    svcready.health.add_pika(parameters)
    look("rabbitmq")
    assert parameters.heartbeat == 60
    assert parameters.client_properties == {"connection_name": "orders"}


def test_says_what_it_checks_without_secrets(broker: Relay) -> None:
    """The target of a URL names host, port and virtual host."""
    svcready.health.add_pika(f"amqp://guest:hunter2@127.0.0.1:{broker.port}/%2F")
    found = CHECKS.get("rabbitmq")
    assert found is not None
    assert found.function.target == f"rabbitmq 127.0.0.1:{broker.port} vhost /"  # type: ignore[attr-defined]
    result = look("rabbitmq", LIMIT_S)
    assert result.status == "fail"
    assert "ACCESS_REFUSED" in result.output
    assert "hunter2" not in result.output


def test_fails_when_refused_and_recovers(
    parameters: pika.ConnectionParameters, broker: Relay
) -> None:
    """A broker that is gone fails; one that is back passes at once."""
    svcready.health.add_pika(parameters)
    look("rabbitmq")
    broker.refuse()
    result = look("rabbitmq")
    assert result.status == "fail"
    assert "Connection refused" in result.output
    broker.through()
    assert look("rabbitmq", LIMIT_S) == PASS
    broker.refuse()
    broker.through()  # what is kept is broken, unnoticed
    assert look("rabbitmq", LIMIT_S) == PASS


def test_ends_when_all_is_swallowed(
    parameters: pika.ConnectionParameters, broker: Relay
) -> None:
    """A black hole fails within the check's time, and leaves nothing behind."""
    svcready.health.add_pika(parameters)
    look("rabbitmq")
    before = held()
    broker.swallow()
    results = [look("rabbitmq", 0.1) for _ in range(20)]
    assert {result.status for result in results} == {"fail"}
    # The relay's ends are this process's, too, and it sees them close late.
    eventually(lambda: held().threads <= before.threads, "no thread is left")
    eventually(lambda: held().files <= before.files, "no file is left")
    broker.through()
    assert look("rabbitmq", LIMIT_S) == PASS


def test_ends_whatever_it_has_no_time_for(
    parameters: pika.ConnectionParameters, broker: Relay
) -> None:
    """A run that is over in the middle of connecting has closed all that it opened."""
    svcready.health.add_pika(parameters)
    before = held()
    for ten_thousandths in range(1, 60):
        look("rabbitmq", ten_thousandths / 10_000)

    close("rabbitmq")
    eventually(lambda: held().threads <= before.threads, "no thread is left")
    eventually(lambda: held().files <= before.files, "no file is left")


def test_says_nothing_to_the_log(
    parameters: pika.ConnectionParameters,
    broker: Relay,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """A broker that is down floods no log; the application's own lines stay."""
    svcready.health.add_pika(parameters)
    look("rabbitmq")
    broker.refuse()
    with caplog.at_level(logging.INFO):
        for _ in range(3):
            assert look("rabbitmq").status == "fail"

        assert caplog.records == []
        with pytest.raises(pika.exceptions.AMQPConnectionError):
            pika.BlockingConnection(parameters)

    assert any(record.name.startswith("pika") for record in caplog.records)


class TestApplicationsConnection:
    """Where the application's connection is given."""

    @pytest.fixture
    def connection(
        self, parameters: pika.ConnectionParameters
    ) -> Iterator[pika.BlockingConnection]:
        """Connect as an application does."""
        connection = pika.BlockingConnection(parameters)
        yield connection
        if connection.is_open:
            connection.close()

    def test_is_not_used(
        self, connection: pika.BlockingConnection, broker: Relay
    ) -> None:
        """The check has a connection of its own, like the application's."""
        svcready.health.add_pika(connection)
        assert look("rabbitmq") == PASS
        assert broker.most_connections == 2

    def test_warns_while_it_is_blocked(
        self,
        connection: pika.BlockingConnection,
        full_broker: Callable[[], AbstractContextManager[None]],
    ) -> None:
        """What RabbitMQ told the application's connection is a warning."""
        svcready.health.add_pika(connection)
        assert look("rabbitmq", LIMIT_S) == PASS
        with full_broker():
            connection.channel().basic_publish("", "nowhere", b"")
            while look("rabbitmq", LIMIT_S) == PASS:
                connection.process_data_events(0.1)

            result = look("rabbitmq", LIMIT_S)
            assert result.status == "warn"
            assert "blocks the connection: low on memory" in result.output

        while look("rabbitmq", LIMIT_S) != PASS:
            connection.process_data_events(0.1)


def test_publishing_tells_of_a_block(
    parameters: pika.ConnectionParameters,
    full_broker: Callable[[], AbstractContextManager[None]],
) -> None:
    """A check that publishes warns while publishers are blocked, and recovers."""
    svcready.health.add_pika(parameters, publishes=True)
    assert look("rabbitmq", LIMIT_S) == PASS
    with full_broker():
        results = [look("rabbitmq", LIMIT_S) for _ in range(3)]
        assert {result.status for result in results} == {"warn"}
        assert "low on memory" in results[-1].output

    eventually(lambda: look("rabbitmq", LIMIT_S) == PASS, "the end of the block")
