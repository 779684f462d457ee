"""Sending finished spans to X-Ray's daemon: documents in datagrams."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING

from benchmarks.subjects.export import BATCH, repeated
from benchmarks.subjects.tracing import ATTRIBUTES

if TYPE_CHECKING:
    from collections.abc import Sequence

    from opentelemetry.sdk.trace import ReadableSpan

    from benchmarks.workload import Workload


def _listen() -> tuple[socket.socket, str]:
    """Return a socket that takes datagrams, and where; nobody reads them."""
    listening = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    listening.bind(("127.0.0.1", 0))
    return listening, "{}:{}".format(*listening.getsockname())


def ours() -> Workload:
    """Our exporter of the spans that wait in its queue."""
    import svcready

    listening, address = _listen()
    settings = {
        "tracing.sampling": "100%",
        "tracing.export_delay_s": 3600,
        "tracing.exporter": ["xray"],
        "xray.daemon_address": address,
    }
    runtime = svcready.init(service="orders", version="1.4.2", settings=settings)
    for _ in range(BATCH):
        with svcready.span("charge", attributes=ATTRIBUTES):
            pass

    (lane,) = runtime.tracing._exports.lanes
    spans = [span for span, _ in lane.queue._queue]
    lane.queue._queue.clear()

    def export(batch: Sequence[ReadableSpan]) -> None:
        lost = lane.exporter.export(list(batch), lambda: 1e12, lambda _: True)
        if lost is not None or listening.fileno() < 0:
            raise RuntimeError(lost)

    return repeated(spans, export)


def xray_sdk() -> Workload:
    """The X-Ray SDK's emitter of the SDK's own segments."""
    from aws_xray_sdk.core.emitters.udp_emitter import UDPEmitter
    from aws_xray_sdk.core.models.segment import Segment

    listening, address = _listen()
    emitter = UDPEmitter(address)
    segments = []
    for _ in range(BATCH):
        segment = Segment("charge")
        for key, value in ATTRIBUTES.items():
            segment.put_metadata(key, value)

        segment.close()
        segments.append(segment)

    def emit(batch: Sequence[object]) -> None:
        for segment in batch:
            emitter.send_entity(segment)

        if listening.fileno() < 0:
            raise RuntimeError("nobody listens")

    return repeated(segments, emit)
