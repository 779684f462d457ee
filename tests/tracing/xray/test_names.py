"""What documents are called, and whether they are segments."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from opentelemetry.sdk.resources import Resource
from opentelemetry.trace import SpanKind

from svcready.tracing.xray._names import fit_name, trace_id_of
from tests.tracing.xray.support import (
    LOCAL,
    REMOTE,
    document_of,
    documents_of,
    make_span,
)

if TYPE_CHECKING:
    from opentelemetry.trace import SpanContext

SERVER, CLIENT, INTERNAL, PRODUCER, CONSUMER = (
    *(SpanKind.SERVER, SpanKind.CLIENT, SpanKind.INTERNAL),
    *(SpanKind.PRODUCER, SpanKind.CONSUMER),
)
AWS = {"rpc.system": "aws-api"}


@pytest.mark.parametrize(
    ("kind", "attributes", "name"),
    [
        (SERVER, {"aws.local.service": "shop", "peer.service": "p"}, "shop"),
        (SERVER, {"aws.remote.service": "r"}, "orders"),
        (SERVER, {"peer.service": "p", "db.name": "d"}, "p"),
        (SERVER, {"rpc.service": "s", "http.host": "h"}, "orders"),
        (CLIENT, {"aws.remote.service": "r", "peer.service": "p"}, "r"),
        (CLIENT, {"aws.remote.service": "AWS.SDK.S3"}, "AWS.SDK.S3"),
        (CLIENT, {**AWS, "aws.remote.service": "AWS.SDK.S3"}, "S3"),
        (CLIENT, {**AWS, "aws.remote.service": "AWS::SQS"}, "SQS"),
        (
            CLIENT,
            {"rpc.system.name": "aws-api", "aws.remote.service": "AWS::SQS"},
            "SQS",
        ),
        (PRODUCER, {"aws.remote.service": "queue"}, "queue"),
        (CONSUMER, {"aws.remote.service": "queue"}, "queue"),
        (INTERNAL, {"aws.remote.service": "r"}, "work"),
        (INTERNAL, {"aws.local.service": "r"}, "work"),
        (CLIENT, {"peer.service": "p", "aws.service": "S3"}, "p"),
        (CLIENT, {"service.peer.name": "p", "aws.service": "S3"}, "p"),
        (CLIENT, {"aws.service": "S3", "db.name": "d"}, "S3"),
        (CLIENT, {"db.name": "d", "rpc.service": "s"}, "d"),
        (
            CLIENT,
            {"db.name": "d", "db.connection_string": "jdbc:mysql://db.local:3306"},
            "d@db.local",
        ),
        (CLIENT, {"db.namespace": "d", "server.address": "db.local"}, "d@db.local"),
        (CLIENT, {"db.name": "d", "net.peer.name": "db.local"}, "d@db.local"),
        (CLIENT, {"db.name": "d", "db.connection_string": "mysql://[bad"}, "d"),
        (
            CLIENT,
            {
                "db.system.name": "redis",
                "db.namespace": "0",
                "server.address": "cache.local",
            },
            "cache.local",
        ),
        (CLIENT, {"rpc.service": "s", "http.host": "h"}, "s"),
        (CLIENT, {"http.host": "h", "net.peer.name": "n"}, "h"),
        (CLIENT, {"net.peer.name": "n"}, "n"),
        (CLIENT, {"server.address": "n"}, "n"),
        (INTERNAL, {"server.address": "n"}, "work"),
        (CLIENT, {}, "work"),
    ],
)
def test_the_first_of_many_attributes_names_a_document(
    kind: SpanKind, attributes: dict[str, str], name: str
) -> None:
    """Services come before databases, hosts and the span's own name."""
    assert document_of(make_span(kind, attributes))["name"] == name


@pytest.mark.parametrize(
    ("kind", "parent", "name"),
    [
        (SERVER, REMOTE, "shop"),
        (SERVER, LOCAL, "shop"),
        (INTERNAL, None, "shop"),
        (INTERNAL, LOCAL, "work"),
        (CLIENT, LOCAL, "h"),
    ],
)
def test_the_operators_name_is_that_of_segments(
    kind: SpanKind, parent: SpanContext | None, name: str
) -> None:
    """AWS_XRAY_TRACING_NAME renames the service, not what it calls or does."""
    attributes = {"aws.local.service": "x", "http.host": "h"}
    if kind is INTERNAL and parent is LOCAL:
        attributes = {}

    span = make_span(kind, attributes, parent=parent)

    assert document_of(span, tracing_name="shop")["name"] == name


def test_the_name_of_work_that_its_service_hides_is_kept() -> None:
    """A renamed root still says what it did."""
    span = make_span(INTERNAL, name="nightly", parent=None)
    document = document_of(span, tracing_name="shop")

    assert document["name"] == "shop"
    assert document["metadata"]["default"]["otel.span.name"] == "nightly"  # type: ignore[index]


@pytest.mark.parametrize(
    ("given", "fit"),
    [
        ("GET /orders/{id}", "GET /orders/id"),
        ("a_.:/%&#=+\\-@b", "a_.:/%&#=+\\-@b"),
        ("x?;*()!$~^<>y", "xy"),
        ("Größe 値段", "Größe 値段"),
        ("a\n\tb", "a b"),
        ("?!", "span"),
        ("", "span"),
        ("n" * 300, "n" * 200),
    ],
)
def test_names_have_the_characters_that_x_ray_takes(given: str, fit: str) -> None:
    """Others are left out, and 200 characters are the most."""
    assert fit_name(given) == fit
    assert fit_name(given) == fit, "also the second time, when it is known"


def test_many_names_do_not_stay_for_ever() -> None:
    """Names of which there is no end take no memory without end."""
    from svcready.tracing.xray import _names

    for number in range(5000):
        fit_name(f"name-{number}")

    assert len(_names._fit) <= 2048


@pytest.mark.parametrize(
    "digits", ["4bf92f3577b34da6a3ce929d0e0e4736", "00000001" + "0" * 23 + "1"]
)
def test_trace_ids_have_two_forms_of_the_same_digits(digits: str) -> None:
    """A W3C id, its first half random or a time, is X-Ray's with two dashes."""
    assert trace_id_of(int(digits, 16)) == f"1-{digits[:8]}-{digits[8:]}"


@pytest.mark.parametrize(
    ("kind", "attributes", "namespace"),
    [
        (CLIENT, AWS, "aws"),
        (INTERNAL, AWS, "aws"),
        (CLIENT, {"aws.service": "S3"}, "aws"),
        (CLIENT, {"peer.service": "p", "aws.service": "S3"}, "remote"),
        (CLIENT, {}, "remote"),
        (PRODUCER, {"aws.remote.service": "q"}, "remote"),
        (CONSUMER, {"aws.remote.service": "q"}, "remote"),
        (PRODUCER, {}, None),
        (INTERNAL, {}, None),
    ],
)
def test_namespaces(
    kind: SpanKind, attributes: dict[str, str], namespace: str | None
) -> None:
    """A subsegment says whether it called AWS, somebody else, or nobody."""
    assert document_of(make_span(kind, attributes)).get("namespace") == namespace


@pytest.mark.parametrize(
    ("kind", "parent", "told", "segment"),
    [
        (SERVER, REMOTE, None, True),
        (SERVER, None, None, True),
        (SERVER, LOCAL, None, True),
        (INTERNAL, None, None, True),
        (INTERNAL, REMOTE, None, True),
        (INTERNAL, LOCAL, None, False),
        (INTERNAL, LOCAL, "LOCAL_ROOT", True),
        (INTERNAL, REMOTE, "INTERNAL", False),
        (CLIENT, LOCAL, None, False),
        (CLIENT, REMOTE, "CLIENT", False),
        (CLIENT, None, "CLIENT", True),
        (CONSUMER, LOCAL, None, False),
    ],
)
def test_segments_and_subsegments(
    kind: SpanKind, parent: SpanContext | None, told: str | None, segment: bool
) -> None:
    """The first span in a process is a segment, and so is each that serves."""
    attributes = {} if told is None else {"aws.span.kind": told}
    document = document_of(make_span(kind, attributes, parent=parent))

    assert ("type" not in document) is segment
    assert document.get("parent_id") == (parent and f"{parent.span_id:016x}")


@pytest.mark.parametrize("kind", [CLIENT, PRODUCER, CONSUMER])
@pytest.mark.parametrize("parent", [None, REMOTE, LOCAL])
def test_a_call_that_no_request_made_gets_a_segment_of_its_service(
    kind: SpanKind, parent: SpanContext | None
) -> None:
    """Two documents: who called, and what was called, the one inside the other."""
    attributes = {
        "aws.remote.service": "queue",
        "aws.remote.operation": "op",
        "http.request.method": "POST",
        "aws.operation": "Send",
        "shown": "yes",
    }
    if parent is LOCAL:
        attributes["aws.span.kind"] = "LOCAL_ROOT"

    span = make_span(kind, attributes, parent=parent)
    every = ("all",)
    service, call = documents_of(span, annotations=every)

    assert service["name"] == "orders"
    assert call["name"] == "queue"
    assert call["id"] == "00f067aa0ba902b7", "children know it by this id"
    assert call["parent_id"] == service["id"] != call["id"]
    assert service.get("parent_id") == (parent and f"{parent.span_id:016x}")
    assert call["namespace"] == "remote"
    assert "http" not in service
    assert call["http"] == {"request": {"method": "POST"}}
    assert call["aws"] == {"operation": "Send"}
    shown = service["annotations"]
    assert isinstance(shown, dict)
    assert shown["shown"] == "yes"
    assert not {"aws_remote_service", "aws_remote_operation"} & set(shown)
    assert documents_of(span, annotations=every)[0]["id"] == service["id"]


@pytest.mark.parametrize(
    ("attributes", "options", "name"),
    [
        ({"aws.local.service": "local"}, {}, "local"),
        ({"aws.local.service": "local"}, {"tracing_name": "shop"}, "shop"),
    ],
)
def test_such_a_segment_is_named_as_others(
    attributes: dict[str, str], options: dict[str, str], name: str
) -> None:
    """The operator's name wins, then the span's attribute."""
    span = make_span(CLIENT, attributes, parent=None)

    assert documents_of(span, **options)[0]["name"] == name


def test_a_resource_without_a_name_leaves_the_spans() -> None:
    """There is always some name."""
    span = make_span(CLIENT, parent=None, resource=Resource({}), name="fetch")

    assert [document["name"] for document in documents_of(span)] == ["fetch", "fetch"]
