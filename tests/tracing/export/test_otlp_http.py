"""Export over OTLP: what arrives, what is lost, and what it may cost."""

from __future__ import annotations

import logging
import os
import socket
import threading
import time
from struct import error as StructError  # noqa: N812 - it is a class
from typing import TYPE_CHECKING

import pytest
from opentelemetry import trace

from svcready._core import fork
from svcready._core.events import ItemsDropped, subscribe
from svcready._transport import _otlp_target as transport
from svcready.config._sections.otlp import OtlpSettings
from svcready.config._sections.tracing import TracingSettings
from svcready.tracing import span
from tests.tracing.support import ALL, make_pillar

if TYPE_CHECKING:
    from collections.abc import Iterator

    from svcready.tracing._pillar import TracePillar
    from tests.conftest import Faults
    from tests.tracing.collector import Collector

pytest.importorskip("opentelemetry.proto")

SLOW = 3600.0
"""An export delay that no test waits for: only a flush sends."""


@pytest.fixture
def drops() -> Iterator[dict[str, int]]:
    """Count the spans that were said to be dropped, by reason."""
    counts: dict[str, int] = {}

    def count(event: ItemsDropped) -> None:
        assert event.component == "tracing.otlp"
        counts[event.reason] = counts.get(event.reason, 0) + event.items

    undo = subscribe(ItemsDropped, count)
    yield counts
    undo()


def settings(
    *, queue_spans: int = 2048, batch_spans: int = 512, export_delay_s: float = SLOW
) -> TracingSettings:
    """Return settings that sample all."""
    return TracingSettings(
        sampling=ALL,
        queue_spans=queue_spans,
        batch_spans=batch_spans,
        export_delay_s=export_delay_s,
    )


def started(url: str, made: TracingSettings | None = None) -> TracePillar:
    """Start a pillar that exports to *url*."""
    pillar = make_pillar(made or settings(), OtlpSettings(endpoint=url, timeout_s=0.3))
    pillar.start()
    return pillar


def work(count: int = 1) -> None:
    """Finish so many spans."""
    for number in range(count):
        with span(f"span-{number}", password="hunter2"):
            pass


def sent(pillar: TracePillar) -> dict[str, object]:
    """Return the statistics of the queue."""
    exporters = pillar.describe()["exporters"]
    assert isinstance(exporters, dict)
    statistics = exporters["otlp"]
    assert isinstance(statistics, dict)
    return statistics


def test_spans_arrive_whole(collector: Collector) -> None:
    """A real parser finds the resource, scope, tree, attributes, events and status."""
    pillar = started(collector.url)
    request = pillar.server.begin(
        "GET",
        "/x",
        "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-03",
        "k=v",
        None,
        None,
        lambda: {"url.scheme": "http", "count": 3, "share": 0.5, "tags": ["a", "b"]},
    )
    request.activate()
    with pytest.raises(ValueError, match="bad"), span("inner"):
        raise ValueError("bad hunter2")

    request.end("/x", 500, None)
    request.deactivate()
    assert pillar.flush(5.0)
    pillar.close(1.0)

    (message,) = collector.requests
    (resource,) = message.resource_spans
    described = {a.key: a.value.string_value for a in resource.resource.attributes}
    assert (
        described.items()
        >= {
            "service.name": "orders",
            "service.version": "1.4.2",
            "service.instance.id": "i-1",
            "deployment.environment.name": "test",
            "team": "shop",
            "telemetry.sdk.language": "python",
            "telemetry.distro.name": "svcready",
        }.items()
    )
    assert collector.paths == ["/v1/traces"]
    assert collector.received_headers[0]["Content-Type"] == "application/x-protobuf"
    inner, server = collector.spans
    assert server.trace_id.hex() == "4bf92f3577b34da6a3ce929d0e0e4736"
    assert server.parent_span_id.hex() == "00f067aa0ba902b7"
    assert (server.name, server.kind, server.trace_state) == ("GET /x", 2, "k=v")
    assert server.status.code == 2
    assert 0 < server.start_time_unix_nano <= server.end_time_unix_nano
    values = {a.key: a.value for a in server.attributes}
    assert values["count"].int_value == 3
    assert values["share"].double_value == 0.5
    assert [v.string_value for v in values["tags"].array_value.values] == ["a", "b"]
    assert inner.parent_span_id == server.span_id
    assert inner.trace_id == server.trace_id
    assert inner.events[0].name == "exception"
    assert "hunter2" not in str(message)


def test_what_other_libraries_record_is_redacted_too(collector: Collector) -> None:
    """Spans through OpenTelemetry's API leave without secrets, cut to the limit."""
    pillar = started(collector.url)
    tracer = trace.get_tracer("library", "2.0")
    with tracer.start_as_current_span(
        "call hunter2", attributes={"password": "x", "url.full": "http://h/?a=hunter2"}
    ) as current:
        current.add_event("said", {"text": "hunter2", "long": "x" * 20_000})
        current.set_status(trace.StatusCode.ERROR, "no hunter2")

    pillar.close(5.0)

    (record,) = collector.spans
    assert "hunter2" not in str(record)
    assert record.name == "call ***"
    assert record.status.message == "no ***"
    assert len(record.events[0].attributes[1].value.string_value) == 16384
    scope = collector.requests[0].resource_spans[0].scope_spans[0].scope
    assert (scope.name, scope.version) == ("library", "2.0")


def test_headers_compression_and_urls(collector: Collector) -> None:
    """What is said for traces wins over what is general; a URL for traces is as is."""
    pillar = make_pillar(
        settings(),
        OtlpSettings(
            endpoint="http://127.0.0.1:9",
            traces_endpoint=f"{collector.url}/custom?x=1",
            headers=(("x-general", "1"),),
            traces_headers=(("authorization", "Bearer t"),),
            traces_compression="gzip",
        ),
    )
    pillar.start()
    work()
    pillar.close(5.0)

    assert collector.paths == ["/custom?x=1"]
    headers = collector.received_headers[0]
    assert headers["authorization"] == "Bearer t"
    assert headers["Content-Encoding"] == "gzip"
    assert "x-general" not in headers
    assert pillar.describe()["export"] == f"otlp: {collector.url}/custom"


@pytest.mark.parametrize("ended", [-5, 1.7e18], ids=["negative", "a float"])
def test_a_span_that_cannot_be_encoded_goes_alone(
    collector: Collector, drops: dict[str, int], faults: Faults, ended: float
) -> None:
    """An application's impossible end time costs its span, not the batch's others."""
    pillar = started(collector.url)
    work(3)
    bad = trace.get_tracer("application").start_span("bad")
    bad.end(end_time=ended)  # type: ignore[arg-type]
    work(2)

    assert pillar.flush(5.0)
    assert [record.name for record in collector.spans] == [
        *("span-0", "span-1", "span-2"),
        *("span-0", "span-1"),
    ]
    assert drops == {"error": 1}
    assert sent(pillar)["sent"] == 5
    assert isinstance(faults.claim("tracing.otlp"), StructError)
    pillar.close(1.0)


def test_a_full_batch_is_sent_at_once(collector: Collector) -> None:
    """The delay is not waited for when a batch is full."""
    pillar = started(collector.url, settings(batch_spans=5))
    work(5)

    assert collector.arrived.wait(5)
    pillar.close(5.0)
    assert len(collector.spans) == 5


def test_the_delay_ends_a_wait(collector: Collector) -> None:
    """A lone span leaves when the delay is over."""
    pillar = started(collector.url, settings(export_delay_s=0.01))
    work()

    assert collector.arrived.wait(5)
    pillar.close(5.0)
    assert len(collector.spans) == 1


def test_large_backlogs_leave_in_batches(collector: Collector) -> None:
    """No request holds more than one batch, and none is lost."""
    pillar = started(collector.url, settings(batch_spans=100))
    work(250)
    pillar.close(5.0)

    sizes = [
        sum(len(s.spans) for each in request.resource_spans for s in each.scope_spans)
        for request in collector.requests
    ]
    assert sum(sizes) == 250
    assert max(sizes) <= 100


@pytest.mark.parametrize("status", [429, 503])
def test_busy_collectors_are_tried_again(collector: Collector, status: int) -> None:
    """429 and 503 with Retry-After are tried again as asked, and nothing is lost."""
    collector.statuses = [status, status]
    collector.headers = {"Retry-After": "0"}
    pillar = started(collector.url, settings(export_delay_s=0.01))
    work()
    deadline_s = time.monotonic() + 5
    while not collector.requests and time.monotonic() < deadline_s:
        collector.arrived.wait(0.01)

    assert pillar.close(5.0) == 0
    assert len(collector.spans) == 1


def test_a_refusal_is_final(collector: Collector, drops: dict[str, int]) -> None:
    """400 is not tried again; its spans are counted."""
    collector.statuses = [400]
    pillar = started(collector.url)
    work(3)
    pillar.flush(5.0)

    assert drops == {"rejected": 3}
    assert sent(pillar) == {
        "queued": 0,
        "queued_bytes": 0,
        "sent": 0,
        "failed": {"rejected": 1},
        "dropped": {"rejected": 3},
        "last_error": "400 Bad Request",
    }
    pillar.close(1.0)


def test_partial_success_is_counted(
    collector: Collector, drops: dict[str, int]
) -> None:
    """Spans that an accepting collector rejects are counted as such."""
    collector.rejected = 2
    pillar = started(collector.url)
    work(5)
    pillar.close(5.0)

    assert drops == {"rejected": 2}
    assert sent(pillar)["sent"] == 3


def test_a_full_queue_drops_its_oldest(
    collector: Collector, drops: dict[str, int]
) -> None:
    """The newest stay, and each dropped span is counted once."""
    collector.hang = threading.Event()
    pillar = started(collector.url, settings(queue_spans=10, batch_spans=10))
    work(10)
    assert collector.arrived.wait(5)
    work(25)
    collector.hang.set()
    pillar.close(5.0)

    assert drops == {"queue_full": 15}
    assert [s.name for s in collector.spans[10:]] == [
        f"span-{n}" for n in range(15, 25)
    ]


def closed_port() -> str:
    """Return the URL of a port that nobody listens on."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{listener.getsockname()[1]}"


def test_a_dead_collector_costs_no_time(
    drops: dict[str, int], caplog: pytest.LogCaptureFixture
) -> None:
    """With a closed port closing keeps its budget; the loss is counted, said once."""
    pillar = started(closed_port())
    work(7)
    began_s = time.monotonic()
    pillar.flush(1.0)
    work(2)
    pillar.flush(1.0)
    pillar.close(1.0)

    assert time.monotonic() - began_s < 3.5
    assert sum(drops.values()) == 9
    lines = [r for r in caplog.records if r.name.startswith("svcready")]
    assert len(lines) == 1
    assert lines[0].levelno == logging.WARNING
    assert "spans did not reach http://127.0.0.1:" in lines[0].getMessage()


def test_a_hanging_collector_costs_no_time(
    collector: Collector, drops: dict[str, int]
) -> None:
    """Requests are not slowed, and closing keeps to its budget."""
    collector.hang = threading.Event()
    pillar = make_pillar(
        settings(batch_spans=1), OtlpSettings(endpoint=collector.url, timeout_s=30)
    )
    pillar.start()
    work()
    assert collector.arrived.wait(5)
    began_s = time.monotonic()
    work(100)
    assert time.monotonic() - began_s < 0.5
    lost = pillar.close(0.3)

    assert time.monotonic() - began_s < 1.5
    assert lost == 101
    assert drops == {"deadline": 101}


def test_export_is_not_traced(collector: Collector) -> None:
    """Instrumented HTTP clients make no spans of the export itself."""
    seen: list[object] = []
    instrumentation = pytest.importorskip("opentelemetry.instrumentation.requests")
    instrumentor = instrumentation.RequestsInstrumentor()
    instrumentor.instrument()
    try:
        pillar = started(collector.url)
        work()
        pillar.flush(5.0)
        pillar.flush(5.0)
        seen = [record.name for record in collector.spans]
        pillar.close(1.0)
    finally:
        instrumentor.uninstrument()

    assert seen == ["span-0"]
    assert "traceparent" not in {k.lower() for k in collector.received_headers[0]}


def test_missing_packages_are_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    """An endpoint without the extra is a problem with its pip command, no crash."""
    monkeypatch.setattr(transport, "installed", lambda _: False)
    pillar = started("http://collector:4318")
    work()

    (problem,) = pillar.problems
    assert 'pip install "svcready[otlp]"' in problem
    assert str(pillar.describe()["export"]).startswith("off: traces are to go to")
    assert pillar.close(1.0) == 0


@pytest.mark.parametrize(
    ("exporter", "otlp", "state"),
    [
        ("auto", OtlpSettings(), "off: no OTLP endpoint set"),
        ("none", OtlpSettings(endpoint="http://x:1"), "off: switched off"),
        ("otlp", OtlpSettings(), "otlp: http://localhost:4318/v1/traces"),
        (
            "auto",
            OtlpSettings(endpoint="https://u:p@x:1/base/?k=s"),
            "otlp: https://x:1/base/",
        ),
    ],
)
def test_where_spans_go(exporter: str, otlp: OtlpSettings, state: str) -> None:
    """The settings' words, without credentials, are in the description."""
    pillar = make_pillar(TracingSettings(exporter=(exporter,)), otlp)
    pillar.start()

    assert str(pillar.describe()["export"]).startswith(state)
    assert pillar.problems == ()
    pillar.close(0.1)


def test_the_thread_starts_with_the_first_span(collector: Collector) -> None:
    """Nothing runs before there is something to export, and nothing after closing."""

    def threads() -> list[str]:
        return [t.name for t in threading.enumerate() if t.name == "svcready-spans"]

    pillar = started(collector.url)
    assert threads() == []
    work()
    assert threads() == ["svcready-spans"]
    thread = next(t for t in threading.enumerate() if t.name == "svcready-spans")
    pillar.close(5.0)
    thread.join(5)
    assert threads() == []


def test_a_forked_child_exports_its_own(collector: Collector) -> None:
    """The parent's waiting spans leave once, the child's too, with its own instance."""
    fork.install()
    pillar = started(collector.url)
    work(3)
    assert collector.arrived.wait(0.0) is False
    queue = pillar._exports.lanes[0].queue
    with queue._starting:  # a lock of ours that is held while forking
        child = os.fork()
        if child == 0:
            status = 1
            try:
                with span("child"):
                    pass

                status = 0 if pillar.flush(5.0) else 2
            finally:
                os._exit(status)

    _, status = os.waitpid(child, 0)
    assert os.waitstatus_to_exitcode(status) == 0
    assert pillar.close(5.0) == 0
    names = sorted(record.name for record in collector.spans)
    assert names == ["child", "span-0", "span-1", "span-2"]
