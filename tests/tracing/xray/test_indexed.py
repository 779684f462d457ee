"""What X-Ray indexes, what it only keeps, and what goes beyond its limits."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import Event
from opentelemetry.trace import Link, SpanKind

from svcready.tracing.xray._indexed import fit_key
from tests.tracing.xray.support import (
    REMOTE,
    START_NS,
    context,
    document_of,
    make_span,
    part,
)

if TYPE_CHECKING:
    from opentelemetry.util.types import AttributeValue

    Attributes = dict[str, AttributeValue]


def shown(attributes: Attributes, *names: str) -> dict[str, object]:
    """Return the annotations of a span whose operator chose *names*."""
    return part(
        document_of(make_span(attributes=attributes), annotations=names), "annotations"
    )


@pytest.mark.parametrize("value", ["text", 5, 2.5, True])
def test_code_chooses_annotations(value: AttributeValue) -> None:
    """What `annotate` lists is indexed with its type, and no metadata."""
    attributes: Attributes = {"aws.xray.annotations": ("order",), "order": value}
    document = document_of(make_span(attributes=attributes))

    assert document["annotations"] == {"order": value}
    assert "metadata" not in document


def test_operators_choose_annotations() -> None:
    """By the names of attributes, of which those that are there are indexed."""
    attributes: Attributes = {"http.route": "/x", "other": "y"}
    document = document_of(
        make_span(attributes=attributes), annotations=("http.route", "absent")
    )

    assert document["annotations"] == {"http_route": "/x"}
    assert part(document, "metadata", "default") == {"other": "y"}


def test_what_a_field_tells_is_indexed_too_if_it_is_chosen() -> None:
    """An attribute that `http` holds can still be searched for."""
    attributes: Attributes = {"http.request.method": "GET"}

    assert shown(attributes, "http.request.method") == {"http_request_method": "GET"}
    assert shown(attributes, "all") == {}


def test_all_attributes_can_be_annotations() -> None:
    """The name `all` takes every attribute and the resource's, not namespaces."""
    attributes: Attributes = {
        "a.b": 1,
        "tags": ("x", "y"),
        "aws.xray.metadata.shop": '{"basket": 3}',
    }
    span = make_span(
        SpanKind.SERVER,
        attributes,
        parent=REMOTE,
        resource=Resource({"service.name": "s"}),
    )
    document = document_of(span, annotations=("all",))

    assert document["annotations"] == {"a_b": 1, "otel_resource_service_name": "s"}
    assert document["metadata"] == {
        "shop": {"basket": 3},
        "default": {"tags": ["x", "y"]},
    }


@pytest.mark.parametrize("in_code", [True, False])
def test_attributes_of_the_resource_have_a_prefix(in_code: bool) -> None:
    """Chosen by code or by the operator, on segments only."""
    name = "otel.resource.team"
    attributes: Attributes = {"aws.xray.annotations": (name,)} if in_code else {}
    options = {} if in_code else {"annotations": (name,)}
    resource = Resource({"team": "shop", "zone": "b"})
    segment = document_of(
        make_span(SpanKind.SERVER, attributes, parent=REMOTE, resource=resource),
        **options,
    )
    inner = document_of(make_span(attributes=attributes, resource=resource), **options)

    assert segment["annotations"] == {"otel_resource_team": "shop"}
    assert part(segment, "metadata", "default") == {"otel.resource.zone": "b"}
    assert not {"annotations", "metadata"} & set(inner)


@pytest.mark.parametrize(
    ("given", "fit"),
    [("a.b-c/d", "a_b_c_d"), ("größe", "gr__e"), ("", "_"), ("k" * 600, "k" * 500)],
)
def test_keys_have_letters_digits_and_underscores(given: str, fit: str) -> None:
    """Everything else becomes an underscore."""
    assert fit_key(given) == fit


def test_many_keys_do_not_stay_for_ever() -> None:
    """Keys of which there is no end take no memory without end."""
    from svcready.tracing.xray import _indexed

    for number in range(5000):
        fit_key(f"key-{number}")

    assert len(_indexed._fit) <= 2048


def test_fifty_annotations_are_the_most() -> None:
    """Those of code come first; what is too much is kept as metadata."""
    attributes: Attributes = {f"k{number}": number for number in range(60)}
    attributes["aws.xray.annotations"] = ("k59",)
    document = document_of(make_span(attributes=attributes), annotations=("all",))
    made, kept = part(document, "annotations"), part(document, "metadata", "default")

    assert len(made) == 50
    assert made["k59"] == 59
    assert {**made, **kept} == {f"k{number}": number for number in range(60)}


def test_of_two_names_that_look_the_same_one_is_indexed() -> None:
    """The other stays under its own name."""
    document = document_of(
        make_span(attributes={"a.b": 1, "a_b": 2}), annotations=("a.b", "a_b")
    )

    assert document["annotations"] == {"a_b": 1}
    assert part(document, "metadata", "default") == {"a_b": 2}


def test_a_long_text_is_indexed_by_its_beginning() -> None:
    """A thousand characters are searched, and all of them kept."""
    text = "x" * 1500
    document = document_of(make_span(attributes={"k": text}), annotations=("k",))

    assert document["annotations"] == {"k": text[:1000]}
    assert part(document, "metadata", "default") == {"k": text}


@pytest.mark.parametrize("number", [float("nan"), float("inf"), 2**70])
def test_numbers_that_json_has_not(number: float) -> None:
    """They are indexed as texts."""
    assert shown({"k": number}, "k") == {"k": str(number)}


def test_lists_are_not_indexed() -> None:
    """X-Ray indexes single values."""
    document = document_of(make_span(attributes={"k": (1, 2)}), annotations=("k",))

    assert "annotations" not in document
    assert part(document, "metadata", "default") == {"k": [1, 2]}


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("shop", '{"a": [1]}', {"shop": {"a": [1]}}),
        ("default", '{"a": 1}', {"default": {"a": 1}}),
        ("Default", '{"a": 1}', {"default": {"a": 1}}),
        ("AWS.x", '{"a": 1}', {"_AWS.x": {"a": 1}}),
        ("shop", "no json", {"default": {"aws.xray.metadata.shop": "no json"}}),
        ("shop", "[1]", {"default": {"aws.xray.metadata.shop": "[1]"}}),
        ("shop", 5, {"default": {"aws.xray.metadata.shop": 5}}),
        ("", "{}", {"default": {"aws.xray.metadata.": "{}"}}),
    ],
)
def test_metadata_has_namespaces(
    name: str, value: AttributeValue, expected: dict[str, object]
) -> None:
    """A JSON object becomes its namespace; what is none stays an attribute."""
    span = make_span(attributes={f"aws.xray.metadata.{name}": value})

    assert document_of(span)["metadata"] == expected


def test_every_other_attribute_is_metadata() -> None:
    """With the resource's on segments, under a prefix."""
    attributes: Attributes = {"a": "x", "b": (1.5, 2.5), "c": False}
    span = make_span(SpanKind.SERVER, attributes, parent=REMOTE)

    assert part(document_of(span), "metadata", "default") == {
        "a": "x",
        "b": [1.5, 2.5],
        "c": False,
        "otel.resource.service.name": "orders",
        "otel.resource.telemetry.sdk.language": "python",
    }
    assert part(document_of(make_span(attributes=attributes)), "metadata") == {
        "default": {"a": "x", "b": [1.5, 2.5], "c": False}
    }


def test_events_that_are_no_exceptions_are_kept() -> None:
    """The collector drops them."""
    events = [Event("retry.scheduled", {"n": 1}, START_NS), Event("done", {}, START_NS)]
    document = document_of(make_span(events=events))
    at = pytest.approx(START_NS / 1e9, abs=1e-6)

    assert part(document, "metadata", "default")["otel.events"] == [
        {"name": "retry.scheduled", "time": at, "attributes": {"n": 1}},
        {"name": "done", "time": at},
    ]


def test_links() -> None:
    """Trace id in X-Ray's form, span id, and the link's attributes."""
    link = Link(context(7, trace_id=0xABC), {"why": "batch"})
    plain = Link(context(8, trace_id=0xABC))

    assert document_of(make_span(links=[link, plain]))["links"] == [
        {
            "trace_id": "1-00000000-000000000000000000000abc",
            "id": "0000000000000007",
            "attributes": {"why": "batch"},
        },
        {
            "trace_id": "1-00000000-000000000000000000000abc",
            "id": "0000000000000008",
        },
    ]


def test_twenty_links_are_the_most() -> None:
    """Further ones are kept as metadata."""
    links = [Link(context(number)) for number in range(1, 26)]
    document = document_of(make_span(links=links))
    kept, rest = document["links"], part(document, "metadata", "default")["otel.links"]

    assert isinstance(kept, list)
    assert isinstance(rest, list)
    assert (len(kept), len(rest)) == (20, 5)
    assert [int(link["id"], 16) for link in kept + rest] == list(range(1, 26))


@pytest.mark.parametrize(
    ("kind", "holder"),
    [(SpanKind.CONSUMER, 0), (SpanKind.CLIENT, 1), (SpanKind.PRODUCER, 1)],
)
def test_of_two_documents_one_has_the_links(kind: SpanKind, holder: int) -> None:
    """What is consumed links the service to its senders; what is sent, the call."""
    from tests.tracing.xray.support import documents_of

    span = make_span(kind, parent=None, links=[Link(context(7))])
    has = ["links" in document for document in documents_of(span)]

    assert has == [number == holder for number in (0, 1)]


def test_values_that_json_has_not_become_texts() -> None:
    """Half a surrogate pair, a huge number and bytes reach X-Ray as something."""
    attributes: Attributes = {"half": "a\ud800", "huge": 2**70, "bytes": b"x"}
    kept = part(document_of(make_span(attributes=attributes)), "metadata", "default")

    assert kept == {"half": "a?", "huge": str(2**70), "bytes": "b'x'"}
    assert json.dumps(kept)
