"""The middleware: one request lifecycle for Django's sync and async paths."""

from __future__ import annotations

import asyncio
import sys
from contextvars import copy_context
from functools import partial
from typing import TYPE_CHECKING

from asgiref.sync import iscoroutinefunction, markcoroutinefunction
from django.http import StreamingHttpResponse

from svcready._core.context import activate, current, deactivate
from svcready._core.guard import guard, report_fault
from svcready._runtime import PlanCell, begin_in_loop, running_loop
from svcready.adapters._admission import begin_asking, pay, pay_async
from svcready.adapters._own_thread import answer_off_loop
from svcready.adapters._plan import build_plan, take_plan
from svcready.adapters._wsgi_flight import InFlight
from svcready.adapters._wsgi_input import WaitedFor, comes_with_body
from svcready.adapters._wsgi_messages import response_headers
from svcready.adapters.django._flight import Flight
from svcready.adapters.django._operators import (
    answer_operator,
    ask_at_view,
    ask_at_view_async,
    ask_operator,
    method_of,
    respond,
)
from svcready.adapters.django._routes import OwnPaths, template_taken
from svcready.resilience._answered import ANSWERED, is_answered

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
    from contextvars import Context

    from django.http import HttpRequest, HttpResponse
    from django.http.response import HttpResponseBase

    from svcready._core.context import ContextRecord
    from svcready.adapters._plan import RequestPlan
    from svcready.resilience._limiting._inbound import Refusal

    GetResponse = Callable[
        [HttpRequest], HttpResponseBase | Awaitable[HttpResponseBase]
    ]

__all__ = ["Middleware", "note_error"]

_FLIGHT = "_svcready_flight"
_FAILED = 500
_guarded = guard("adapters.django")


class Middleware:
    """
    Puts the request lifecycle around Django's handler; belongs first in MIDDLEWARE.

    Args:
        get_response: The next layer, sync or async.
    """

    sync_capable = True
    async_capable = True

    def __init__(self, get_response: GetResponse) -> None:
        self._get_response = get_response
        self._is_own_path = OwnPaths()
        self._cell: PlanCell[RequestPlan] = PlanCell(build_plan, self._begin)
        self._async = iscoroutinefunction(get_response)
        self.process_view = ask_at_view_async if self._async else ask_at_view
        if self._async:
            markcoroutinefunction(self)
            begin_in_loop(self._cell)

    def _begin(self) -> None:
        loop = running_loop() if self._async else None
        take_plan(self._cell, loop, self._is_own_path)
        if self._async and loop is None:
            self._cell.plan = None  # the first request still has the loop to tell

    def __call__(
        self, request: HttpRequest
    ) -> HttpResponseBase | Awaitable[HttpResponseBase]:
        """Serve one request, or return the awaitable that does."""
        if self._async:
            return self._serve_async(request)

        plan = self._cell.plan or take_plan(self._cell, None, self._is_own_path)
        if plan is None or hasattr(request, _FLIGHT):
            return self._get_response(request)

        if self._is_operators(plan, request):
            return answer_operator(plan, request)

        flight = _begin(plan, request)
        if flight is None:
            return self._get_response(request)

        if plan.admission is not None:
            try:
                refusal = flight.ask(plan.admission)
            except BaseException as error:  # a time-out of gevent's, or the end
                flight.end(error)
                raise

            if refusal is not None:
                return _refuse(plan, flight, request, refusal)

            if flight.admitted and comes_with_body(request.META):
                _wait_for_body(flight, request)

        try:
            response: HttpResponseBase = self._get_response(request)  # type: ignore[assignment]
        except BaseException as error:
            flight.end(error)
            raise

        _finish(plan, flight, request, response)
        return response

    async def _serve_async(self, request: HttpRequest) -> HttpResponseBase:
        plan = self._cell.plan
        if plan is None:
            plan = take_plan(self._cell, asyncio.get_running_loop(), self._is_own_path)

        if plan is None or hasattr(request, _FLIGHT):
            return await self._next(request)

        if self._is_operators(plan, request):
            path, ops = request.path_info, plan.ops
            shows = path in ops.gated and "Authorization" in request.headers
            if path in ops.slow or (shows and path in ops.slow_if_shown):
                ask, method = partial(ask_operator, plan, request), method_of(request)
                answer = await answer_off_loop(ops, method, path, ask, shows=shows)
                return respond(answer, method)

            return answer_operator(plan, request)

        flight = _begin(plan, request)
        if flight is None:
            return await self._next(request)

        try:
            if plan.admission is not None:
                begin_asking(flight)
                refusal = await plan.admission.ask_async(flight)
                if refusal is not None:
                    return _refuse(plan, flight, request, refusal)

            response = await self._next(request)
            if plan.admission is not None and flight.owing is not None:
                await pay_async(flight, response.status_code)
        except BaseException as error:
            if isinstance(error, Exception):
                if plan.admission is not None and flight.owing is not None:
                    await pay_async(flight, flight.status or _FAILED)
            else:
                flight.owing = None  # a client that leaves pays nothing, and at once

            flight.end(error)
            raise

        _finish(plan, flight, request, response)
        return response

    def process_exception(
        self, request: HttpRequest, error: Exception
    ) -> HttpResponse | None:
        """Answer what a limit or a policy refuses, or the application itself."""
        if not isinstance(error, ANSWERED) or not is_answered(error):
            return None

        from svcready.resilience._shed._by_hand import answer_to

        return respond(answer_to(error), method_of(request))

    def _next(self, request: HttpRequest) -> Awaitable[HttpResponseBase]:
        return self._get_response(request)  # type: ignore[return-value]

    def _is_operators(self, plan: RequestPlan, request: HttpRequest) -> bool:
        path = request.path_info
        return path in plan.ops.routes and not self._is_own_path(path)


def note_error(sender: object, request: HttpRequest | None = None, **_: object) -> None:
    """Log an error that no handler took, before Django's own line of it."""
    del sender
    with _guarded:
        flight = getattr(request, _FLIGHT, None)
        error = sys.exc_info()[1]
        if isinstance(flight, InFlight) and error is not None:
            flight.note_error(error)


def _begin(plan: RequestPlan, request: HttpRequest) -> InFlight | None:
    try:
        flight = Flight(plan, request)
    except Exception as error:  # noqa: BLE001 - the application goes on
        report_fault("http.begin", error)
        return None

    setattr(request, _FLIGHT, flight)
    return flight


def _finish(
    plan: RequestPlan,
    flight: InFlight,
    request: HttpRequest,
    response: HttpResponseBase,
) -> None:
    try:
        flight.status = response.status_code
        if plan.admission is not None and flight.owing is not None:
            pay(flight, flight.status)

        flight.route = template_taken(request) or flight.route
        if plan.adds_headers:
            _add_headers(flight, response)

        if isinstance(response, StreamingHttpResponse):
            if plan.admission is not None:
                flight.stream()

            _follow_stream(flight, response)
            return

        flight.sent = len(getattr(response, "content", b""))
        flight.finish()
    except Exception as error:  # noqa: BLE001 - the response is on its way
        report_fault("adapters.django", error)
    finally:
        flight.close()


def _wait_for_body(flight: InFlight, request: HttpRequest) -> None:
    """Have the request wait without a place for what has yet to come."""
    stream = getattr(request, "_stream", None)
    if stream is not None:
        request._stream = WaitedFor(stream, flight)  # type: ignore[assignment]  # noqa: SLF001


def _refuse(
    plan: RequestPlan, flight: InFlight, request: HttpRequest, refusal: Refusal
) -> HttpResponse:
    """Answer in the project's place."""
    flight.refuse()
    response = respond(refusal, method_of(request))
    _finish(plan, flight, request, response)
    return response


def _add_headers(flight: InFlight, response: HttpResponseBase) -> None:
    """Put our headers into a response, unless it has some itself."""
    # Django's own `setdefault` looks for a header by catching what is raised without
    # it, and encodes anew what is plain ASCII: 4 µs of a request.
    kept: dict[str, tuple[str, str]] | None = getattr(response.headers, "_store", None)
    for name, value in response_headers(flight):
        if kept is None:
            response.headers.setdefault(name, value)
        else:
            kept.setdefault(name.lower(), (name, value))


def _follow_stream(flight: InFlight, response: StreamingHttpResponse) -> None:
    """End the request when the server closes the response, not before."""
    # The server asks for the pieces, and closes, when the middleware has returned:
    # both happen in the context as the view left it. A copy each, because a client
    # that leaves can have the response closed while a piece is still being made.
    if response.is_async:
        chunks: AsyncIterator[bytes] = response.streaming_content  # type: ignore[assignment]
        response.streaming_content = _follow_async(flight, current(), chunks)
    else:
        parts: Iterator[bytes] = response.streaming_content  # type: ignore[assignment]
        response.streaming_content = _follow(flight, copy_context(), parts)

    ending = copy_context()
    # What `HttpResponseBase.close` runs, which every server calls at the end.
    closers = response._resource_closers  # type: ignore[attr-defined]  # noqa: SLF001
    closers.append(lambda: ending.run(flight.finish))


def _follow(
    flight: InFlight, context: Context, chunks: Iterator[bytes]
) -> Iterator[bytes]:
    """Pass the body on; each piece is made inside the request's context."""
    while True:
        try:
            chunk = context.run(next, chunks)
        except StopIteration:
            return
        except BaseException as error:
            flight.error = error
            context.run(flight.finish)
            raise

        flight.sent += len(chunk)
        yield chunk


async def _follow_async(
    flight: InFlight, record: ContextRecord | None, chunks: AsyncIterator[bytes]
) -> AsyncIterator[bytes]:
    """Pass the body on; each piece is made inside the request's context."""
    following = aiter(chunks)
    trace = flight.trace
    while True:
        token = activate(record)
        trace.activate()
        try:
            chunk = await anext(following)
        except StopAsyncIteration:
            return
        except BaseException as error:
            flight.error = error
            flight.finish()  # Django closes no response whose stream failed
            raise
        finally:
            trace.deactivate()
            deactivate(token)

        flight.sent += len(chunk)
        yield chunk
