"""Queues of finished spans: their bounds, their drops, and several at the same time."""

from __future__ import annotations

import threading
import time
import tracemalloc
from typing import TYPE_CHECKING

import pytest
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider

import svcready
from svcready._core.clock import SYSTEM_CLOCK
from svcready._core.events import ItemsDropped, subscribe
from svcready.tracing.export._exporter import Lost
from svcready.tracing.export._exports import Exports, Lane
from svcready.tracing.export._queue import QueueLimits, SpanQueue
from svcready.tracing.export._weight import weigh
from tests.tracing.support import make_pillar

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.conftest import Faults

TRACER = TracerProvider(shutdown_on_exit=False).get_tracer("test")
LIMITS = QueueLimits(2048, 16 * 1024**2, 512, 3600.0, 30.0)
"""Nothing leaves but by a flush or a full batch."""


class Taken:
    """An exporter that keeps what it gets, and answers as it is told."""

    last_error = ""

    def __init__(self, *answers: Lost | Exception | None) -> None:
        self.names: list[str] = []
        self.answers = list(answers)
        self.exports = 0
        self.gate: threading.Event | None = None
        self.entered = threading.Event()
        self.closed = threading.Event()

    def export(
        self,
        spans: list[ReadableSpan],
        deadline_s: Callable[[], float],
        wait: Callable[[float], bool],
    ) -> Lost | None:
        """Take *spans*."""
        del deadline_s, wait
        self.exports += 1
        self.entered.set()
        if self.gate is not None:
            self.gate.wait(30)

        answer = self.answers.pop(0) if self.answers else None
        if isinstance(answer, Exception):
            raise answer

        if answer is None:
            self.names += [span.name for span in spans]

        return answer

    def forget(self) -> None:
        """Do nothing: there is no connection."""

    def close(self) -> None:
        """Note the end."""
        self.closed.set()


@pytest.fixture
def drops() -> Iterator[dict[tuple[str, str], int]]:
    """Count the spans that were said to be dropped, by component and reason."""
    counts: dict[tuple[str, str], int] = {}

    def count(event: ItemsDropped) -> None:
        key = (event.component, event.reason)
        counts[key] = counts.get(key, 0) + event.items

    undo = subscribe(ItemsDropped, count)
    yield counts
    undo()


def make_span(name: str = "s", **attributes: str | int | list[str]) -> ReadableSpan:
    """Return a finished span of the SDK's own."""
    span = TRACER.start_span(name, attributes=dict(attributes))
    span.end()
    assert isinstance(span, ReadableSpan)
    return span


def lane(exporter: Taken, limits: QueueLimits = LIMITS, name: str = "otlp") -> Lane:
    """Return a way out."""
    queue = SpanQueue(exporter, limits, SYSTEM_CLOCK, f"tracing.{name}")
    return Lane(name, "there", queue, exporter)


def test_long_texts_are_bounded_by_bytes(drops: dict[tuple[str, str], int]) -> None:
    """Few spans with much in them are dropped oldest first, long before 2 048 wait."""
    exporter = Taken()
    exporter.gate = threading.Event()
    queue = lane(exporter, LIMITS._replace(queue_bytes=1024**2, batch_spans=1)).queue
    queue.put(make_span("held"))
    assert exporter.entered.wait(5)
    for number in range(100):
        queue.put(make_span(str(number), text="x" * 100_000))

    assert queue.figures().queued_bytes <= 1024**2
    exporter.gate.set()
    assert queue.flush(5.0)

    assert exporter.names == ["held", *map(str, range(90, 100))]
    assert drops == {("tracing.otlp", "queue_bytes"): 90}
    assert queue.figures().queued_bytes == 0
    queue.close(1.0)


def test_a_span_larger_than_the_bound_is_dropped_alone(
    drops: dict[tuple[str, str], int],
) -> None:
    """Those that wait already and those that come later find their place."""
    exporter = Taken()
    queue = lane(exporter, LIMITS._replace(queue_bytes=100_000)).queue
    queue.put(make_span("before"))
    queue.put(make_span("huge", text="x" * 200_000))
    queue.put(make_span("after"))
    assert queue.flush(5.0)

    assert exporter.names == ["before", "after"]
    assert drops == {("tracing.otlp", "queue_bytes"): 1}
    assert queue.figures().dropped == {"queue_bytes": 1}
    queue.close(1.0)


def test_many_bytes_leave_before_the_delay(drops: dict[tuple[str, str], int]) -> None:
    """A quarter of the bound wakes the thread, so that bursts of large spans fit."""
    exporter = Taken()
    queue = lane(exporter, LIMITS._replace(queue_bytes=1_000_000)).queue
    queue.put(make_span(text="x" * 260_000))

    assert exporter.entered.wait(5)
    assert drops == {}
    queue.close(5.0)


@pytest.mark.parametrize(
    ("attributes", "characters"),
    [(0, 0), (10, 10), (10, 1000), (100, 10), (3, 10_000)],
)
@pytest.mark.parametrize("ours", [False, True])
def test_weights_are_about_the_memory(
    attributes: int, characters: int, ours: bool
) -> None:
    """Of the SDK's spans and of ours: within two thirds of what Python allocates."""
    pillar = make_pillar()
    pillar.start()
    assert pillar._view is not None
    spans = pillar._view._ring

    def build(number: int) -> None:
        values = {f"a_{n}": f"{number} {'x' * characters}" for n in range(attributes)}
        if ours:
            with svcready.span("GET /orders/{order_id}", **values):
                pass
        else:
            spans.append(make_span("GET /orders/{order_id}", **values))

    build(0)
    tracemalloc.start()
    before, _ = tracemalloc.get_traced_memory()
    for number in range(50):
        build(number)

    after, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    pillar.close(0.1)

    assert len(spans) == 51
    assert 0.6 < sum(map(weigh, spans)) / (after - before) < 1.7


def test_sequences_and_events_weigh_too() -> None:
    """Texts in lists, events and links count as those in attributes do."""
    plain = weigh(make_span())
    span = TRACER.start_span("s")
    span.add_event("said", {"text": "x" * 5000})
    span.add_link(span.get_span_context(), {"text": "x" * 5000})
    span.end()
    assert isinstance(span, ReadableSpan)

    assert weigh(make_span(texts=["x" * 1000, "y" * 1000])) > plain + 2000
    assert weigh(span) > plain + 10_000


def test_ways_out_are_flushed_at_the_same_time() -> None:
    """Three that hang share one budget, and one that works is done within it."""
    exporters = [Taken() for _ in range(4)]
    gate = threading.Event()
    for hanging in exporters[:3]:
        hanging.gate = gate

    names = ("a", "b", "c", "d")
    lanes = tuple(lane(e, name=n) for e, n in zip(exporters, names, strict=True))
    exports = Exports(lanes)
    for each in lanes:
        each.queue.put(make_span("one"))

    began_s = time.monotonic()
    assert not exports.flush(0.4)
    took_s = time.monotonic() - began_s

    assert 0.35 < took_s < 0.9
    assert exporters[3].names == ["one"]
    began_s = time.monotonic()
    assert exports.close(0.4) == 3
    assert time.monotonic() - began_s < 0.9
    gate.set()


def test_each_way_is_described() -> None:
    """No way's figures hide another's."""
    refusing = Taken(Lost("rejected", 1))
    refusing.last_error = "403 Forbidden"
    lanes = (lane(refusing), lane(Taken(), name="xray"))
    exports = Exports(lanes)
    for each in lanes:
        each.queue.put(make_span())

    exports.flush(5.0)
    described = exports.describe()
    exports.close(1.0)

    assert described == {
        "export": "otlp: there, xray: there",
        "exporters": {
            "otlp": {
                "queued": 0,
                "queued_bytes": 0,
                "sent": 0,
                "failed": {"rejected": 1},
                "dropped": {"rejected": 1},
                "last_error": "403 Forbidden",
            },
            "xray": {
                "queued": 0,
                "queued_bytes": 0,
                "sent": 1,
                "failed": {},
                "dropped": {},
            },
        },
    }
    assert exports.dropped == {"rejected": 1}


def test_an_exporter_that_raises_loses_its_batch_alone(
    drops: dict[tuple[str, str], int], faults: Faults
) -> None:
    """The batch is counted, the fault reported, and the next batch goes out."""
    exporter = Taken(ZeroDivisionError("of ours"))
    queue = lane(exporter, LIMITS._replace(batch_spans=1)).queue
    queue.put(make_span("first"))
    queue.put(make_span("second"))
    assert queue.flush(5.0)

    assert exporter.names == ["second"]
    assert drops == {("tracing.otlp", "error"): 1}
    assert isinstance(faults.claim("tracing.otlp"), ZeroDivisionError)
    queue.close(1.0)


def test_a_receiver_is_left_alone_when_it_asks() -> None:
    """Until then spans wait; a flush makes one try and leaves it at that."""
    exporter = Taken(Lost("unavailable", 1, 600.0), Lost("unavailable", 1, 600.0))
    queue = lane(exporter, LIMITS._replace(batch_spans=1)).queue
    queue.put(make_span("lost"))
    assert exporter.entered.wait(5)
    for number in range(5):
        queue.put(make_span(str(number)))

    assert not queue.flush(5.0)
    assert exporter.exports == 2
    assert queue.flush(5.0)
    assert exporter.names == ["1", "2", "3", "4"]
    queue.close(1.0)


def test_nobody_is_left_alone_for_years() -> None:
    """A receiver that asks for more time than threads can wait is tried again."""
    exporter = Taken(Lost("unavailable", 1, 1e300))
    queue = lane(exporter, LIMITS._replace(batch_spans=1)).queue
    queue.put(make_span("lost"))
    assert exporter.entered.wait(5)
    thread = queue._thread
    assert queue.flush(5.0)
    queue.put(make_span("kept"))

    assert queue.flush(5.0)
    assert exporter.names == ["kept"]
    assert thread is not None
    assert thread.is_alive()
    assert 0 < queue._resumes_at_s - SYSTEM_CLOCK.monotonic() <= 600.0
    queue.close(1.0)


def test_flushes_of_two_callers_do_not_shorten_each_other() -> None:
    """A hurried caller's deadline ends its own wait, not the other's flush."""
    exporter = Taken()
    exporter.gate = threading.Event()
    queue = lane(exporter, LIMITS._replace(batch_spans=1)).queue
    queue.put(make_span("one"))
    assert exporter.entered.wait(5)
    queue.put(make_span("two"))
    patient = queue.begin_flush(10.0)
    hurried = queue.begin_flush(0.05)
    assert queue._deadline() > SYSTEM_CLOCK.monotonic() + 5.0
    assert not hurried()
    exporter.gate.set()

    assert patient()
    assert exporter.names == ["one", "two"]
    queue.close(1.0)


def test_after_the_end_spans_are_counted(drops: dict[tuple[str, str], int]) -> None:
    """What ends later is lost, and said to be."""
    exporter = Taken()
    queue = lane(exporter).queue
    queue.put(make_span())
    assert queue.close(5.0) == 0
    assert exporter.closed.wait(5)
    queue.put(make_span())

    assert drops == {("tracing.otlp", "closed"): 1}
