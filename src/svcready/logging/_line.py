"""The JSON line: one event as one object of schema v1, in bytes."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Protocol, TypeAlias

import orjson

from svcready._core.context import current
from svcready.logging import _cut
from svcready.logging._levels import level_name
from svcready.logging._request import RequestMembers

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from types import CodeType, FrameType

    from svcready._core.context import ContextRecord
    from svcready.logging._errors import ErrorTexts
    from svcready.logging._request import Request
    from svcready.logging._values import Values

__all__ = ["Identity", "JsonLines", "Lines", "Site"]

_MAX_CACHED = 4096
_MAX_NAME = 256
_MILLIS = tuple(b"%03d" % ms for ms in range(1000))
_HEAD = tuple(
    b'Z","level":"%s","message":' % level_name(number).encode() for number in range(51)
)
_TOP_LEVEL = 50
_ACCESS_SOURCE = b',"source":{"logger":"svcready.access"}'


class Identity(Protocol):
    """Who the service is."""

    @property
    def service(self) -> str:
        """The service's name."""
        ...

    @property
    def version(self) -> str:
        """The service's version, or an empty string."""
        ...

    @property
    def environment(self) -> str:
        """The name of the environment."""
        ...

    @property
    def instance(self) -> str:
        """The task, pod or host."""
        ...


Site: TypeAlias = "tuple[str, str | None, int | None]"
"""Where a line was logged: logger, function, line."""


class Lines(Protocol):
    """What makes a line of an event: JSON for machines or text for people."""

    def line(
        self,
        site: Site | FrameType,
        logger: str,
        level: int,
        message: str,
        fields: Mapping[str, object],
        error: BaseException | None,
        time_ns: int,
    ) -> bytes:
        """Return the line, with its newline."""
        ...

    def request_line(self, level: int, request: Request, time_ns: int) -> bytes:
        """Return the line of a request that has ended."""
        ...

    def identify(self, identity: Identity) -> None:
        """Take the service's identity, at first or because it is known better now."""
        ...


class JsonLines:
    """
    Makes JSON lines.

    What recurs is rendered once: the second, the service, a place in the code, the
    ids of a request; the pieces are joined. Each cache is one tuple or one dict entry
    that is replaced whole, so threads need no lock.

    Args:
        identity: Who the service is.
        values: Renders fields and texts.
        errors: Renders exceptions.
        span_ids: Returns the current span's trace and span id in hex, or None to take
            those of the request's context.
        max_bytes: The longest line; longer ones are cut.
        on_cut: Called for each line that was cut.
    """

    def __init__(
        self,
        identity: Identity,
        values: Values,
        errors: ErrorTexts,
        *,
        span_ids: Callable[[], tuple[str, str] | None],
        max_bytes: int,
        on_cut: Callable[[], None],
    ) -> None:
        self._values = values
        self._text = values.text
        self._fields = values.fields
        self._errors = errors
        self._request = RequestMembers(values)
        self._span_ids = span_ids
        self._max_bytes = max_bytes
        self._on_cut = on_cut
        self._static = b""
        self._second = (0, b"")
        self._ids: tuple[object, bytes, bytes] = (None, b"", b"")
        self._span: tuple[object, bytes] = (None, b"")
        self._sites: dict[tuple[str, int, int], tuple[bytes, CodeType]] = {}
        self._places: dict[Site, bytes] = {}
        self.identify(identity)

    def identify(self, identity: Identity) -> None:
        """Take the service's identity."""
        named = {
            "service": identity.service,
            "version": identity.version,
            "environment": identity.environment,
            "instance": identity.instance,
        }
        kept = {key: value[:_MAX_NAME] for key, value in named.items() if value}
        kept.setdefault("service", "unknown_service")
        self._static = b"," + self._values.fields(kept)[1:-1]

    def line(
        self,
        site: Site | FrameType,
        logger: str,
        level: int,
        message: str,
        fields: Mapping[str, object],
        error: BaseException | None,
        time_ns: int,
    ) -> bytes:
        """Return the JSON line of one event, with its newline."""
        second, rest_ns = divmod(time_ns, 1_000_000_000)
        cached = self._second
        start = cached[1] if cached[0] == second else self._start(second)

        record = current()
        span = self._span_ids()
        if record is None:
            ids, trace = b"", b"" if span is None else self._of_span(span)
        else:
            known = self._ids
            _, ids, trace = known if known[0] is record else self._of_record(record)
            if span is not None:
                trace = self._of_span(span)

            if record.fields:
                fields = {**record.fields, **fields}

        if isinstance(site, tuple):
            source = self._places.get(site) or self._place(site)
        else:
            place = self._sites.get((logger, id(site.f_code), site.f_lasti))
            source = self._site(site, logger) if place is None else place[0]

        event = b""
        if fields and "event" in fields:
            event, fields = self._take_event(fields)

        line = b"".join(
            (
                start,
                _MILLIS[rest_ns // 1_000_000],
                _HEAD[level if 0 <= level < _TOP_LEVEL else _clamp(level)],
                self._text(message),
                event,
                self._static,
                ids,
                trace,
                source,
                b',"context":%b' % self._fields(fields) if fields else b"",
                self.error(error) if error is not None else b"",
                b"}\n",
            )
        )
        return self._shortened(line) if len(line) > self._max_bytes else line

    def stamp(self, time_ns: int) -> tuple[bytes, bytes]:
        """Return the start of a line up to the milliseconds."""
        second, rest_ns = divmod(time_ns, 1_000_000_000)
        cached = self._second
        start = cached[1] if cached[0] == second else self._start(second)
        return start, _MILLIS[rest_ns // 1_000_000]

    def ids(self) -> tuple[bytes, bytes, Mapping[str, object] | None]:
        """Return the ids of the request and of the span, and the bound fields."""
        record = current()
        span = self._span_ids()
        trace = b"" if span is None else self._of_span(span)
        if record is None:
            return b"", trace, None

        known = self._ids
        if known[0] is not record:
            known = self._of_record(record)

        return known[1], trace or known[2], record.fields

    def _start(self, second: int) -> bytes:
        text = time.strftime("%Y-%m-%dT%H:%M:%S.", time.gmtime(second))
        start = b'{"schema":1,"timestamp":"%b' % text.encode()
        self._second = (second, start)
        return start

    def error(self, error: BaseException) -> bytes:
        """Return the member `error` of a line."""
        return b',"error":' + self._values.of_json(self._errors.fields(error))

    def request_line(self, level: int, request: Request, time_ns: int) -> bytes:
        """Return the JSON line of a request that has ended."""
        start, millis = self.stamp(time_ns)
        ids, trace, bound = self.ids()
        head, http = self._request.head(level, request)
        error = request.error
        line = b"".join(
            (
                start,
                millis,
                head,
                self._static,
                ids,
                trace,
                _ACCESS_SOURCE,
                http,
                self._request.rest(request),
                b',"context":%b' % self._fields(bound) if bound else b"",
                self.error(error) if error is not None else b"",
                b"}\n",
            )
        )
        return self._shortened(line) if len(line) > self._max_bytes else line

    def _of_record(self, record: ContextRecord) -> tuple[object, bytes, bytes]:
        known: dict[str, object] = {}
        if record.request_id:
            known["request_id"] = record.request_id[:_MAX_NAME]

        correlation_id = record.correlation_id or record.request_id
        if correlation_id:
            known["correlation_id"] = correlation_id[:_MAX_NAME]

        ids = b"," + self._values.of_json(known)[1:-1] if known else b""
        trace = b""
        if record.trace_id and record.span_id:
            trace = _trace_members(record.trace_id, record.span_id)

        self._ids = (record, ids, trace)
        return self._ids

    def _of_span(self, span: tuple[str, str]) -> bytes:
        cached = self._span
        if cached[0] != span:
            cached = self._span = (span, _trace_members(*span))

        return cached[1]

    def _site(self, frame: FrameType, logger: str) -> bytes:
        code = frame.f_code
        text = self._render((logger, code.co_qualname, frame.f_lineno))
        if len(self._sites) >= _MAX_CACHED:
            self._sites.clear()

        # The code is kept so that its id means nothing else while this is cached.
        self._sites[logger, id(code), frame.f_lasti] = (text, code)
        return text

    def _place(self, site: Site) -> bytes:
        text = self._render(site)
        if len(self._places) >= _MAX_CACHED:
            self._places.clear()

        self._places[site] = text
        return text

    def _render(self, site: Site) -> bytes:
        logger, function, number = site
        found: dict[str, object] = {"logger": logger[:_MAX_NAME]}
        if function:
            found["function"] = function[:_MAX_NAME]

        if number:
            found["line"] = number

        return b',"source":%b' % self._values.of_json(found)

    def _take_event(
        self, fields: Mapping[str, object]
    ) -> tuple[bytes, Mapping[str, object]]:
        name = fields["event"]
        if not isinstance(name, str):
            return b"", fields

        kept = {key: value for key, value in fields.items() if key != "event"}
        return b',"event":' + self._text(name[:_MAX_NAME]), kept

    def _shortened(self, line: bytes) -> bytes:
        self._on_cut()
        return _cut.shorten(orjson.loads(line), self._max_bytes)


def _clamp(level: int) -> int:
    return 0 if level < 0 else _TOP_LEVEL


def _trace_members(trace_id: str, span_id: str) -> bytes:
    return (
        f',"trace_id":"{trace_id}","span_id":"{span_id}",'
        f'"xray_trace_id":"1-{trace_id[:8]}-{trace_id[8:]}"'
    ).encode()
