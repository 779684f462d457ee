"""Span processors that an application adds to our provider."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from opentelemetry import baggage, context, trace
from opentelemetry.sdk.trace import SpanProcessor

import svcready
from svcready.config._sections.tracing import TracingSettings
from svcready.tracing._provider import DELEGATE
from tests.tracing.support import ALL, NONE, make_pillar

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from opentelemetry.context import Context
    from opentelemetry.sdk.trace import ReadableSpan, Span

    from svcready.tracing._pillar import TracePillar
    from tests.conftest import Faults


class Notes(SpanProcessor):
    """Writes down what it is told."""

    def __init__(self) -> None:
        self.begun: list[tuple[str, object]] = []
        self.ended: list[ReadableSpan] = []

    def on_start(self, span: Span, parent_context: Context | None = None) -> None:
        """Note the name, and the tenant that the baggage names."""
        tenant = baggage.get_baggage("tenant", parent_context)
        self.begun.append((span.name, tenant))

    def on_end(self, span: ReadableSpan) -> None:
        """Note the span."""
        self.ended.append(span)


class Broken(SpanProcessor):
    """Raises whatever it is told."""

    def on_start(self, span: Span, parent_context: Context | None = None) -> None:
        """Raise."""
        raise ValueError("begun")

    def on_end(self, span: ReadableSpan) -> None:
        """Raise."""
        raise ValueError("ended")


@pytest.fixture
def start() -> Iterator[Callable[..., TracePillar]]:
    """Give what starts a pillar with processors, added for this one alone."""
    made: list[TracePillar] = []

    def begin(*processors: SpanProcessor, **settings: object) -> TracePillar:
        told = {"sampling": ALL, "view_spans": 100, **settings}
        made.append(make_pillar(TracingSettings(**told)))  # type: ignore[arg-type]
        made[-1].start()
        for processor in processors:
            DELEGATE.current.add_span_processor(processor)  # type: ignore[union-attr]

        return made[-1]

    yield begin
    for each in made:
        each.close(1.0)


def request(pillar: TracePillar, status: int, sent: str | None = None) -> None:
    """Serve a request that has a span inside."""
    begun = pillar.server.begin("GET", "/x", None, None, None, sent, dict)
    begun.activate()
    with svcready.span("inner"):
        pass

    begun.end("/x", status, None)
    begun.deactivate()


def test_one_that_raises_harms_nobody(
    start: Callable[..., TracePillar], faults: Faults
) -> None:
    """Its faults are reported; requests, spans and other processors go on."""
    notes = Notes()
    pillar = start(Broken(), notes)
    request(pillar, 200)
    with trace.get_tracer("library").start_as_current_span("library's"):
        pass

    assert [it.name for it in notes.ended] == ["inner", "GET /x", "library's"]
    assert len(pillar.recent()) == 3
    for _ in range(6):
        faults.claim("tracing.processor")


def test_one_that_raises_harms_no_request_that_may_be_kept(
    start: Callable[..., TracePillar], faults: Faults
) -> None:
    """Nor where nothing is sampled, and the decision comes at the end."""
    pillar = start(Broken(), sampling=NONE, keep_errors=True)
    request(pillar, 500)
    assert [record.name for record in pillar.recent()] == ["GET /x"]
    for _ in range(2):
        faults.claim("tracing.processor")


def test_no_secret_reaches_it(start: Callable[..., TracePillar]) -> None:
    """What leaves through an application's own exporter is redacted like ours."""
    notes = Notes()
    start(notes, view_spans=0)
    tracer = trace.get_tracer("library")
    with tracer.start_as_current_span("hunter2", attributes={"password": "p"}) as span:
        span.add_event("hunter2", {"said": "hunter2"})
        span.set_status(trace.StatusCode.ERROR, "hunter2")

    text = notes.ended[0].to_json()
    assert "hunter2" not in text
    assert '"password": "***"' in text


@pytest.mark.parametrize(("status", "flag"), [(200, 0), (500, 1)])
def test_what_begins_ends(
    start: Callable[..., TracePillar], status: int, flag: int
) -> None:
    """It is told of both, or would wait for ever for the ends of what is not kept."""
    notes = Notes()
    pillar = start(notes, sampling=NONE, keep_errors=True, keep_spans=5)
    request(pillar, status)
    assert len(notes.begun) == len(notes.ended) == 2
    flags = [it.context.trace_flags & 1 for it in notes.ended if it.context]
    assert flags == [flag, flag]
    assert len(pillar.recent()) == 2 * flag


@pytest.mark.parametrize("settings", [{}, {"sampling": NONE, "keep_errors": True}])
def test_it_is_told_of_a_requests_baggage(
    start: Callable[..., TracePillar], settings: dict[str, object]
) -> None:
    """Which is not in force yet when the request's span begins."""
    notes = Notes()
    pillar = start(notes, **settings)
    request(pillar, 500, "tenant=acme")
    assert notes.begun[0] == ("GET", "acme")


def test_it_is_told_of_the_context_that_was_given(
    start: Callable[..., TracePillar],
) -> None:
    """And not of the one in force."""
    notes = Notes()
    start(notes)
    given = baggage.set_baggage("tenant", "other", context.Context())
    trace.get_tracer("library").start_span("by hand", given).end()
    assert notes.begun == [("by hand", "other")]
