"""The frameworks: each adapter puts the one request lifecycle around its apps."""

from __future__ import annotations

import inspect
from importlib import import_module
from typing import TYPE_CHECKING, Literal, TypeVar

from svcready._runtime._adapters import find_adapter
from svcready.errors import DeclarationError

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["wrap"]

A = TypeVar("A")

_BY_COUNT = {3: "asgi", 2: "wsgi"}
"""Which protocol calls an application with so many arguments."""


def wrap(
    app: A,
    *,
    route_of: Callable[..., str | None] | None = None,
    protocol: Literal["asgi", "wsgi"] | None = None,
) -> A:
    """
    Put the request lifecycle around an ASGI or WSGI application.

    FastAPI, Starlette and Flask applications are wrapped in place, as by
    `init(app=app)`: they know their routes and their own paths.

    Args:
        app: The application: `app(scope, receive, send)` or
            `app(environ, start_response)`.
        route_of: Tells the template of the route that was taken: from the scope and
            the root path it had on arrival (ASGI), or from the environ (WSGI).
            Without it every request to a bare callable counts as unmatched, since
            that declares no routes.
        protocol: `asgi` or `wsgi`, where the arguments of *app* don't tell, as those
            of `lambda *args: ...`.

    Returns:
        The application to give to the server, of the same protocol.

    Raises:
        DeclarationError: *app* takes neither protocol's arguments, or what else is
            given contradicts it.
    """
    if protocol not in {None, "asgi", "wsgi"}:
        msg = f"wrap(protocol=...) is 'asgi', 'wsgi' or None, not {protocol!r}"
        raise DeclarationError(msg)

    if _attached(app, route_of, protocol):
        return app

    options = {} if route_of is None else {"route_of": route_of}
    chosen = protocol or _BY_COUNT.get(_positional_count(app))
    if chosen == "asgi" and callable(app):
        from svcready.adapters import asgi

        return asgi.wrap(app, **options)  # type: ignore[return-value]

    if chosen == "wsgi" and callable(app):
        from svcready.adapters import wsgi

        return wsgi.wrap(app, **options)  # type: ignore[return-value]

    msg = (
        f"wrap() takes app(scope, receive, send) or app(environ, start_response), "
        f"not {app!r}; protocol= says which it is if its arguments don't"
    )
    raise DeclarationError(msg)


def _attached(app: object, route_of: object, protocol: str | None) -> bool:
    """Put the lifecycle around a known framework's application, in place."""
    try:
        adapter, framework = find_adapter(app)
    except DeclarationError:
        return False

    speaks = "wsgi" if framework == "Flask" else "asgi"
    if route_of is not None or protocol not in {None, speaks}:
        wrong = "route_of" if route_of is not None else "protocol"
        msg = f"wrap({wrong}=...) is for bare callables: {framework} knows its own"
        raise DeclarationError(msg)

    import_module(adapter).attach(app)
    return True


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
