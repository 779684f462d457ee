"""One request that has ended, and its access line in JSON."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, TypeAlias

import orjson

from svcready._core.context import current
from svcready.logging._levels import level_name
from svcready.logging._lines._cut import SURELY_FEW_BYTES, may_exceed

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from svcready.logging._lines._errors import ErrorTexts
    from svcready.logging._lines._values import Values

__all__ = ["Request", "RequestLines", "ids_text"]

_MAX_CACHED = 4096
_MAX_NAME = 1024
_MAX_CLIENT = 256
_MAX_IDS = 256
_SOURCE = ',"source":{"logger":"svcready.access"}'
_END = "}\n"
_MILLIS = tuple(f"{ms:03d}" for ms in range(1000))


Request: TypeAlias = (
    "tuple[str, str, int, float, int | None, int | None, str | None, "
    "BaseException | None]"
)
"""
A request that has ended: method, route, status, duration in seconds, size of its body
and of the response's, the client's address, the error that has no line yet. A plain
tuple, as it is made for every request.
"""


class RequestLines:
    """
    Makes access lines; what recurs per second, route or client is rendered once.

    A line is made as one text and encoded once.

    Args:
        values: Renders texts and fields.
        errors: Renders exceptions.
        span_ids: Returns the current span's trace and span id, for a request whose
            own are not known.
        within_limits: Cuts a line that is too long or has too many fields.
        max_bytes: The longest line.
    """

    def __init__(
        self,
        values: Values,
        errors: ErrorTexts,
        span_ids: Callable[[], tuple[str, str] | None],
        within_limits: Callable[[bytes], bytes],
        max_bytes: int,
    ) -> None:
        self._values = values
        self._errors = errors
        self._span_ids = span_ids
        self._within_limits = within_limits
        self._max_bytes = max_bytes
        self._second = (0, "")
        self._known: dict[tuple[int, str, str, int], tuple[str, str]] = {}
        self._clients: dict[str | None, str] = {}
        self.static = ""
        """The members that say whose line it is, behind a comma."""

    def line(self, level: int, request: Request, time_ns: int) -> bytes:
        """Return the line of *request*, with its newline and its own span's ids."""
        second, rest_ns = divmod(time_ns, 1_000_000_000)
        cached = self._second
        start = cached[1] if cached[0] == second else self._start(second)
        method, route, status, duration_s, size, sent, client, error = request
        head, http = self._known.get((level, method, route, status)) or self._render(
            level, method, route, status
        )
        fields: Mapping[str, object] | None = None
        record = current()
        if record is None:
            ids = ""
        else:
            request_id, correlation_id, trace_id, span_id, _, fields, _ = record
            if trace_id is None:
                trace_id, span_id = self._span_ids() or (None, None)

            if (
                correlation_id is request_id is not None
                and trace_id
                and request_id.isalnum()
                and len(request_id) <= _MAX_IDS
            ):  # most requests: `ids_text` without its steps, 1 µs of each
                ids = (
                    f',"request_id":"{request_id}","correlation_id":"{request_id}"'
                    f',"trace_id":"{trace_id}","span_id":"{span_id}",'
                    f'"xray_trace_id":"1-{trace_id[:8]}-{trace_id[8:]}"'
                )
            else:
                ids = ids_text(request_id, correlation_id, trace_id, span_id)

        sizes = "" if sent is None else f',"response_bytes":{sent}'
        if size is not None:
            sizes = f',"request_bytes":{size}{sizes}'

        client = self._clients.get(client) or self._render_client(client)
        end = _END
        if fields or error is not None:
            end = self._end(fields, error)

        # In whole numbers: a float's text costs 1.3 µs of a request.
        millis, rest_us = divmod(round(duration_s * 1e6), 1000)
        line = (
            f"{start}{_MILLIS[rest_ns // 1_000_000]}{head}{self.static}{ids}"
            f"{http}{millis}.{_MILLIS[rest_us]}{sizes}{client}{end}"
        ).encode()
        if len(line) > self._max_bytes or (
            end is not _END
            and len(end) > SURELY_FEW_BYTES
            and may_exceed(end.encode(), line)
        ):
            return self._within_limits(line)

        return line

    def _start(self, second: int) -> str:
        text = time.strftime("%Y-%m-%dT%H:%M:%S.", time.gmtime(second))
        start = f'{{"schema":1,"timestamp":"{text}'
        self._second = (second, start)
        return start

    def _end(
        self, fields: Mapping[str, object] | None, error: BaseException | None
    ) -> str:
        """Return the members behind `http` and the end of the line."""
        text = b""
        if fields:
            text += b',"context":' + self._values.fields(fields)

        if error is not None:
            text += b',"error":' + self._values.of_json(self._errors.fields(error))

        return f"{text.decode()}}}\n"

    def _render_client(self, client: str | None) -> str:
        """Return the last of `http` and its brace; most clients come again."""
        made = "}"
        if client:
            made = (
                f',"client":{self._text(self._values.redacted(client)[:_MAX_CLIENT])}}}'
            )

        if len(self._clients) >= _MAX_CACHED:
            self._clients.clear()

        self._clients[client] = made
        return made

    def _render(
        self, level: int, method: str, route: str, status: int
    ) -> tuple[str, str]:
        """Return level and message, and the start of the member `http`."""
        known = (level, method, route, status)
        redacted = self._values.redacted  # before it is cut
        method, route = redacted(method)[:_MAX_NAME], redacted(route)[:_MAX_NAME]
        message = self._text(f"{method} {route} {status}")
        http = (
            f'{_SOURCE},"http":{{"method":{self._text(method)},'
            f'"route":{self._text(route)},"status":{status},"duration_ms":'
        )
        made = f'Z","level":"{level_name(level)}","message":{message}', http
        if len(self._known) >= _MAX_CACHED:
            self._known.clear()

        self._known[known] = made
        return made

    def _text(self, text: str) -> str:
        return self._values.text(text).decode()


def ids_text(
    request_id: str | None,
    correlation_id: str | None,
    trace_id: str | None,
    span_id: str | None,
) -> str:
    """Return the ids that are known as members of a line, behind a comma."""
    text = ""
    if request_id or correlation_id:
        request_id = request_id or ""
        correlation_id = correlation_id or request_id
        both = request_id + correlation_id
        if (both.isalnum() and len(both) <= _MAX_IDS) or _is_plain(both):
            text = f',"request_id":"{request_id}","correlation_id":"{correlation_id}"'
        else:
            text = _escaped("request_id", request_id)
            text += _escaped("correlation_id", correlation_id)

    if trace_id and span_id:
        text += (
            f',"trace_id":"{trace_id}","span_id":"{span_id}",'
            f'"xray_trace_id":"1-{trace_id[:8]}-{trace_id[8:]}"'
        )

    return text


def _is_plain(ids: str) -> bool:
    """Tell whether two ids stand in JSON as they are."""
    return (
        len(ids) <= _MAX_IDS
        and ids.isascii()
        and ids.isprintable()
        and '"' not in ids
        and "\\" not in ids
    )


def _escaped(name: str, value: str) -> str:
    if not value:
        return ""

    shown = value[:_MAX_IDS].encode("utf-8", "backslashreplace").decode()
    return f',"{name}":{orjson.dumps(shown).decode()}'
