"""Collectors that hang, reset, lie, drip and refuse: what they cost, and what not."""

from __future__ import annotations

import errno
import os
import socket
import threading
import time
from email.utils import format_datetime
from typing import TYPE_CHECKING

import pytest

pytest.importorskip("opentelemetry.proto")

from datetime import UTC, datetime, timedelta

from svcready._core.clock import SYSTEM_CLOCK
from svcready._core.events import ItemsDropped, subscribe
from svcready._transport._otlp_http import HttpLine
from svcready._transport.otlp import Delivery, OtlpClient, Target
from svcready.config._sections.otlp import OtlpSettings
from svcready.config._sections.tracing import TracingSettings
from svcready.testing import FakeClock
from svcready.tracing import span
from tests.tracing.rude_server import RudeServer, answer, drip, hang, reset
from tests.tracing.support import ALL, make_pillar
from tests.tracing.tls import make_certificate

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from svcready.tracing._pillar import TracePillar
    from tests.tracing.collector import Collector
    from tests.tracing.rude_server import Manners

OK = b"HTTP/1.1 200 OK\r\n"


@pytest.fixture
def drops() -> Iterator[dict[str, int]]:
    """Count the spans that were said to be dropped, by reason."""
    counts: dict[str, int] = {}

    def count(event: ItemsDropped) -> None:
        counts[event.reason] = counts.get(event.reason, 0) + event.items

    undo = subscribe(ItemsDropped, count)
    yield counts
    undo()


def started(url: str, **otlp: object) -> TracePillar:
    """Return a pillar that exports to *url* at once."""
    tracing = TracingSettings(
        sampling=ALL, batch_spans=10, queue_spans=50, export_delay_s=0.01
    )
    made = OtlpSettings(endpoint=url, **otlp)  # type: ignore[arg-type]
    pillar = make_pillar(tracing, made)
    pillar.start()
    return pillar


def work(spans: int) -> float:
    """Make so many spans; returns how many seconds the slowest took."""
    slowest = 0.0
    for number in range(spans):
        began_s = time.monotonic()
        with span(f"span-{number}", number=number):
            pass

        slowest = max(slowest, time.monotonic() - began_s)

    return slowest


@pytest.mark.parametrize(
    "manners",
    [
        hang,
        reset,
        drip,
        answer(b""),
        answer(b"\x00\xff garbage \x00\r\n\r\n"),
        answer(b"HTTP/1.1 2"),
        answer(b"HTTP/1.1 503 Busy\r\nRetry-After: 3600\r\nContent-Length: 0\r\n\r\n"),
        answer(b"HTTP/1.1 429 Slow\r\nRetry-After: never\r\nContent-Length: 0\r\n\r\n"),
        answer(OK + b"Content-Length: 50\r\n\r\nhalf"),
        answer(OK + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n"),
        answer(OK + b"Content-Encoding: gzip\r\nContent-Length: 3\r\n\r\nabc"),
        answer(b"HTTP/1.1 302 Found\r\nLocation: /\r\nContent-Length: 0\r\n\r\n"),
    ],
    ids=[
        *("hang", "reset", "drip", "closed", "garbage", "cut", "busy", "nonsense"),
        *("half", "chunks", "gzip", "moved"),
    ],
)
def test_bad_manners_cost_spans_and_nothing_else(
    drops: dict[str, int], manners: Manners
) -> None:
    """Requests go on, memory is bounded, the end keeps its budget, all is counted."""
    with RudeServer(manners) as server:
        pillar = started(server.url)
        slowest_s = work(500)
        (queue,) = (lane.queue for lane in pillar._exports.lanes)
        assert queue.figures().queued <= 60
        began_s = time.monotonic()
        pillar.close(0.5)
        took_s = time.monotonic() - began_s

        assert slowest_s < 0.2
        assert took_s < 1.5
        assert sum(drops.values()) == 500
        assert pillar.dropped == drops


@pytest.mark.parametrize(
    "content",
    [b"\xff\xff\xff\xff", b"<html>welcome to the hotel</html>", b"\x0a\x02\x08"],
)
def test_a_garbled_yes_is_a_yes(drops: dict[str, int], content: bytes) -> None:
    """An answer of 200 that no parser understands says nothing about spans."""
    raw = OK + b"Content-Length: %d\r\n\r\n%s" % (len(content), content)
    with RudeServer(answer(raw)) as server:
        pillar = started(server.url)
        work(3)
        assert pillar.flush(5.0)
        pillar.close(1.0)

    assert drops == {}


def test_a_certificate_that_nobody_trusts_costs_the_spans(
    tmp_path: Path, drops: dict[str, int]
) -> None:
    """Nothing is sent in the clear or to a stranger."""
    received: list[bytes] = []

    def manners(connection: object, _: object) -> None:
        received.append(connection.recv(100))  # type: ignore[attr-defined]

    with RudeServer(manners, make_certificate(tmp_path)) as server:
        pillar = started(server.url)
        work(3)
        pillar.close(1.0)

    assert sum(drops.values()) == 3
    assert received == []


def test_what_a_refusal_says_is_shown(drops: dict[str, int]) -> None:
    """AWS explains a 400 in its body, which is all that tells what to switch on."""
    text = b'{"message":"switch on\n\x1b[31mTransaction Search"}'
    head = b"HTTP/1.1 400 Bad Request\r\nContent-Length: %d\r\n\r\n" % len(text)
    with RudeServer(answer(head + text)) as server:
        pillar = started(server.url)
        work(2)
        pillar.flush(5.0)
        exporters = pillar.describe()["exporters"]
        pillar.close(1.0)

    assert isinstance(exporters, dict)
    said = '400 Bad Request: {"message":"switch on [31mTransaction Search"}'
    assert exporters["otlp"]["last_error"] == said
    assert drops == {"rejected": 2}


def test_a_status_in_protobuf_is_read() -> None:
    """A collector that follows the specification says why in a google.rpc.Status."""
    status = pytest.importorskip("google.rpc.status_pb2").Status
    content = status(code=3, message="no such tenant").SerializeToString()
    head = b"HTTP/1.1 400 Bad\r\nContent-Type: application/x-protobuf\r\n"
    length = b"Content-Length: %d\r\n\r\n" % len(content)
    with RudeServer(answer(head + length + content)) as server:
        client = OtlpClient(Target(server.url), FakeClock())
        delivery = client.deliver(b"", lambda: 1e9, lambda _: True)
        client.close()

    assert delivery == Delivery("rejected", "400 Bad: no such tenant", status=400)


def deliver(server: RudeServer, clock: FakeClock, timeout_s: float) -> list[float]:
    """Deliver once; returns the waits between tries."""
    waits: list[float] = []
    ends_s = clock.monotonic() + timeout_s

    def wait(seconds: float) -> bool:
        waits.append(seconds)
        clock.advance(seconds)
        return False

    client = OtlpClient(Target(server.url), clock)
    delivery = client.deliver(b"", lambda: ends_s, wait)
    client.close()
    assert delivery.reason == "unavailable"
    return [*waits, delivery.leave_s]


def test_a_forked_child_has_connections_of_its_own(collector: Collector) -> None:
    """Two processes that write into one connection would garble it."""
    client = OtlpClient(Target(f"{collector.url}/v1/traces"), SYSTEM_CLOCK)

    def deliver() -> Delivery:
        ends_s = SYSTEM_CLOCK.monotonic() + 5.0
        return client.deliver(b"", lambda: ends_s, lambda _: True)

    assert deliver() == Delivery()
    parents = client._line
    client.forget()
    assert deliver() == Delivery()

    assert client._line is not parents
    client.close()
    assert isinstance(parents, HttpLine)
    parents.close()


def test_an_answer_in_drops_ends_with_its_time() -> None:
    """Each byte that comes in time does not begin the time anew."""
    with RudeServer(drip) as server:
        line = HttpLine(Target(server.url), SYSTEM_CLOCK, None)
        began_s = time.monotonic()
        reply = line.post(b"", 0.3)
        line.close()

    assert reply.again
    assert time.monotonic() - began_s < 2.0


@pytest.mark.parametrize("status", [429, 502, 503, 504])
@pytest.mark.parametrize("dated", [False, True])
def test_retry_after_is_kept_to(status: int, dated: bool) -> None:
    """As seconds or as a date; what is beyond the deadline is told to the queue."""
    clock = FakeClock()
    now = datetime.fromtimestamp(clock.time_ns() / 1e9, UTC)
    later = format_datetime(now + timedelta(seconds=20), usegmt=True)
    value = later if dated else "20"
    head = f"HTTP/1.1 {status} x\r\nConnection: close\r\nContent-Length: 0\r\n"
    raw = f"{head}Retry-After: {value}\r\n\r\n"
    with RudeServer(answer(raw.encode())) as server:
        waits = deliver(server, clock, 30.0)

    assert waits[0] == 20.0
    # The date has passed by then, so that the further waits are drawn.
    assert waits[1:] == [20.0] or (dated and waits[-1] == 0.0)


class Noticed(threading.Event):
    """An event that tells when somebody waits for it."""

    def __init__(self) -> None:
        super().__init__()
        self.awaited = threading.Event()

    def wait(self, timeout: float | None = None) -> bool:
        """Wait, and say so."""
        self.awaited.set()
        return super().wait(timeout)


def test_a_stop_ends_the_wait_that_a_collector_asked_for(collector: Collector) -> None:
    """A service that ends tries once more at once, and gets through."""
    collector.statuses = [503]
    collector.headers = {"Retry-After": "20"}
    pillar = started(collector.url)
    hurried = pillar._exports.lanes[0].queue._hurried = Noticed()
    work(1)
    assert hurried.awaited.wait(5)
    began_s = time.monotonic()
    lost = pillar.close(5.0)

    assert time.monotonic() - began_s < 2.0
    assert lost == 0
    assert len(collector.spans) == 1


def test_too_large_a_request_is_sent_in_parts(
    collector: Collector, drops: dict[str, int]
) -> None:
    """A collector that answers 413 gets the same spans in smaller requests."""
    collector.statuses = [413, 413]
    pillar = make_pillar(
        TracingSettings(sampling=ALL, export_delay_s=3600.0),
        OtlpSettings(endpoint=collector.url),
    )
    pillar.start()
    for number in range(200):
        with span(f"span-{number}", text="x" * 2000):
            pass

    assert pillar.close(5.0) == 0
    names = [record.name for record in collector.spans]
    assert names == [f"span-{number}" for number in range(200)]
    assert len(collector.requests) >= 4
    assert drops == {}


def test_why_nobody_was_reached_is_said() -> None:
    """In the system's words, without the address that the line has already."""
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]

    client = OtlpClient(Target(f"http://127.0.0.1:{port}/v1/traces"), FakeClock())
    delivery = client.deliver(b"", lambda: float("inf"), lambda _: False)
    client.close()

    assert delivery.reason == "unavailable"
    refused = os.strerror(errno.ECONNREFUSED)
    assert delivery.detail == f"ConnectionError: {refused}"


def test_a_port_that_speaks_something_else_is_told_from_one_that_is_shut() -> None:
    """As gRPC's port does, which answers no request of HTTP/1.1."""
    with RudeServer(answer(b"\x00\x00\x12\x04\x00\r\n")) as server:
        client = OtlpClient(Target(server.url), FakeClock())
        delivery = client.deliver(b"", lambda: float("inf"), lambda _: False)
        client.close()

    assert delivery.detail == "ConnectionError: BadStatusLine"
