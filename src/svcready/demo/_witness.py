"""What the services said while the demo ran: their log lines and their spans."""

from __future__ import annotations

import json
import threading
from datetime import datetime
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Mapping

    from svcready.tracing.view._records import SpanRecord

__all__ = ["Said", "Witness"]


class Said(NamedTuple):
    """One log line."""

    time_s: float
    """Since the epoch."""
    service: str
    line: Mapping[str, object]

    @property
    def event(self) -> str:
        """The line's name for machines, or an empty string."""
        return str(self.line.get("event", ""))

    def text(self, key: str) -> str:
        """Return a top-level field as text, or an empty string."""
        return str(self.line.get(key, ""))

    def part(self, key: str) -> Mapping[str, object]:
        """Return a top-level field that is an object; empty if it is none."""
        value = self.line.get(key)
        return value if isinstance(value, dict) else {}


class Witness:
    """Keeps what the services say, until it is told to stop listening."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._listening = True
        self._lines: list[Said] = []
        self._spans: list[SpanRecord] = []
        self._garbled: list[str] = []
        self._breaker = "closed"

    @property
    def breaker(self) -> str:
        """The state that the orders service's circuit breaker told of last."""
        return self._breaker

    def lines(self) -> list[Said]:
        """Return every log line so far, in the order of their times."""
        with self._lock:
            return sorted(self._lines, key=lambda said: said.time_s)

    def spans(self) -> list[SpanRecord]:
        """Return every span so far, in the order of their starts."""
        with self._lock:
            return sorted(self._spans, key=lambda span: span.start_ns)

    def garbled(self) -> list[str]:
        """Return what was no JSON log line."""
        with self._lock:
            return self._garbled.copy()

    def close(self) -> None:
        """Stop keeping: what follows is read and forgotten."""
        self._listening = False

    def on_line(self, raw: bytes) -> None:
        """Take one line of a service's standard output."""
        if not self._listening:
            return

        try:
            line = json.loads(raw)
            time_s = datetime.fromisoformat(line["timestamp"]).timestamp()
            said = Said(time_s, str(line["service"]), line)
        except (ValueError, KeyError, TypeError):
            with self._lock:
                self._garbled.append(raw.decode(errors="replace").rstrip())

            return

        if said.event == "circuit_breaker.moved":
            self._breaker = str(said.part("context").get("after", ""))

        with self._lock:
            self._lines.append(said)

    def on_spans(self, spans: list[SpanRecord]) -> None:
        """Take spans that a service sent."""
        if self._listening:
            with self._lock:
                self._spans += spans
