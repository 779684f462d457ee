"""What becomes of old attributes, names and values."""

from __future__ import annotations

import inspect
import re
from importlib import import_module
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry import trace
from opentelemetry.semconv._incubating.attributes import db_attributes
from opentelemetry.trace import SpanKind, StatusCode

from svcready.tracing.instrumentation._conventions import (
    DROPPED,
    OLD,
    RENAMED,
    SPECIAL,
    SYSTEMS,
)
from tests.tracing.support import make_pillar

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from svcready.testing import Harness
    from svcready.tracing.view._records import SpanRecord

ROOM = "opentelemetry.instrumentation"
CLIENT, SERVER = SpanKind.CLIENT, SpanKind.SERVER
PRODUCER, CONSUMER = SpanKind.PRODUCER, SpanKind.CONSUMER

# No package for Python says these.
UNUSED = (
    "db.client.",
    "db.cosmosdb.",
    "db.elasticsearch.path",
    "messaging.destination_publish.",
    "messaging.rocketmq.",
)


def registry() -> Iterator[tuple[str, str]]:
    """Give each deprecated attribute and its note, from OpenTelemetry's own package."""
    for area in ("code", "db", "http", "messaging", "net"):
        module = import_module(
            f"opentelemetry.semconv._incubating.attributes.{area}_attributes"
        )
        for found in re.finditer(
            r'^\w+: Final = "([^"]+)"\n"""\nDeprecated: (.+?)\n"""',
            inspect.getsource(module),
            re.MULTILINE | re.DOTALL,
        ):
            if not found[1].startswith(UNUSED):
                yield found[1], " ".join(found[2].split())


@pytest.mark.parametrize(("old", "note"), list(registry()))
def test_the_registry_says_the_same(old: str, note: str) -> None:
    """Every deprecated name is known, and a plain successor is the registry's."""
    plain = re.fullmatch(r"Replaced by `([^`]+)`\.?", note)

    assert old in OLD
    if plain and old not in SPECIAL:
        assert RENAMED[old] == plain[1]


def test_a_name_has_one_fate() -> None:
    """And no successor is itself an old name."""
    assert not set(RENAMED) & (DROPPED | SPECIAL)
    assert not DROPPED & SPECIAL
    assert not OLD & set(RENAMED.values())


def test_systems_have_the_registrys_values() -> None:
    """Old values that have another spelling now are all there, and none is made up."""
    old = {value.value for value in vars(db_attributes)["DbSystemValues"]}
    new = {value.value for value in vars(db_attributes)["DbSystemNameValues"]}
    databases = {k: v for k, v in SYSTEMS.items() if not k.startswith("aws.")}

    assert set(databases) <= old
    assert set(databases.values()) <= new
    # What is spelt as it was needs no entry; what the new list lacks has none.
    assert not set(databases) & new


def said(
    package: str, name: str, kind: SpanKind, attributes: Mapping[str, Any]
) -> SpanRecord:
    """Return what leaves of a span that *package* made."""
    pillar = make_pillar()
    pillar.start()
    try:
        tracer = trace.get_tracer(f"{ROOM}.{package}")
        tracer.start_span(name, kind=kind, attributes=dict(attributes)).end()
        (made,) = pillar.recent()
    finally:
        pillar.close(1.0)

    return made


HTTP = [
    (
        CLIENT,
        {
            "http.method": "GET",
            "http.url": "https://shop.example/a?b=1",
            "http.status_code": "200",
            "http.scheme": "https",
            "http.flavor": "HTTP/1.1",
            "http.response_content_length": 7,
        },
        {
            "http.request.method": "GET",
            "url.full": "https://shop.example/a?b=1",
            "http.response.status_code": 200,
            "network.protocol.version": "1.1",
            "server.address": "shop.example",
            "server.port": 443,
            "http.response.header.content-length": ("7",),
        },
    ),
    (
        CLIENT,
        {"http.method": "GET", "net.peer.name": "h", "net.peer.port": "81"},
        {"http.request.method": "GET", "server.address": "h", "server.port": 81},
    ),
    (
        SERVER,
        {
            "http.method": "POST",
            "http.target": "/orders?shop=north",
            "http.host": "shop.example:8080",
            "http.scheme": "http",
            "http.user_agent": "curl",
            "net.peer.ip": "10.0.0.7",
            "net.peer.port": 4711,
            "http.client_ip": "10.0.0.8",
            "http.route": "/orders",
        },
        {
            "http.request.method": "POST",
            "url.path": "/orders",
            "url.query": "shop=north",
            "url.scheme": "http",
            "server.address": "shop.example",
            "server.port": 8080,
            "user_agent.original": "curl",
            "network.peer.address": "10.0.0.7",
            "client.port": 4711,
            "client.address": "10.0.0.8",
            "http.route": "/orders",
        },
    ),
    (
        CLIENT,
        {"http.method": "GET", "http.url": "http://[broken", "http.status_code": "?"},
        {"http.request.method": "GET", "url.full": "http://[broken"},
    ),
    (
        CLIENT,
        # Both, as with OTEL_SEMCONV_STABILITY_OPT_IN=http/dup: the package's own stays.
        {"http.method": "GET", "http.request.method": "_OTHER"},
        {"http.request.method": "_OTHER"},
    ),
    (
        CLIENT,
        {"net.transport": "ip_tcp", "net.sock.family": "inet6", "net.host.name": "me"},
        {
            "network.transport": "tcp",
            "network.type": "ipv6",
            "network.local.address": "me",
        },
    ),
    (
        SpanKind.INTERNAL,
        {"code.namespace": "orders.api", "code.function": "create", "code.lineno": 7},
        {"code.function.name": "orders.api.create", "code.line.number": 7},
    ),
]


@pytest.mark.parametrize(("kind", "old", "new"), HTTP)
def test_attributes_of_the_web(
    kind: SpanKind, old: Mapping[str, Any], new: Mapping[str, Any]
) -> None:
    """Names, kinds of values, and what has to be worked out."""
    made = said("any", "GET", kind, old)

    assert dict(made.attributes) == new
    assert made.name == "GET"


@pytest.mark.parametrize(
    ("old", "name", "new"),
    [
        (
            {
                "db.system": "mssql",
                "db.name": "shop",
                "db.statement": "UPDATE x SET y = 1",
                "db.user": "admin",
                "db.connection_string": "Server=secret",
            },
            "UPDATE shop",
            {
                "db.system.name": "microsoft.sql_server",
                "db.namespace": "shop",
                "db.query.text": "UPDATE x SET y = 1",
                "db.operation.name": "UPDATE",
            },
        ),
        (
            {
                "db.system": "mongodb",
                "db.operation": "find",
                "db.mongodb.collection": "orders",
                "db.name": "shop",
            },
            "find orders",
            {
                "db.system.name": "mongodb",
                "db.operation.name": "find",
                "db.collection.name": "orders",
                "db.namespace": "shop",
            },
        ),
        (
            {"db.system": "memcached", "db.operation": "get", "net.peer.name": "m"},
            "get m",
            {
                "db.system.name": "memcached",
                "db.operation.name": "get",
                "server.address": "m",
            },
        ),
        ({"db.system": "sqlite"}, "connect", {"db.system.name": "sqlite"}),
        (
            {
                "db.system": "mysql",
                "db.query.summary": "SELECT a b",
                "db.statement": "S",
            },
            "SELECT a b",
            {
                "db.system.name": "mysql",
                "db.query.summary": "SELECT a b",
                "db.query.text": "S",
                "db.operation.name": "S",
            },
        ),
        (
            {"db.system": "mysql", "db.statement": "/* only a comment */"},
            "connect",
            {"db.system.name": "mysql", "db.query.text": "/* only a comment */"},
        ),
    ],
)
def test_queries(old: Mapping[str, Any], name: str, new: Mapping[str, Any]) -> None:
    """They are named by operation and target, and users and passwords are gone."""
    made = said("any", "connect", CLIENT, old)

    assert dict(made.attributes) == new
    assert made.name == name


@pytest.mark.parametrize(
    ("package", "kind", "old", "name", "new"),
    [
        (
            "kafka",
            PRODUCER,
            {
                "messaging.system": "kafka",
                "messaging.destination": "orders",
                "messaging.kafka.partition": 3,
            },
            "publish orders",
            {
                "messaging.system": "kafka",
                "messaging.destination.name": "orders",
                "messaging.destination.partition.id": "3",
                "messaging.operation.name": "publish",
                "messaging.operation.type": "send",
            },
        ),
        (
            "aio_pika",
            CONSUMER,
            {
                "messaging.system": "rabbitmq",
                "messaging.destination": "orders",
                "messaging.operation": "receive",
                "messaging.message_id": "7",
            },
            "receive orders",
            {
                "messaging.system": "rabbitmq",
                "messaging.destination.name": "orders",
                "messaging.operation.name": "receive",
                "messaging.operation.type": "receive",
                "messaging.message.id": "7",
            },
        ),
        (
            "botocore.sqs",
            CLIENT,
            {
                "rpc.system": "aws-api",
                "rpc.service": "SQS",
                "rpc.method": "DeleteMessage",
                "aws.queue_url": "https://q/1/orders",
                "messaging.system": "aws.sqs",
                "messaging.destination": "orders",
                "messaging.url": "https://q/1/orders",
            },
            "delete orders",
            {
                "rpc.system": "aws-api",
                "rpc.service": "SQS",
                "rpc.method": "DeleteMessage",
                "aws.sqs.queue.url": "https://q/1/orders",
                "messaging.system": "aws_sqs",
                "messaging.destination.name": "orders",
                "messaging.operation.name": "delete",
                "messaging.operation.type": "settle",
            },
        ),
        (
            "botocore.sqs",
            CLIENT,
            {
                "rpc.system": "aws-api",
                "rpc.method": "GetQueueAttributes",
                "aws.queue_url": "https://q/1/orders",
                "messaging.system": "aws.sqs",
            },
            "as the package says",
            {
                "rpc.system": "aws-api",
                "rpc.method": "GetQueueAttributes",
                "aws.sqs.queue.url": "https://q/1/orders",
                "messaging.system": "aws_sqs",
            },
        ),
    ],
)
def test_messages(
    package: str,
    kind: SpanKind,
    old: Mapping[str, Any],
    name: str,
    new: Mapping[str, Any],
) -> None:
    """They are named by operation and destination, if they are about messages."""
    made = said(package, "as the package says", kind, old)

    assert dict(made.attributes) == new
    assert made.name == name


def test_an_applications_own_spans_stay_as_they_are(harness: Harness) -> None:
    """Whoever names an attribute himself finds it under that name."""
    own = {"http.method": "GET", "db.statement": "SELECT 1"}
    trace.get_tracer("orders").start_span("mine", attributes=own).end()
    scope = "opentelemetry.instrumentation_of_ours"
    trace.get_tracer(scope).start_span("ours", attributes=own).end()

    assert [dict(made.attributes) for made in harness.spans] == [own, own]


def test_what_fails_without_exception_has_another_errors_type(harness: Harness) -> None:
    """The status says that it failed; the last exception's class says how."""
    tracer = trace.get_tracer(f"{ROOM}.any")
    span = tracer.start_span("a", attributes={"db.system": "mysql"})
    span.set_status(StatusCode.ERROR, "no")
    span.end()
    span = tracer.start_span("b", attributes={"db.system": "mysql"})
    span.record_exception(KeyError("x"))
    span.record_exception(TimeoutError("y"))
    span.set_status(StatusCode.ERROR)
    span.end()

    types = [made.attributes["error.type"] for made in harness.spans]
    assert types == ["_OTHER", "TimeoutError"]


names = st.sampled_from(sorted(OLD | set(RENAMED.values())))
values = st.one_of(st.text(), st.integers(-10, 70_000), st.booleans(), st.floats())


@given(
    attributes=st.dictionaries(names, values, max_size=8),
    kind=st.sampled_from(list(SpanKind)),
    package=st.sampled_from(("any", "celery", "pika", "botocore.sqs", "redis")),
)
def test_whatever_a_package_says_leaves_in_new_names(
    attributes: dict[str, Any], kind: SpanKind, package: str
) -> None:
    """No value makes it raise, and no old name is left."""
    made = said(package, "name", kind, attributes)

    assert OLD.isdisjoint(made.attributes)
    assert made.name
