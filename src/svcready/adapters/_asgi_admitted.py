"""An HTTP exchange over ASGI that admissions are asked of: limits, load shedding."""

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
)
from svcready.adapters._asgi_http import HttpExchange
from svcready.adapters._asgi_messages import below, tells_events
from svcready.adapters._in_thread import wait_in_thread
from svcready.adapters._lifecycle import Request
from svcready.adapters._waiting import wait_for_client
from svcready.resilience._limiting._inbound import RequestRefused, leave_all

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from svcready.adapters._admission import Ahead, Taken
    from svcready.adapters._asgi_messages import (
        ASGIApp,
        Message,
        Receive,
        Scope,
        Send,
    )
    from svcready.adapters._plan import RequestPlan
    from svcready.resilience._limiting._inbound import Inbound, Refusal

__all__ = ["AdmittedExchange"]

_ROUTED_BY = ("path", "root_path", "method")


class AdmittedExchange(HttpExchange):
    """
    Stands between server and application for one request that may be refused.

    Args:
        plan: What the request begins with; it has admissions.
        scope: The request's scope.
        base: The root path that it had on arrival.
        receive: The server's.
        send: The server's.
        route_of: Tells the route's template from scope and base once routing is done.
        ahead: What limits ask of the framework before that.
    """

    __slots__ = ("_ahead", "_arrival", "_loop", "_muted", "_read", "_turned_away")

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
        self._read = self._muted = False
        self._turned_away: Refusal | None = None
        super().__init__(plan, scope, base, receive, send, route_of)

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

        key = self._arrival or _routed_by(scope)
        routed = dict(zip(_ROUTED_BY, key, strict=True))
        return keep_route(self, key, lambda: tell({**scope, **routed}))

    def arrived(self, scope: Scope) -> None:
        """
        Go on with the scope with which the request has got to the router.

        Middleware may have made another of it, with what it left there for resolvers;
        and mounts change its root path below.
        """
        if self._arrival is None:
            self._scope, self._arrival = scope, _routed_by(scope)

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

    async def serve(self, app: ASGIApp) -> None:
        """Have *app* serve the request, unless one of the admissions refuses it."""
        admission = self.plan.admission
        assert admission is not None
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
        begins = kind == "http.response.start"
        if (begins or self._turned_away is not None) and await self._is_muted(begins):
            return

        if begins:
            self.status = message["status"]  # type: ignore[assignment]
            await self._answered(message)
        elif kind == "http.response.body" and self.sent and message.get("body"):
            self.stream()  # it is not the first piece

        final = self.pass_on(message)
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

        if self._turned_away is not None:
            self.rejected = self._turned_away.status

    async def _answered(self, start: Message) -> None:
        """Tell admissions of the response that starts."""
        if tells_events(start):
            self.stream()

        if self.owing is not None:
            await pay_async(self, self.status)

    def _end_well(self) -> None:
        super()._end_well()
        if not self.completed:
            leave_all(self, self.status, None, self.plan.now() - self.started_s)

    def _route(self) -> str | None:
        route = super()._route()
        if route is None and self.refused:
            try:
                return self.template()
            except Exception as error:  # noqa: BLE001 - the response is on its way
                report_foreign("http.route", error)

        return route


def _routed_by(scope: Scope) -> tuple[object, ...]:
    return scope["path"], scope.get("root_path") or "", scope["method"]
