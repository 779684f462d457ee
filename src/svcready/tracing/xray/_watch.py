"""Tells X-Ray of requests that take long, while they are in progress."""

from __future__ import annotations

import threading
from collections import deque
from typing import TYPE_CHECKING
from weakref import ref

from opentelemetry.sdk.trace import ReadableSpan

from svcready._core import fork
from svcready._core.guard import report_fault

if TYPE_CHECKING:
    from collections.abc import Callable

    from opentelemetry.sdk.trace import Span

    from svcready._core.clock import Clock

__all__ = ["OpenSpan", "Watch"]

_COMPONENT = "tracing.xray"
_MAX_WATCHED = 10_000
_ATTEMPTS = 3


class OpenSpan(ReadableSpan):
    """
    What a span held at some time before it ended.

    Args:
        seen: Its contents, redacted.
        live: The span itself, which may have ended since.
    """

    def __init__(self, seen: ReadableSpan, live: ReadableSpan) -> None:
        super().__init__(
            name=seen.name,
            context=seen.context,
            parent=seen.parent,
            resource=seen.resource,
            attributes=seen.attributes,
            events=seen.events,
            links=seen.links,
            kind=seen.kind,
            status=seen.status,
            start_time=seen.start_time,
            end_time=None,
            instrumentation_scope=seen.instrumentation_scope,
        )
        self.live = live


class Watch:
    """
    Hands over spans that are still open after a time, each once.

    Only those that become segments: the first of this process in their trace. When
    they end, their whole document takes the place of the one that was sent.

    Args:
        after_s: The time, in seconds.
        put: Takes the open spans.
        copy: Returns a redacted copy of a span.
        clock: Measures the time.
    """

    def __init__(
        self,
        after_s: float,
        put: Callable[[ReadableSpan], None],
        copy: Callable[[ReadableSpan], ReadableSpan],
        clock: Clock,
    ) -> None:
        self._after_s = after_s
        self._put = put
        self._copy = copy
        self._now = clock.monotonic
        self._closed = False
        self._reset()
        fork.reset_in_child(self._reset)

    def _reset(self) -> None:
        # A child's own requests begin after the fork; the parent tells of its.
        self._begun: deque[tuple[float, ref[Span]]] = deque(maxlen=_MAX_WATCHED)
        self._awake: threading.Event = threading.Event()
        self._starting = threading.Lock()
        self._thread: threading.Thread | None = None

    def begun(self, span: Span) -> None:
        """Watch *span*, if it is sampled and the first in this process."""
        parent, context = span.parent, span.context
        if parent is not None and not parent.is_remote:
            return

        if self._closed or context is None or not context.trace_flags.sampled:
            return

        idle = not self._begun
        self._begun.append((self._now() + self._after_s, ref(span)))
        if self._thread is None:
            self._start()
        elif idle:  # else the thread wakes for an older one, which is due before
            self._awake.set()

    def tell(self) -> float | None:
        """
        Hand over what is due.

        Returns:
            In how many seconds there is more to do; None if nothing is watched.
        """
        begun = self._begun
        while begun and not self._closed:
            left_s = begun[0][0] - self._now()
            if left_s > 0.0:
                return left_s

            span = begun.popleft()[1]()
            if span is not None and span.end_time is None:
                try:
                    self._put(OpenSpan(self._seen(span), span))
                except Exception as error:  # noqa: BLE001 - telemetry never raises
                    report_fault(_COMPONENT, error)

        return None

    def close(self) -> None:
        """End the thread; what is open is told when it has ended."""
        self._closed = True  # the thread may be looking at the first: they stay
        self._awake.set()

    def _seen(self, span: ReadableSpan) -> ReadableSpan:
        for _ in range(_ATTEMPTS - 1):
            try:
                return self._copy(span)
            except RuntimeError:  # another thread has just set an attribute
                continue

        return self._copy(span)

    def _start(self) -> None:
        with self._starting:
            if self._thread is not None:
                return

            thread = threading.Thread(
                target=self._run, name="svcready-open-spans", daemon=True
            )
            self._thread = thread
            try:
                thread.start()
            except RuntimeError:  # too late in the interpreter's life
                pass

    def _run(self) -> None:
        while not self._closed:
            self._awake.wait(self.tell())
            self._awake.clear()
