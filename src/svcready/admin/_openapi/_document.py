"""The OpenAPI document of a surface, and how it joins an application's."""

from __future__ import annotations

from typing import TYPE_CHECKING

from svcready.admin._exchange import READING
from svcready.admin._openapi._operation import PROBLEM, Operation, Response, no_body
from svcready.health._schema import schema

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping

    from svcready.admin._surface import OpsSurface, Route

__all__ = ["describe_surface", "join_openapi"]

_TAG = "operations"
_SECURITY = "SvcreadyOperator"
_TEXT: Mapping[str, Mapping[str, object]] = {"text/plain": {"type": "string"}}
_JSON: Mapping[str, Mapping[str, object]] = {"application/json": {}}
_GATE = {
    401: Response(
        "Credentials are missing or wrong",
        _TEXT,
        {"WWW-Authenticate": "The scheme that is asked for"},
    ),
    429: Response(
        "They were missing or wrong too often", _TEXT, {"Retry-After": "In seconds"}
    ),
}
_HIDDEN = {404: Response("Nobody may ask from there", _TEXT)}
_OF_CHANGES = {
    403: Response(
        "These credentials allow to look only", {"application/problem+json": PROBLEM}
    )
}
_PROBLEM = {
    "type": "object",
    "description": "What is wrong, as RFC 9457 has it",
    "required": ["title", "status"],
    "properties": {
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "detail": {"type": "string"},
    },
}
_NAMES = {"GET": "read", "HEAD": "look at", "POST": "change", "DELETE": "reset"}


def describe_surface(
    surface: OpsSurface,
    *,
    title: str,
    version: str,
    servers: Iterable[Mapping[str, object]] = (),
    without: Collection[str] = (),
) -> dict[str, object]:
    """
    Return the OpenAPI 3.1 document of what *surface* answers.

    Args:
        surface: The surface. What is for operators only is left out where nobody could
            be admitted.
        title: Whose it is.
        version: The service's version.
        servers: Where it is served; by default where the document is.
        without: Paths that somebody else answers.
    """
    paths = {
        path: _path_item(surface, path, route)
        for path, route in surface.routes.items()
        if path not in without and (surface.admits_some or not route.guarded)
    }
    guarded = any(surface.routes[path].guarded for path in paths)
    report = {k: v for k, v in schema().items() if k not in {"$schema", "title"}}
    components: dict[str, object] = {
        "schemas": {"SvcreadyHealthReport": report, "SvcreadyProblem": _PROBLEM}
    }
    if guarded or surface.gated:
        components["securitySchemes"] = {
            _SECURITY: {
                "type": "http",
                "scheme": "bearer",
                "description": "A token of SVCREADY_ADMIN_TOKENS, or what else is set",
            }
        }

    document: dict[str, object] = {
        "openapi": "3.1.0",
        "info": {"title": title, "version": version or "0"},
        "tags": [{"name": _TAG, "description": "For operators and their machines"}],
        "paths": paths,
        "components": components,
    }
    where = list(servers)
    return {**document, "servers": where} if where else document


def join_openapi(
    document: Mapping[str, object], ours: Mapping[str, object]
) -> dict[str, object]:
    """
    Return an application's document with ours in it; where both say, its own stays.

    Args:
        document: The application's, which is left as it is.
        ours: What `describe_surface` returned.
    """
    joined, own = dict(document), _part(document, "paths")
    further = {p: told for p, told in _part(ours, "paths").items() if p not in own}
    joined["paths"] = {**own, **further}
    theirs, components = _part(document, "components"), _part(ours, "components")
    joined["components"] = {
        **theirs,
        **{
            kind: {**_part(components, kind), **_part(theirs, kind)}
            for kind in components
        },
    }
    return joined


def _part(document: Mapping[str, object], name: str) -> dict[str, object]:
    part = document.get(name)
    return dict(part) if isinstance(part, dict) else {}


def _path_item(surface: OpsSurface, path: str, route: Route) -> dict[str, object]:
    return {
        method.lower(): _operation(surface, path, route, method)
        for method in route.methods
    }


def _operation(
    surface: OpsSurface, path: str, route: Route, method: str
) -> dict[str, object]:
    operation = route.operations.get(method)
    if operation is None and method == "HEAD":
        operation = route.operations.get("GET")

    if operation is None:
        ok = Response("What was asked for", {} if method == "HEAD" else _JSON)
        operation = Operation(
            f"{_NAMES.get(method, method)} {path}".capitalize(), {200: ok}
        )

    responses = {**operation.responses, **_of_gate(surface, route, method)}
    if method == "HEAD":
        responses = {status: no_body(each) for status, each in responses.items()}

    written: dict[str, object] = {
        "summary": operation.summary,
        "operationId": f"svcready_{method.lower()}{_identifier(path)}",
        "tags": [_TAG],
        "responses": {
            str(status): _response(responses[status]) for status in sorted(responses)
        },
    }
    if operation.query:
        written["parameters"] = [
            {
                "name": name,
                "in": "query",
                "description": says,
                "required": False,
                "schema": {"type": "string"},
            }
            for name, says in operation.query.items()
        ]

    if operation.body and method not in READING:
        content = {"application/json": {"schema": operation.body}}
        written["requestBody"] = {"required": True, "content": content}

    if route.guarded and surface.asks:
        written["security"] = [{_SECURITY: []}]
    elif route.detailed is not None and surface.asks:
        written["security"] = [{}, {_SECURITY: []}]  # with it there is more to see

    return written


def _of_gate(surface: OpsSurface, route: Route, method: str) -> dict[int, Response]:
    if not route.guarded:
        return {}

    if not surface.asks:
        return dict(_HIDDEN)

    return {**_GATE, **(_OF_CHANGES if route.changes(method) else {})}


def _response(response: Response) -> dict[str, object]:
    written: dict[str, object] = {"description": response.description}
    if response.headers:
        written["headers"] = {
            name: {"description": says, "schema": {"type": "string"}}
            for name, says in response.headers.items()
        }

    if response.media:
        written["content"] = {
            kind: {"schema": shape} if shape else {}
            for kind, shape in response.media.items()
        }

    return written


def _identifier(path: str) -> str:
    return "".join(char if char.isalnum() else "_" for char in path)
