"""Spans of our own class give the same documents as the SDK's."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import (
    NonRecordingSpan,
    SpanKind,
    Status,
    StatusCode,
    set_span_in_context,
)

from svcready.tracing._recorded import Limits, RecordedSpan
from svcready.tracing.xray import _document
from svcready.tracing.xray._document import Documents, Options
from svcready.tracing.xray._reading import ids_of
from tests.tracing.xray.support import (
    LOCAL,
    REMOTE,
    RESOURCE,
    START_NS,
    context,
    documents_of,
    make_span,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from opentelemetry.util.types import AttributeValue


class Origin:
    """A tracer's part."""

    scope = InstrumentationScope("x")
    resource = RESOURCE
    limits = Limits()

    def __init__(self) -> None:
        self.ended: Callable[[RecordedSpan], None] = lambda _: None


@pytest.mark.parametrize("kind", list(SpanKind))
@pytest.mark.parametrize("parent", [None, LOCAL, REMOTE])
def test_whichever_class_records_x_ray_reads_the_same(
    kind: SpanKind, parent: object
) -> None:
    """Fields, ids, events, links and status; ids of exceptions are random."""
    provider = TracerProvider(resource=RESOURCE, shutdown_on_exit=False)
    around = None if parent is None else set_span_in_context(NonRecordingSpan(parent))  # type: ignore[arg-type]
    theirs = provider.get_tracer("x").start_span(
        "work", around, kind, start_time=START_NS
    )
    made = theirs.get_span_context()
    ours = RecordedSpan(
        Origin(),
        "work",
        (f"{made.trace_id:032x}", f"{made.span_id:016x}"),
        3,
        None,
        None if parent is None else f"{LOCAL.span_id:016x}",
        parent is REMOTE,
        kind,
        {},
        START_NS,
    )
    for span in (theirs, ours):
        span.set_attributes({"http.request.method": "GET", "k": ["a", "b"], "n": 1})
        span.add_event("exception", {"exception.type": "E"}, START_NS)
        span.add_event("other", {"a": 1}, START_NS)
        span.add_link(context(5), {"why": "batch"})
        span.set_status(Status(StatusCode.ERROR, "bad"))
        span.end(START_NS + 1_000_000)

    both = [documents_of(span) for span in (theirs, ours)]  # type: ignore[arg-type]
    for documents in both:
        for document in documents:
            cause = document.pop("cause")
            assert isinstance(cause, str) or cause["exceptions"][0]["type"] == "E"  # type: ignore[index]

    assert both[0] == both[1]


ATTRIBUTES = st.dictionaries(
    st.sampled_from(sorted(_document._TOLD)) | st.text(max_size=5) | st.just("chosen"),
    st.text(max_size=5) | st.integers() | st.booleans() | st.lists(st.text()),
    max_size=6,
)


@given(ATTRIBUTES, st.sampled_from(["", "chosen", "all"]))
def test_the_short_way_gives_the_same_document(
    attributes: dict[str, AttributeValue], chosen: str
) -> None:
    """Most spans need no look at most fields; what is made of them is no other."""
    span = make_span(attributes=attributes)
    documents = Documents(Options(annotations=(chosen,) if chosen else ()))
    (made,) = documents.of(span)
    told = attributes.get("aws.span.kind") == "LOCAL_ROOT"

    assert made == documents._single(
        span, ids_of(span), attributes, segment=told, local_root=told
    )
