from __future__ import annotations

import contextlib
import json
import uuid
from functools import cache
from importlib import resources

import pytest
from jsonschema import Draft202012Validator

from tests.servers.harness import Service, eventually, sample_of
from tests.servers.matrix import Stack
from tests.servers.peers import Collector, server_span

HOSTILE_IDS = [
    b"",
    b"x" * 5000,
    b'"}\n{"level":"FATAL"',
    b"\x1b[31mred\x1b[0m",
    b"caf\xe9\xff\xfe",
    b"a\tb",
    b"; DROP TABLE orders",
    b"\xf0\x9f\x92\xa9",
]
HOSTILE_PARENTS = [
    b"",
    b"00",
    b"00-" + b"0" * 32 + b"-" + b"0" * 16 + b"-01",
    b"ff-" + b"a" * 32 + b"-" + b"b" * 16 + b"-01",
    b"00-" + b"A" * 32 + b"-" + b"b" * 16 + b"-01",
    b"00-" + b"\xff" * 32 + b"-" + b"\xfe" * 16 + b"-01",
    b"00-" + b"a" * 4000,
    b"-" * 500,
]


@cache
def schema() -> Draft202012Validator:
    """Return the validator of the published schema."""
    text = resources.files("svcready.logging").joinpath("schema_v1.json").read_text()
    return Draft202012Validator(json.loads(text))


def test_every_line_is_of_the_schema(service: Service) -> None:
    """
    Each line of standard output is one JSON object of schema v1, the server's own
    lines included.
    """
    service.access_line(service.get("/orders/1").headers["x-request-id"])

    for line in service.lines:
        assert not [error.message for error in schema().iter_errors(line)], line


def test_the_servers_access_log_is_muted(service: Service) -> None:
    """Our access line is the only one: the server's own says nothing of a request."""
    answer = service.get("/orders/77")

    service.access_line(answer.headers["x-request-id"])
    assert "/orders/77" not in service.output
    assert "/orders/77" not in service.errors


def test_what_is_on_is_said_once(service: Service, stack: Stack) -> None:
    """One start line, whatever the number of workers, which names no problem."""
    service.worker_pids()

    (line,) = eventually(lambda: service.started_lines, "the start line")
    context = line["context"]
    assert isinstance(context, dict)
    assert "problems" not in context
    assert [name.lower() for name in context["frameworks"]] == [stack.framework]
    assert context["public"] == [
        "/health/liveness",
        "/health/readiness",
        "/health/startup",
        "/metrics",
    ]


def test_workers_are_told_apart(service: Service, collector: Collector) -> None:
    """Each worker has an instance of its own, on lines, metrics and spans alike."""
    instances = set()
    for pid in service.worker_pids():
        answer = service.on_worker(pid, "/who")
        line = service.access_line(answer.headers["x-request-id"])
        page = service.on_worker(pid, "/metrics").body
        instance = str(line["instance"])
        if service.workers == 1:
            assert sample_of(page, "target_info", service_instance_id=instance) == 1
        else:  # the page is all workers'
            assert sample_of(page, "process_threads", pid=str(pid)) >= 1

        span = server_span(collector, str(line["trace_id"]))
        assert span.resource["service.instance.id"] == instance
        assert span.resource["process.pid"] == pid
        instances.add(instance)

    assert len(instances) == service.workers


@pytest.mark.parametrize("number", range(len(HOSTILE_IDS)))
def test_hostile_headers_break_nothing(
    service: Service, stack: Stack, number: int
) -> None:
    """
    Huge and malformed ids and trace headers, garbage bytes among them, get the answer
    that a clean request gets, with new ids, and never reach a line as they are.
    """
    hostile, parent = HOSTILE_IDS[number], HOSTILE_PARENTS[number]
    mark = f"{number}-{uuid.uuid4().hex[:8]}"

    answer = service.raw(
        b"GET /orders/3 HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n"
        b"X-Request-ID: " + hostile.replace(b"\n", b"") + b"\r\n"
        b"X-Correlation-ID: " + hostile.replace(b"\n", b"") + b"\r\n"
        b"traceparent: " + parent + b"\r\n"
        b"tracestate: " + parent + b"=" + hostile.replace(b"\n", b"") + b"\r\n"
        b"baggage: " + hostile.replace(b"\n", b"") + b"\r\n"
        b"X-Amzn-Trace-Id: Root=" + hostile.replace(b"\n", b"") + b"\r\n"
        b"User-Agent: " + mark.encode() + b"\r\n\r\n"
    )

    status = int(answer.split(b" ", 2)[1])
    head = answer.partition(b"\r\n\r\n")[0].lower()
    if status == 400 and b"x-request-id" not in head:
        return  # the server itself refused bytes that are not HTTP

    assert status == 200
    (request_id,) = (
        line.partition(b":")[2].strip().decode()
        for line in head.split(b"\r\n")
        if line.startswith(b"x-request-id:")
    )
    assert len(request_id) == 32
    access = service.access_line(request_id)
    assert access["correlation_id"] == request_id
    if len(hostile) > 3:
        assert hostile.decode("latin-1") not in json.dumps(access, ensure_ascii=False)

    for line in service.lines_of(request_id):
        assert not [error.message for error in schema().iter_errors(line)], line


def test_bytes_that_are_no_request_break_nothing(service: Service) -> None:
    """After a connection with garbage the service answers as before."""
    with contextlib.suppress(OSError):
        service.raw(b"\x00\xff\x16\x03\x01garbage\r\n\r\n")

    assert service.get("/orders/2").status == 200
    assert service.lines
