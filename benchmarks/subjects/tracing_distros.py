"""Spans by the distributions that people trace with on AWS or for their ease."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from benchmarks.subjects.tracing import ATTRIBUTES, SPAN_WITH_ATTRIBUTES
from benchmarks.workload import Statement

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractContextManager

LOGFIRE_SPAN = 'with span("charge"):\n    pass'
LOGFIRE_ATTRIBUTES = 'with span("charge", **attributes):\n    pass'
XRAY_SPAN = 'with span("charge"):\n    pass'
XRAY_ATTRIBUTES = (
    'with span("charge") as it:\n'
    "    for key, value in attributes.items():\n"
    "        it.put_annotation(key, value)"
)


class _Inside:
    """A statement repeated inside one span that stands for the request's."""

    def __init__(
        self,
        outer: Callable[[], AbstractContextManager[object]],
        statement: str,
        names: dict[str, object],
        flush: Callable[[], object],
    ) -> None:
        self._outer = outer
        self._inner = Statement(statement, names)
        self.flush = flush

    def run(self, count: int) -> None:
        """Open the outer span and do the statement `count` times."""
        with self._outer():
            self._inner.run(count)


def logfire(sampled: float) -> _Inside:
    """Logfire, sending to another collector."""
    import logfire

    logfire.configure(
        service_name="orders",
        service_version="1.4.2",
        send_to_logfire=False,
        console=False,
        inspect_arguments=False,
        sampling=logfire.SamplingOptions(head=sampled),
    )
    names = {"span": logfire.span, "attributes": ATTRIBUTES}
    statement = LOGFIRE_ATTRIBUTES if sampled else LOGFIRE_SPAN
    return _Inside(
        lambda: logfire.span("server"), statement, names, logfire.force_flush
    )


def adot(sampled: float) -> _Inside:
    """Start AWS's distribution as its command line does, towards our collector."""
    os.environ.update(
        {
            "OTEL_SERVICE_NAME": "orders",
            "OTEL_TRACES_SAMPLER": "parentbased_traceidratio",
            "OTEL_TRACES_SAMPLER_ARG": str(sampled),
            "OTEL_TRACES_EXPORTER": "otlp",
            "OTEL_METRICS_EXPORTER": "none",
            "OTEL_LOGS_EXPORTER": "none",
            "OTEL_EXPORTER_OTLP_PROTOCOL": "http/protobuf",
            "OTEL_PYTHON_DISTRO": "aws_distro",
            "OTEL_PYTHON_CONFIGURATOR": "aws_configurator",
        }
    )
    from amazon.opentelemetry.distro.aws_opentelemetry_configurator import (
        AwsOpenTelemetryConfigurator,
    )
    from amazon.opentelemetry.distro.aws_opentelemetry_distro import (
        AwsOpenTelemetryDistro,
    )
    from opentelemetry import trace

    AwsOpenTelemetryDistro().configure()
    AwsOpenTelemetryConfigurator().configure()
    provider = trace.get_tracer_provider()
    open_span = trace.get_tracer("orders").start_as_current_span
    statement = SPAN_WITH_ATTRIBUTES if sampled else LOGFIRE_SPAN
    return _Inside(
        lambda: open_span("GET /items/{item_id}", kind=trace.SpanKind.SERVER),
        statement,
        {"span": open_span},
        provider.force_flush,
    )


def xray_sdk(sampled: float) -> _Inside:
    """Run the X-Ray SDK, whose emitter writes to the daemon's port as spans end."""
    from aws_xray_sdk.core import xray_recorder

    xray_recorder.configure(
        service="orders", sampling=False, daemon_address="127.0.0.1:20999"
    )
    names = {"span": xray_recorder.in_subsegment, "attributes": _xray_attributes()}
    return _Inside(
        lambda: xray_recorder.in_segment("orders", sampling=bool(sampled)),
        XRAY_ATTRIBUTES if sampled else XRAY_SPAN,
        names,
        lambda: None,
    )


def _xray_attributes() -> dict[str, object]:
    return {key.replace(".", "_"): value for key, value in ATTRIBUTES.items()}
