"""Links between spans, annotations and metadata as X-Ray takes them, errors."""

from __future__ import annotations

import json
import logging
import math
from typing import TYPE_CHECKING

import orjson
import pytest
from opentelemetry import trace
from opentelemetry.sdk.trace import ReadableSpan

import svcready
from svcready._core.events import ItemsDropped, subscribe
from svcready._core.guard import set_reporter
from svcready.errors import DeclarationError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from svcready.tracing._pillar import TracePillar

TRACE, SPAN = "463ac35c9f6413ad48485a3953bb6124", "a2fb4a1d1a96d312"
W3C = f"00-{TRACE}-{SPAN}-01"
XRAY = f"Root=1-{TRACE[:8]}-{TRACE[8:]};Parent={SPAN};Sampled=1"


def recorded() -> ReadableSpan:
    """Return the current span, which is recorded."""
    span = trace.get_current_span()
    assert isinstance(span, ReadableSpan)
    return span


@pytest.fixture
def faults() -> Iterator[list[Exception]]:
    """Collect what is reported, in place of what makes a test fail."""
    got: list[Exception] = []
    before = set_reporter(lambda _component, error: got.append(error))
    yield got
    set_reporter(before)


@pytest.fixture
def dropped() -> Iterator[list[ItemsDropped]]:
    """Collect what is counted as dropped."""
    got: list[ItemsDropped] = []
    end = subscribe(ItemsDropped, got.append)
    yield got
    end()


@pytest.mark.parametrize(
    "to",
    [
        W3C,
        W3C.encode(),
        XRAY,
        {"Traceparent": W3C},
        {b"traceparent": W3C.encode()},
        {"AWSTraceHeader": XRAY},
        {"traceparent": {"DataType": "String", "StringValue": W3C}},
        trace.SpanContext(int(TRACE, 16), int(SPAN, 16), is_remote=True),
    ],
)
def test_links_take_headers_and_spans(pillar: TracePillar, to: object) -> None:
    """A link names the other span, in whichever form code has it."""
    with svcready.span("batch"):
        svcready.link(to, position=3)  # type: ignore[arg-type]
        (link,) = recorded().links

    assert pillar.recent()[0].links == ((TRACE, SPAN),)
    assert dict(link.attributes or {}) == {"position": 3}


def test_a_handle_can_be_linked_to(pillar: TracePillar) -> None:
    """A handle's `header` is what another span is linked by, here or elsewhere."""
    with svcready.span("asked") as asked:
        header = asked.header

    with svcready.span("job") as job:
        job.link(asked)
        job.link(header)

    first, second = pillar.recent()
    assert second.links == ((first.trace_id, first.span_id),) * 2
    assert header == f"00-{first.trace_id}-{first.span_id}-03"


@pytest.mark.parametrize("to", ["", "00-x", {}, {"traceparent": "x"}, XRAY[:40]])
def test_a_damaged_header_links_nothing(pillar: TracePillar, to: object) -> None:
    """What came damaged from elsewhere is no link and no fault."""
    with svcready.span("batch") as batch:
        batch.link(to)  # type: ignore[arg-type]

    assert pillar.recent()[0].links == ()


def test_a_link_to_nothing_of_the_kind_is_reported(
    pillar: TracePillar, faults: list[Exception]
) -> None:
    """A wrong argument is reported, never raised."""
    with svcready.span("batch"):
        svcready.link(7)  # type: ignore[arg-type]

    assert isinstance(faults[0], DeclarationError)
    assert pillar.recent()[0].links == ()


def test_links_outside_do_nothing() -> None:
    """Before `init()` and where nothing is recorded it does nothing."""
    svcready.link(W3C)
    with svcready.span("nothing") as handle:
        handle.link(W3C)
        assert handle.header == ""


def test_any_name_can_be_an_attribute(pillar: TracePillar) -> None:
    """No name that an application has for a thing collides with ours."""
    with svcready.span("work", self=1, name=2) as handle:
        handle.set(self=3, to=4)
        svcready.annotate(self=5)
        svcready.link(W3C, to="x", self="y")
        (link,) = recorded().links

    assert pillar.recent()[0].attributes["self"] == 5
    assert dict(link.attributes or {}) == {"to": "x", "self": "y"}


def test_annotations_are_put_right_with_one_notice(
    pillar: TracePillar, caplog: pytest.LogCaptureFixture
) -> None:
    """A key or value that X-Ray does not take is put right; a line says so, once."""
    with caplog.at_level(logging.WARNING, "svcready.tracing"):
        for _ in range(3):
            with svcready.span("work"):
                svcready.annotate(**{"order.id": 7, "rate": float("nan"), "n": [1]})

    assert dict(pillar.recent()[0].attributes) == {
        "order_id": 7,
        "rate": "nan",
        "n": "(1,)",
        "aws.xray.annotations": ("order_id", "rate", "n"),
    }
    said = [record.getMessage() for record in caplog.records]
    assert len(said) == 3
    assert said[0] == (
        "annotation 'order.id' is sent as 'order_id': X-Ray takes A-Z a-z 0-9 _"
    )


def test_a_trace_has_fifty_annotations(
    pillar: TracePillar,
    dropped: list[ItemsDropped],
    caplog: pytest.LogCaptureFixture,
) -> None:
    """The rest are attributes, and counted; one line says so, whatever their names."""
    begun = pillar.server.begin("GET", "/x", None, None, None, None, dict)
    begun.activate()
    svcready.annotate(**{f"a{n}": n for n in range(30)})
    with svcready.span("inner"):
        svcready.annotate(**{f"b{n}": n for n in range(30)})
        svcready.annotate(b0=9)

    begun.end("/x", 200, None)
    begun.deactivate()
    inner, root = pillar.recent()
    listed = [each.attributes["aws.xray.annotations"] for each in (inner, root)]
    assert [len(each) for each in listed] == [20, 30]  # type: ignore[arg-type]
    assert (inner.attributes["b29"], inner.attributes["b0"]) == (29, 9)
    assert dropped == [ItemsDropped("tracing.annotations", "too_many", 10)]
    (record,) = caplog.records
    assert record.getMessage() == (
        "annotation 'b20' is not indexed: X-Ray takes 50 in a trace"
    )


@pytest.mark.parametrize(
    ("namespace", "values"), [("AWS.x", {}), ("aws.x", {}), ("", {}), (3, {}), ("x", 3)]
)
def test_metadata_that_cannot_be_is_reported(
    pillar: TracePillar,
    faults: list[Exception],
    dropped: list[ItemsDropped],
    namespace: object,
    values: object,
) -> None:
    """A reserved namespace and wrong arguments are dropped, counted and reported."""
    with svcready.span("work"):
        svcready.metadata(namespace, values)  # type: ignore[arg-type]

    assert dict(pillar.recent()[0].attributes) == {}
    assert isinstance(faults[0], DeclarationError)
    assert dropped == [ItemsDropped("tracing.metadata", "invalid", 1)]


def test_metadata_stays_json(pillar: TracePillar) -> None:
    """Long data is not cut, and what JSON cannot say does not lose the rest."""
    with svcready.span("work"):
        svcready.metadata("long", {"text": "x" * 40_000})
        svcready.metadata("odd", {"huge": 2**70, "plain": 1})
        trace.get_current_span().set_attribute("raw", 1)  # looks through all again

    attributes = pillar.recent()[0].attributes
    assert len(json.loads(str(attributes["aws.xray.metadata.long"]))["text"]) == 40_000
    odd = json.loads(str(attributes["aws.xray.metadata.odd"]))
    assert odd == {"huge": 2**70, "plain": 1}


def test_odd_metadata_takes_more(pillar: TracePillar) -> None:
    """It is JSON to strict readers: no NaN, no half characters; so more can follow."""
    with svcready.span("work"):
        svcready.metadata("odd", {"huge": 2**70, "none": math.nan, "half": "a\ud800"})
        svcready.metadata("odd", {"more": 1})

    text = str(pillar.recent()[0].attributes["aws.xray.metadata.odd"])
    odd = orjson.loads(text)
    assert odd == {"huge": float(2**70), "none": None, "half": "a?", "more": 1}


def test_an_error_has_its_causes_and_members(pillar: TracePillar) -> None:
    """What caused it and what a group holds is in its stack; its type is the span's."""

    def fail() -> None:
        try:
            raise KeyError("the cause")
        except KeyError as error:
            raise ExceptionGroup("several", [ValueError("a member")]) from error

    with pytest.raises(ExceptionGroup), svcready.span("work"):
        fail()

    (span,) = pillar.recent()
    stack = str(span.events[0].attributes["exception.stacktrace"])
    assert "KeyError: 'the cause'" in stack
    assert "ValueError: a member" in stack
    assert span.attributes["error.type"] == "ExceptionGroup"


def test_an_error_is_on_a_span_once(pillar: TracePillar) -> None:
    """An error that is recorded and then leaves is one event on each span it leaves."""
    error = ValueError("x")

    @svcready.span("outer")
    def fail() -> None:
        with svcready.span("inner") as inner:
            inner.record_exception(error)
            raise error

    with pytest.raises(ValueError, match="x"):
        fail()

    assert [len(span.events) for span in pillar.recent()] == [1, 1]
