"""Calls by httpx, requests and urllib3, to a server on loopback."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest
from opentelemetry import trace
from opentelemetry.trace import NonRecordingSpan, Span

import svcready
from svcready.testing import running
from svcready.tracing._tracer import RecordingTracer
from tests.tracing.instrumentation.support import made_by

if TYPE_CHECKING:
    from collections.abc import Callable

    from svcready.testing import Harness
    from tests.tracing.instrumentation.support import Site

httpx = pytest.importorskip("httpx")
requests = pytest.importorskip("requests")
urllib3 = pytest.importorskip("urllib3")


def by_httpx(url: str) -> None:
    """Get *url* by httpx."""
    httpx.get(url)


def by_httpx_async(url: str) -> None:
    """Get *url* by asynchronous httpx."""

    async def call() -> None:
        async with httpx.AsyncClient() as client:
            await client.get(url)

    asyncio.run(call())


def by_requests(url: str) -> None:
    """Get *url* by requests."""
    requests.get(url, timeout=5)


def by_urllib3(url: str) -> None:
    """Get *url* by urllib3."""
    with urllib3.PoolManager() as pool:
        pool.request("GET", url, retries=False)


EVERY = [
    pytest.param(by_httpx, "httpx", id="httpx"),
    pytest.param(by_httpx_async, "httpx", id="httpx-async"),
    pytest.param(by_requests, "requests", id="requests"),
    pytest.param(by_urllib3, "urllib3", id="urllib3"),
]
every_client = pytest.mark.parametrize(("call", "package"), EVERY)


@every_client
def test_a_call_is_a_client_span(
    call: Callable[[str], None], package: str, harness: Harness, site: Site
) -> None:
    """Its name and attributes are the stable conventions', required ones included."""
    with svcready.span("work"):
        call(f"{site.url}/orders?shop=north")

    (made,) = made_by(harness, package)
    (work,) = [span for span in harness.spans if span.name == "work"]
    assert (made.name, made.kind, made.status) == ("GET", "client", "unset")
    assert (made.trace_id, made.parent_id) == (work.trace_id, work.span_id)
    assert made.attributes["http.request.method"] == "GET"
    assert made.attributes["url.full"] == f"{site.url}/orders?shop=north"
    assert made.attributes["server.address"] == "127.0.0.1"
    assert made.attributes["server.port"] == site.port
    assert made.attributes["http.response.status_code"] == 200
    assert "error.type" not in made.attributes


@every_client
def test_the_callee_is_told_the_spans_ids(
    call: Callable[[str], None], package: str, harness: Harness, site: Site
) -> None:
    """W3C's header and X-Ray's arrive, and name the call's span."""
    call(site.url)

    (made,) = made_by(harness, package)
    (headers,) = site.headers
    assert headers["traceparent"] == f"00-{made.trace_id}-{made.span_id}-03"
    assert f"Parent={made.span_id};Sampled=1" in headers["x-amzn-trace-id"]


@every_client
def test_a_refused_call_has_failed(
    call: Callable[[str], None], package: str, harness: Harness, site: Site
) -> None:
    """A status from 400 is an error of the client, whose type it is."""
    call(f"{site.url}/missing")

    (made,) = made_by(harness, package)
    assert made.status == "error"
    assert made.attributes["http.response.status_code"] == 404
    assert made.attributes["error.type"] == "404"


@every_client
def test_a_call_without_answer_has_the_exceptions_type(
    call: Callable[[str], None], package: str, harness: Harness
) -> None:
    """Nobody listens: the error's class says what kind of error it was."""
    with pytest.raises(Exception, match=r"refused|NewConnection|failed") as caught:
        call("http://127.0.0.1:9/")

    (made,) = made_by(harness, package)
    error = type(caught.value)
    assert made.status == "error"
    assert made.attributes["error.type"] in {
        error.__qualname__,
        f"{error.__module__}.{error.__qualname__}",
    }


@every_client
def test_an_unsampled_trace_costs_no_span(
    call: Callable[[str], None],
    package: str,
    site: Site,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Instrumentation finds a valid parent, and the callee hears "not sampled"."""
    pytest.importorskip("opentelemetry.instrumentation.instrumentor")
    begun: list[str] = []
    real = RecordingTracer.start_span

    def start_span(self: RecordingTracer, name: str, *args: Any, **kwargs: Any) -> Span:
        begun.append(name)
        return real(self, name, *args, **kwargs)

    monkeypatch.setattr(RecordingTracer, "start_span", start_span)
    with running(settings={"tracing.sampling": "0"}), svcready.span("work"):
        inside = trace.get_current_span()
        call(site.url)
        assert trace.get_current_span() is inside

    assert begun == []
    (headers,) = site.headers
    assert isinstance(inside, NonRecordingSpan)
    ids = inside.get_span_context()
    assert headers["traceparent"] == f"00-{ids.trace_id:032x}-{ids.span_id:016x}-02"
    assert headers["x-amzn-trace-id"].endswith("Sampled=0")


@every_client
def test_calls_of_our_own_are_not_traced(
    call: Callable[[str], None], package: str, harness: Harness, site: Site
) -> None:
    """Whatever sinks, exporters and health checks call, they do so in quiet."""
    with harness.runtime.tracing.quiet():
        call(site.url)

    assert made_by(harness, package) == []
    assert "traceparent" not in site.headers[0]


def test_urllib3_under_requests_says_nothing(harness: Harness, site: Site) -> None:
    """One call is one span, although both libraries are traced."""
    by_requests(site.url)

    assert [s.scope.rpartition(".")[2] for s in harness.spans] == ["requests"]


def test_a_client_that_the_application_instruments_is_traced_once(
    harness: Harness, site: Site
) -> None:
    """`instrument_client` lies over what svcready switched on for all clients."""
    from opentelemetry.instrumentation.httpx import HTTPXClientInstrumentor

    with httpx.Client() as client:
        HTTPXClientInstrumentor.instrument_client(client)
        client.get(site.url)

    (made,) = made_by(harness, "httpx")
    assert made.span_id in site.headers[0]["traceparent"]


def test_an_exported_span_makes_no_span(site: Site) -> None:
    """The exporter's own calls would otherwise feed it for ever."""
    pytest.importorskip("opentelemetry.proto")
    settings = {"otlp.endpoint": site.url, "tracing.exporter": "otlp"}
    with running(settings=settings) as harness:
        with svcready.span("work"):
            pass

        harness.runtime.tracing.flush(2.0)
        assert [span.name for span in harness.spans] == ["work"]
