"""Flask: the WSGI wrapper around `wsgi_app`, with routes and errors from Flask."""

from __future__ import annotations

from typing import TYPE_CHECKING

from flask import Flask, got_request_exception, request
from werkzeug.routing import Rule

from svcready._core.guard import guard
from svcready.adapters._wsgi_flight import REQUEST, InFlight
from svcready.adapters.wsgi import WSGIWrapper

if TYPE_CHECKING:
    from wsgiref.types import WSGIEnvironment

__all__ = ["attach"]

_EXTENSION = "svcready"
_guarded = guard("adapters.flask")


def attach(app: object) -> bool:
    """
    Put the request lifecycle around *app*, once.

    Args:
        app: A Flask application, whose routes may come later.

    Returns:
        False if it was attached before.
    """
    if not isinstance(app, Flask):
        msg = f"{app!r} is no Flask application"
        raise TypeError(msg)

    if _EXTENSION in app.extensions:
        return False

    app.extensions[_EXTENSION] = True
    # Flask documents replacing `wsgi_app` as the way to put middleware around it.
    app.wsgi_app = WSGIWrapper(  # type: ignore[method-assign]
        app.wsgi_app, route_of=_route_of, is_own_path=_OwnPaths(app)
    )
    got_request_exception.connect(_note_error, app)
    return True


def _route_of(environ: WSGIEnvironment) -> str | None:
    # Werkzeug leaves the request there; Flask's proxy to it costs 1 µs.
    found = environ.get("werkzeug.request") or request
    rule = found.url_rule
    return rule.rule if isinstance(rule, Rule) else None


def _note_error(sender: Flask, exception: BaseException, **_: object) -> None:
    """Log an error that no handler took, before Flask's own line of it."""
    del sender
    with _guarded:
        flight = request.environ.get(REQUEST)
        if isinstance(flight, InFlight):
            flight.note_error(exception)


class _OwnPaths:
    """Tells which paths the application defines literally, however late."""

    def __init__(self, app: Flask) -> None:
        self._app = app
        self._rules = 0
        self._paths: frozenset[str] = frozenset()

    def __call__(self, path: str) -> bool:
        rules = self._app.url_map._rules  # noqa: SLF001 - iter_rules() copies the map
        if len(rules) != self._rules:
            self._rules = len(rules)
            self._paths = frozenset(rule.rule for rule in rules if not rule.arguments)

        return path in self._paths
