"""One response over WSGI: what the wrapper learns of it, and the body that ends it."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from svcready._core.guard import report_fault, report_foreign
from svcready.adapters._admission import NOWHERE, begin_asking, keep_route, pay
from svcready.adapters._lifecycle import CLIENT_CLOSED, Request
from svcready.adapters._wsgi_messages import (
    add_headers,
    close_after,
    describe,
    read_headers,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping
    from wsgiref.types import StartResponse, WSGIEnvironment

    from svcready.adapters._admission import Ahead, Taken
    from svcready.adapters._plan import RequestPlan
    from svcready.resilience._limiting._inbound import Admissions, Refusal

__all__ = ["REQUEST", "Body", "Exchange", "InFlight"]

REQUEST = "svcready.request"
"""The environ key of the request in flight, set for adapters that learn more."""

_FAILED = 500
_ROUTED_BY = ("PATH_INFO", "SCRIPT_NAME", "REQUEST_METHOD", "HTTP_HOST")
_BARE = ("CONTENT_TYPE", "CONTENT_LENGTH")


class InFlight(Request):
    """
    A request in flight, and what the wrapper learns of it while it passes by.

    Args:
        plan: What the request begins with.
        environ: The request.
        method: Its method.
        path: Its raw path.
        scheme: `http` or `https`.
    """

    __slots__ = ("_environ", "error", "route")

    def __init__(
        self,
        plan: RequestPlan,
        environ: WSGIEnvironment,
        method: str,
        path: str,
        scheme: str,
    ) -> None:
        self._environ = environ
        self.route: str | None = None
        self.error: BaseException | None = None
        self.begin(plan, method, path, scheme, read_headers(plan, environ))

    def describe(self) -> Mapping[str, str | int]:
        """Return the start attributes of the span."""
        return describe(self.plan, self._environ, self.client)

    def header(self, name: str) -> str | None:
        """Return a header's value by its name in any case; None without it."""
        key = name.upper().replace("-", "_")
        value: str | None = self._environ.get(key if key in _BARE else f"HTTP_{key}")
        return value

    def ask(self, admission: Admissions) -> Refusal | None:
        """Return the answer if *admission* refuses it."""
        begin_asking(self)
        return admission.ask(self)

    def refuse(self) -> None:
        """Take note that an admission refused it, whichever route it would take."""
        self.refused = True
        if self.route is None:
            self.route = self.template()

    def note_error(self, error: BaseException) -> None:
        """Log what the framework is about to answer with a 500."""
        self.error = error
        self.plan.log_error(error)

    def finish(self) -> None:
        """Record the response as it is known now, if that has not been done."""
        if not self.completed:
            if self.plan.admission is not None and self.owing is not None:
                pay(self, self.status or _FAILED)

            self.complete(self.route, self.status or _FAILED, self.error, self.sent)

    def end(self, error: BaseException | None) -> None:
        """Record the response and unbind the context, whatever happened."""
        if error is not None:
            self.error = error
            if not isinstance(error, Exception):  # the server gave the request up
                self.status = self.status or CLIENT_CLOSED

        self.finish()
        self.close()


class Exchange(InFlight):
    """
    Stands between server and application for one request.

    Args:
        plan: What the request begins with.
        environ: The request.
        path: Its path below the application.
        start_response: The server's.
        route_of: Tells the route's template from the environ once routing is done.
        ahead: What limits ask of the framework before that.
    """

    __slots__ = ("_ahead", "_route_of", "_start_response")

    def __init__(
        self,
        plan: RequestPlan,
        environ: WSGIEnvironment,
        path: str,
        start_response: StartResponse,
        route_of: Callable[[WSGIEnvironment], str | None],
        ahead: Ahead[WSGIEnvironment],
    ) -> None:
        self._ahead = ahead
        self._start_response = start_response
        self._route_of = route_of
        InFlight.__init__(
            self,
            plan,
            environ,
            environ["REQUEST_METHOD"].upper(),  # as frameworks read it
            environ.get("SCRIPT_NAME", "") + path,
            environ.get("wsgi.url_scheme", "http"),
        )

    def template(self) -> str | None:
        """Return the template of the route that it will take; None: of none known."""
        return self._ahead_of_route().template

    def bare_path(self) -> str | None:
        """Return its raw path where nothing declares routes; it may pick a rule."""
        return None if self._ahead.route else self._environ.get("PATH_INFO") or "/"

    def native(self) -> object:
        """Return the framework's own object for it: what resolvers are called with."""
        return self._ahead.native(self._environ)

    def endpoint(self) -> object:
        """Return the function or class that will serve it; None: not known."""
        return self._ahead_of_route().endpoint

    def _ahead_of_route(self) -> Taken:
        tell, environ = self._ahead.route, self._environ
        if tell is None:
            return NOWHERE

        key = tuple(environ.get(name) for name in _ROUTED_BY)
        return keep_route(self, key, partial(tell, environ))

    def arrived(self, environ: WSGIEnvironment) -> None:
        """Go on with the environ that got to the application, maybe a copy."""
        self._environ = environ

    def refusing(self) -> None:
        """Have the application at hand answer what a limit on a function raises."""
        catch = self._ahead.catch
        if catch is not None:
            try:
                catch(self._environ)
            except Exception as error:  # noqa: BLE001 - another version's handlers
                report_fault("http.refusal", error)

    def start(
        self, status: str, headers: list[tuple[str, str]], exc_info: object = None, /
    ) -> Callable[[bytes], object]:
        """Start the response for the application."""
        try:
            self.status = int(status[:3])
            if self.plan.admission is not None and self.owing is not None:
                pay(self, self.status)

            if self.plan.admission is None or not self.refused:  # nobody has routed it
                self.route = self._route_of(self._environ) or self.route

            if self.plan.adds_headers:
                headers = add_headers(self, headers)

            if self.plan.serving.draining:  # perhaps since this request began
                close_after(self._start_response)
        except Exception as error:  # noqa: BLE001 - the response goes out
            report_foreign("http.headers", error)

        if exc_info is None:
            return self._start_response(status, headers)

        return self._start_response(status, headers, exc_info)  # type: ignore[arg-type]


class Body:
    """
    The response's body; the request ends with its last piece or when it is closed.

    Servers close every body. A test client may not, and would leave its thread in the
    request's context.
    """

    __slots__ = ("_chunks", "_ended", "_flight", "_next", "_open", "_paused")

    def __init__(self, chunks: Iterable[bytes], flight: InFlight) -> None:
        self._chunks = chunks
        self._next = iter(chunks).__next__
        self._flight = flight
        self._open = True
        self._paused = False
        self._ended = False

    def __iter__(self) -> Iterator[bytes]:
        return self

    def __next__(self) -> bytes:
        flight = self._flight
        paused, self._paused = self._paused, False
        if paused:
            _resume(flight)

        try:
            chunk = self._next()
        except StopIteration:
            self._end(None)
            raise
        except BaseException as error:
            flight.error = error
            raise

        if chunk and flight.sent and flight.plan.admission is not None:
            flight.stream()  # it is not the first piece

        flight.sent += len(chunk)
        if flight.plan.admission is not None and flight.admitted:
            self._paused = True  # till the server has got rid of it
            for one in flight.admitted:
                one.pause()

        return chunk

    def close(self) -> None:
        """Close the application's iterable, then end the request."""
        if not self._open:
            return

        self._open = False
        if self._paused:
            _resume(self._flight)

        try:
            close = getattr(self._chunks, "close", None)
            if close is not None:
                close()
        except BaseException as failure:
            self._end(failure)
            raise

        self._end(self._flight.error)

    def _end(self, error: BaseException | None) -> None:
        if not self._ended:
            self._ended = True
            self._flight.end(error)
        elif isinstance(error, Exception):
            self._flight.plan.log_error(error)


def _resume(flight: InFlight) -> None:
    for one in flight.admitted:
        one.resume()
