"""One HTTP exchange over ASGI: what passes is counted and the request completed."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from svcready._core.guard import report_fault, report_foreign
from svcready._runtime import running_loop
from svcready.adapters._admission import (
    NOWHERE,
    begin_asking,
    keep_route,
    pay_async,
    spelt,
)
from svcready.adapters._asgi_messages import (
    add_headers,
    below,
    describe,
    header_reader,
    may_close,
    read_headers,
    routed_as,
    routed_by,
    tells_events,
)
from svcready.adapters._in_thread import wait_in_thread
from svcready.adapters._lifecycle import CLIENT_CLOSED, Request
from svcready.adapters._waiting import wait_for_client
from svcready.resilience._limiting._inbound import RequestRefused, leave_all

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    from svcready.adapters._admission import Ahead, Taken
    from svcready.adapters._asgi_messages import (
        ASGIApp,
        Message,
        Receive,
        Scope,
        Send,
    )
    from svcready.adapters._plan import RequestPlan
    from svcready.errors import LoadShed
    from svcready.resilience._limiting._inbound import Admissions, Inbound, Refusal

__all__ = ["HttpExchange"]

_FAILED = 500
_UNKNOWN = -1
_LEFT = ("starlette.requests", "ClientDisconnect")
"""What Starlette raises when the client has gone."""


class HttpExchange(Request):
    """
    Stands between server and application for one request.

    The request is completed with the last message of the response, so that background
    tasks don't lengthen it; a failed one when its error has come out, which is after
    the error page was sent.

    Args:
        plan: What the request begins with.
        scope: The request's scope.
        base: The root path that it had on arrival.
        receive: The server's.
        send: The server's.
        route_of: Tells the route's template from scope and base once routing is done.
        ahead: What limits ask of the framework before that.
    """

    __slots__ = (
        "_ahead",
        "_arrival",
        "_base",
        "_left",
        "_loop",
        "_muted",
        "_read",
        "_receive",
        "_route_of",
        "_scope",
        "_send",
        "_trailers",
        "_turned_away",
    )

    def __init__(
        self,
        plan: RequestPlan,
        scope: Scope,
        base: str,
        receive: Receive,
        send: Send,
        route_of: Callable[[Scope, str], str | None],
        ahead: Ahead[Scope],
    ) -> None:
        self._ahead = ahead
        self._arrival: tuple[object, ...] | None = None
        self._scope = scope
        self._base = base
        self._receive = receive
        self._send = send
        self._route_of = route_of
        self._trailers = False
        self._left = self._read = self._muted = False
        self._turned_away: Refusal | None = None
        method: str = scope["method"]  # type: ignore[assignment]
        path: str = scope["path"]  # type: ignore[assignment]
        scheme: str = scope.get("scheme", "http")  # type: ignore[assignment]
        self.begin(plan, method, path, scheme, read_headers(plan, scope))

    def describe(self) -> Mapping[str, str | int]:
        """Return the start attributes of the span."""
        return describe(self.plan, self._scope, self.client)

    def header(self, name: str) -> str | None:
        """Return a header's value by its name in any case; None without it."""
        return header_reader(self._scope)(name)

    def template(self) -> str | None:
        """Return the template of the route that it will take; None: of none known."""
        return self._ahead_of_route().template

    def bare_path(self) -> str | None:
        """Return its raw path where nothing declares routes; it may pick a rule."""
        return None if self._ahead.route else below(self._scope) or "/"

    def native(self) -> object:
        """Return the framework's own object for it: what resolvers are called with."""
        return self._ahead.native(self._scope)

    def endpoint(self) -> object:
        """Return the function or class that will serve it; None: not known."""
        return self._ahead_of_route().endpoint

    def _ahead_of_route(self) -> Taken:
        tell, scope = self._ahead.route, self._scope
        if tell is None:
            return NOWHERE

        key = self._arrival or routed_by(scope)
        return keep_route(self, key, lambda: tell(routed_as(scope, key)))

    def arrived(self, scope: Scope) -> None:
        """Go on with the scope of the router, which may be a copy."""
        if self._arrival is None:
            self._scope, self._arrival = scope, routed_by(scope)

    def wait_for(self, told: Awaitable[object]) -> object:
        """Have the request's event loop run an awaitable that a thread waits for."""
        if self._loop is running_loop():
            return Request.wait_for(self, told)

        return wait_in_thread(self._loop, told)

    def refusing(self) -> None:
        """Have the application at hand answer what a limit on a function raises."""
        catch = self._ahead.catch
        if catch is not None:
            try:
                catch(self._scope)
            except Exception as error:  # noqa: BLE001 - another version's scope
                report_fault("http.refusal", error)

    async def admit(self, admission: Admissions, app: ASGIApp) -> None:
        """Have *app* serve the request, unless *admission* refuses it."""
        begin_asking(self)
        self._loop = asyncio.get_running_loop()
        if admission.waits:
            refusal = await admission.ask_async(self)
        else:
            refusal = admission.ask(self)

        if refusal is None:
            try:
                await app(self._scope, self.receive, self.send)
            except RequestRefused as error:
                await self.answer(error)

        if refusal is not None:
            await self.refuse(refusal, self.send)

    async def answer(self, error: RequestRefused | LoadShed) -> None:
        """Answer what refuses the request, or raise it if that is too late."""
        if self.status:  # the application answered, or has begun to
            raise error

        from svcready.resilience._shed._by_hand import answer_to

        await self.refuse(answer_to(error), self.send)

    async def refuse(self, refusal: Refusal, send: Send) -> None:
        """Answer in the application's place."""
        self.refused = True
        await send(
            {
                "type": "http.response.start",
                "status": refusal.status,
                "headers": spelt(refusal),
            }
        )
        body = b"" if self.method == "HEAD" else refusal.body
        await send({"type": "http.response.body", "body": body})

    async def receive(self) -> Message:
        """Receive for the application."""
        if self.plan.admission is None or self._read or self.status:
            # Once it answers, or has all of the body, it waits for the client to leave
            # at most, and may well be at work beside that.
            message = await self._receive()
        else:
            message = await self._receive_body()

        if message["type"] == "http.disconnect":
            self._left = True
        elif not message.get("more_body", False):
            self._read = True

        return message

    async def _receive_body(self) -> Message:
        """Receive what is waited for without a place; come back to one, or refuse."""
        message = await wait_for_client(self, self._receive(), self._readmit)
        if self._turned_away is None:
            return message

        if self.refused:  # it was answered while something waited here
            return {"type": "http.disconnect"}

        if message["type"] != "http.disconnect":
            raise RequestRefused("load_shedding", 1.0, self._turned_away)

        self._turned_away = None  # there is nobody to be told
        return message

    async def send(self, message: Message) -> None:
        """Send for the application."""
        kind = message["type"]
        begins = kind == "http.response.start" and self.plan.admission is not None
        if (begins or self._turned_away is not None) and await self._is_muted(begins):
            return

        final = False
        if kind == "http.response.body":
            body = message.get("body")
            if body:
                if self.sent and self.plan.admission is not None:
                    self.stream()  # it is not the first piece

                self.sent += len(body)  # type: ignore[arg-type]

            final = not self._trailers and not message.get("more_body", False)
        elif kind == "http.response.start":
            self.status = message["status"]  # type: ignore[assignment]
            self._trailers = bool(message.get("trailers", False))
            plan = self.plan
            if plan.admission is not None:
                await self._answered(message)

            closing = plan.serving.draining and may_close(self._scope)
            if plan.adds_headers or closing:
                add_headers(self, message, closing=closing)
        elif kind == "http.response.trailers":
            final = not message.get("more_trailers", False)
        elif kind == "http.response.pathsend":
            self.sent = _UNKNOWN  # the server reads the file
            final = True

        if self.plan.admission is None:
            await self._send(message)
        else:
            await wait_for_client(self, self._send(message))

        if final:
            self._end_well()

    async def _is_muted(self, begins: bool) -> bool:  # noqa: FBT001 - one caller
        """
        Answer what was turned away when its body came, and nothing else then.

        What begins to answer is at work, though something still waits for its client,
        and so it needs its place again.
        """
        if begins:
            self._readmit(self)

        if self._turned_away is None or self.refused:
            return self._muted

        await self.refuse(self._turned_away, self.send)
        self._muted = True
        return True

    def _readmit(self, _: Inbound) -> None:
        """Go on with what came; what refuses that is the answer, come what may."""
        for one in self.admitted:
            self._turned_away = one.readmit() or self._turned_away

        self.rejected = self.rejected or self._turned_away is not None

    def _end_well(self) -> None:
        """Complete the request; of a failed one the error may still come out."""
        if self.status < _FAILED:
            self.finish(None)
        elif self.plan.admission is not None:
            leave_all(self, self.status, None, self.plan.now() - self.started_s)

    async def _answered(self, start: Message) -> None:
        """Tell admissions of the response that starts."""
        if tells_events(start):
            self.stream()

        if self.owing is not None:
            await pay_async(self, self.status)

    def _route(self) -> str | None:
        try:
            route = self._route_of(self._scope, self._base)
            if route is None and self.plan.admission is not None and self.refused:
                route = self.template()
        except Exception as error:  # noqa: BLE001 - the response is on its way
            report_foreign("http.route", error)
            return None

        return route

    def fail(self, error: BaseException) -> None:
        """Complete the request that *error* ended."""
        if not isinstance(error, Exception):
            self._left = True
            self.finish(error)
        elif (type(error).__module__, type(error).__name__) == _LEFT:
            self._left = True
            self.finish(None)
        elif self.completed:
            self.plan.log_error(error)
        else:
            self.finish(error)

    def finish(self, error: BaseException | None) -> None:
        """Complete the request, if that has not been done."""
        if not self.completed:
            status = self.status or (CLIENT_CLOSED if self._left else _FAILED)
            route = self._route()
            sent = None if self.sent < 0 else self.sent
            self.complete(route, status, error, sent)
