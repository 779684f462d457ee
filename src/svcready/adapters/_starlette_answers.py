"""Answers in FastAPI and Starlette to what policies raise and no handler takes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from starlette.middleware.errors import ServerErrorMiddleware
from starlette.responses import Response

from svcready.resilience._answered import ANSWERED, is_answered

if TYPE_CHECKING:
    from collections.abc import Awaitable

    from starlette.applications import Starlette
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

    from svcready.resilience._limiting._inbound import Refusal

__all__ = [
    "Answering",
    "answer_middleware",
    "answer_mounted",
    "answer_to",
    "respond",
]

_FAILED = 500
_ANSWERS = "svcready_answers"


class Answering:
    """
    A layer of an application, with an answer where a policy's error comes out of it.

    Among the handlers of errors ours would be the nearest, and go before the
    application's for `TimeoutError` or all errors; here these are known to be missing.

    Args:
        app: The application.
        layer: What routes in it, or its middleware.
        has_handlers: Whether what *layer* raises gets to all handlers, as it does from
            what routes; from middleware it gets to the one for all errors alone.
    """

    def __init__(self, app: Starlette, layer: ASGIApp, *, has_handlers: bool) -> None:
        self._app = app
        self.layer = layer
        self._has_handlers = has_handlers

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            await self.layer(scope, receive, send)
            return

        began = False

        def sending(message: Message) -> Awaitable[None]:  # no coroutine of its own
            nonlocal began
            began = True
            return send(message)

        try:
            await self.layer(scope, receive, sending)
        except ANSWERED as error:
            if began or not is_answered(error) or self._is_handled(scope, error):
                raise

            await answer_to(error)(scope, receive, send)

    def _is_handled(self, scope: Scope, error: BaseException) -> bool:
        """Tell whether a handler of the application gets *error*."""
        last = self._app.exception_handlers
        if Exception in last or _FAILED in last:
            return True

        if not self._has_handlers:
            return False

        # A mounted application leaves its own in the scope, which are further in.
        handlers: dict[Any, Any]
        handlers, _ = scope.get("starlette.exception_handlers", ({}, {}))
        if handlers and scope.get("app") is not self._app:
            handlers = last

        return any(kind in handlers for kind in type(error).__mro__)


def answer_middleware(app: Starlette, stack: ASGIApp | None) -> None:
    """Answer what the middleware of *app* raises before *stack* makes a 500 of it."""
    if not app.user_middleware or not isinstance(stack, ServerErrorMiddleware):
        return

    if not isinstance(stack.app, Answering):
        stack.app = Answering(app, stack.app, has_handlers=False)


def answer_mounted(app: Starlette) -> None:
    """Do so for *app*, which another one has mounted, whenever it builds its stack."""
    if hasattr(app, _ANSWERS):
        return

    build = app.build_middleware_stack

    def build_answering() -> ASGIApp:
        stack = build()
        answer_middleware(app, stack)
        return stack

    setattr(app, _ANSWERS, True)
    app.build_middleware_stack = build_answering  # type: ignore[method-assign]
    answer_middleware(app, app.middleware_stack)  # which is there if it served before


def answer_to(error: Any) -> Response:
    """Return the answer to a request in which *error* came up."""
    from svcready.resilience._shed._by_hand import answer_to

    return respond(answer_to(error))


def respond(refusal: Refusal) -> Response:
    """Return *refusal* as a response."""
    return Response(refusal.body, refusal.status, dict(refusal.headers))
