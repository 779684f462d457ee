"""Calls and requests that two instrumentations would say."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from opentelemetry import trace
from opentelemetry.trace import SpanKind

from svcready.tracing.instrumentation import _doubles

if TYPE_CHECKING:
    from svcready.testing import Harness

ROOM = "opentelemetry.instrumentation"


def test_a_second_span_of_each_request_is_told_of(
    harness: Harness, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Once, with the package's name; tracers of the application are not meant."""
    monkeypatch.setattr(_doubles, "_told", set())
    with trace.get_tracer("svcready").start_as_current_span("/", kind=SpanKind.SERVER):
        for scope in (f"{ROOM}.starlette", "orders", f"{ROOM}.starlette"):
            trace.get_tracer(scope).start_span("/").end()

    said = [str(line["message"]) for line in harness.lines]
    (told,) = [line for line in said if "second span" in line]
    assert f"{ROOM}.starlette makes" in told


@pytest.mark.parametrize(
    ("outer", "inner", "kinds", "spans"),
    [
        ("httpx", "httpx", (SpanKind.CLIENT, SpanKind.CLIENT), 1),
        ("pika", "pika", (SpanKind.PRODUCER, SpanKind.PRODUCER), 1),
        ("requests", "urllib3", (SpanKind.CLIENT, SpanKind.CLIENT), 2),
        ("kafka", "kafka", (SpanKind.CONSUMER, SpanKind.PRODUCER), 2),
        ("botocore", "botocore", (SpanKind.CLIENT, SpanKind.CLIENT), 2),
    ],
)
def test_a_call_says_what_it_does_once(
    harness: Harness,
    outer: str,
    inner: str,
    kinds: tuple[SpanKind, SpanKind],
    spans: int,
) -> None:
    """A span just like the one around it is that one; spans inside are its children."""
    first = trace.get_tracer(f"{ROOM}.{outer}")
    second = trace.get_tracer(f"{ROOM}.{inner}")
    with (
        first.start_as_current_span("a", kind=kinds[0]),
        second.start_as_current_span("b", kind=kinds[1]),
        trace.get_tracer("orders").start_as_current_span("c"),
    ):
        pass

    made = {span.name: span for span in harness.spans}
    assert len(made) == spans + 1
    assert len({span.trace_id for span in made.values()}) == 1
    around = "a" if spans == 1 else "b"
    assert made["c"].parent_id == made[around].span_id


def test_a_call_after_another_is_no_repetition(harness: Harness) -> None:
    """The one around has ended, or there is none."""
    tracer = trace.get_tracer(f"{ROOM}.httpx")
    for name in ("a", "b"):
        with tracer.start_as_current_span(name, kind=SpanKind.CLIENT):
            pass

    with tracer.start_as_current_span("c", kind=SpanKind.CLIENT) as ended:
        ended.end()
        tracer.start_span("d", kind=SpanKind.CLIENT).end()

    assert sorted(span.name for span in harness.spans) == ["a", "b", "c", "d"]
