"""Answers in FastAPI and Starlette to what policies raise and no handler takes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from starlette.responses import Response

from svcready.resilience._answered import ANSWERED, is_answered

if TYPE_CHECKING:
    from starlette.applications import Starlette
    from starlette.types import Message, Receive, Scope, Send

    from svcready.resilience._limiting._inbound import Refusal

__all__ = ["AnsweringRouter", "answer_to", "respond"]

_FAILED = 500


class AnsweringRouter:
    """
    What routes, with an answer where a policy's error comes out of it.

    Among the handlers of errors ours would be the nearest, and go before the
    application's for `TimeoutError` or all errors; here these are known to be missing.

    Args:
        app: The application; its router's middleware is wrapped.
    """

    def __init__(self, app: Starlette) -> None:
        self._app = app
        self._routed = app.router.middleware_stack

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Route one request."""
        if scope["type"] != "http":
            await self._routed(scope, receive, send)
            return

        began = False

        async def sending(message: Message) -> None:
            nonlocal began
            began = True
            await send(message)

        try:
            await self._routed(scope, receive, sending)
        except ANSWERED as error:
            if began or not is_answered(error) or self._is_handled(scope, error):
                raise

            await answer_to(error)(scope, receive, send)

    def _is_handled(self, scope: Scope, error: BaseException) -> bool:
        """Tell whether the application has a handler for *error*, or for all errors."""
        handlers: dict[object, Any]
        handlers, _ = scope.get("starlette.exception_handlers", ({}, {}))
        last = self._app.exception_handlers
        return (
            Exception in last
            or _FAILED in last
            or any(kind in handlers for kind in type(error).__mro__)
        )


def answer_to(error: Any) -> Response:
    """Return the answer to a request in which *error* came up."""
    from svcready.resilience._shed._by_hand import answer_to

    return respond(answer_to(error))


def respond(refusal: Refusal) -> Response:
    """Return *refusal* as a response."""
    return Response(refusal.body, refusal.status, dict(refusal.headers))
