"""The bounded queue of finished spans and the thread that exports them."""

# The SDK's own batch processor starts its thread when it is made and again in every
# forked child, ignores the time that a flush is given, and tells nobody what it drops.

from __future__ import annotations

import threading
from collections import deque
from typing import TYPE_CHECKING, NamedTuple, Protocol

from opentelemetry.context import (
    _SUPPRESS_HTTP_INSTRUMENTATION_KEY,
    _SUPPRESS_INSTRUMENTATION_KEY,
    Context,
)

from svcready._core import fork
from svcready._core.events import ItemsDropped, publish
from svcready._core.guard import report_fault
from svcready.tracing import _otel

if TYPE_CHECKING:
    from collections.abc import Callable

    from opentelemetry.sdk.trace import ReadableSpan

    from svcready._core.clock import Clock

__all__ = ["Exporter", "Lost", "QueueLimits", "SpanQueue"]

_COMPONENT = "tracing.otlp"
_UNTRACED = Context(
    {_SUPPRESS_INSTRUMENTATION_KEY: True, _SUPPRESS_HTTP_INSTRUMENTATION_KEY: True}
)


class Lost(NamedTuple):
    """Spans of a batch that did not arrive."""

    reason: str
    spans: int


class Exporter(Protocol):
    """Sends batches of spans; used by one thread at a time."""

    last_error: str
    """What the last failed delivery said; empty after one that succeeded."""

    def export(
        self,
        spans: list[ReadableSpan],
        deadline_s: Callable[[], float],
        wait: Callable[[float], bool],
    ) -> Lost | None:
        """Send *spans*; `OtlpClient.deliver` says what the others are."""
        ...

    def forget(self) -> None:
        """Drop what belongs to the process that we were forked from."""
        ...

    def close(self) -> None:
        """Release connections."""
        ...


class QueueLimits(NamedTuple):
    """How much waits for how long."""

    queue_spans: int
    batch_spans: int
    delay_s: float
    timeout_s: float


class SpanQueue:
    """
    Takes finished spans and exports them in batches.

    A full queue drops its oldest. A forked child starts empty, because its parent
    exports what was waiting.

    Args:
        exporter: Where batches go.
        limits: Sizes and times.
        clock: Measures the times.
    """

    def __init__(self, exporter: Exporter, limits: QueueLimits, clock: Clock) -> None:
        self._exporter = exporter
        self._limits = limits
        self._now = clock.monotonic
        self._batch_spans = min(limits.batch_spans, limits.queue_spans)
        self._closed = False
        self._overflow = 0
        self._sent = 0
        self._in_flight = 0
        self._dropped: dict[str, int] = {}
        self._reset()
        fork.reset_in_child(self._after_fork)

    def put(self, span: ReadableSpan) -> None:
        """Queue *span*; never waits."""
        if self._closed:
            self._count(Lost("closed", 1))
            return

        queue = self._queue
        queue.append(span)
        waiting = len(queue)
        if waiting > self._limits.queue_spans:
            self._drop_oldest()

        if self._thread is None:
            self._start()

        if waiting >= self._batch_spans and not self._awake.is_set():
            self._awake.set()

    def flush(self, timeout_s: float) -> bool:
        """
        Export what is queued within *timeout_s* seconds.

        It runs on the queue's thread; on the caller's if that cannot be started any
        more (at interpreter exit).

        Returns:
            False if spans are left.
        """
        self._deadline_s = self._now() + timeout_s
        thread = self._thread
        try:
            if thread is None or not thread.is_alive():
                return self._drain_here()

            done = threading.Event()
            self._flushes.append(done)
            self._hurried.set()
            self._awake.set()
            return done.wait(timeout_s) and not self._queue
        finally:
            self._hurried.clear()
            self._deadline_s = float("inf")

    def close(self, timeout_s: float) -> int:
        """
        Flush, end the thread, and count what is left as lost.

        Returns:
            How many spans were left.
        """
        self.flush(timeout_s)
        self._closed = True
        self._hurried.set()
        self._awake.set()
        left = len(self._queue) + self._in_flight  # in flight is not arrived
        self._queue.clear()
        self._in_flight = 0
        self._count(Lost("deadline", left))
        self._report_overflow()
        if self._thread is None or not self._thread.is_alive():
            self._exporter.close()

        return left

    def statistics(self) -> dict[str, object]:
        """Return how many spans wait, were sent and were dropped by reason."""
        return {
            "queued": len(self._queue) + self._in_flight,
            "sent": self._sent,
            "dropped": self.dropped,
        }

    @property
    def dropped(self) -> dict[str, int]:
        """How many spans were dropped for which reason."""
        dropped = dict(self._dropped)
        if self._overflow:
            dropped["queue_full"] = dropped.get("queue_full", 0) + self._overflow

        return dropped

    def _reset(self) -> None:
        self._queue: deque[ReadableSpan] = deque()
        self._flushes: deque[threading.Event] = deque()
        self._awake = threading.Event()
        self._hurried = threading.Event()
        self._starting = threading.Lock()
        self._thread: threading.Thread | None = None
        self._deadline_s = float("inf")
        self._limit_s = float("inf")
        self._in_flight = 0

    def _after_fork(self) -> None:
        self._reset()
        self._overflow = 0
        self._exporter.forget()

    def _start(self) -> None:
        with self._starting:
            if self._thread is not None or self._closed:
                return

            thread = threading.Thread(
                target=self._run, name="svcready-spans", daemon=True
            )
            self._thread = thread
            try:
                thread.start()
            except RuntimeError:  # too late in the interpreter's life; flush drains
                pass

    def _drop_oldest(self) -> None:
        try:
            self._queue.popleft()
        except IndexError:  # the exporting thread was faster
            return

        self._overflow += 1

    def _run(self) -> None:
        _otel.attach(_UNTRACED)
        while not self._closed:
            self._awake.wait(self._limits.delay_s)
            self._awake.clear()
            flushes = [self._flushes.popleft() for _ in range(len(self._flushes))]
            try:
                self._drain()
            except Exception as error:  # noqa: BLE001 - the thread goes on
                report_fault(_COMPONENT, error)

            for done in flushes:
                done.set()

        self._exporter.close()

    def _drain_here(self) -> bool:
        if not self._queue:
            return True

        token = _otel.attach(_UNTRACED)
        try:
            self._drain()
        except Exception as error:  # noqa: BLE001 - a flush never raises
            report_fault(_COMPONENT, error)
        finally:
            _otel.detach(token, _UNTRACED)

        return not self._queue

    def _drain(self) -> None:
        queue = self._queue
        self._report_overflow()
        while queue and not self._closed and self._now() < self._deadline_s:
            batch: list[ReadableSpan] = []
            while queue and len(batch) < self._batch_spans:
                batch.append(queue.popleft())

            self._in_flight = len(batch)
            self._limit_s = self._now() + self._limits.timeout_s
            lost = self._exporter.export(batch, self._deadline, self._hurried.wait)
            if self._is_closed():  # which has counted them as lost already
                return

            self._in_flight = 0
            self._sent += len(batch) - (lost.spans if lost else 0)
            self._count(lost)

    def _deadline(self) -> float:
        return min(self._limit_s, self._deadline_s)

    def _is_closed(self) -> bool:  # another thread may have closed it meanwhile
        return self._closed

    def _report_overflow(self) -> None:
        overflow, self._overflow = self._overflow, 0
        self._count(Lost("queue_full", overflow))

    def _count(self, lost: Lost | None) -> None:
        if lost is not None and lost.spans:
            reason, spans = lost
            self._dropped[reason] = self._dropped.get(reason, 0) + spans
            publish(ItemsDropped(_COMPONENT, reason, spans))
