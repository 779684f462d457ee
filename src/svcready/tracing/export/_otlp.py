"""The exporter of spans over OTLP: encodes, delivers, and says once what fails."""

from __future__ import annotations

from typing import TYPE_CHECKING

from svcready._core.guard import report_fault
from svcready._transport.otlp import Delivery, OtlpClient, rejected_spans
from svcready._transport.otlp_spans import encode_spans
from svcready.tracing.export._exporter import Lost
from svcready.tracing.export._losses import Losses

if TYPE_CHECKING:
    from collections.abc import Callable

    from opentelemetry.sdk.trace import ReadableSpan

    from svcready._core.clock import Clock
    from svcready._transport.otlp import Target

__all__ = ["OtlpExporter"]

_COMPONENT = "tracing.otlp"
_SLICE = 64
"""How many spans are encoded before other threads have their turn."""
_MOST_BYTES = 3 * 1024**2
"""Of a request: over gRPC receivers take 4 MiB unless told otherwise; AWS 5 MB."""
_LEAST_BYTES = 64 * 1024
_TOO_LARGE = 413


class OtlpExporter:
    """
    Exports to one OTLP target.

    Args:
        target: Where to.
        clock: Bounds deliveries and how often trouble is logged.
    """

    def __init__(self, target: Target, clock: Clock) -> None:
        self._client = OtlpClient(target, clock, sign=target.signer())
        self._clock = clock
        self._most_bytes = _MOST_BYTES
        self._losses = Losses(str(target), clock)
        self.last_error = ""
        """What the last failed delivery said; empty after one that succeeded."""

    def export(
        self,
        spans: list[ReadableSpan],
        deadline_s: Callable[[], float],
        wait: Callable[[float], bool],
    ) -> Lost | None:
        """Send *spans*, in several requests if they are large; returns what is lost."""
        lost: Lost | None = None
        at = 0
        while at < len(spans):
            body, taken, unfit = self._encode(spans, at)
            delivery = Delivery()
            if unfit < taken:
                delivery = self._client.deliver(body, deadline_s, wait)

            if delivery.status == _TOO_LARGE and taken > 1 and len(body) > _LEAST_BYTES:
                self._most_bytes = max(_LEAST_BYTES, len(body) // 2)
                continue

            at += taken
            reason, count, detail = _judge(delivery, taken - unfit)
            if unfit:
                count += unfit
                reason, detail = reason or "error", detail or "they cannot be encoded"

            if reason in {"unavailable", "deadline"}:
                count += len(spans) - at  # which would fare no better
                at = len(spans)

            if count:
                self._say(reason, detail, count)
                before = 0 if lost is None else lost.spans
                first = reason if lost is None else lost.reason
                lost = Lost(first, before + count, delivery.leave_s)

        if lost is None:
            self.last_error = ""

        return lost

    def forget(self) -> None:
        """Drop the connections of the process that we were forked from."""
        self._client.forget()

    def close(self) -> None:
        """Close the connections."""
        self._client.close()

    def _encode(self, spans: list[ReadableSpan], at: int) -> tuple[bytes, int, int]:
        """Return a request, how many spans it is for, and how many it lacks."""
        slices: list[bytes] = []
        size = taken = unfit = 0
        step = _SLICE
        while at + taken < len(spans):
            part = spans[at + taken : at + taken + step]
            encoded, without = _encode_each(part)
            if size + len(encoded) > self._most_bytes:
                if slices:
                    break

                if len(part) > 1:
                    step = len(part) // 2
                    continue

            # Messages of protobuf that are put together are one with all they repeat.
            slices.append(encoded)
            size += len(encoded)
            taken += len(part)
            unfit += without
            self._clock.sleep(0.0)

        return b"".join(slices), taken, unfit

    def _say(self, reason: str, detail: str, spans: int) -> None:
        self.last_error = detail
        self._losses.add(spans, f"{reason} ({detail})")


def _encode_each(spans: list[ReadableSpan]) -> tuple[bytes, int]:
    """Return *spans* encoded, and how many cannot be: one may have an odd time."""
    try:
        return encode_spans(spans), 0
    except Exception as error:  # noqa: BLE001 - the other spans can go
        if len(spans) == 1:
            report_fault(_COMPONENT, error)
            return b"", 1

    each = [_encode_each([span]) for span in spans]
    return b"".join(encoded for encoded, _ in each), sum(unfit for _, unfit in each)


def _judge(delivery: Delivery, spans: int) -> tuple[str, int, str]:
    """Return why how many of so many spans did not arrive, and what was said."""
    if delivery.reason:
        return delivery.reason, spans, delivery.detail

    try:
        count, detail = rejected_spans(delivery.content)
    except Exception:  # noqa: BLE001 - a proxy's "OK": it says nothing of spans
        return "", 0, ""

    count = max(0, min(count, spans))  # as far as it can be true
    return "rejected" if count else "", count, detail
