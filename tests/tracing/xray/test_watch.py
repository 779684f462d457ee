"""Requests that take long: told of once, and replaced by what they were in the end."""

from __future__ import annotations

import os
from queue import Queue
from typing import TYPE_CHECKING

from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.trace import NonRecordingSpan, SpanKind, set_span_in_context

from svcready._core import fork
from svcready._core.clock import SYSTEM_CLOCK
from svcready.testing import FakeClock
from svcready.tracing.xray._watch import OpenSpan, Watch
from tests.tracing.xray.support import (
    LOCAL,
    REMOTE,
    document_of,
    documents_of,
    make_span,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from opentelemetry.sdk.trace import Span

    from tests.conftest import Faults


class Watching:
    """A watch of ten seconds on a fake clock, without its thread."""

    def __init__(
        self, copy: Callable[[ReadableSpan], ReadableSpan] = lambda s: s
    ) -> None:
        self.clock = FakeClock()
        self.told: list[ReadableSpan] = []
        self.watch = Watch(10.0, self.told.append, copy, self.clock)
        self.watch._start = lambda: None  # type: ignore[method-assign]
        self._tracer = TracerProvider(shutdown_on_exit=False).get_tracer("tests")

    def begin(self, kind: SpanKind = SpanKind.SERVER, *, inside: bool = False) -> Span:
        """Begin a span: a caller's request, or one inside of another."""
        parent = NonRecordingSpan(LOCAL if inside else REMOTE)
        span = self._tracer.start_span("work", set_span_in_context(parent), kind)
        self.watch.begun(span)  # type: ignore[arg-type]
        return span  # type: ignore[return-value]


def test_a_request_is_told_of_after_its_time_and_once() -> None:
    """Not before ten seconds, and not again after them."""
    watching = Watching()
    span = watching.begin()
    assert watching.watch.tell() == 10.0

    watching.clock.advance(9.0)
    assert watching.watch.tell() == 1.0
    assert watching.told == []

    watching.clock.advance(1.0)
    assert watching.watch.tell() is None
    watching.clock.advance(100.0)
    assert watching.watch.tell() is None
    (told,) = watching.told
    assert told.context == span.context
    span.end()


def test_a_forked_child_leaves_its_parents_requests_to_it() -> None:
    """What the parent had begun is told of by the parent alone."""
    fork.install()
    watching = Watching()
    span = watching.begin()
    watching.clock.advance(10.0)
    child = os.fork()
    if child == 0:
        status = 1
        try:
            watching.watch.tell()
            status = len(watching.told)
        finally:
            os._exit(status)

    _, status = os.waitpid(child, 0)
    assert os.waitstatus_to_exitcode(status) == 0
    watching.watch.tell()
    assert len(watching.told) == 1
    span.end()


def test_what_is_told_is_in_progress_and_has_what_is_known_so_far() -> None:
    """The document has no end, and the whole one has the same id."""
    watching = Watching()
    span = watching.begin()
    span.set_attribute("http.request.method", "GET")
    watching.clock.advance(10.0)
    watching.watch.tell()
    before = document_of(watching.told[0])
    span.set_attribute("http.response.status_code", 200)
    span.end()
    after = document_of(span)

    assert before["in_progress"] is True
    assert "end_time" not in before
    assert before["http"] == {"request": {"method": "GET"}}
    assert after["id"] == before["id"]
    assert "in_progress" not in after


def test_both_documents_of_a_call_are_in_progress() -> None:
    """And both have the ids of the whole ones."""
    watching = Watching()
    span = watching.begin(SpanKind.CONSUMER)
    watching.clock.advance(10.0)
    watching.watch.tell()
    before = documents_of(watching.told[0])
    span.end()
    after = documents_of(span)

    assert [document["in_progress"] for document in before] == [True, True]
    assert [d["id"] for d in before] == [d["id"] for d in after]


def test_an_attribute_can_say_the_same() -> None:
    """`aws.xray.inprogress` marks a span that somebody else sends early."""
    document = document_of(make_span(attributes={"aws.xray.inprogress": True}))

    assert document["in_progress"] is True
    assert "end_time" not in document
    assert "metadata" not in document


def test_what_has_ended_or_is_gone_is_not_told() -> None:
    """Most requests."""
    watching = Watching()
    watching.begin().end()
    watching.begin()
    watching.clock.advance(10.0)

    assert watching.watch.tell() is None
    assert watching.told == []


def test_inner_spans_are_not_watched() -> None:
    """They become subsegments, which come with their segment."""
    watching = Watching()
    inner = watching.begin(SpanKind.INTERNAL, inside=True)
    watching.clock.advance(10.0)

    assert watching.watch.tell() is None
    assert watching.told == []
    inner.end()


def test_a_closed_watch_tells_nothing() -> None:
    """What is open then is told whole, if it ends in time."""
    watching = Watching()
    first = watching.begin()
    watching.watch.close()
    second = watching.begin()
    watching.clock.advance(10.0)

    assert watching.watch.tell() is None
    assert watching.told == []
    first.end()
    second.end()


def test_a_span_that_changes_while_it_is_copied_is_copied_again(
    faults: Faults,
) -> None:
    """Another thread may set attributes; after three attempts it is a fault."""
    attempts: list[int] = []

    def copy(span: ReadableSpan) -> ReadableSpan:
        attempts.append(1)
        if len(attempts) != 3:
            raise RuntimeError("dictionary changed size during iteration")

        return span

    watching = Watching(copy)
    kept = [watching.begin(), watching.begin()]
    watching.clock.advance(10.0)
    watching.watch.tell()

    assert len(watching.told) == 1
    assert len(attempts) == 6
    assert isinstance(faults.claim("tracing.xray"), RuntimeError)
    for span in kept:
        span.end()


def test_the_thread_tells_by_itself() -> None:
    """On real time, also after it had nothing to do."""
    told: Queue[ReadableSpan] = Queue()
    watch = Watch(0.02, told.put, lambda span: span, SYSTEM_CLOCK)
    tracer = TracerProvider(shutdown_on_exit=False).get_tracer("tests")
    for _ in range(2):
        span = tracer.start_span("work")
        watch.begun(span)  # type: ignore[arg-type]

        assert isinstance(told.get(timeout=10.0), OpenSpan)
        span.end()

    thread = watch._thread
    watch.close()
    assert thread is not None
    thread.join(5.0)
    assert not thread.is_alive()


def test_a_forked_child_watches_its_own_requests() -> None:
    """What began before the fork is the parent's to tell."""
    watching = Watching()
    span = watching.begin()
    watching.watch._reset()
    watching.clock.advance(10.0)

    assert watching.watch.tell() is None
    assert watching.told == []
    span.end()


def test_watching_is_bounded() -> None:
    """The oldest are given up; they are told whole when they end."""
    watching = Watching()
    kept = [watching.begin() for _ in range(3)]
    for _ in range(10_001):
        watching.watch._begun.append(watching.watch._begun[0])

    assert len(watching.watch._begun) == 10_000
    for span in kept:
        span.end()
