"""Spans, kept and not, and the context of W3C headers."""

from __future__ import annotations

from typing import TYPE_CHECKING

from benchmarks.workload import Statement

if TYPE_CHECKING:
    from collections.abc import Mapping

    from benchmarks.workload import Workload

ATTRIBUTES = {
    "order.id": 4711,
    "order.kind": "retail",
    "order.items": 3,
    "order.total": 42.5,
    "order.paid": True,
}

W3C = {"tracing.propagators": "tracecontext"}
"""What the peer's propagator reads and writes, and nothing else."""

HEADERS = {
    "host": "orders.internal:8000",
    "user-agent": "curl/8.5.0",
    "accept": "application/json",
    "traceparent": "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
}

SPAN = 'with span("charge"):\n    pass'
SPAN_WITH_ATTRIBUTES = f'with span("charge", attributes={ATTRIBUTES!r}):\n    pass'


class _InServerSpan:
    """A statement repeated inside one OTel span, as a request would have it."""

    def __init__(self, statement: str, sampled: float) -> None:
        from opentelemetry import trace

        from benchmarks.subjects.peer_stack import start_tracing

        self.flush = start_tracing(sampled)
        self._span = trace.get_tracer("server").start_as_current_span
        names = {"span": trace.get_tracer("orders").start_as_current_span}
        self._inner = Statement(statement, names)

    def run(self, count: int) -> None:
        """Open the outer span and do the statement `count` times."""
        with self._span("GET /items/{item_id}"):
            self._inner.run(count)


def otel_unsampled() -> Workload:
    """OTel SDK, nothing sampled."""
    return _InServerSpan(SPAN, 0.0)


def otel_sampled() -> Workload:
    """OTel SDK, everything sampled, five attributes, encoding and export included."""
    return _InServerSpan(SPAN_WITH_ATTRIBUTES, 1.0)


def ours_unsampled() -> Workload:
    """svcready, nothing sampled."""
    import svcready
    from benchmarks.subjects.ours import InRequest

    return InRequest(SPAN, {"span": svcready.span}, sampled=0.0)


def ours_sampled() -> Workload:
    """svcready, everything sampled, five attributes, encoding and export included."""
    import svcready
    from benchmarks.subjects.ours import InRequest

    return InRequest(SPAN_WITH_ATTRIBUTES, {"span": svcready.span}, sampled=1.0)


def otel_extract() -> Workload:
    """OTel's default propagator reading a request's headers."""
    from opentelemetry.trace.propagation.tracecontext import (
        TraceContextTextMapPropagator,
    )

    names = {"extract": TraceContextTextMapPropagator().extract, "headers": HEADERS}
    return Statement("extract(headers)", names)


def otel_inject() -> Workload:
    """OTel's default propagator writing the current context into headers."""
    from opentelemetry import context
    from opentelemetry.trace.propagation.tracecontext import (
        TraceContextTextMapPropagator,
    )

    propagator = TraceContextTextMapPropagator()
    context.attach(propagator.extract(HEADERS))
    return Statement("inject({})", {"inject": propagator.inject})


def ours_extract() -> Workload:
    """Svcready reading a request's headers, of the same one format."""
    return Statement("extract(headers)", {**_ours(W3C), "headers": HEADERS})


def ours_inject() -> Workload:
    """Svcready writing a request's headers, of the same one format."""
    return _in_request(W3C)


def ours_extract_all() -> Workload:
    """Svcready reading with all formats that are on by default."""
    return Statement("extract(headers)", {**_ours({}), "headers": HEADERS})


def ours_inject_all() -> Workload:
    """Svcready writing all formats that are on by default."""
    return _in_request({})


def _ours(settings: Mapping[str, object]) -> dict[str, object]:
    """Return what instrumented libraries call once `init()` was: ours, through OTel."""
    from opentelemetry import propagate

    from benchmarks.subjects.ours import start

    start(settings=settings)
    chosen = propagate.get_global_textmap()
    return {"extract": chosen.extract, "inject": chosen.inject}


def _in_request(settings: Mapping[str, object]) -> Workload:
    from benchmarks.subjects.ours import InRequest

    names = _ours(settings)
    return InRequest("inject({})", names, sampled=1.0, settings=settings)
