"""One trace through three services, whatever headers carry it from one to the next."""

from __future__ import annotations

import contextlib
import uuid
from collections.abc import Iterator, Mapping
from typing import NamedTuple

import pytest

from tests.servers.harness import Service, eventually
from tests.servers.matrix import SERVERS, start
from tests.servers.peers import Collector, SpanSeen

STACKS = ("fastapi-uvicorn", "flask-gunicorn", "django-gunicorn")
CALLER = "00f067aa0ba902b7"
SPANS = 6
"""Each service's own, and its call to the next one or, at the end, the collector."""


class Chain(NamedTuple):
    """FastAPI, which calls Flask, which calls Django, which calls the collector."""

    services: tuple[Service, ...]
    collector: Collector
    first: str
    """The format in which the first one is called."""
    last: str
    """The format in which the last one calls."""


FORMATS = {
    "w3c": ("tracecontext",) * 3,
    "xray": ("xray",) * 3,
    "b3": ("b3",) * 3,
    "b3multi": ("b3multi",) * 3,
    # Each hop in another: a fleet that moves from one to the next.
    "mixed": ("xray,tracecontext", "b3,xray", "b3multi"),
}


@pytest.fixture(scope="module", params=FORMATS)
def chain(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Chain]:
    """Three services that run and call each other."""
    formats = FORMATS[request.param]
    stacks = {stack.name: stack for stack in SERVERS}
    services: list[Service] = []
    with contextlib.ExitStack() as running:
        collector = running.enter_context(Collector())
        next_url = collector.url
        for name, names in reversed(list(zip(STACKS, formats, strict=True))):
            service = start(
                stacks[name],
                tmp_path_factory.mktemp(name),
                PEER_URL=next_url,
                SVCREADY_OTLP_ENDPOINT=collector.url,
                SVCREADY_TRACING_EXPORT_DELAY_S="0.05",
                SVCREADY_TRACING_PROPAGATORS=names,
                SVCREADY_TRACING_SEND_IDS="true",
                # The first would sample none by itself, those behind it all.
                SVCREADY_TRACING_SAMPLING="0" if name == STACKS[0] else "100%",
            )
            services.insert(0, running.enter_context(service))
            next_url = f"{service.url}/downstream?"

        yield Chain(tuple(services), collector, formats[0], formats[-1])


def headers_for(names: str, trace_id: str, *, sampled: bool) -> dict[str, str]:
    """Return what a caller sends in the format that is named last."""
    flag = int(sampled)
    root = f"1-{trace_id[:8]}-{trace_id[8:]}"
    return {
        "tracecontext": {"traceparent": f"00-{trace_id}-{CALLER}-0{flag}"},
        "xray": {"X-Amzn-Trace-Id": f"Root={root};Parent={CALLER};Sampled={flag}"},
        "b3": {"b3": f"{trace_id}-{CALLER}-{flag}"},
        "b3multi": {
            "X-B3-TraceId": trace_id,
            "X-B3-SpanId": CALLER,
            "X-B3-Sampled": str(flag),
        },
    }[names.rpartition(",")[2]]


def says(names: str, call: Mapping[str, str]) -> tuple[str, str]:
    """Return trace id and decision of the last call."""
    if names == "tracecontext":
        _, trace_id, _, flags = call["traceparent"].split("-")
        return trace_id, str(int(flags, 16) & 1)

    if names == "xray":
        root, _, sampled = call["x-amzn-trace-id"].split(";")
        return root.removeprefix("Root=1-").replace("-", ""), sampled[-1]

    if names == "b3":
        trace_id, _, sampled = call["b3"].split("-")
        return trace_id, sampled

    return call["x-b3-traceid"], call["x-b3-sampled"]


def path_of(spans: list[SpanSeen]) -> list[SpanSeen]:
    """Return *spans* from the first to the last, each the child of the one before."""
    by_parent = {span.parent_id: span for span in spans}
    found: list[SpanSeen] = []
    parent_id = CALLER
    while parent_id in by_parent:
        found.append(by_parent[parent_id])
        parent_id = found[-1].span_id

    return found


def call_through(chain: Chain, trace_id: str, *, sampled: bool) -> None:
    """Call the first service, and look at what every hop made of it."""
    chain_id = f"chain-{uuid.uuid4()}"
    headers = headers_for(chain.first, trace_id, sampled=sampled)
    answer = chain.services[0].get(
        "/downstream", {**headers, "X-Correlation-ID": chain_id}
    )

    assert answer.status == 200
    request_id = answer.headers["x-request-id"]
    for service in chain.services:
        line = service.access_line(request_id)
        assert (line["trace_id"], line["correlation_id"]) == (trace_id, chain_id)

    (call,) = [it for it in chain.collector.calls if it["x-request-id"] == request_id]
    assert call["x-correlation-id"] == chain_id
    assert says(chain.last, call) == (trace_id, str(int(sampled)))


def test_three_services_make_one_trace(chain: Chain) -> None:
    """
    The caller's decision holds in all three, whatever they would decide; its ids are on
    every access line and in the last call; and the spans hang together from the
    caller's to the last call's.
    """
    unsampled, sampled = uuid.uuid4().hex, uuid.uuid4().hex
    call_through(chain, unsampled, sampled=False)
    call_through(chain, sampled, sampled=True)

    of_trace = chain.collector.of_trace
    eventually(lambda: len(of_trace(sampled)) == SPANS, "the spans of all three")
    path = path_of(of_trace(sampled))
    assert [span.is_server for span in path] == [True, False] * 3
    assert len({str(span.resource["service.instance.id"]) for span in path}) == 3
    assert of_trace(unsampled) == []
