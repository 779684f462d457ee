"""The JSON line: one event as one object of schema v1, in bytes."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Protocol, TypeAlias

import orjson

from svcready._core.context import current
from svcready.logging._levels import level_name
from svcready.logging._lines._cut import SURELY_FEW_BYTES as _FEW
from svcready.logging._lines._cut import may_exceed, to_limits
from svcready.logging._lines._request import RequestLines, ids_text

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from types import CodeType, FrameType

    from svcready._core.context import ContextRecord
    from svcready.logging._lines._errors import ErrorTexts
    from svcready.logging._lines._request import Request
    from svcready.logging._lines._values import Values

__all__ = ["NO_MARKS", "Identity", "JsonLines", "Lines", "Site"]

NO_MARKS: Mapping[str, int] = {}
"""A line has no members but the usual ones."""

_MAX_CACHED = 4096
_MAX_NAME = 256
_MILLIS = tuple(b"%03d" % ms for ms in range(1000))
_HEAD = tuple(
    b'Z","level":"%s","message":' % level_name(number).encode() for number in range(51)
)
_TOP_LEVEL = 50
_CONTEXT = b',"context":'
_END = b"}\n"


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
        marks: Mapping[str, int] = NO_MARKS,
    ) -> bytes:
        """Return the line, with its newline; *marks* are further members of its top."""
        ...

    def request_line(self, level: int, request: Request, time_ns: int) -> bytes:
        """Return the line of a request that has ended."""
        ...

    def identify(self, identity: Identity) -> None:
        """Take the service's identity, at first or because it is known better now."""
        ...

    @property
    def text_of(self) -> Callable[[object, tuple[object, ...]], str]:
        """What puts the arguments into a message."""
        ...


class JsonLines:
    """
    Makes JSON lines; those of requests are made apart.

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
        on_cut: Called with a word for each kind of cut that a line had.
    """

    request_line: Callable[[int, Request, int], bytes]
    """Return the line of a request that has ended."""

    def __init__(
        self,
        identity: Identity,
        values: Values,
        errors: ErrorTexts,
        *,
        span_ids: Callable[[], tuple[str, str] | None],
        max_bytes: int,
        on_cut: Callable[[str], None],
    ) -> None:
        self._values = values
        self.text_of = values.message
        self._text = values.text
        self._innocent = values.innocent
        self._fields = values.fields
        self._errors = errors
        self._span_ids = span_ids
        self.max_bytes = max_bytes
        self.on_cut = on_cut
        self._requests = RequestLines(
            values, errors, span_ids, self._within_limits, max_bytes
        )
        self.request_line = self._requests.line
        self._static = b""
        self._second = (0, b"")
        self._ids: tuple[object, object, bytes] = (None, None, b"")
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
        redacted = self._values.redacted
        kept = {key: redacted(text)[:_MAX_NAME] for key, text in named.items() if text}
        kept.setdefault("service", "unknown_service")
        self._static = b"," + self._values.of_json(kept)[1:-1]
        self._requests.static = self._static.decode()

    def line(
        self,
        site: Site | FrameType,
        logger: str,
        level: int,
        message: str,
        fields: Mapping[str, object],
        error: BaseException | None,
        time_ns: int,
        marks: Mapping[str, int] = NO_MARKS,
    ) -> bytes:
        """Return the JSON line of one event, with its newline and further *marks*."""
        second, rest_ns = divmod(time_ns, 1_000_000_000)
        cached = self._second
        start = cached[1] if cached[0] == second else self._start(second)

        record = current()
        span = self._span_ids()
        ids = self._ids
        if ids[0] is not record or ids[1] != span:
            ids = self._render_ids(record, span)

        if record is not None and record.fields:
            fields = {**record.fields, **fields}

        if isinstance(site, tuple):
            source = self._places.get(site) or self._place(site)
        else:
            place = self._sites.get((logger, id(site.f_code), site.f_lasti))
            source = self._site(site, logger) if place is None else place[0]

        event = head = context = b""
        if fields and "event" in fields:
            event, fields = self._take_event(fields)

        if fields:
            head, context = _CONTEXT, self._fields(fields)

        end = self._end(error, marks) if error is not None or marks else _END
        line = b"".join(
            (
                start,
                _MILLIS[rest_ns // 1_000_000],
                _HEAD[level if 0 <= level < _TOP_LEVEL else _clamp(level)],
                self._innocent.get(message) or self._text(message),
                event,
                self._static,
                ids[2],
                source,
                head,
                context,
                end,
            )
        )
        if len(line) <= self.max_bytes and len(context) <= _FEW and end is _END:
            return line

        return self._checked(line, context)

    def _start(self, second: int) -> bytes:
        text = time.strftime("%Y-%m-%dT%H:%M:%S.", time.gmtime(second))
        start = b'{"schema":1,"timestamp":"%b' % text.encode()
        self._second = (second, start)
        return start

    def error(self, error: BaseException) -> bytes:
        """Return the member `error` of a line."""
        return b',"error":' + self._values.of_json(self._errors.fields(error))

    def _render_ids(
        self, record: ContextRecord | None, span: tuple[str, str] | None
    ) -> tuple[object, object, bytes]:
        """Render the ids of request and span, and keep them for the next line."""
        trace_id, span_id = span or (None, None)
        if record is None:
            text = ids_text(None, None, trace_id, span_id)
        else:
            text = ids_text(
                record.request_id,
                record.correlation_id,
                trace_id or record.trace_id,
                span_id or record.span_id,
            )

        self._ids = made = (record, span, text.encode())
        return made

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
        named = fields["event"]
        if not issubclass(type(named), str):  # `isinstance` asks a lazy object
            return b"", fields

        name = self._values.redacted(str.__str__(named))[:_MAX_NAME]
        kept = {key: value for key, value in fields.items() if key != "event"}
        return b',"event":' + self._text(name), kept

    def _end(self, error: BaseException | None, marks: Mapping[str, int]) -> bytes:
        marked = b"," + orjson.dumps(marks)[1:-1] if marks else b""
        return marked + (b"" if error is None else self.error(error)) + _END

    def _checked(self, line: bytes, context: bytes) -> bytes:
        """Return *line*, cut if it is too long or may have too many fields."""
        # All but the context is short of commas, save for the error's texts.
        if len(line) > self.max_bytes or may_exceed(context, line):
            return self._within_limits(line)

        return line

    def _within_limits(self, line: bytes) -> bytes:
        made, reasons = to_limits(orjson.loads(line), self.max_bytes)
        if not reasons:
            return line

        for reason in reasons:
            self.on_cut(reason)

        return made


def _clamp(level: int) -> int:
    return 0 if level < 0 else _TOP_LEVEL
