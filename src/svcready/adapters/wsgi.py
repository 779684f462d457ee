"""The WSGI wrapper: the request lifecycle around any WSGI application."""

from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING

from svcready._core.guard import report_fault
from svcready._runtime import PlanCell, note_bare
from svcready.adapters._admission import BARE
from svcready.adapters._plan import build_plan, take_plan
from svcready.adapters._wsgi_flight import REQUEST, Body, Exchange
from svcready.adapters._wsgi_input import WaitedFor, comes_with_body
from svcready.adapters._wsgi_messages import close_after
from svcready.admin import (
    MOST_BODY_BYTES,
    MOST_TAKEN_BYTES,
    READING,
    OpsRequest,
)
from svcready.resilience._answered import ANSWERED, is_answered

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

    from svcready.adapters._admission import Ahead
    from svcready.adapters._plan import RequestPlan
    from svcready.admin import OpsResponse
    from svcready.resilience._answered import Answered
    from svcready.resilience._limiting._inbound import Refusal

__all__ = ["WSGIWrapper", "wrap"]

_COMPLETE = (list, tuple)
_BARE = ("CONTENT_TYPE", "CONTENT_LENGTH")
_LONGEST_LENGTH = 18
_PHRASES = {status.value: f"{status.value} {status.phrase}" for status in HTTPStatus}


def _no_route(environ: WSGIEnvironment) -> str | None:
    """Know no routes: a bare callable declares none."""
    del environ
    return None


def _no_own_path(path: str) -> bool:
    del path
    return False


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
        ahead: What limits ask of the framework before it has routed.
    """

    def __init__(
        self,
        app: WSGIApplication,
        *,
        route_of: Callable[[WSGIEnvironment], str | None] = _no_route,
        is_own_path: Callable[[str], bool] = _no_own_path,
        ahead: Ahead[WSGIEnvironment] = BARE,
    ) -> None:
        self._app = app
        self._route_of = route_of
        self._is_own_path = is_own_path
        self._ahead = ahead
        self._cell: PlanCell[RequestPlan] = PlanCell(build_plan, self._begin)
        if ahead.route is None:
            note_bare(self._cell)

    def _begin(self) -> None:
        take_plan(self._cell, None, self._is_own_path)

    def __call__(
        self, environ: WSGIEnvironment, start_response: StartResponse
    ) -> Iterable[bytes]:
        """Serve one request."""
        plan = self._cell.plan or take_plan(self._cell, None, self._is_own_path)
        if plan is None or REQUEST in environ:
            return self._app(environ, start_response)

        path: str = environ.get("PATH_INFO", "")
        if path in plan.ops.routes and not self._is_own_path(path):
            return _answer_operator(plan, path, environ, start_response)

        try:
            flight = Exchange(
                plan, environ, path, start_response, self._route_of, self._ahead
            )
        except Exception as error:  # noqa: BLE001 - the application goes on
            report_fault("http.begin", error)
            return self._app(environ, start_response)

        environ[REQUEST] = flight
        if plan.admission is not None:
            try:
                refusal = flight.ask(plan.admission)
            except BaseException as error:  # a time-out of gevent's, or the end
                flight.end(error)
                raise

            if refusal is not None:
                return _refuse(flight, refusal)

            if flight.admitted and comes_with_body(environ):
                environ["wsgi.input"] = WaitedFor(environ["wsgi.input"], flight)

        try:
            body = self._app(environ, flight.start)
        except ANSWERED as error:
            if flight.status or not is_answered(error):  # the application has begun to
                flight.end(error)
                raise

            return _refuse(flight, _answer_to(error))
        except BaseException as error:
            flight.end(error)
            raise

        try:
            return _followed(body, flight, environ.get("wsgi.file_wrapper"))
        except BaseException as error:  # what it returned is no body
            flight.end(error)
            raise


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


def _followed(
    body: Iterable[bytes], flight: Exchange, wrapper: object
) -> Iterable[bytes]:
    """Return a response's body, and end the request with it."""
    if isinstance(body, _COMPLETE):  # there is nothing to close
        flight.sent = sum(map(len, body))
        flight.end(None)
        return body

    if isinstance(wrapper, type) and isinstance(body, wrapper):
        flight.end(None)  # left as it is, or the server could not use sendfile
        return body

    return Body(body, flight)


def _answer_to(error: Answered) -> Refusal:
    from svcready.resilience._shed._by_hand import answer_to

    return answer_to(error)


def _refuse(flight: Exchange, refusal: Refusal) -> Iterable[bytes]:
    """Answer in the application's place."""
    flight.refuse()
    length = ("content-length", str(len(refusal.body)))
    try:
        flight.start(_PHRASES[refusal.status], [*refusal.headers, length])
    except BaseException as error:
        flight.end(error)
        raise

    body = b"" if flight.method == "HEAD" else refusal.body
    flight.sent = len(body)
    flight.end(None)
    return [body]


def _answer_operator(
    plan: RequestPlan,
    path: str,
    environ: WSGIEnvironment,
    start_response: StartResponse,
) -> Iterable[bytes]:
    method = environ["REQUEST_METHOD"]
    bare = plan.ops.bare.get(path)
    if (
        bare is None
        or method not in READING
        or (path in plan.ops.gated and "HTTP_AUTHORIZATION" in environ)
    ):
        response = _ask_operator(plan, path, environ)
    else:
        response = bare()

    if plan.serving.draining:
        close_after(start_response)

    start_response(
        _PHRASES.get(response.status, f"{response.status} Status"),
        [*response.headers, ("content-length", str(len(response.body)))],
    )
    return [b"" if method == "HEAD" else response.body]


def _ask_operator(
    plan: RequestPlan, path: str, environ: WSGIEnvironment
) -> OpsResponse:
    def header(name: str) -> str | None:
        key = name.upper().replace("-", "_")
        value: str | None = environ.get(key if key in _BARE else f"HTTP_{key}")
        return value

    method = environ["REQUEST_METHOD"]
    return plan.ops.answer(
        OpsRequest(
            method,
            path,
            environ.get("QUERY_STRING", ""),
            header,
            environ.get("REMOTE_ADDR"),
            _read_body(environ) if plan.ops.takes_body(method, path) else b"",
        )
    )


def _read_body(environ: WSGIEnvironment) -> bytes | None:
    """Return a body; None if it is too long, empty without or short of its length."""
    length = environ.get("CONTENT_LENGTH") or ""
    if not (length.isdecimal() and length.isascii()):
        return b""

    size = int(length) if len(length) <= _LONGEST_LENGTH else MOST_TAKEN_BYTES
    # Too much is taken as well, within limits, so that the connection can go on.
    body: bytes = environ["wsgi.input"].read(min(size, MOST_TAKEN_BYTES))
    if size > MOST_BODY_BYTES:
        return None

    return body if len(body) == size else b""  # the client left within
