"""The bounded queue of finished spans and the thread that exports them."""

# The SDK's own batch processor starts its thread when it is made and again in every
# forked child, ignores the time that a flush is given, and tells nobody what it drops.

from __future__ import annotations

import threading
from collections import deque
from typing import TYPE_CHECKING, NamedTuple

from opentelemetry.context import (
    _SUPPRESS_HTTP_INSTRUMENTATION_KEY,
    _SUPPRESS_INSTRUMENTATION_KEY,
    Context,
)

from svcready._core import fork
from svcready._core.events import ItemsDropped, publish
from svcready._core.guard import report_fault
from svcready.tracing import _otel
from svcready.tracing.export._exporter import Lost
from svcready.tracing.export._weight import weigh

if TYPE_CHECKING:
    from collections.abc import Callable

    from opentelemetry.sdk.trace import ReadableSpan

    from svcready._core.clock import Clock
    from svcready.tracing.export._exporter import Exporter

__all__ = ["Figures", "QueueLimits", "SpanQueue"]

_LONGEST_LEAVE_S = 600.0  # after which one that asks for a year is tried again

_UNTRACED = Context(
    {_SUPPRESS_INSTRUMENTATION_KEY: True, _SUPPRESS_HTTP_INSTRUMENTATION_KEY: True}
)


class Figures(NamedTuple):
    """What became of the spans of a process that were to leave one way."""

    queued: int
    """How many wait or are on their way."""
    queued_bytes: int
    """About how much memory those that wait take."""
    sent: int
    failed: dict[str, int]
    """How many batches did not arrive whole, by reason."""
    dropped: dict[str, int]
    """How many spans were lost, by reason."""
    failed_at_ns: int
    """When a batch failed the last time, in wall time; 0 is never."""


class QueueLimits(NamedTuple):
    """How much waits for how long."""

    queue_spans: int
    queue_bytes: int
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
        component: Whose drops these are, as metrics name it.
    """

    def __init__(
        self, exporter: Exporter, limits: QueueLimits, clock: Clock, component: str
    ) -> None:
        self._exporter = exporter
        self._limits = limits
        self._clock = clock
        self._now = clock.monotonic
        self._component = component
        self._batch_spans = min(limits.batch_spans, limits.queue_spans)
        self._wake_bytes = limits.queue_bytes // 4
        self._closed = False
        self._reset()
        fork.reset_in_child(self._after_fork)

    def _reset(self) -> None:
        self._queue: deque[tuple[ReadableSpan, int]] = deque()
        self._bytes = 0
        self._flushes: deque[threading.Event] = deque()
        self._pending: dict[threading.Event, float] = {}
        self._awake: threading.Event = threading.Event()
        """There is enough to send, or somebody called."""
        self._called: threading.Event = threading.Event()
        """A flush has begun, or the end has come."""
        self._hurried: threading.Event = threading.Event()
        """A flush is under way, or the end has come."""
        self._starting = threading.Lock()
        self._thread: threading.Thread | None = None
        self._limit_s = float("inf")
        self._resumes_at_s = float("-inf")
        self._in_flight = 0
        self._sent = 0
        self._failed: dict[str, int] = {}
        self._failed_at_ns = 0
        self._dropped: dict[str, int] = {}
        self._overflow = {"queue_full": 0, "queue_bytes": 0}

    def put(self, span: ReadableSpan) -> None:
        """Queue *span*; never waits."""
        weight = weigh(span)
        if self._closed or weight > self._limits.queue_bytes:  # it would drive all out
            self._count(Lost("closed" if self._closed else "queue_bytes", 1))
            return

        queue = self._queue
        # Between reading and writing nothing is called, so no other thread cuts in.
        self._bytes += weight
        queue.append((span, weight))
        waiting = len(queue)
        if waiting > self._limits.queue_spans:
            self._drop_oldest("queue_full")

        while self._bytes > self._limits.queue_bytes and queue:
            self._drop_oldest("queue_bytes")

        if self._thread is None:
            self._start()

        if (
            waiting >= self._batch_spans or self._bytes >= self._wake_bytes
        ) and not self._awake.is_set():
            self._awake.set()

    def flush(self, timeout_s: float) -> bool:
        """Export what is queued within *timeout_s*; False if spans are left."""
        return self.begin_flush(timeout_s)()

    def begin_flush(self, timeout_s: float) -> Callable[[], bool]:
        """
        Have what is queued exported within *timeout_s* seconds.

        It runs on the queue's thread; on that of the caller of what is returned if
        that cannot be started any more (at interpreter exit).

        Returns:
            A function to call once: it waits, and returns False if spans are left.
        """
        done = threading.Event()
        ends_s = self._now() + timeout_s
        self._pending[done] = ends_s
        self._hurried.set()
        thread = self._thread
        alive = thread is not None and thread.is_alive()
        if alive:
            self._flushes.append(done)
            self._called.set()
            self._awake.set()

        def finish() -> bool:
            try:
                if alive:
                    return done.wait(ends_s - self._now()) and not self._queue

                return self._drain_here()
            finally:
                self._pending.pop(done, None)
                if not self._pending and not self._closed:
                    self._hurried.clear()

        return finish

    def close(self, timeout_s: float) -> int:
        """
        Flush, end the thread, and count what is left as lost.

        Returns:
            How many spans were left.
        """
        self.flush(timeout_s)
        self._closed = True
        self._hurried.set()
        self._called.set()
        self._awake.set()
        left = len(self._queue) + self._in_flight  # in flight is not arrived
        self._queue.clear()
        self._bytes = 0
        self._in_flight = 0
        self._count(Lost("deadline", left))
        self._report_overflow()
        if self._thread is None or not self._thread.is_alive():
            self._exporter.close()

        return left

    def figures(self) -> Figures:
        """Return how many spans wait, were sent and were dropped by reason."""
        return Figures(
            len(self._queue) + self._in_flight,
            max(0, self._bytes),
            self._sent,
            dict(self._failed),
            self.dropped,
            self._failed_at_ns,
        )

    @property
    def dropped(self) -> dict[str, int]:
        """How many spans were dropped for which reason."""
        dropped = dict(self._dropped)
        for reason, spans in self._overflow.items():
            if spans:
                dropped[reason] = dropped.get(reason, 0) + spans

        return dropped

    def _after_fork(self) -> None:
        self._reset()
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

    def _drop_oldest(self, reason: str) -> None:
        try:
            _, weight = self._queue.popleft()
        except IndexError:  # the exporting thread was faster
            return

        self._bytes -= weight
        self._overflow[reason] += 1

    def _run(self) -> None:
        _otel.attach(_UNTRACED)
        while not self._is_closed():
            held_s = self._resumes_at_s - self._now()
            if held_s > 0:
                self._called.wait(held_s)
            else:
                self._awake.wait(self._limits.delay_s)

            self._called.clear()
            self._awake.clear()
            flushes = [self._flushes.popleft() for _ in range(len(self._flushes))]
            try:
                if flushes or self._now() >= self._resumes_at_s:
                    self._drain()
            except Exception as error:  # noqa: BLE001 - the thread goes on
                report_fault(self._component, error)

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
            report_fault(self._component, error)
        finally:
            _otel.detach(token, _UNTRACED)

        return not self._queue

    def _drain(self) -> None:
        self._report_overflow()
        while self._queue and not self._closed and self._now() < self._ends_s():
            batch = self._take()
            self._in_flight = len(batch)
            self._limit_s = self._now() + self._limits.timeout_s
            lost = self._export(batch)
            if self._is_closed():  # which has counted them as lost already
                return

            self._in_flight = 0
            self._sent += len(batch) - (lost.spans if lost else 0)
            self._count(lost)
            if lost is not None:
                self._failed[lost.reason] = self._failed.get(lost.reason, 0) + 1
                self._failed_at_ns = self._clock.time_ns()
                if lost.leave_s > 0:
                    leave_s = min(lost.leave_s, _LONGEST_LEAVE_S)
                    self._resumes_at_s = self._now() + leave_s
                    return

    def _export(self, batch: list[ReadableSpan]) -> Lost | None:
        try:
            return self._exporter.export(batch, self._deadline, self._hurried.wait)
        except Exception as error:  # noqa: BLE001 - the next batch may do better
            report_fault(self._component, error)
            return Lost("error", len(batch))

    def _take(self) -> list[ReadableSpan]:
        queue = self._queue
        batch: list[ReadableSpan] = []
        while queue and len(batch) < self._batch_spans:
            try:
                span, weight = queue.popleft()
            except IndexError:  # a full queue has just dropped it
                break

            self._bytes -= weight
            batch.append(span)

        return batch

    def _ends_s(self) -> float:
        return max(tuple(self._pending.values()), default=float("inf"))

    def _deadline(self) -> float:
        return min(self._limit_s, self._ends_s())

    def _is_closed(self) -> bool:  # another thread may have closed it meanwhile
        return self._closed

    def _report_overflow(self) -> None:
        for reason in self._overflow:
            spans, self._overflow[reason] = self._overflow[reason], 0
            self._count(Lost(reason, spans))

    def _count(self, lost: Lost | None) -> None:
        if lost is not None and lost.spans:
            reason, spans = lost.reason, lost.spans
            self._dropped[reason] = self._dropped.get(reason, 0) + spans
            publish(ItemsDropped(self._component, reason, spans))
