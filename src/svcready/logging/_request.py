"""One request that has ended, as the access line tells it."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from svcready.logging._levels import level_name

if TYPE_CHECKING:
    from svcready.logging._values import Values

__all__ = ["Request", "RequestMembers"]

_MAX_CACHED = 4096
_MAX_NAME = 1024
_MAX_CLIENT = 256


class Request(NamedTuple):
    """What is known of a request when it has ended."""

    method: str
    route: str
    status: int
    duration_s: float
    request_bytes: int | None
    response_bytes: int | None
    client: str | None
    error: BaseException | None


class RequestMembers:
    """
    Renders what is special to an access line; what recurs per route only once.

    Args:
        values: Renders texts.
    """

    def __init__(self, values: Values) -> None:
        self._values = values
        self._known: dict[tuple[int, str, str, int], tuple[bytes, bytes]] = {}
        self._clients: dict[str | None, bytes] = {None: b"}", "": b"}"}

    def head(self, level: int, request: Request) -> tuple[bytes, bytes]:
        """Return level and message, and the start of the member `http`."""
        key = (level, request.method, request.route, request.status)
        return self._known.get(key) or self._render(level, request)

    def rest(self, request: Request) -> bytes:
        """Return the rest of the member `http`: what differs from call to call."""
        _, _, _, duration_s, request_bytes, response_bytes, client, _ = request
        end = self._clients.get(client) or self._render_client(client)
        if request_bytes is None and response_bytes is not None:  # most requests
            return b'%.3f,"response_bytes":%d%b' % (
                duration_s * 1000.0,
                response_bytes,
                end,
            )

        text = b"%.3f" % (duration_s * 1000.0)
        if request_bytes is not None:
            text += b',"request_bytes":%d' % request_bytes

        if response_bytes is not None:
            text += b',"response_bytes":%d' % response_bytes

        return text + end

    def _render_client(self, client: str | None) -> bytes:
        """Render the last member and the brace behind it; most clients come again."""
        made = b',"client":%b}' % self._values.text((client or "")[:_MAX_CLIENT])
        if len(self._clients) >= _MAX_CACHED:
            self._clients = {None: b"}", "": b"}"}

        self._clients[client] = made
        return made

    def _render(self, level: int, request: Request) -> tuple[bytes, bytes]:
        method = request.method[:_MAX_NAME]
        route = request.route[:_MAX_NAME]
        message = self._values.text(f"{method} {route} {request.status}")
        made = (
            b'Z","level":"%b","message":%b' % (level_name(level).encode(), message),
            b',"http":{"method":%b,"route":%b,"status":%d,"duration_ms":'
            % (self._values.text(method), self._values.text(route), request.status),
        )
        if len(self._known) >= _MAX_CACHED:
            self._known.clear()

        key = (level, request.method, request.route, request.status)
        self._known[key] = made
        return made
