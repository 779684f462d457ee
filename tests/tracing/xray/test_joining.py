"""When spans go to X-Ray, what the pillar says of it, and what ends with it."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

import pytest
from opentelemetry.sdk.trace import TracerProvider

from svcready._runtime import _build
from svcready.config import load
from svcready.config._sections.otlp import OtlpSettings
from svcready.config._sections.tracing import TracingSettings
from svcready.config._sections.xray import DaemonAddress, XraySettings
from svcready.tracing import span
from svcready.tracing._sdk import Relay, SpanSink
from tests.tracing.support import ALL, IDENTITY, make_pillar
from tests.tracing.xray.daemon import FakeDaemon

if TYPE_CHECKING:
    from collections.abc import Iterator

DAEMON = DaemonAddress(("127.0.0.1", 2000), ("127.0.0.1", 2000))
SIXTH = DaemonAddress(("::1", 2000), ("::1", 2000))
OTLP = OtlpSettings(endpoint="http://collector:4318")
TO_OTLP = "otlp: http://collector:4318/v1/traces"
TO_XRAY = "xray: udp 127.0.0.1:2000"


@pytest.mark.parametrize(
    ("exporter", "otlp", "xray", "state"),
    [
        (("auto",), OtlpSettings(), XraySettings(daemon_address=DAEMON), TO_XRAY),
        (
            ("auto",),
            OtlpSettings(),
            XraySettings(daemon_address=SIXTH),
            "xray: udp [::1]:2000",
        ),
        (("auto",), OTLP, XraySettings(daemon_address=DAEMON), TO_OTLP),
        (
            ("auto",),
            OTLP,
            XraySettings(daemon_address=DAEMON, export=True),
            f"{TO_OTLP}, {TO_XRAY}",
        ),
        (("auto",), OtlpSettings(), XraySettings(export=True), TO_XRAY),
        (
            ("auto",),
            OtlpSettings(),
            XraySettings(daemon_address=DAEMON, export=False),
            "off: no OTLP endpoint set",
        ),
        (("xray",), OtlpSettings(), XraySettings(), TO_XRAY),
        (("xray",), OTLP, XraySettings(), TO_XRAY),
        (("otlp", "xray"), OTLP, XraySettings(), f"{TO_OTLP}, {TO_XRAY}"),
        (("otlp",), OTLP, XraySettings(daemon_address=DAEMON), TO_OTLP),
        (("none",), OTLP, XraySettings(export=True), "off: switched off"),
    ],
)
def test_where_spans_go(
    exporter: tuple[str, ...], otlp: OtlpSettings, xray: XraySettings, state: str
) -> None:
    """To the daemon if it is named, or has an address and nothing else has one."""
    pillar = make_pillar(TracingSettings(exporter=exporter), otlp, xray=xray)
    pillar.start()

    assert str(pillar.describe()["export"]) == state
    assert pillar.problems == ()
    pillar.close(0.1)


def test_words_that_contradict_each_other_are_a_problem() -> None:
    """The exporter is named, and its export is off: nothing is sent, and it is said."""
    pillar = make_pillar(
        TracingSettings(exporter=("xray",)), xray=XraySettings(export=False)
    )
    pillar.start()

    assert "xray is named as an exporter" in pillar.problems[0]
    assert str(pillar.describe()["export"]).startswith("off: xray is named")
    pillar.close(0.1)


@pytest.mark.parametrize(
    ("otlp", "xray", "said"),
    [
        (OtlpSettings(), XraySettings(), "off: no address set"),
        (
            OtlpSettings(),
            XraySettings(daemon_address=DAEMON),
            "sends to udp 127.0.0.1:2000",
        ),
        (
            OtlpSettings(),
            XraySettings(daemon_address=DAEMON, export=False),
            "off: switched off",
        ),
        (
            OTLP,
            XraySettings(daemon_address=DAEMON),
            "off: 127.0.0.1:2000 is set, but not where spans go",
        ),
    ],
)
def test_what_the_start_line_says(
    otlp: OtlpSettings, xray: XraySettings, said: str
) -> None:
    """Whether the daemon gets spans, and why not."""
    pillar = make_pillar(otlp=otlp, xray=xray)
    pillar.start()

    assert pillar.describe()["xray_daemon"] == said
    pillar.close(0.1)


@pytest.fixture
def daemon() -> Iterator[FakeDaemon]:
    """Give a daemon that listens."""
    made = FakeDaemon()
    yield made
    made.close()


def settings_for(daemon: FakeDaemon, after_s: float = 0.0) -> XraySettings:
    """Return settings that send there."""
    address = DaemonAddress(daemon.address, daemon.address)
    return XraySettings(daemon_address=address, in_progress_after_s=after_s)


def test_secrets_do_not_reach_the_daemon(daemon: FakeDaemon) -> None:
    """What leaves has been redacted, texts of exceptions as well."""
    pillar = make_pillar(xray=settings_for(daemon))
    pillar.start()
    with (
        pytest.raises(ValueError, match="bad"),
        span("work", password="p", k="hunter2"),
    ):
        raise ValueError("bad hunter2")

    pillar.flush(5.0)
    (document,) = daemon.receive(1)
    pillar.close(1.0)

    text = str(document)
    assert "hunter2" not in text
    assert text.count("***") >= 3


def test_what_was_cut_is_said(daemon: FakeDaemon) -> None:
    """People see it where they see that spans are sent."""
    long = TracingSettings(sampling=ALL, max_value_chars=100_000)
    pillar = make_pillar(long, xray=settings_for(daemon))
    pillar.start()
    with span("work", k="x" * 70_000):
        pass

    pillar.flush(5.0)
    daemon.receive(1)
    assert str(pillar.describe()["xray_daemon"]).endswith(" (1 cut_metadata)")
    pillar.close(1.0)


def test_long_requests_are_watched_while_the_pillar_runs(daemon: FakeDaemon) -> None:
    """Redacted as finished ones are; when the pillar has closed, no longer."""
    pillar = make_pillar(xray=settings_for(daemon, 0.01))
    pillar.start()
    request = pillar.server.begin(
        "GET", "/x", None, None, None, None, lambda: {"k": "hunter2"}
    )
    request.activate()
    with span("inner"):
        pass

    pillar.flush(5.0)
    documents = daemon.receive(1)
    while not any("in_progress" in document for document in documents):
        pillar.flush(5.0)
        documents += daemon.waiting(0.01)

    request.end("/x", 200, None)
    request.deactivate()
    pillar.close(5.0)
    documents += daemon.waiting(1.0)

    assert sorted("in_progress" in document for document in documents) == [
        *(False, False, True)
    ]
    assert "hunter2" not in str(documents)
    for thread in threading.enumerate():
        if thread.name == "svcready-open-spans":
            thread.join(5.0)
            assert not thread.is_alive()


def test_an_applications_own_provider_tells_of_what_begins() -> None:
    """Its spans are watched as ours are."""
    begun: list[object] = []
    relay = Relay()
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(relay)
    tracer = provider.get_tracer("app")
    tracer.start_span("before").end()

    relay.sink = sink = SpanSink(None, (), lambda _: True)  # type: ignore[arg-type]
    tracer.start_span("unwatched").end()
    sink.begun = begun.append
    watched = tracer.start_span("watched")
    watched.end()

    assert begun == [watched]


def test_processors_that_were_added_do_not_hide_what_begins(
    daemon: FakeDaemon,
) -> None:
    """An application's processor is told beside us."""
    from opentelemetry import trace
    from opentelemetry.sdk.trace import SpanProcessor

    pillar = make_pillar(xray=settings_for(daemon, 3600.0))
    pillar.start()
    provider = trace.get_tracer_provider()
    provider.add_span_processor(SpanProcessor())  # type: ignore[attr-defined]
    begun: list[object] = []
    assert pillar._live is not None
    assert pillar._live.provider is not None
    pillar._live.provider._sink.begun = begun.append
    with span("work"):
        pass

    pillar.close(1.0)
    assert len(begun) == 1


@pytest.mark.parametrize(
    ("environ", "groups"),
    [
        ({}, None),
        ({"SVCREADY_LOG_CLOUDWATCH": "true"}, ("/svcready/orders",)),
        (
            {"SVCREADY_LOG_CLOUDWATCH": "true", "SVCREADY_LOG_CLOUDWATCH_GROUP": "/g"},
            ("/g",),
        ),
        (
            {"SVCREADY_LOG_CLOUDWATCH": "true", "SVCREADY_XRAY_LOG_GROUPS": "/a,/b"},
            ("/a", "/b"),
        ),
        ({"SVCREADY_LOG_CLOUDWATCH": "true", "SVCREADY_LOG_ENABLED": "no"}, None),
    ],
)
def test_the_log_groups_that_traces_name(
    environ: dict[str, str], groups: tuple[str, ...] | None
) -> None:
    """The operator's, else that of the service's own log lines."""
    settings = load(environ=environ, arguments={})

    assert _build._log_groups(settings, IDENTITY).get("aws.log.group.names") == groups


def test_a_guessed_name_gives_no_log_group() -> None:
    """A look-up may still find another, and lines go to that one's group."""
    from dataclasses import replace

    settings = load(environ={"SVCREADY_LOG_CLOUDWATCH": "true"}, arguments={})

    assert _build._log_groups(settings, replace(IDENTITY, service_is_guess=True)) == {}
