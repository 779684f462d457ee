from __future__ import annotations

import uuid

import pytest
from websockets.sync.client import connect

from tests.servers.harness import Service
from tests.servers.matrix import Stack
from tests.servers.peers import Collector, server_span


def test_a_websocket_is_one_line_and_one_span(
    service: Service, stack: Stack, collector: Collector
) -> None:
    """
    A websocket connection has its ids from the handshake, on the lines of its
    handler, on one access line with the status 101 at its end, and on one span; it is
    left out of the request durations.
    """
    if stack.framework != "fastapi":
        pytest.skip("it has no websocket routes")

    request_id, trace_id = f"ws-{uuid.uuid4()}", uuid.uuid4().hex
    parent_id = trace_id[:16]
    headers = {
        "X-Request-ID": request_id,
        "traceparent": f"00-{trace_id}-{parent_id}-01",
    }

    with connect(
        f"ws://127.0.0.1:{service.port}/ws/blue",
        additional_headers=headers,
        proxy=None,
    ) as websocket:
        websocket.send("hello")
        assert websocket.recv() == "hello"
        response = websocket.response

    assert response is not None
    assert response.headers["x-request-id"] == request_id
    access = service.access_line(request_id)
    http = access["http"]
    assert isinstance(http, dict)
    assert (http["method"], http["route"], http["status"]) == ("GET", "/ws/{room}", 101)
    said = [line["message"] for line in service.lines_of(request_id)]
    assert said.count("said in a room") == 1
    span = server_span(collector, trace_id)
    assert span.parent_id == parent_id
    assert span.attributes["http.route"] == "/ws/{room}"
    count = "http_server_request_duration_seconds_count"
    assert service.total(count, http_route="/ws/{room}") == 0


def test_a_refused_websocket_is_an_unmatched_request(
    service: Service, stack: Stack
) -> None:
    """A handshake that no route takes is answered and logged, and breaks nothing."""
    if stack.framework != "fastapi":
        pytest.skip("it has no websocket routes")

    request_id = f"ws-{uuid.uuid4()}"

    with pytest.raises(Exception, match="HTTP 403"):
        connect(
            f"ws://127.0.0.1:{service.port}/nowhere",
            additional_headers={"X-Request-ID": request_id},
            proxy=None,
        )

    http = service.access_line(request_id)["http"]
    assert isinstance(http, dict)
    assert (http["route"], http["status"]) == ("__unmatched__", 403)
