"""The WSGI wrapper: the request lifecycle around any WSGI application."""

from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING

from svcready._core.guard import report_fault
from svcready._runtime import PlanCell
from svcready.adapters._lifecycle import CLIENT_CLOSED, Headers
from svcready.adapters._plan import build_plan
from svcready.admin import OpsRequest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

    from svcready.adapters._lifecycle import Request, RequestPlan

__all__ = ["WSGIWrapper", "wrap"]

REQUEST = "svcready.request"
"""The environ key of the request in flight, set for adapters that learn more."""

_FAILED = 500
_PHRASES = {status.value: f"{status.value} {status.phrase}" for status in HTTPStatus}


def _no_route(environ: WSGIEnvironment) -> str | None:
    """Know no routes: a bare callable declares none."""
    del environ
    return None


def _no_own_path(path: str) -> bool:
    del path
    return False


class InFlight:
    """What the wrapper learns of one response while it passes by."""

    __slots__ = (
        "_client",
        "_length",
        "_plan",
        "error",
        "request",
        "route",
        "sent",
        "status",
    )

    def __init__(
        self,
        plan: RequestPlan,
        request: Request,
        client: str | None,
        length: int | None,
    ) -> None:
        self._plan = plan
        self.request = request
        self.status = 0
        self.sent = 0
        self.route: str | None = None
        self.error: BaseException | None = None
        self._client = client
        self._length = length

    def note_error(self, error: BaseException) -> None:
        """Log what the framework is about to answer with a 500."""
        self.error = error
        self._plan.log_error(error)

    def complete(self) -> None:
        """Record the response as it is known now."""
        self.request.complete(
            self.route,
            self.status or _FAILED,
            self.error,
            request_bytes=self._length,
            response_bytes=self.sent,
            client=self._client,
        )

    def end(self, error: BaseException | None) -> None:
        """Record the response and unbind the context, whatever happened."""
        if error is not None:
            self.error = error
            if not isinstance(error, Exception):  # the server gave the request up
                self.status = self.status or CLIENT_CLOSED

        self.complete()
        self.request.close()


class _Body:
    """The response's body; the request ends when the server closes it."""

    __slots__ = ("_chunks", "_flight", "_next", "_open")

    def __init__(self, chunks: Iterable[bytes], flight: InFlight) -> None:
        self._chunks = chunks
        self._next = iter(chunks).__next__
        self._flight = flight
        self._open = True

    def __iter__(self) -> Iterator[bytes]:
        return self

    def __next__(self) -> bytes:
        try:
            chunk = self._next()
        except StopIteration:
            raise
        except BaseException as error:
            self._flight.error = error
            raise

        self._flight.sent += len(chunk)
        return chunk

    def close(self) -> None:
        """Close the application's iterable, then end the request."""
        if not self._open:
            return

        self._open = False
        error: BaseException | None = self._flight.error
        try:
            close = getattr(self._chunks, "close", None)
            if close is not None:
                close()
        except BaseException as failure:
            error = failure
            raise
        finally:
            self._flight.end(error)


class WSGIWrapper:
    """
    Puts the request lifecycle around a WSGI application, as the outermost layer.

    Nothing of a request is kept on the wrapper. Before `init()` it passes everything
    through.

    Args:
        app: The application.
        route_of: Tells the template of the route that was taken; asked when the
            response starts.
        is_own_path: Tells whether the application itself defines a path, which then
            stays its own.
    """

    def __init__(
        self,
        app: WSGIApplication,
        *,
        route_of: Callable[[WSGIEnvironment], str | None] = _no_route,
        is_own_path: Callable[[str], bool] = _no_own_path,
    ) -> None:
        self._app = app
        self._route_of = route_of
        self._is_own_path = is_own_path
        self._cell: PlanCell[RequestPlan] = PlanCell(build_plan)

    def __call__(
        self, environ: WSGIEnvironment, start_response: StartResponse
    ) -> Iterable[bytes]:
        """Serve one request."""
        plan = self._cell.plan or self._take()
        if plan is None or REQUEST in environ:
            return self._app(environ, start_response)

        path: str = environ.get("PATH_INFO", "")
        if path in plan.ops.routes and not self._is_own_path(path):
            return _answer_operator(plan, path, environ, start_response)

        headers, length, client = read_headers(plan, environ)
        request = plan.begin(
            environ["REQUEST_METHOD"],
            environ.get("SCRIPT_NAME", "") + path,
            headers,
            lambda: describe(plan, environ, client),
        )
        if request is None:
            return self._app(environ, start_response)

        flight = InFlight(plan, request, client, length)
        environ[REQUEST] = flight
        start = self._start(plan, flight, environ, start_response)
        try:
            body = self._app(environ, start)
        except BaseException as error:
            flight.end(error)
            raise

        if isinstance(body, list | tuple):  # complete already, and nothing to close
            flight.sent = sum(map(len, body))
            flight.end(None)
            return body

        wrapper = environ.get("wsgi.file_wrapper")
        if isinstance(wrapper, type) and isinstance(body, wrapper):
            flight.end(None)  # left as it is, or the server could not use sendfile
            return body

        return _Body(body, flight)

    def _take(self) -> RequestPlan | None:
        plan = self._cell.take()
        if plan is not None:
            plan.serving.begun(None)
            plan.serving.ready()

        return plan

    def _start(
        self,
        plan: RequestPlan,
        flight: InFlight,
        environ: WSGIEnvironment,
        start_response: StartResponse,
    ) -> StartResponse:
        def start(
            status: str,
            headers: list[tuple[str, str]],
            exc_info: object = None,
            /,
        ) -> Callable[[bytes], object]:
            try:
                flight.status = int(status[:3])
                flight.route = self._route_of(environ)
                if plan.send_headers:
                    names = {name.lower() for name, _ in headers}
                    headers = [
                        *headers,
                        *(
                            pair
                            for pair in response_headers(plan, flight.request)
                            if pair[0].lower() not in names
                        ),
                    ]
            except Exception as error:  # noqa: BLE001 - the response goes out
                report_fault("http.headers", error)

            if exc_info is None:
                return start_response(status, headers)

            return start_response(status, headers, exc_info)  # type: ignore[arg-type]

        return start  # type: ignore[return-value]


def wrap(
    app: WSGIApplication,
    *,
    route_of: Callable[[WSGIEnvironment], str | None] = _no_route,
) -> WSGIWrapper:
    """
    Put the request lifecycle around a bare WSGI application.

    Args:
        app: The application.
        route_of: Tells the template of the route that was taken, from the environ
            as the application left it; without it every route is unmatched.

    Returns:
        The application to give to the server.
    """
    return WSGIWrapper(app, route_of=route_of)


def response_headers(plan: RequestPlan, request: Request) -> tuple[tuple[str, str], ...]:
    """Return the headers that tell the caller our ids, as WSGI spells them."""
    return (
        (plan.request_id_header, request.request_id),
        request.trace.response_header,
    )


def read_headers(
    plan: RequestPlan, environ: WSGIEnvironment
) -> tuple[Headers, int | None, str | None]:
    headers = Headers()
    length: int | None = None
    forwarded: str | None = None
    for key, slot in plan.wanted_environ:
        text = environ.get(key)
        if not text:
            continue

        if slot == "length":
            length = int(text) if text.isdecimal() and len(text) < 20 else None  # noqa: PLR2004
        elif slot == "forwarded":
            forwarded = text
        else:
            setattr(headers, slot, text)

    client = plan.client_of(environ.get("REMOTE_ADDR"), forwarded)
    return headers, length, client


def describe(
    plan: RequestPlan, environ: WSGIEnvironment, client: str | None
) -> dict[str, str | int]:
    attributes: dict[str, str | int] = {
        "url.path": environ.get("SCRIPT_NAME", "") + environ.get("PATH_INFO", ""),
        "url.scheme": environ.get("wsgi.url_scheme", "http"),
    }
    query = environ.get("QUERY_STRING")
    if query:
        attributes["url.query"] = plan.redact_query(query)

    if environ.get("SERVER_NAME"):
        attributes["server.address"] = environ["SERVER_NAME"]

    port = environ.get("SERVER_PORT", "")
    if port.isdecimal():
        attributes["server.port"] = int(port)

    if client:
        attributes["client.address"] = client

    protocol = environ.get("SERVER_PROTOCOL", "HTTP/1.1")
    attributes["network.protocol.version"] = protocol.rpartition("/")[2]
    agent = environ.get("HTTP_USER_AGENT")
    if agent:
        attributes["user_agent.original"] = agent

    return attributes


def _answer_operator(
    plan: RequestPlan,
    path: str,
    environ: WSGIEnvironment,
    start_response: StartResponse,
) -> Iterable[bytes]:
    def header(name: str) -> str | None:
        value: str | None = environ.get("HTTP_" + name.upper().replace("-", "_"))
        return value

    method = environ["REQUEST_METHOD"]
    response = plan.ops.answer(
        OpsRequest(
            method,
            path,
            environ.get("QUERY_STRING", ""),
            header,
            environ.get("REMOTE_ADDR"),
        )
    )
    start_response(
        _PHRASES.get(response.status, f"{response.status} Status"),
        [*response.headers, ("content-length", str(len(response.body)))],
    )
    return [b"" if method == "HEAD" else response.body]
