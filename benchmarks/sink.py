"""
A collector that takes OTLP over HTTP on the loopback address and counts spans.

It answers at once and parses afterwards, in its own process, so that a subject only
pays for sending. The first segment of the path tells the subjects apart.
"""

from __future__ import annotations

import asyncio
import json
import sys
from collections import Counter

_EMPTY = b"HTTP/1.1 200 OK\r\nContent-Type: application/x-protobuf\r\n"
_ACCEPTED = _EMPTY + b"Content-Length: 0\r\n\r\n"


class Sink:
    """Bodies received per subject, counted when somebody asks."""

    def __init__(self) -> None:
        self._spans: Counter[str] = Counter()
        self._bodies: list[tuple[str, bytes]] = []

    async def serve(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        """Answer the requests of one connection until it closes."""
        try:
            while head := await reader.readuntil(b"\r\n\r\n"):
                target, length = _parse_head(head)
                body = await reader.readexactly(length)
                if target == "/counts":
                    writer.write(self._counts())
                else:
                    if target.endswith("/v1/traces"):
                        self._bodies.append((target.split("/")[1], body))

                    writer.write(_ACCEPTED)

                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()

    def _counts(self) -> bytes:
        from opentelemetry.proto.collector.trace.v1 import (
            trace_service_pb2,
        )

        for subject, body in self._bodies:
            request = trace_service_pb2.ExportTraceServiceRequest.FromString(body)
            self._spans[subject] += sum(
                len(scope.spans)
                for resource in request.resource_spans
                for scope in resource.scope_spans
            )

        self._bodies.clear()
        text = json.dumps(self._spans).encode()
        head = f"HTTP/1.1 200 OK\r\nContent-Length: {len(text)}\r\n\r\n"
        return head.encode() + text


def _parse_head(head: bytes) -> tuple[str, int]:
    first, *lines = head.decode("latin-1").split("\r\n")
    target = first.split(" ")[1]
    for line in lines:
        name, _, value = line.partition(":")
        if name.lower() == "content-length":
            return target, int(value)

    return target, 0


async def main() -> None:
    """Listen on a free loopback port, print it, and serve until killed."""
    server = await asyncio.start_server(Sink().serve, "127.0.0.1", 0, limit=1 << 24)
    sys.stdout.write(f"{server.sockets[0].getsockname()[1]}\n")
    sys.stdout.flush()
    async with server:
        await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main())
