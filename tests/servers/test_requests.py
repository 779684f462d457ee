from __future__ import annotations

import re
import uuid
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.servers.harness import Service, eventually
from tests.servers.matrix import Stack
from tests.servers.peers import Collector, server_span

COUNT = "http_server_request_duration_seconds_count"


def new_ids() -> tuple[str, str, str]:
    """Return a request id, a trace id and a parent's span id."""
    return f"req-{uuid.uuid4()}", uuid.uuid4().hex, uuid.uuid4().hex[:16]


def fence(service: Service) -> None:
    """Let a further request pass, so that what came before has been written."""
    service.access_line(service.get("/plain").headers["x-request-id"])


def test_a_request_with_ids_keeps_them(
    service: Service, stack: Stack, collector: Collector
) -> None:
    """
    A request with `X-Request-ID` and `traceparent` gives exactly one access line with
    both ids and both forms of the trace id, one server span with the caller's span as
    parent and the route's template, and one count in the right series.
    """
    request_id, trace_id, parent_id = new_ids()
    route = stack.template("/orders/{order_id}")
    labels = {
        "http_request_method": "GET",
        "http_route": route,
        "http_response_status_code": "200",
        "url_scheme": "http",
    }
    before = service.total(COUNT, **labels)

    answer = service.get(
        "/orders/42",
        {"X-Request-ID": request_id, "traceparent": f"00-{trace_id}-{parent_id}-01"},
    )

    assert answer.status == 200
    assert answer.headers["x-request-id"] == request_id
    fence(service)
    line = service.access_line(request_id)
    assert line["trace_id"] == trace_id
    assert line["xray_trace_id"] == f"1-{trace_id[:8]}-{trace_id[8:]}"
    assert line["correlation_id"] == request_id
    assert line["service"] == "orders"
    assert line["version"] == "1.2.3"
    http = line["http"]
    assert isinstance(http, dict)
    assert (http["method"], http["route"], http["status"]) == ("GET", route, 200)
    assert http["response_bytes"] == len(answer.body)
    assert http["client"] == "127.0.0.1"
    assert http["duration_ms"] >= 20  # the handler waits so long

    span = server_span(collector, trace_id)
    assert span.parent_id == parent_id
    assert span.name == f"GET {route}"
    assert span.span_id == line["span_id"]
    assert span.attributes["http.route"] == route
    assert span.attributes["http.response.status_code"] == 200
    assert span.attributes["url.path"] == "/orders/42"
    assert span.resource["service.name"] == "orders"
    assert span.resource["service.instance.id"] == line["instance"]
    assert answer.headers["traceresponse"] == f"00-{trace_id}-{span.span_id}-01"
    assert len(collector.of_trace(trace_id)) == 1
    assert service.total(COUNT, **labels) - before == 1


def test_a_request_without_ids_gets_new_ones(
    service: Service, collector: Collector
) -> None:
    """A request without ids gets its own, which the response echoes."""
    answers = [service.get("/orders/1") for _ in range(2)]

    request_ids = [answer.headers["x-request-id"] for answer in answers]
    traces = [answer.headers["traceresponse"].split("-") for answer in answers]
    assert len(set(request_ids)) == 2
    assert traces[0][1] != traces[1][1]
    for request_id, (_, trace_id, span_id, _) in zip(request_ids, traces, strict=True):
        assert re.fullmatch(r"[0-9a-f]{32}", request_id)
        line = service.access_line(request_id)
        assert (line["trace_id"], line["span_id"]) == (trace_id, span_id)
        span = server_span(collector, trace_id)
        assert span.parent_id == ""
        assert span.span_id == span_id


def test_a_correlation_id_is_kept_apart_from_the_request_id(service: Service) -> None:
    """`X-Correlation-ID` goes on every line; the request id is still this hop's."""
    answer = service.get("/orders/5", {"X-Correlation-ID": "chain-7"})

    request_id = answer.headers["x-request-id"]
    service.access_line(request_id)
    lines = service.lines_of(request_id)
    assert {line["correlation_id"] for line in lines} == {"chain-7"}
    assert request_id != "chain-7"


def test_the_amazon_header_is_understood(
    service: Service, collector: Collector
) -> None:
    """A load balancer's `X-Amzn-Trace-Id` continues its trace."""
    _, trace_id, parent_id = new_ids()
    root = f"1-{trace_id[:8]}-{trace_id[8:]}"
    answer = service.get(
        "/orders/6",
        {"X-Amzn-Trace-Id": f"Root={root};Parent={parent_id};Sampled=1"},
    )

    line = service.access_line(answer.headers["x-request-id"])
    assert (line["trace_id"], line["xray_trace_id"]) == (trace_id, root)
    assert server_span(collector, trace_id).parent_id == parent_id


def test_concurrent_requests_never_mix_their_ids(
    service: Service, stack: Stack
) -> None:
    """
    Of 50 concurrent requests each has its own request, trace and span id on all of
    its lines, before and after a wait, in the handler, in its threads and at its end.
    """
    order_ids = range(1000, 1050)
    request_ids = {order: f"mix-{stack.name}-{order}" for order in order_ids}

    def ask(order: int) -> dict[str, str]:
        answer = service.get(f"/orders/{order}", {"X-Request-ID": request_ids[order]})
        assert answer.status == 200
        return dict(answer.headers)

    with ThreadPoolExecutor(50) as pool:
        answers = dict(zip(order_ids, pool.map(ask, order_ids), strict=True))

    for order, request_id in request_ids.items():
        service.access_line(request_id)
        lines = service.lines_of(request_id)
        by_order = [
            line
            for line in service.lines
            if isinstance(context := line.get("context"), dict)
            and context.get("order_id") == order
        ]
        assert [line["request_id"] for line in by_order] == [request_id] * 2
        assert [line["message"] for line in by_order] == ["order read", "order found"]
        _, trace_id, span_id, _ = answers[order]["traceresponse"].split("-")
        assert {line["trace_id"] for line in lines} == {trace_id}
        assert {line["span_id"] for line in lines} == {span_id}
        assert len(lines) == 3

    traces = {answer["traceresponse"].split("-")[1] for answer in answers.values()}
    assert len(traces) == len(order_ids)


def test_a_line_inside_a_clients_span_names_that_span(
    service: Service, collector: Collector
) -> None:
    """
    A line that is logged while an instrumented httpx client sends has that client
    span's id; the downstream receives it as parent, in the same trace.
    """
    answer = service.get("/downstream")

    assert answer.body.replace(b" ", b"").strip() == b'{"status":200}'
    request_id = answer.headers["x-request-id"]
    access = service.access_line(request_id)
    (inside,) = (
        line
        for line in service.lines_of(request_id)
        if line["message"] == "inside the client"
    )
    trace_id = str(access["trace_id"])
    server = server_span(collector, trace_id)
    (client,) = (span for span in collector.of_trace(trace_id) if not span.is_server)
    assert client.parent_id == server.span_id == access["span_id"]
    assert inside["span_id"] == client.span_id
    assert inside["trace_id"] == trace_id
    expected = f"00-{trace_id}-{client.span_id}"
    assert any(
        call.get("traceparent", "").startswith(expected) for call in collector.calls
    )


def test_an_error_is_logged_once_and_answered_with_our_ids(
    service: Service, stack: Stack, collector: Collector
) -> None:
    """
    An error that no handler took is logged once with its stack, by nobody else on
    either stream, and the 500 carries the ids of its lines.
    """
    mark = f"mark{uuid.uuid4().hex}"

    answer = service.get(f"/boom/{mark}")

    assert answer.status == 500
    request_id = answer.headers["x-request-id"]
    fence(service)
    access = service.access_line(request_id)
    http = access["http"]
    assert isinstance(http, dict)
    assert http["status"] == 500
    assert http["route"] == stack.template("/boom/{mark}")
    (line,) = (line for line in service.lines if mark in str(line))
    assert line["level"] == "ERROR"
    assert line["request_id"] == request_id
    assert line["trace_id"] == access["trace_id"]
    assert line["span_id"] == access["span_id"]
    error = line["error"]
    assert isinstance(error, dict)
    assert (error["type"], error["message"]) == ("RuntimeError", mark)
    assert "in boom" in str(error["stack"])
    assert len(service.lines_of(request_id)) == 2
    assert mark not in service.errors
    assert "Traceback" not in service.errors
    span = server_span(collector, str(access["trace_id"]))
    assert span.attributes["error.type"] == "RuntimeError"
    assert span.status == 2


def test_an_error_after_the_response_began_is_logged_once(
    service: Service, stack: Stack
) -> None:
    """A stream that fails on its way is logged once, with the ids of its request."""
    mark = f"late{uuid.uuid4().hex}"
    request_id = f"late-{uuid.uuid4()}"

    service.raw(
        f"GET /late/{mark} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n"
        f"X-Request-ID: {request_id}\r\n\r\n".encode()
    )

    fence(service)
    http = service.access_line(request_id)["http"]
    assert isinstance(http, dict)
    assert (http["status"], http["response_bytes"]) == (200, 1000)
    assert http["route"] == stack.template("/late/{mark}")
    (line,) = (line for line in service.lines if mark in str(line))
    assert line["request_id"] == request_id
    assert mark not in service.errors


@pytest.mark.parametrize(
    ("path", "template"),
    [
        ("/api/v1/things/3", "/api/v1/things/{thing_id}"),
        ("/sub/acme/items/9", "/sub/{tenant}/items/{item_id}"),
    ],
)
def test_routes_inside_others_have_their_full_template(
    service: Service, stack: Stack, path: str, template: str
) -> None:
    """Sub-applications, routers with prefixes, blueprints and includes add up."""
    answer = service.get(path)

    assert answer.status == 200
    http = service.access_line(answer.headers["x-request-id"])["http"]
    assert isinstance(http, dict)
    assert http["route"] == stack.template(template)


@pytest.mark.parametrize("path", ["/nowhere", "/nowhere/else?x=1", "/orders/no-int/x"])
def test_unmatched_requests_share_one_route(service: Service, path: str) -> None:
    """Whatever path no route matches, the route is one value, on lines and metrics."""
    labels = {"http_route": "__unmatched__", "http_response_status_code": "404"}
    before = service.total(COUNT, **labels)

    answer = service.get(path)

    assert answer.status == 404
    http = service.access_line(answer.headers["x-request-id"])["http"]
    assert isinstance(http, dict)
    assert http["route"] == "__unmatched__"
    assert service.total(COUNT, **labels) - before == 1


def test_a_stream_lasts_until_its_last_chunk(
    service: Service, collector: Collector
) -> None:
    """
    A streamed body counts whole: its bytes, and its time from the first to the last
    chunk; lines that its generator logs still carry the request's ids.
    """
    answer = service.get("/stream")

    assert len(answer.body) == 4000
    request_id = answer.headers["x-request-id"]
    access = service.access_line(request_id)
    http = access["http"]
    assert isinstance(http, dict)
    assert http["response_bytes"] == 4000
    assert http["duration_ms"] >= 4 * 30
    (inside,) = (
        line for line in service.lines_of(request_id) if line["message"] == "streamed"
    )
    assert inside["span_id"] == access["span_id"]
    server_span(collector, str(access["trace_id"]))


def test_a_client_that_leaves_is_no_error(service: Service) -> None:
    """A client that hangs up during the body gives one access line and no error."""
    request_id = f"left-{uuid.uuid4()}"

    with service.client.stream(
        "GET", "/endless", headers={"X-Request-ID": request_id}
    ) as response:
        next(response.iter_bytes())

    service.client.close()
    service.client = type(service.client)(base_url=service.url, trust_env=False)
    http = service.access_line(request_id)["http"]
    assert isinstance(http, dict)
    assert http["status"] == 200
    assert not [line for line in service.lines_of(request_id) if "error" in line]


@pytest.mark.parametrize(
    ("path", "status"), [("/empty", 204), ("/unchanged", 304), ("/plain", 200)]
)
def test_bodiless_answers_are_requests_like_others(
    service: Service, path: str, status: int
) -> None:
    """204, 304 and HEAD answers carry ids, have no body and one access line each."""
    method = "HEAD" if path == "/plain" else "GET"

    answer = service.client.request(method, path)

    assert (answer.status_code, answer.content) == (status, b"")
    http = service.access_line(answer.headers["x-request-id"])["http"]
    assert isinstance(http, dict)
    assert (http["method"], http["status"]) == (method, status)


def test_threads_keep_the_context_they_are_given(
    service: Service, stack: Stack
) -> None:
    """
    Lines of threads that a handler started in a copied context, or by
    `asyncio.to_thread`, carry its ids; a bare pool's carry none, never another's.
    """
    answer = service.get("/threads")

    request_id = answer.headers["x-request-id"]
    service.access_line(request_id)
    inside = {str(line["message"]) for line in service.lines_of(request_id)}
    assert {"in copied thread", "in copied pool"} <= inside
    if stack.framework == "fastapi":
        assert {"in to_thread", "in executor"} <= inside

    assert not [line for line in service.logged("in bare pool") if "request_id" in line]


def test_a_task_after_the_response_logs_with_its_ids(
    service: Service, stack: Stack
) -> None:
    """
    A background task that runs after the response logs with the request's ids, and
    does not lengthen the request.
    """
    if stack.framework != "fastapi":
        pytest.skip("background tasks are FastAPI's")

    answer = service.get("/background")

    request_id = answer.headers["x-request-id"]

    def background() -> list[dict[str, object]]:
        lines = service.lines_of(request_id)
        return [line for line in lines if line["message"] == "in the background"]

    (line,) = eventually(background, "the background task's line")
    access = service.access_line(request_id)
    http = access["http"]
    assert isinstance(http, dict)
    assert http["duration_ms"] < 100
    assert line["trace_id"] == access["trace_id"]


def test_a_sync_handler_on_an_event_loop_has_the_ids(
    service: Service, stack: Stack
) -> None:
    """A plain function that the framework runs on a thread logs with the ids."""
    if not stack.is_asgi:
        pytest.skip("every handler is sync there")

    answer = service.get("/blocking/8")

    lines = eventually(
        lambda: service.lines_of(answer.headers["x-request-id"]), "its lines"
    )
    assert "order read" in {line["message"] for line in lines}
