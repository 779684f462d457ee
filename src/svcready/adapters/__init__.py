"""The frameworks: each adapter puts the one request lifecycle around its apps."""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, TypeVar

from svcready.errors import DeclarationError

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["wrap"]

A = TypeVar("A")

_ASGI_ARGUMENTS = 3
_WSGI_ARGUMENTS = 2


def wrap(app: A, *, route_of: Callable[..., str | None] | None = None) -> A:
    """
    Put the request lifecycle around a bare ASGI or WSGI callable.

    Args:
        app: The application: `app(scope, receive, send)` or
            `app(environ, start_response)`.
        route_of: Tells the template of the route that was taken: from the scope and
            the root path it had on arrival (ASGI), or from the environ (WSGI).
            Without it every request counts as unmatched, since a callable declares
            no routes.

    Returns:
        The application to give to the server, of the same protocol.

    Raises:
        DeclarationError: *app* takes neither protocol's arguments.
    """
    options = {} if route_of is None else {"route_of": route_of}
    count = _positional_count(app)
    if count == _ASGI_ARGUMENTS:
        from svcready.adapters import asgi

        return asgi.wrap(app, **options)  # type: ignore[arg-type, return-value]

    if count == _WSGI_ARGUMENTS:
        from svcready.adapters import wsgi

        return wsgi.wrap(app, **options)  # type: ignore[arg-type, return-value]

    msg = (
        f"wrap() takes app(scope, receive, send) or app(environ, start_response), "
        f"not {app!r}"
    )
    raise DeclarationError(msg)


def _positional_count(app: object) -> int:
    if not callable(app):
        return 0

    try:
        parameters = inspect.signature(app).parameters.values()
    except (TypeError, ValueError):
        return 0

    required = [
        parameter
        for parameter in parameters
        if parameter.kind
        in (parameter.POSITIONAL_ONLY, parameter.POSITIONAL_OR_KEYWORD)
        and parameter.default is parameter.empty
    ]
    return len(required)
