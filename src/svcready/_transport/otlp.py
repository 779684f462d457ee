"""OTLP, over HTTP or gRPC: one delivery of one body to where a signal goes."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING, NamedTuple, Protocol

from svcready._core.optional import require
from svcready._transport._otlp_target import (
    GRPC,
    Target,
    metrics_target,
    target_problem,
    traces_target,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from svcready._core.clock import Clock
    from svcready._transport._otlp_http import Sign
    from svcready._transport._otlp_reply import Reply

__all__ = [
    "Delivery",
    "OtlpClient",
    "Target",
    "metrics_target",
    "rejected_points",
    "rejected_spans",
    "target_problem",
    "traces_target",
]

_EXTRA = "otlp"
_METRICS_RESPONSES = "opentelemetry.proto.collector.metrics.v1.metrics_service_pb2"
_RESPONSES = "opentelemetry.proto.collector.trace.v1.trace_service_pb2"
_LONGEST_WAIT_S = 30.0
_MAX_ATTEMPTS = 6
_HURRIED_ATTEMPTS = 2


class Delivery(NamedTuple):
    """How sending one body ended."""

    reason: str = ""
    """Why not, as a fixed word: `rejected`, `unavailable`, `deadline`; empty: sent."""
    detail: str = ""
    """What the collector or the network said."""
    content: bytes = b""
    """The response, at most 64 KiB of it."""
    status: int = 0
    """What HTTP calls the last answer; 0 if there was none."""
    leave_s: float = 0.0
    """How many seconds the collector asked to be left alone, where that was longer
    than there was time."""


def rejected_spans(content: bytes) -> tuple[int, str]:
    """Return how many spans of a request that was accepted were not, and why."""
    if not content:
        return 0, ""

    messages = require(_RESPONSES, extra=_EXTRA, needed_for="OTLP export")
    partial = messages.ExportTraceServiceResponse.FromString(content).partial_success
    return partial.rejected_spans, partial.error_message


def rejected_points(content: bytes) -> tuple[int, str]:
    """Return how many points of a request that was accepted were not, and why."""
    if not content:
        return 0, ""

    messages = require(_METRICS_RESPONSES, extra=_EXTRA, needed_for="OTLP export")
    answer = messages.ExportMetricsServiceResponse.FromString(content)
    return answer.partial_success.rejected_data_points, (
        answer.partial_success.error_message
    )


class _Line(Protocol):
    def post(self, body: bytes, timeout_s: float) -> Reply: ...
    def close(self) -> None: ...


class OtlpClient:
    """
    Sends bodies to one target; what it sends is never traced.

    Nothing is opened before the first body. `deliver` is for one thread at a time.

    Args:
        target: Where to.
        clock: Its monotonic time bounds a delivery.
        uniform: Draws the jitter of waits between two bounds.
        sign: Returns the headers that prove who sends a body to a URL; what it raises
            makes the delivery one to try again later.
    """

    def __init__(
        self,
        target: Target,
        clock: Clock,
        uniform: Callable[[float, float], float] = random.uniform,
        sign: Sign | None = None,
    ) -> None:
        self._target = target
        self._sign = sign
        self._clock = clock
        self._uniform = uniform
        self._line: _Line | None = None
        self._inherited: list[_Line | None] = []

    def deliver(
        self,
        body: bytes,
        deadline_s: Callable[[], float],
        wait: Callable[[float], bool],
    ) -> Delivery:
        """
        Send *body*, again after connection faults and what says "busy".

        Waits grow with full jitter, or are what `Retry-After` or gRPC's RetryInfo
        asks for.

        Args:
            body: The encoded request.
            deadline_s: When to give up, on the monotonic clock; asked again before
                each try, because a flush brings it nearer.
            wait: Waits so many seconds; True if the process wants to stop, after
                which one more try is made.
        """
        attempt = 0
        allowed = _MAX_ATTEMPTS
        while True:
            left_s = deadline_s() - self._clock.monotonic()
            if left_s <= 0:
                return Delivery("deadline", "no time left")

            reply = self._post(body, min(self._target.timeout_s, left_s))
            if 200 <= reply.status < 300:
                return Delivery(content=reply.content)

            if not reply.again:
                return Delivery("rejected", reply.detail, status=reply.status)

            attempt += 1
            wait_s = reply.retry_after_s
            if wait_s is None:
                wait_s = self._uniform(0.0, min(_LONGEST_WAIT_S, 2.0**attempt))

            if self._clock.monotonic() + wait_s >= deadline_s() or attempt >= allowed:
                return Delivery(
                    "unavailable",
                    reply.detail,
                    status=reply.status,
                    leave_s=reply.retry_after_s or 0.0,
                )

            if wait(wait_s):
                allowed = min(allowed, max(_HURRIED_ATTEMPTS, attempt + 1))

    def forget(self) -> None:
        """Leave the connections to the process that we were forked from."""
        # Kept, because closing what a channel holds would tell the receiver.
        self._inherited.append(self._line)
        self._line = None

    def close(self) -> None:
        """Close the connections."""
        line, self._line = self._line, None
        if line is not None:
            line.close()

    def _post(self, body: bytes, timeout_s: float) -> Reply:
        line = self._line
        if line is None:
            line = self._line = self._connect()

        return line.post(body, timeout_s)

    def _connect(self) -> _Line:
        if self._target.protocol == GRPC:
            from svcready._transport._otlp_grpc import GrpcLine

            return GrpcLine(self._target)

        from svcready._transport._otlp_http import HttpLine

        return HttpLine(self._target, self._clock, self._sign)
