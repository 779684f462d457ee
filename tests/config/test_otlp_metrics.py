"""The standard variables of metrics over OTLP."""

from __future__ import annotations

import pytest

from svcready.config import load

METRICS = "OTEL_EXPORTER_OTLP_METRICS_"


@pytest.mark.parametrize(
    ("variable", "text", "field", "expected"),
    [
        ("OTEL_METRIC_EXPORT_INTERVAL", "15000", "metrics_interval_s", 15.0),
        ("OTEL_METRIC_EXPORT_INTERVAL", "15s", "metrics_interval_s", 15.0),
        ("OTEL_METRIC_EXPORT_TIMEOUT", "500", "metrics_export_timeout_s", 0.5),
        ("OTEL_METRICS_EXPORTER", "otlp", "metrics", True),
        ("OTEL_METRICS_EXPORTER", "prometheus,otlp", "metrics", True),
        ("OTEL_METRICS_EXPORTER", "none", "metrics", False),
        (f"{METRICS}ENDPOINT", "http://c/x", "metrics_endpoint", "http://c/x"),
        (f"{METRICS}HEADERS", "a=b", "metrics_headers", (("a", "b"),)),
        (f"{METRICS}TEMPORALITY_PREFERENCE", "DELTA", "metrics_temporality", "delta"),
        (f"{METRICS}TIMEOUT", "3", "metrics_timeout_s", 3.0),
        (f"{METRICS}COMPRESSION", "gzip", "metrics_compression", "gzip"),
    ],
)
def test_standard_variables_are_honoured(
    variable: str, text: str, field: str, expected: object
) -> None:
    """What OpenTelemetry's own exporter reads, ours reads in the same unit."""
    settings = load(environ={variable: text})
    assert settings.problems == ()
    assert getattr(settings.otlp, field) == expected


@pytest.mark.parametrize(
    ("variable", "text"),
    [
        ("OTEL_METRIC_EXPORT_INTERVAL", "abc"),
        ("OTEL_METRIC_EXPORT_INTERVAL", "-5"),
        ("OTEL_METRIC_EXPORT_INTERVAL", "0"),
        ("OTEL_METRIC_EXPORT_TIMEOUT", "nan"),
        ("OTEL_METRICS_EXPORTER", "console"),
        (f"{METRICS}TEMPORALITY_PREFERENCE", "sometimes"),
        (f"{METRICS}ENDPOINT", "collector"),
        ("SVCREADY_OTLP_METRICS", "perhaps"),
        ("SVCREADY_OTLP_METRICS_INTERVAL_S", "-1"),
    ],
)
def test_wrong_values_are_reported_and_the_default_holds(
    variable: str, text: str
) -> None:
    """Nothing starts or stops being sent because of a value that means nothing."""
    settings = load(environ={variable: text})
    (problem,) = settings.problems
    assert problem.name == variable
    assert settings.otlp == load(environ={}).otlp
