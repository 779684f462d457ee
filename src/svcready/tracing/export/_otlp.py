"""The exporter of spans over OTLP: encodes, delivers, and says once what fails."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from svcready._transport.otlp import (
    Delivery,
    OtlpClient,
    rejected_spans,
)
from svcready._transport.otlp_spans import encode_spans
from svcready.tracing.export._exporter import Lost

if TYPE_CHECKING:
    from collections.abc import Callable

    from opentelemetry.sdk.trace import ReadableSpan

    from svcready._core.clock import Clock
    from svcready._transport.otlp import Target

__all__ = ["OtlpExporter"]

_log = logging.getLogger("svcready.tracing")
_QUIET_S = 60.0


class OtlpExporter:
    """
    Exports to one OTLP target.

    Args:
        target: Where to.
        clock: Bounds deliveries and how often trouble is logged.
    """

    def __init__(self, target: Target, clock: Clock) -> None:
        self._target = target
        self._client = OtlpClient(target, clock)
        self._now = clock.monotonic
        self._speaks_at_s = float("-inf")
        self._unsaid = 0
        self.last_error = ""
        """What the last failed delivery said; empty after one that succeeded."""

    def export(
        self,
        spans: list[ReadableSpan],
        deadline_s: Callable[[], float],
        wait: Callable[[float], bool],
    ) -> Lost | None:
        """Send *spans*; returns those that did not arrive."""
        delivery = self._client.deliver(encode_spans(spans), deadline_s, wait)
        if delivery.reason:
            return self._lost(delivery, len(spans))

        count, detail = rejected_spans(delivery.content)
        if count:
            return self._lost(Delivery("rejected", detail), count)

        self.last_error = ""
        return None

    def forget(self) -> None:
        """Drop the connections of the process that we were forked from."""
        self._client.forget()

    def close(self) -> None:
        """Close the connections."""
        self._client.close()

    def _lost(self, delivery: Delivery, spans: int) -> Lost:
        self.last_error = delivery.detail
        self._unsaid += spans
        now = self._now()
        if now >= self._speaks_at_s:
            self._speaks_at_s = now + _QUIET_S
            _log.warning(
                "%s did not reach %s: %s (%s)",
                "1 span" if self._unsaid == 1 else f"{self._unsaid} spans",
                self._target,
                delivery.reason,
                delivery.detail,
            )
            self._unsaid = 0

        return Lost(delivery.reason, spans)
