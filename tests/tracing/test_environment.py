"""OpenTelemetry's and AWS's variables: read by us, and unable to break anything."""

from __future__ import annotations

import json

import pytest

from svcready.config import load
from svcready.config._sections.tracing import SamplingRate
from svcready.config._table import standard_names
from svcready.tracing.view._ring import TraceView
from tests.architecture.house import run_clean

START = """
import json, os
before = os.environ
copy = dict(os.environ)
from tests.tracing.support import make_pillar, TracingSettings
from svcready.tracing import span
made = make_pillar()
made.start()
with span("work"):
    pass
from opentelemetry import trace
from opentelemetry.sdk import trace as sdk
with trace.get_tracer("lib").start_as_current_span("lib"):
    pass
print(json.dumps([
    sorted(r.name for r in made.recent()),
    os.environ is before and dict(os.environ) == copy,
    sdk.environ is before,
    made.close(1.0),
]))
"""

OTEL = [
    "OTEL_SDK_DISABLED",
    "OTEL_SERVICE_NAME",
    "OTEL_RESOURCE_ATTRIBUTES",
    "OTEL_PROPAGATORS",
    "OTEL_TRACES_SAMPLER",
    "OTEL_TRACES_SAMPLER_ARG",
    "OTEL_TRACES_EXPORTER",
    "OTEL_BSP_SCHEDULE_DELAY",
    "OTEL_BSP_EXPORT_TIMEOUT",
    "OTEL_BSP_MAX_QUEUE_SIZE",
    "OTEL_BSP_MAX_EXPORT_BATCH_SIZE",
    "OTEL_ATTRIBUTE_COUNT_LIMIT",
    "OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT",
    "OTEL_SPAN_EVENT_COUNT_LIMIT",
    "OTEL_SPAN_LINK_COUNT_LIMIT",
    "OTEL_EVENT_ATTRIBUTE_COUNT_LIMIT",
    "OTEL_LINK_ATTRIBUTE_COUNT_LIMIT",
    "OTEL_ATTRIBUTE_VALUE_LENGTH_LIMIT",
    "OTEL_SPAN_ATTRIBUTE_VALUE_LENGTH_LIMIT",
    "OTEL_EXPERIMENTAL_RESOURCE_DETECTORS",
    "OTEL_PYTHON_SDK_INTERNAL_METRICS_ENABLED",
    "OTEL_PYTHON_TRACER_PROVIDER",
    "OTEL_PYTHON_METER_PROVIDER",
    "OTEL_PYTHON_ID_GENERATOR",
    "OTEL_PYTHON_CONTEXT",
    "OTEL_PYTHON_EXPORTER_OTLP_HTTP_CREDENTIAL_PROVIDER",
    "OTEL_SEMCONV_STABILITY_OPT_IN",
]
PARTS = "ENDPOINT HEADERS COMPRESSION TIMEOUT PROTOCOL CERTIFICATE CLIENT_KEY INSECURE"
OTEL += [
    f"OTEL_EXPORTER_OTLP_{signal}{part}"
    for signal in ("", "TRACES_")
    for part in [*PARTS.split(), "CLIENT_CERTIFICATE"]
]


@pytest.mark.parametrize(
    "nonsense", ["bogus", "-5", "", "  ", "\N{SNOWMAN}=;,", "9" * 99]
)
def test_nonsense_breaks_neither_import_nor_start(nonsense: str) -> None:
    """With nonsense in every variable spans are made, and the environment is whole."""
    output = run_clean(START, env=dict.fromkeys(OTEL, nonsense))

    assert json.loads(output.splitlines()[-1]) == [["lib", "work"], True, True, 0]


def load_one(name: str, value: str) -> tuple[object, ...]:
    """Load with one variable; returns the names of problems before the settings."""
    loaded = load(environ={name: value})
    return (
        [problem.name for problem in loaded.problems],
        loaded.tracing,
        loaded.otlp,
        loaded.xray,
    )


@pytest.mark.parametrize(
    ("text", "rate"),
    [
        ("100%", (0.0, 1.0)),
        ("0.05", (0.0, 0.05)),
        ("5%", (0.0, 0.05)),
        ("0", (0.0, 0.0)),
        ("2/s", (2.0, 0.0)),
        ("1/s+5%", (1.0, 0.05)),
        (" 0.5/s + 10 % ", (0.5, 0.1)),
        ("5%+1/s", (1.0, 0.05)),
    ],
)
def test_sampling_is_read(text: str, rate: tuple[float, float]) -> None:
    """Every form of the variable."""
    loaded = load(environ={"SVCREADY_TRACING_SAMPLING": text})

    assert not loaded.problems
    assert loaded.tracing.sampling == SamplingRate(*rate)


@pytest.mark.parametrize(
    "text",
    ["5", "-1", "101%", "1/s+1/s", "5%+5%", "all", "1/m", "nan", "1/s+", "inf/s"],
)
def test_bad_sampling_never_means_all(text: str) -> None:
    """It is reported, and the default is in force."""
    loaded = load(environ={"SVCREADY_TRACING_SAMPLING": text})

    assert [p.name for p in loaded.problems] == ["SVCREADY_TRACING_SAMPLING"]
    assert loaded.tracing.sampling == SamplingRate(1.0, 0.05)


def test_development_samples_all_and_keeps_spans() -> None:
    """The relaxed defaults."""
    loaded = load(environ={"SVCREADY_SERVICE_ENVIRONMENT": "dev"})

    assert loaded.tracing.sampling == SamplingRate(0.0, 1.0)
    assert loaded.tracing.view_spans == 2000
    assert load(environ={}).tracing.view_spans == 0


@pytest.mark.parametrize(
    ("sampler", "rate", "trust"),
    [
        ("always_on", SamplingRate(0.0, 1.0), "sampled-flag-ignored"),
        ("parentbased_always_on", SamplingRate(0.0, 1.0), "always"),
        ("parentbased_always_off", SamplingRate(0.0, 0.0), "always"),
        ("parentbased_traceidratio", SamplingRate(0.0, None), "always"),
        ("xray", SamplingRate(1.0, 0.05, central=True), "always"),
    ],
)
def test_the_standard_samplers(sampler: str, rate: SamplingRate, trust: str) -> None:
    """OTEL_TRACES_SAMPLER sets the rule, and whether a caller's flag counts."""
    loaded = load(environ={"OTEL_TRACES_SAMPLER": sampler})

    assert not loaded.problems
    assert loaded.tracing.sampling == rate
    assert loaded.tracing.trust_inbound == trust


@pytest.mark.parametrize(
    ("argument", "ratio", "bad"),
    [("0.25", 0.25, False), ("10%", 0.1, False), ("5", 0.05, True), ("x", 0.05, True)],
)
def test_the_standard_ratio(argument: str, ratio: float, bad: bool) -> None:
    """A bad argument is reported and means 5 %, not 100 %."""
    environ = {
        "OTEL_TRACES_SAMPLER": "parentbased_traceidratio",
        "OTEL_TRACES_SAMPLER_ARG": argument,
    }
    loaded = load(environ=environ)

    assert loaded.tracing.ratio == ratio
    assert bool(loaded.problems) is bad


def test_the_argument_of_the_xray_sampler_is_no_problem() -> None:
    """It belongs to a sampler whose rules are read another way."""
    environ = {
        "OTEL_TRACES_SAMPLER": "xray",
        "OTEL_TRACES_SAMPLER_ARG": "endpoint=http://h:2000,polling_interval=300",
    }
    assert not load(environ=environ).problems


@pytest.mark.parametrize(
    ("name", "value", "read"),
    [
        ("OTEL_SDK_DISABLED", "true", lambda t, o, x: t.enabled is False),
        ("OTEL_SDK_DISABLED", "false", lambda t, o, x: t.enabled is True),
        ("OTEL_BSP_SCHEDULE_DELAY", "250", lambda t, o, x: t.export_delay_s == 0.25),
        ("OTEL_BSP_EXPORT_TIMEOUT", "3s", lambda t, o, x: t.export_timeout_s == 3.0),
        ("OTEL_BSP_MAX_QUEUE_SIZE", "9", lambda t, o, x: t.queue_spans == 9),
        ("OTEL_TRACES_EXPORTER", "none", lambda t, o, x: t.exporter == ("none",)),
        ("OTEL_PROPAGATORS", "none", lambda t, o, x: t.propagators == ()),
        (
            "OTEL_PROPAGATORS",
            "b3multi, xray-lambda,tracecontext,B3,tracecontext",
            lambda t, o, x: (
                t.propagators == ("b3multi", "xray-lambda", "tracecontext", "b3")
            ),
        ),
        ("OTEL_EXPORTER_OTLP_TIMEOUT", "10", lambda t, o, x: o.timeout_s == 10.0),
        ("OTEL_EXPORTER_OTLP_TIMEOUT", "10000", lambda t, o, x: o.timeout_s == 10.0),
        ("OTEL_EXPORTER_OTLP_TIMEOUT", "500ms", lambda t, o, x: o.timeout_s == 0.5),
        (
            "OTEL_EXPORTER_OTLP_TRACES_HEADERS",
            "Authorization=Basic%20eA%3D%3D, x=1",
            lambda t, o, x: (
                o.traces_headers == (("authorization", "Basic eA=="), ("x", "1"))
            ),
        ),
        (
            "AWS_XRAY_DAEMON_ADDRESS",
            "tcp:10.0.0.1:2001 udp:10.0.0.1:2000",
            lambda t, o, x: (
                x.daemon_address == (("10.0.0.1", 2000), ("10.0.0.1", 2001))
            ),
        ),
        (
            "AWS_XRAY_DAEMON_ADDRESS",
            "xray.local:2000",
            lambda t, o, x: (
                x.daemon_address == (("xray.local", 2000), ("xray.local", 2000))
            ),
        ),
        ("AWS_XRAY_TRACING_NAME", "shop", lambda t, o, x: x.tracing_name == "shop"),
    ],
)
def test_standard_variables_are_honoured(name: str, value: str, read: object) -> None:
    """Each standard variable, with its own unit, reaches its setting."""
    problems, *sections = load_one(name, value)

    assert problems == []
    assert read(*sections)  # type: ignore[operator]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("OTEL_BSP_SCHEDULE_DELAY", "-5"),
        ("OTEL_BSP_SCHEDULE_DELAY", "0"),
        ("OTEL_BSP_MAX_QUEUE_SIZE", "0"),
        ("OTEL_TRACES_EXPORTER", "otlp,bogus"),
        ("OTEL_PROPAGATORS", "tracecontext,bogus"),
        ("OTEL_EXPORTER_OTLP_ENDPOINT", "collector"),
        ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://"),
        ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://h:99999"),
        ("OTEL_EXPORTER_OTLP_HEADERS", "no-equals-sign"),
        ("OTEL_EXPORTER_OTLP_HEADERS", "a=%0d%0aInjected: 1"),
        ("OTEL_EXPORTER_OTLP_COMPRESSION", "zip"),
        ("AWS_XRAY_DAEMON_ADDRESS", "udp:x:1 udp:y:2"),
        ("AWS_XRAY_DAEMON_ADDRESS", "host"),
    ],
)
def test_bad_standard_variables_are_named(name: str, value: str) -> None:
    """Each is reported by its own name."""
    problems, *_ = load_one(name, value)

    assert problems == [name]


def test_every_standard_variable_of_the_pillar_is_known() -> None:
    """None of the variables that the SDK reads for traces is left to the SDK."""
    known = standard_names()

    assert {name for name in OTEL if "LIMIT" in name or "BSP" in name} <= set(known)
    assert {
        name
        for name in OTEL
        if "EXPORTER_OTLP" in name and not name.endswith("PROVIDER")
    } <= set(known)
    assert TraceView(1).recent() == []
