"""Applications that use the X-Ray SDK only, unchanged, with svcready added."""

from __future__ import annotations

import json
import socket
from typing import TYPE_CHECKING, NamedTuple

import pytest

pytest.importorskip("aws_xray_sdk")

from tests.servers.harness import Service, eventually
from tests.servers.peers import Collector

if TYPE_CHECKING:
    from collections.abc import Iterator

TRACE = "463ac35c9f6413ad48485a3953bb6124"
CALLER = "a2fb4a1d1a96d312"
SAMPLED = f"Root=1-{TRACE[:8]}-{TRACE[8:]};Parent={CALLER};Sampled=1"
LEFT_OUT = SAMPLED[:-1] + "0"
ONCE = ["find price", "payments", "pack pear 1", "pack pear 2"]
APPS = {
    "flask": (["gunicorn", "-b", "127.0.0.1:{port}", "--threads", "2"], ONCE),
    "fastapi": (
        ["uvicorn", "--port", "{port}"],
        ["look up", "look up", "find", "find", "find price", *ONCE],
    ),
}
Document = dict[str, object]


class Running(NamedTuple):
    """A service with what it sends to."""

    service: Service
    collector: Collector
    daemon: socket.socket
    names: list[str]

    def documents(self) -> list[Document]:
        """Return what the daemon has got since it was asked before."""
        got: list[Document] = []
        while True:
            try:
                header, _, body = self.daemon.recv(65507).partition(b"\n")
            except BlockingIOError:
                return got

            assert json.loads(header) == {"format": "json", "version": 1}
            got.append(json.loads(body))


@pytest.fixture(scope="module", params=APPS)
def running(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Running]:
    """Run an application under its server, with a daemon and a collector."""
    command, names = APPS[request.param]
    with (
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as daemon,
        Collector() as collector,
    ):
        daemon.bind(("127.0.0.1", 0))
        daemon.setblocking(False)
        service = Service(
            [*command, f"tests.servers.apps.xray_sdk_{request.param}:app"],
            tmp_path_factory.mktemp(request.param),
            environ={
                "SVCREADY_TRACING_EXPORT_DELAY_S": "0.05",
                "SVCREADY_TRACING_SAMPLING": "0",
                "SVCREADY_OTLP_ENDPOINT": collector.url,
                "SVCREADY_XRAY_EXPORT": "true",
                "SVCREADY_XRAY_SAMPLING": "false",
                "AWS_XRAY_DAEMON_ADDRESS": f"127.0.0.1:{daemon.getsockname()[1]}",
                "PAYMENTS_URL": f"{collector.url}/charge",
            },
        )
        with service:
            yield Running(service, collector, daemon, names)


def within(documents: list[Document]) -> Iterator[Document]:
    """Go through documents and what is inside them."""
    for document in documents:
        yield document
        inside = document.get("subsegments", [])
        assert isinstance(inside, list)
        yield from within(inside)


def test_is_one_joined_trace(running: Running) -> None:
    """
    All that the SDK is asked for is in the request's trace, at both destinations.

    One server span, one client span for each call, children of what they are in; the
    daemon gets each once, and the downstream the id of the client span.
    """
    answer = running.service.get("/orders/pear", {"X-Amzn-Trace-Id": SAMPLED})
    assert answer.status == 200, running.service.errors
    queries_wanted = running.names.count("find price")
    wanted = len(running.names) + queries_wanted + 2  # the server, the call

    def arrived() -> bool:
        return len(running.collector.of_trace(TRACE)) >= wanted

    eventually(arrived, "the spans arrive")
    spans = running.collector.of_trace(TRACE)
    by_id = {span.span_id: span for span in spans}
    (server,) = (span for span in spans if span.is_server)
    clients = [span for span in spans if span.scope.endswith(".requests")]
    queries = [s for s in spans if s.attributes.get("db.system.name") == "sqlite"]
    assert len(clients) == 1
    assert len(queries) == queries_wanted
    named = [span.name for span in spans if span not in [server, *clients, *queries]]
    assert sorted(named) == sorted(running.names)
    assert server.parent_id == CALLER
    assert {s.parent_id for s in spans} - {CALLER} <= by_id.keys()
    assert server.attributes["enduser.id"] == "u-1"
    (prices,) = {s.attributes["item"] for s in spans if s.name == "find price"}
    assert prices == "pear"
    assert (
        f"Parent={clients[0].span_id}" in running.collector.calls[-1]["x-amzn-trace-id"]
    )

    documents: list[Document] = []

    def told() -> bool:
        documents.extend(running.documents())
        return len(list(within(documents))) >= len(spans)

    eventually(told, "the documents arrive")
    flat = list(within(documents))
    assert sorted(str(d["id"]) for d in flat) == sorted(by_id)
    roots = [d for d in flat if d.get("type") != "subsegment" and "trace_id" in d]
    (segment,) = (d for d in roots if d["id"] == server.span_id)
    assert segment["trace_id"] == f"1-{TRACE[:8]}-{TRACE[8:]}"
    assert segment["user"] == "u-1"
    price = next(d for d in flat if d["name"] == "find price")
    assert price["annotations"] == {"item": "pear"}
    assert price["metadata"]["shop"] == {"asked": {"item": "pear"}}  # type: ignore[index]
    payments = next(d for d in flat if d["name"] == "payments")
    assert payments["namespace"] == "remote"
    assert payments["fault"] is True
    assert payments["cause"]["exceptions"][0]["message"] == "declined"  # type: ignore[index]


def test_follows_the_decision(running: Running) -> None:
    """A request that is not sampled is answered the same, and sends nothing."""
    running.documents()
    before = len(running.collector.spans)
    answer = running.service.get("/orders/plum", {"X-Amzn-Trace-Id": LEFT_OUT})
    assert answer.status == 200
    assert f"Root=1-{TRACE[:8]}" in running.collector.calls[-1]["x-amzn-trace-id"]
    assert "Sampled=0" in running.collector.calls[-1]["x-amzn-trace-id"]
    running.service.get("/orders/plum")
    assert running.service.terminate().code in {0, 143, -15}
    assert running.documents() == []
    assert len(running.collector.spans) == before
    assert "cannot find the current segment" not in running.service.output
