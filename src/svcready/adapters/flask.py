"""Flask: the WSGI wrapper around `wsgi_app`, with routes and errors from Flask."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from flask import (
    Flask,
    Response,
    current_app,
    got_request_exception,
    has_app_context,
    request,
)
from werkzeug.exceptions import HTTPException
from werkzeug.routing import Rule

from svcready._core.guard import guard
from svcready.adapters._admission import NOWHERE, Ahead, Taken
from svcready.adapters._wsgi_flight import REQUEST, Exchange, InFlight
from svcready.adapters.wsgi import WSGIWrapper
from svcready.errors import LoadShed
from svcready.resilience._answered import ANSWERED, is_answered, is_meant
from svcready.resilience._limiting._inbound import INBOUND, RequestRefused, ask_at_route
from svcready.resilience._limiting._inbound_means import DeclaredRoute

if TYPE_CHECKING:
    from collections.abc import Sequence
    from wsgiref.types import WSGIEnvironment

    from flask.typing import ResponseReturnValue

    from svcready.resilience._answered import Answered
    from svcready.resilience._limiting._inbound import Refusal

__all__ = ["attach", "list_routes"]

_EXTENSION = "svcready"
_FAILED = 500
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
        app.wsgi_app,
        route_of=_route_of,
        is_own_path=_OwnPaths(app),
        ahead=Ahead(_RoutesAhead(app), _native, _catch_refusals),
    )
    _limit_at_routes(app)
    got_request_exception.connect(_note_error, app)
    return True


def list_routes(app: object) -> Sequence[DeclaredRoute]:
    """Return all rules of a Flask application."""
    if not isinstance(app, Flask):
        return ()

    return [
        DeclaredRoute(rule.rule, rule.methods, app.view_functions.get(rule.endpoint))
        for rule in app.url_map.iter_rules()
    ]


def _limit_at_routes(app: Flask) -> None:
    """Ask limits that go by route or caller, after all that runs before a request."""
    prepare = app.preprocess_request

    def preprocess_request(*args: Any) -> ResponseReturnValue | None:
        answer = prepare(*args)
        inbound = INBOUND.get()
        if answer is not None or inbound is None:
            return answer

        if isinstance(inbound, Exchange):
            inbound.arrived(request.environ)

        refusal = ask_at_route(inbound)
        return None if refusal is None else _respond(refusal)

    app.preprocess_request = preprocess_request  # type: ignore[method-assign]
    _answer_refusals(app)


def _answer_refusals(app: Flask) -> None:
    handlers = app.error_handler_spec[None][None]
    handlers.setdefault(RequestRefused, lambda error: _respond(error.answer))
    handlers.setdefault(LoadShed, _answer)
    for kind in ANSWERED:
        handlers.setdefault(kind, _answer)


def _answer(error: Answered) -> ResponseReturnValue:
    """
    Answer what is refused, unless the application has a handler for more than that.

    Flask asks the handler of the nearest type, which is ours.
    """
    if not is_meant(error):
        spec = current_app.error_handler_spec
        for kind in type(error).__mro__:
            own: Any = spec[None][None].get(kind)
            if own is not None and own is not _answer:
                answer: ResponseReturnValue = current_app.ensure_sync(own)(error)
                return answer

        places = (*request.blueprints, None)
        if not is_answered(error) or any(spec[one].get(_FAILED) for one in places):
            raise error

    from svcready.resilience._shed._by_hand import answer_to

    return _respond(answer_to(error))


def _catch_refusals(environ: WSGIEnvironment) -> None:
    """Do so in the application at hand, which may be another one's inside this."""
    del environ
    if has_app_context():
        _answer_refusals(current_app)


def _respond(refusal: Refusal) -> Response:
    return Response(refusal.body, refusal.status, list(refusal.headers))


def _native(environ: WSGIEnvironment) -> object:
    """Return the request at whose route this is asked."""
    del environ
    return request._get_current_object()  # type: ignore[attr-defined]  # noqa: SLF001


class _RoutesAhead:
    """Tells which rule a request will take, as Flask would."""

    def __init__(self, app: Flask) -> None:
        self._app = app

    def __call__(self, environ: WSGIEnvironment) -> Taken:
        try:
            request = self._app.request_class(environ, populate_request=False)
            adapter = self._app.create_url_adapter(request)
            rule, _ = adapter.match(return_rule=True) if adapter else (None, None)
        except HTTPException:
            return NOWHERE

        if not isinstance(rule, Rule):
            return NOWHERE

        return Taken(rule.rule, self._app.view_functions.get(rule.endpoint))


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
