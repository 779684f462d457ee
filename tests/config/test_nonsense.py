"""Nonsense from the environment and the file never raises."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from svcready.config import KINDS, load, reference
from svcready.config._sections.admin import NOBODY
from svcready.config._table import entries, standard_names

NAMES = [
    *(entry.variable for entry in entries()),
    *sorted(standard_names()),
    *(row.variable.replace("<NAME>", "X") for row in reference() if "<" in row.key),
    *(f"SVCREADY_{kind}__" for kind in KINDS),
]
text = st.text() | st.sampled_from(
    ["", " ", "\0", "\udcff", "9" * 400, "-1", "nan", "1e999", "ssm:", "file:/", "%"]
)
names = st.sampled_from(NAMES) | st.text().map("SVCREADY_".__add__)


@given(environ=st.dictionaries(names, text, max_size=12))
def test_no_environment_raises(environ: dict[str, str]) -> None:
    """Whatever the variables hold, there are settings and problems that can be said."""
    settings = load(environ=environ)

    assert all(str(problem).isprintable() for problem in settings.problems)
    settings.named.unmatched()


@given(content=st.binary() | st.text().map(str.encode))
def test_no_file_raises(content: bytes) -> None:
    """Whatever bytes the file holds, there are settings."""
    load(
        environ={"SVCREADY_CORE_CONFIG_FILE": "/f"},
        read_file=lambda _: content,
    )


@given(
    section=st.sampled_from([entry.key for entry in entries()] + ["policy.x.mode"]),
    leaf=st.sampled_from(
        ["[]", "{}", "{a={b=1}}", "[[1]]", "1e400", "nan", "-inf", "1979-05-27", "''"]
    ),
)
def test_no_type_of_the_file_raises(section: str, leaf: str) -> None:
    """Every setting survives every type that TOML knows."""
    content = f"default.{section} = {leaf}".encode()
    settings = load(
        environ={"SVCREADY_CORE_CONFIG_FILE": "/f"}, read_file=lambda _: content
    )

    assert all(problem.kind != "unreadable" for problem in settings.problems)


@pytest.mark.parametrize("nonsense", ["\x01bogus \udc80", "x" * 200_000])
def test_every_variable_set_to_nonsense_is_named(nonsense: str) -> None:
    """One report names every variable, and everything is as without it or closed."""
    free = {"text", "list", "pairs"}  # kinds that can take almost anything
    environ = {entry.variable: nonsense for entry in entries()}
    settings = load(environ=environ)
    plain = load(environ={})
    reported = {problem.name for problem in settings.problems}

    assert reported >= {
        entry.variable for entry in entries() if entry.declared.kind.name not in free
    }
    assert settings.admin.tokens == NOBODY
    closed = {entry.key for entry in entries() if entry.declared.closed is not None}
    assert set(settings.changed_from(plain)) <= closed
    assert sum(len(str(problem)) for problem in settings.problems) < 100_000


@pytest.mark.parametrize("nonsense", ["\x01bogus \udc80"])
def test_every_standard_variable_set_to_nonsense_is_named(nonsense: str) -> None:
    """The variables of wider standards are in the same report."""
    environ = dict.fromkeys(standard_names(), nonsense)
    environ.pop("NO_COLOR", None)  # any text is right for it
    settings = load(environ=environ)

    assert {problem.name for problem in settings.problems} == environ.keys()


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("OTEL_TRACES_SAMPLR", "OTEL_TRACES_SAMPLER"),
        ("OTEL_EXPORTER_OTLP_ENDPIONT", "OTEL_EXPORTER_OTLP_ENDPOINT"),
        ("OTEL_SERVICENAME", "OTEL_SERVICE_NAME"),
        ("OTEL_METRICS_EXPORT_INTERVAL", "OTEL_METRIC_EXPORT_INTERVAL"),
    ],
)
def test_a_misspelt_standard_variable_is_reported(name: str, meant: str) -> None:
    """A name that is nearly one of OpenTelemetry's is reported with that one."""
    (problem,) = load(environ={name: "x"}).problems

    assert problem.name == name
    assert problem.nearest == meant


@pytest.mark.parametrize(
    "name",
    [
        "OTEL_BLRP_SCHEDULE_DELAY",
        "OTEL_EXPORTER_OTLP_LOGS_ENDPOINT",
        "OTEL_EXPORTER_OTLP_METRICS_DEFAULT_HISTOGRAM_AGGREGATION",
        "OTEL_EXPORTER_OTLP_LOGS_INSECURE",
        "OTEL_METRICS_EXEMPLAR_FILTER",
        "OTEL_LOGRECORD_ATTRIBUTE_COUNT_LIMIT",
        "OTEL_LOGS_EXPORTER",
        "OTEL_PYTHON_FLASK_EXCLUDED_URLS",
        "OTEL_SEMCONV_STABILITY_OPT_IN",
        "OTEL_INSTRUMENTATION_HTTP_CAPTURE_HEADERS_SERVER_REQUEST",
        "OTEL_CONFIG_FILE",
        "OTEL_ENTITIES",
    ],
)
def test_standard_variables_of_others_are_none_of_our_business(name: str) -> None:
    """What other readers of OpenTelemetry's variables understand is not reported."""
    assert load(environ={name: "x"}).problems == ()
