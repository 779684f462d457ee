"""The exporter of spans to X-Ray: documents in datagrams, at a pace."""

from __future__ import annotations

import logging
from collections import Counter
from typing import TYPE_CHECKING

from svcready._core.events import ItemsDropped, publish
from svcready._core.guard import report_fault
from svcready.tracing.export._exporter import Lost
from svcready.tracing.xray._cut import MAX_BYTES, fit
from svcready.tracing.xray._daemon import ARRIVED, BUSY, TOO_LARGE

if TYPE_CHECKING:
    from collections.abc import Callable

    from opentelemetry.sdk.trace import ReadableSpan

    from svcready._core.clock import Clock
    from svcready.tracing.xray._daemon import Daemon
    from svcready.tracing.xray._document import Document, Documents

__all__ = ["HEADER", "XRayExporter"]

HEADER = b'{"format":"json","version":1}\n'
"""What each datagram begins with; a document follows."""

_COMPONENT = "tracing.xray"
_log = logging.getLogger("svcready.tracing")
_QUIET_S = 60.0
_ONE = frozenset({"error", TOO_LARGE})
"""What is wrong with one span and not with the way."""
_LEAST_BYTES = 1024
# A receiver has room for some 90 middling documents (212 992 bytes by default, and
# the kernel counts each datagram double); what is beyond is lost without a word.
_BURST_DOCUMENTS = 32
_BURST_BYTES = 48 * 1024
_PAUSE_S = 0.001
_FIRST_WAIT_S = 0.05
_LONGEST_WAIT_S = 5.0


class XRayExporter:
    """
    Exports to a daemon.

    Each span is a document of its own, sent when it has ended; X-Ray puts those of a
    trace together by their ids.

    Args:
        daemon: Where to.
        documents: Makes them.
        clock: Paces, and bounds how often trouble is logged.
    """

    def __init__(
        self,
        daemon: Daemon,
        documents: Documents,
        clock: Clock,
    ) -> None:
        self._daemon = daemon
        self._documents = documents
        self._clock = clock
        self._most_bytes = MAX_BYTES
        self._burst = [0, 0]
        self._speaks_at_s = float("-inf")
        self._unsaid = 0
        self.prepare: Callable[[], None] | None = None
        """Is called before each batch."""
        self.cuts: Counter[str] = Counter()
        """How many parts of documents were cut to make them fit, by reason."""
        self.last_error = ""
        """What the system said about the last failure; empty after success."""

    def export(
        self,
        spans: list[ReadableSpan],
        deadline_s: Callable[[], float],
        wait: Callable[[float], bool],
    ) -> Lost | None:
        """
        Send *spans*; returns those that did not leave.

        A daemon that is not there is waited for within the deadline, since it may be
        starting as well; then the rest of the batch is given up.

        Args:
            spans: Finished; or open ones, which are sent as in progress unless they
                have ended meanwhile.
            deadline_s: Gives the time, of the clock, when to give up.
            wait: Sleeps for some seconds, or returns True at once if a flush is under
                way: then one attempt has to do.
        """
        if self.prepare is not None:
            self.prepare()

        lost: Counter[str] = Counter()
        for index, span in enumerate(spans):
            reason = ARRIVED
            try:
                if not _is_over(span):
                    for document in self._documents.of(span):
                        reason = reason or self._send(document, deadline_s, wait)
            except Exception as error:  # noqa: BLE001 - the other spans can go
                report_fault(_COMPONENT, error)
                reason = "error"

            if reason in _ONE:
                lost[reason] += 1
            elif reason:  # the others would fare no better
                lost[reason] += len(spans) - index
                self._say(reason, len(spans) - index)
                break

        if not lost:
            self.last_error = ""
            return None

        return Lost(lost.most_common(1)[0][0], lost.total())

    def forget(self) -> None:
        """Drop the socket of the process that we were forked from."""
        self._daemon.close()
        self.cuts = Counter()

    def close(self) -> None:
        """Close the socket."""
        self._daemon.close()

    def _send(
        self,
        document: Document,
        deadline_s: Callable[[], float],
        wait: Callable[[float], bool],
    ) -> str:
        encoded, cuts = fit(document, self._most_bytes)
        outcome = self._deliver(HEADER + encoded, deadline_s, wait)
        while outcome == TOO_LARGE and self._most_bytes > _LEAST_BYTES:
            self._most_bytes = max(
                _LEAST_BYTES, min(self._most_bytes, len(encoded)) // 2
            )
            encoded, more = fit(document, self._most_bytes)
            cuts = cuts + more
            outcome = self._deliver(HEADER + encoded, deadline_s, wait)

        if cuts:
            for reason, number in cuts.items():
                self.cuts[reason] += number
                publish(ItemsDropped(_COMPONENT, reason, number))

        return outcome

    def _deliver(
        self,
        datagram: bytes,
        deadline_s: Callable[[], float],
        wait: Callable[[float], bool],
    ) -> str:
        self._pace(len(datagram))
        outcome = self._daemon.send(datagram)
        if outcome == ARRIVED:
            return ARRIVED

        wait_s = _FIRST_WAIT_S
        while outcome not in {ARRIVED, TOO_LARGE}:
            left_s = deadline_s() - self._clock.monotonic()
            if left_s <= 0.0:
                return outcome

            if outcome == BUSY:
                self._clock.sleep(min(_PAUSE_S, left_s))
            elif wait(min(wait_s, left_s)):
                return self._daemon.send(datagram)

            wait_s = min(wait_s * 2.0, _LONGEST_WAIT_S)
            outcome = self._daemon.send(datagram)

        return outcome

    def _pace(self, size: int) -> None:
        self._burst[0] += 1
        self._burst[1] += size
        if self._burst[0] > _BURST_DOCUMENTS or self._burst[1] > _BURST_BYTES:
            self._burst = [1, size]
            self._clock.sleep(_PAUSE_S)

    def _say(self, reason: str, spans: int) -> None:
        self.last_error = f"{reason}: {self._daemon.detail}"
        self._unsaid += spans
        now = self._clock.monotonic()
        if now >= self._speaks_at_s:
            self._speaks_at_s = now + _QUIET_S
            _log.warning(
                "%s did not reach the X-Ray daemon: %s",
                "1 span" if self._unsaid == 1 else f"{self._unsaid} spans",
                self.last_error,
            )
            self._unsaid = 0


def _is_over(span: ReadableSpan) -> bool:
    """Tell whether *span* was open and has ended: its whole document follows."""
    live = getattr(span, "live", None)
    return live is not None and live.end_time is not None
