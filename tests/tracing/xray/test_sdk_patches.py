"""`patch_all()` of the X-Ray SDK beside OpenTelemetry's instrumentation."""

from __future__ import annotations

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, NamedTuple

import pytest

pytest.importorskip("aws_xray_sdk")
pytest.importorskip("requests")

from tests.architecture.house import run_clean
from tests.moto_account import serve_account

if TYPE_CHECKING:
    from collections.abc import Iterator

SCRIPT = """
import json, os, sqlite3, sys
order, traced, url, aws = json.loads(sys.argv[1])
import svcready
from aws_xray_sdk.core import patch_all, xray_recorder

runtime = None

def init():
    global runtime
    runtime = svcready.init(
        service="orders",
        settings={
            "tracing.sampling": "100%",
            "tracing.view_spans": 100,
            "tracing.instrument": "none",
        },
    )

def instrument():
    import importlib
    for name, kind in traced:
        module = importlib.import_module("opentelemetry.instrumentation." + name)
        getattr(module, kind)().instrument()
        if runtime is not None:
            runtime.tracing._xray_sdk.traced(name)

steps = {"init": init, "patch": patch_all, "instrument": instrument}
for step in order:
    steps[step]()

import requests
import httpx

with xray_recorder.in_segment("job"):
    if url:
        requests.get(url, timeout=5)
        httpx.get(url)
        client = httpx.Client()
        client.get(url)
        client.close()
        connection = sqlite3.connect(":memory:")
        connection.execute("SELECT 1")
        connection.close()
    if aws:
        import boto3
        boto3.client("sqs", endpoint_url=aws, region_name="eu-west-1",
            aws_access_key_id="k", aws_secret_access_key="s").list_queues()

print("SPANS" + json.dumps([
    [s.name, s.kind, s.scope, s.span_id, s.parent_id, dict(s.attributes)]
    for s in runtime.tracing.recent()
]))
svcready.shutdown()
from aws_xray_sdk.core.patcher import _PATCHED_MODULES
print("PATCHED" + json.dumps(sorted(_PATCHED_MODULES)))
"""
REQUESTS = ["requests", "RequestsInstrumentor"]
URLLIB3 = ["urllib3", "URLLib3Instrumentor"]
HTTPX = ["httpx", "HTTPXClientInstrumentor"]
BOTOCORE = ["botocore", "BotocoreInstrumentor"]
ORDERS = [
    ["init", "instrument", "patch"],
    ["instrument", "init", "patch"],
    ["patch", "instrument", "init"],
    ["patch", "init", "instrument"],
    ["instrument", "patch", "init"],
    ["init", "patch", "instrument"],
]


class Made(NamedTuple):
    """A span that a script made."""

    name: str
    kind: str
    scope: str
    span_id: str
    parent_id: str | None
    attributes: dict[str, object]


@pytest.fixture
def server() -> Iterator[tuple[str, list[str]]]:
    """Give the address of a server, and the trace headers that it got."""
    got: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            got.append(",".join(self.headers.get_all("X-Amzn-Trace-Id") or []))
            self.send_response(200)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *args: object) -> None:
            pass

    made = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=made.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{made.server_port}/x", got
    made.shutdown()
    made.server_close()


def run(
    order: list[str], traced: list[list[str]], url: str = "", aws: str = ""
) -> tuple[list[Made], list[str]]:
    """Run the script; return its client spans, and what was patched at its end."""
    lines = run_clean(SCRIPT, json.dumps([order, traced, url, aws])).splitlines()
    said = {line[:5]: line for line in lines}
    spans = [Made(*span) for span in json.loads(said["SPANS"][5:])]
    clients = [span for span in spans if span.kind == "client"]
    return clients, json.loads(said["PATCH"][7:])


@pytest.mark.parametrize("order", ORDERS, ids="-".join)
def test_one_span_for_each_call(
    order: list[str], server: tuple[str, list[str]]
) -> None:
    """
    Whatever comes first, a call is one client span, and its id is what is sent on.

    What OpenTelemetry traces is traced by it, the rest by the SDK's patches.
    """
    url, got = server
    clients, patched = run(order, [REQUESTS, HTTPX], url)

    by_scope = [span.scope.rpartition(".")[2] for span in clients]
    assert by_scope == ["requests", "httpx", "httpx", "svcready"]
    assert clients[-1].attributes["db.system.name"] == "sqlite"
    parents = [
        dict(p.split("=") for p in header.split(";"))["Parent"] for header in got
    ]
    assert parents == [span.span_id for span in clients[:3]]
    # After svcready's end OpenTelemetry still traces them: still no double patch.
    assert {"requests", "httpx"}.isdisjoint(patched)
    assert "sqlite3" in patched


@pytest.mark.parametrize("order", [["init", "patch"], ["patch", "init"]], ids="-".join)
def test_patches_alone(order: list[str], server: tuple[str, list[str]]) -> None:
    """Without instrumentation the SDK's patches make the spans, and send their ids."""
    url, got = server
    clients, patched = run(order, [], url)

    assert [span.name for span in clients[:3]] == ["127.0.0.1"] * 3
    assert {span.scope for span in clients} == {"svcready"}
    assert clients[0].attributes["http.response.status_code"] == 200
    assert clients[0].attributes["url.full"] == url
    parents = [
        dict(p.split("=") for p in header.split(";"))["Parent"] for header in got
    ]
    assert parents == [span.span_id for span in clients[:3]]
    assert {"requests", "httpx", "sqlite3", "botocore"} <= set(patched)


def test_beneath(server: tuple[str, list[str]]) -> None:
    """With urllib3 traced, requests is not patched above it: its call would be two."""
    url, _ = server
    clients, _ = run(["init", "instrument", "patch"], [URLLIB3], url)

    assert [span.scope.rpartition(".")[2] for span in clients] == [
        "urllib3",
        "svcready",
        "svcready",
        "svcready",
    ]


@pytest.mark.filterwarnings("ignore::DeprecationWarning:moto")
@pytest.mark.parametrize("traced", [[BOTOCORE], []], ids=["traced", "patched"])
@pytest.mark.parametrize("order", ORDERS[1:3], ids="-".join)
def test_one_span_for_each_call_of_aws(
    order: list[str], traced: list[list[str]]
) -> None:
    """A call of boto3 is one client span of AWS's API, whoever traces it."""
    pytest.importorskip("moto.server")
    with serve_account() as url:
        clients, _ = run(order, traced, aws=url)

    (span,) = clients
    assert span.attributes["rpc.method"] == "ListQueues"
    assert ("botocore" in span.scope) is bool(traced)
