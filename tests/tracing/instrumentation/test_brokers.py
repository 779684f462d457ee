"""Messages by pika, against RabbitMQ, and tasks of Celery, on a broker in memory."""

from __future__ import annotations

from typing import TYPE_CHECKING
from uuid import uuid4

import pytest

import svcready
from tests.servers.harness import eventually
from tests.servers.rabbitmq import rabbitmq
from tests.tracing.instrumentation.support import made_by

pika = pytest.importorskip("pika")
celery = pytest.importorskip("celery")

from celery.contrib.testing.worker import start_worker  # noqa: E402
from celery.signals import setup_logging  # noqa: E402

if TYPE_CHECKING:
    from collections.abc import Iterator

    from svcready.testing import Harness


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    """Run RabbitMQ."""
    with rabbitmq() as url:
        yield url


def test_a_message_by_pika_is_one_trace(harness: Harness, url: str) -> None:
    """The consumer's span is the publisher's child, by the message's headers."""
    queue = f"orders-{uuid4().hex[:8]}"
    connection = pika.BlockingConnection(pika.URLParameters(url))
    channel = connection.channel()
    channel.queue_declare(queue)
    seen: list[dict[str, object]] = []

    def consume(channel: object, _m: object, properties: object, _b: object) -> None:
        seen.append(properties.headers)  # type: ignore[attr-defined]
        with svcready.span("handle"):
            channel.stop_consuming()  # type: ignore[attr-defined]

    with svcready.span("work"):
        channel.basic_publish("", queue, b"{}")

    channel.basic_consume(queue, consume, auto_ack=True)
    channel.start_consuming()
    connection.close()

    publish, process = made_by(harness, "pika")
    spans = {span.name: span for span in harness.spans}
    assert (publish.name, publish.kind) == (f"publish {queue}", "producer")
    assert (process.name, process.kind) == (f"process {queue}", "consumer")
    assert publish.parent_id == spans["work"].span_id
    assert process.parent_id == publish.span_id
    assert process.remote_parent
    assert spans["handle"].parent_id == process.span_id
    assert publish.attributes == {
        "messaging.system": "rabbitmq",
        "messaging.destination.name": queue,
        "messaging.operation.name": "publish",
        "messaging.operation.type": "send",
        "server.address": "127.0.0.1",
        "server.port": pika.URLParameters(url).port,
    }
    assert process.attributes["messaging.operation.type"] == "process"
    (headers,) = seen
    header = f"00-{publish.trace_id}-{publish.span_id}-03"
    assert headers["traceparent"] == header


def test_a_task_of_celery_is_one_trace(harness: Harness) -> None:
    """The worker's span is the publisher's child; both are named by the task."""
    app = celery.Celery(
        "orders", broker="memory://traced", backend="cache+memory://", set_as_current=0
    )
    app.conf.broker_connection_retry_on_startup = True

    @app.task(name="orders.pack", shared=False)  # type: ignore[untyped-decorator]
    def pack() -> None:
        with svcready.span("inside"):
            pass

    @app.task(name="orders.fail", shared=False)  # type: ignore[untyped-decorator]
    def fail() -> None:
        raise LookupError

    def leave_logging_alone(**_: object) -> None:
        """Be there: a worker whose logging somebody sets up sets no levels."""

    setup_logging.connect(leave_logging_alone, weak=False)
    try:
        with start_worker(app, perform_ping_check=False, pool="solo"):
            with svcready.span("work"):
                pack.delay().get(timeout=20)

            fail.delay().get(timeout=20, propagate=False)
            eventually(lambda: len(made_by(harness, "celery")) == 4, "the spans")
    finally:
        setup_logging.disconnect(leave_logging_alone)

    spans = {span.name: span for span in harness.spans}
    publish, process = spans["publish orders.pack"], spans["process orders.pack"]
    assert (publish.kind, process.kind) == ("producer", "consumer")
    assert publish.parent_id == spans["work"].span_id
    assert process.parent_id == publish.span_id
    assert process.trace_id == publish.trace_id
    assert spans["inside"].parent_id == process.span_id
    for span in (publish, process):
        assert span.attributes["messaging.system"] == "celery"
        assert span.attributes["messaging.destination.name"] == "celery"
        assert span.attributes["celery.task_name"] == "orders.pack"

    assert publish.attributes["messaging.operation.type"] == "send"
    assert process.attributes["messaging.operation.type"] == "process"
    assert spans["process orders.fail"].status == "error"
    assert spans["process orders.fail"].attributes["error.type"] == "LookupError"
