"""The flight recorder: each request's suppressed lines, written only if it fails."""

from __future__ import annotations

import logging
from collections import deque
from typing import TYPE_CHECKING, TypeAlias

from svcready._core import fork
from svcready._core.context import current
from svcready._core.guard import report_fault
from svcready.logging._handler import render_record
from svcready.logging._logger import Logger, reaches
from svcready.logging._records import FIELDS

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping
    from contextvars import Context
    from types import CodeType

    from svcready.logging._handler import LineHandler

__all__ = [
    "LINE_BYTES",
    "VALUE_BYTES",
    "Entry",
    "Flight",
    "Flights",
    "size_of",
]

Entry: TypeAlias = (
    "tuple[logging.Logger | Logger, CodeType, int, int, object, tuple[object, ...], "
    "Mapping[str, object], BaseException | None, int, Context, int]"
)
"""
A kept line: logger, code, instruction, level, message, arguments, fields, error, time
in nanoseconds, context, size in bytes. A plain tuple, as most are thrown away.
"""

LINE_BYTES = 512
"""What a kept line takes beside its texts: the entry, its context and fields."""
VALUE_BYTES = 64
"""What a value takes, or is held by; for texts their length comes on top."""

_FLIGHT_BYTES = 1024
_FULL_FLIGHTS = 64
_RECORDED = {"recorded": True}
_SWITCHING = 101
_SERVER_ERROR = 500


def size_of(values: Collection[object]) -> int:
    """Estimate what *values* take, without asking any of them to show itself."""
    size = VALUE_BYTES * len(values)
    for value in values:
        if type(value) is str or type(value) is bytes:
            size += len(value)

    return size


class Flight(deque["Entry"]):
    """
    The kept lines of one request.

    The request has ended when its response has left, and is closed when the
    application's call has returned; either may come first.
    """

    __slots__ = ("closed", "ended", "lost", "size")

    def __init__(self) -> None:
        self.lost = 0
        """How many lines the bounds have pushed out."""
        self.size = _FLIGHT_BYTES
        """What it takes, estimated in bytes."""
        self.ended = False
        self.closed = False


class Flights:
    """
    Keeps the suppressed lines of each request in flight, within bounds.

    Appends take no lock, as a deque needs none. The sum of all sizes may go wrong by a
    line where a thread still logs while its request ends; it is counted anew whenever
    it exceeds its bound.

    Args:
        handler: Makes and writes lines.
        now: A monotonic clock, in seconds.
        max_lines: The most lines of one request.
        max_bytes: The most bytes of one request; all together have 64 times as much.
        on: Which requests' lines are written: `failed`, `slow`, `sampled`.
        slow_s: From which duration on a request is slow.
    """

    def __init__(
        self,
        handler: LineHandler,
        now: Callable[[], float],
        *,
        max_lines: int,
        max_bytes: int,
        on: Collection[str],
        slow_s: float,
    ) -> None:
        self.handler = handler
        self.now = now
        self.max_lines = max_lines
        self.max_bytes = max_bytes
        self.max_total = max_bytes * _FULL_FLIGHTS
        """The most bytes of all requests; the oldest request makes room first."""
        self._on_failed = "failed" in on
        self._on_sampled = "sampled" in on
        self._slow_s = slow_s if "slow" in on else float("inf")
        self.open: dict[str | None, Flight] = {}
        """Those in flight, by the id of their server span, oldest first."""
        self.size = 0
        """What all take, estimated in bytes."""
        fork.reset_in_child(self.forget)

    def begin(self, key: str) -> None:
        """Keep the lines of the request with the server span *key* from now on."""
        self.open[key] = Flight()
        self.size += _FLIGHT_BYTES
        if self.size > self.max_total:
            self._relieve()

    def keep(self, flight: Flight, entry: Entry) -> None:
        """Keep one line; the oldest ones make room for it."""
        flight.append(entry)
        flight.size += entry[-1]
        self.size += entry[-1]
        self.settle(flight)

    def settle(self, flight: Flight) -> None:
        """Have *flight*, which has grown, and all together keep within bounds."""
        while len(flight) > self.max_lines or flight.size > self.max_bytes:
            if self._take(flight) is None:
                break

            flight.lost += 1

        if self.size > self.max_total:
            self._relieve()

    def fail(self) -> None:
        """Write what is kept of the current request, which an exception has ended."""
        record = current()
        flight = None if record is None else self.open.get(record.span_id)
        if flight is not None and self._on_failed:
            self._write(flight)

    def end(self, key: str, status: int, duration_s: float, *, sampled: bool) -> None:
        """
        Write what is kept of a request whose response has left, if it is wanted.

        Args:
            key: The id of its server span.
            status: The response's.
            duration_s: From the request's arrival to the last byte of the response.
            sampled: Its trace is kept.
        """
        flight = self.open.get(key)
        if flight is None:
            return

        if (
            (status >= _SERVER_ERROR and self._on_failed)
            # A websocket is open for as long as its client likes.
            or (duration_s >= self._slow_s and status != _SWITCHING)
            or (sampled and self._on_sampled)
        ):
            self._write(flight)

        flight.ended = True
        if flight.closed:
            self._drop(key)

    def close(self, key: str) -> None:
        """Forget a request once its response has left too; late lines are not kept."""
        flight = self.open.get(key)
        if flight is not None:
            flight.closed = True
            if flight.ended:
                self._drop(key)

    def forget(self) -> None:
        """Forget all: in a forked child they are the parent's to end."""
        self.open.clear()
        self.size = 0

    def _drop(self, key: str) -> None:
        flight = self.open.pop(key, None)
        if flight is not None:
            self.size -= flight.size

    def _take(self, flight: Flight) -> Entry | None:
        """Take the oldest line out."""
        try:
            entry = flight.popleft()
        except IndexError:  # another thread took it
            return None

        flight.size -= entry[-1]
        self.size -= entry[-1]
        return entry

    def _relieve(self) -> None:
        """Have the oldest requests lose their lines, then be forgotten, down to 7/8."""
        flights = list(self.open.items())
        total = sum(flight.size for _, flight in flights)
        goal = self.max_total * 7 // 8 if total > self.max_total else total
        for _, flight in flights:
            if total <= goal:
                break

            total += _FLIGHT_BYTES - flight.size
            flight.lost += len(flight)
            flight.clear()
            flight.size = _FLIGHT_BYTES

        for key, _ in flights:
            if total <= goal:
                break

            total -= _FLIGHT_BYTES
            self.open.pop(key, None)

        self.size = total

    def _write(self, flight: Flight) -> None:
        """Write what is kept, oldest first; never raises."""
        try:
            lost, flight.lost = flight.lost, 0
            if lost:
                self._say_lost(lost, flight)

            for _ in range(len(flight)):  # what comes meanwhile waits for the next end
                entry = self._take(flight)
                if entry is None:
                    break

                self._write_entry(entry)
        except Exception as error:  # noqa: BLE001 - telemetry never raises
            report_fault("logging", error)

    def _say_lost(self, count: int, flight: Flight) -> None:
        """Write how many lines are missing before the first."""
        line = self.handler.lines.line(
            ("svcready", None, None),
            "svcready",
            logging.INFO,
            "earlier lines were not kept",
            {"event": "svcready.logging.recorder", "pushed_out": count},
            None,
            flight[0][8] if flight else self.handler.time_ns(),
            _RECORDED,
        )
        self.handler.write(line, logging.INFO)

    def _write_entry(self, entry: Entry) -> None:
        logger, code, at, level, message, _, fields, _, _, context, _ = entry
        if isinstance(logger, Logger):
            std, function = logger.std, code.co_qualname
            fields = {**logger.fields, **fields}
        else:
            std, function = logger, code.co_name

        if std.manager.disable >= level or not reaches(std, self.handler):
            return

        name = std.name
        site = name, function, _line_of(code, at)
        handler = self.handler
        handler.left = left = handler.left - 1
        # A flood is told by when lines come out.
        if left < 0 and not handler.gate(site, name, level, message, handler.time_ns()):
            return

        # In the context of then: its ids, span and bound fields are the line's.
        line = context.run(self._render, std, site, fields, entry)
        if line is not None:
            self.handler.write(line, level)

    def _render(
        self,
        std: logging.Logger,
        site: tuple[str, str, int],
        fields: Mapping[str, object],
        entry: Entry,
    ) -> bytes | None:
        """Return the line, unless a filter drops it that would have seen its record."""
        _, code, _, level, message, args, _, error, time_ns, _, _ = entry
        name, function, number = site
        trace = None if error is None else (type(error), error, error.__traceback__)
        record = std.makeRecord(
            name, level, code.co_filename, number, message, args, trace, function
        )
        known = record.__dict__
        for key, value in fields.items():
            if key not in known and key not in {"message", "asctime"}:
                known[key] = value

        known[FIELDS] = fields
        # A float holds no nanoseconds: half a microsecond keeps it in its millisecond.
        record.created = (time_ns + 500) / 1e9
        record.msecs = time_ns // 1_000_000 % 1000
        for filterer in (std, self.handler):
            passed: object = filterer.filter(record)
            if not passed:
                return None

            if isinstance(passed, logging.LogRecord):  # Python 3.12
                record = passed

        return render_record(self.handler.lines, record, _RECORDED)


def _line_of(code: CodeType, at: int) -> int:
    """Return the line of the instruction *at*."""
    for start, end, line in code.co_lines():
        if start <= at < end and line is not None:
            return line

    return code.co_firstlineno
