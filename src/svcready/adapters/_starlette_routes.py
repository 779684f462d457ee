"""Which template a request's route has, mounts and included routers resolved."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from starlette.routing import Mount

if TYPE_CHECKING:
    from collections.abc import (
        Collection,
        Iterable,
        Iterator,
        Mapping,
        MutableMapping,
        Sequence,
    )
    from re import Pattern

    from starlette.applications import Starlette
    from starlette.routing import BaseRoute

__all__ = [
    "OwnPaths",
    "RouteTemplates",
    "Seen",
    "children",
    "have_changed",
    "look",
]

_MAX_KEPT = 1024
_MAX_DEPTH = 8
_REST = "/{path}"


class RouteTemplates:
    """
    Tells the full template of the route that a request took.

    Starlette and FastAPI leave in the scope which endpoint ran and, mostly, which
    route object; a mount adds the *actual* path below which it matched to the root
    path, so the templates of mounts are looked up in the application's tree. What was
    found is kept, because routes repeat. An older Starlette names the endpoint alone:
    where several routes share it, the path tells which one it was.

    Args:
        app: The application; its routes may still grow.
    """

    def __init__(self, app: Starlette) -> None:
        self._app = app
        self._kept: dict[tuple[int, int, int, str], tuple[str | None, object]] = {}

    def __call__(self, scope: MutableMapping[str, object], base: str) -> str | None:
        """
        Return the template, or None if no route matched.

        Args:
            scope: The scope as routing left it.
            base: The root path that the request had on arrival.
        """
        endpoint = scope.get("endpoint")
        if endpoint is None:
            return None

        route = scope.get("route")
        fastapi: Mapping[str, object] | None = scope.get("fastapi")  # type: ignore[assignment]
        effective = fastapi.get("effective_route_context") if fastapi else None
        root: str = scope.get("root_path") or ""  # type: ignore[assignment]
        key = (id(endpoint), id(route), id(effective), root)
        kept = self._kept.get(key)
        if kept is not None:
            return kept[0]

        mounted = root[len(base) :]
        if route is effective is None:
            shared = _sharing(self._app.routes, endpoint, mounted)
            if len(shared) > 1:
                return _taken(shared, scope, root)

        template = self._resolve(endpoint, route, effective, mounted)
        if len(self._kept) >= _MAX_KEPT:
            self._kept.clear()

        # What the ids stand for is kept with them, so that none can be reused.
        self._kept[key] = (template, (endpoint, route, effective))
        return template

    def _resolve(
        self, endpoint: object, route: object, effective: object, mounted: str
    ) -> str | None:
        """Find the innermost route's template and put its mounts' before it."""
        for candidate in _candidates(route, effective):
            if endpoint in (_get(candidate, "endpoint"), _get(candidate, "app")):
                break
        else:
            found = _find(self._app.routes, endpoint, mounted)
            if found is not None:
                return found

            candidate = route or effective

        if isinstance(candidate, Mount):  # nothing inside it matched
            return self._prefix(mounted) + _REST

        path = _get(candidate, "path_format") or _get(candidate, "path")
        return self._prefix(mounted) + path if isinstance(path, str) else None

    def _prefix(self, mounted: str) -> str:
        return _mount_template(self._app.routes, mounted) if mounted else ""


class OwnPaths:
    """
    Tells which paths the application defines literally, however late.

    Args:
        app: The application.
    """

    def __init__(self, app: Starlette) -> None:
        self._app = app
        self._seen: tuple[Seen, ...] = ()
        self._paths: frozenset[str] = frozenset()

    def __call__(self, path: str) -> bool:
        """Tell whether a route's template equals *path*."""
        if have_changed(self._seen):
            # Looked at before the walk: what comes in between is found the next time.
            self._seen = tuple(look(self._app))
            self._paths = frozenset(
                template
                for route, template in _walk(self._app.routes, "")
                if not isinstance(route, Mount)
            )

        return path in self._paths


class Seen(NamedTuple):
    """A list of routes as it was; walking them all for each probe would cost more."""

    owner: object
    routes: Sequence[object]
    length: int
    last: object


def look(owner: object, depth: int = 0) -> Iterator[Seen]:
    """Yield the lists of routes below *owner*: of mounts, hosts, included routers."""
    routes = _get(owner, "routes")
    if not isinstance(routes, list | tuple):
        return

    yield Seen(owner, routes, len(routes), routes[-1] if routes else None)
    if depth < _MAX_DEPTH:
        for route in tuple(routes):
            inner = _get(route, "original_router") or _routing(route)
            yield from look(inner, depth + 1)


def have_changed(seen: tuple[Seen, ...]) -> bool:
    """Tell whether one of the lists is another, or none was seen; part of a probe."""
    for owner, before, length, last in seen:
        routes = getattr(owner, "routes", None)
        if routes is not before and routes != before:  # some make a list when asked
            return True

        if len(before) != length or (length > 0 and before[-1] is not last):
            return True

    return not seen


def _candidates(route: object, effective: object) -> Iterator[object]:
    if effective is not None:
        yield _get(effective, "starlette_route") or effective

    yield route


def _get(thing: object, name: str) -> object:
    return getattr(thing, name, None)


def children(route: object) -> Iterable[object]:
    """Return what lies below a mount, a host or an included router."""
    included = _get(route, "effective_route_contexts")
    if callable(included):
        children: Iterable[object] = included()
        return [_get(child, "starlette_route") or child for child in children]

    below = _get(_routing(route), "routes")
    return below if isinstance(below, list | tuple) else ()


def _routing(owner: object) -> object:
    """Return what has the routes of a mount whose application is behind middleware."""
    if not isinstance(owner, Mount) or owner.routes:
        return owner

    inner: object = owner.app
    for _ in range(_MAX_DEPTH):
        if isinstance(_get(inner, "routes"), list | tuple):
            return inner

        inner = _get(inner, "app")  # as Starlette's own middleware calls it

    return owner


def _walk(
    routes: Iterable[object], prefix: str, depth: int = 0
) -> Iterator[tuple[object, str]]:
    """Yield every route of a tree with its full template."""
    for route in routes:
        if depth < _MAX_DEPTH and callable(_get(route, "effective_route_contexts")):
            yield from _walk(children(route), prefix, depth + 1)
            continue

        if isinstance(route, Mount):
            yield route, prefix + route.path
            if depth < _MAX_DEPTH:
                yield from _walk(children(route), prefix + route.path, depth + 1)

            continue

        path = _get(route, "path_format") or _get(route, "path")
        if isinstance(path, str):
            yield route, prefix + path
        elif depth < _MAX_DEPTH:  # a host
            yield from _walk(children(route), prefix, depth + 1)


def _find(routes: Iterable[BaseRoute], endpoint: object, mounted: str) -> str | None:
    """Return the template of the route that runs *endpoint*."""
    return min(_sharing(routes, endpoint, mounted), default=None)


def _sharing(
    routes: Iterable[BaseRoute], endpoint: object, mounted: str
) -> dict[str, list[object]]:
    """Return the routes that run *endpoint*, by template."""
    sharing: dict[str, list[object]] = {}
    for route, template in _walk(routes, ""):
        if endpoint in (_get(route, "endpoint"), _get(route, "app")):
            whole = template + (_REST if isinstance(route, Mount) else "")
            sharing.setdefault(whole, []).append(route)

    if len(sharing) > 1:  # one application mounted at several places
        prefix = _mount_template(routes, mounted)
        below = {
            text: found for text, found in sharing.items() if text.startswith(prefix)
        }
        return below or sharing

    return sharing


def _taken(
    sharing: Mapping[str, Iterable[object]],
    scope: Mapping[str, object],
    root: str,
) -> str:
    """Return the template that fits the request's path, and its method if one does."""
    path: str = scope.get("path") or ""  # type: ignore[assignment]
    inner = path[len(root) :] if root and path.startswith(root) else path
    fitting = None
    for template, routes in sharing.items():
        for route in routes:
            regex: Pattern[str] | None = _get(route, "path_regex")  # type: ignore[assignment]
            if regex is None or regex.match(inner) is None:
                continue

            methods: Collection[object] | None = _get(route, "methods")  # type: ignore[assignment]
            if not methods or scope.get("method") in methods:
                return template

            fitting = fitting or template  # answers 405 unless another has the method

    return fitting or min(sharing)


def _mount_template(routes: Iterable[object], mounted: str, depth: int = 0) -> str:
    """Return the templates of the mounts that *mounted*, an actual path, went by."""
    for route in routes:
        if callable(_get(route, "effective_route_contexts")):
            found = _mount_template(children(route), mounted, depth + 1)
            if found:
                return found

            continue

        if not isinstance(route, Mount):
            continue

        match = route.path_regex.match(mounted + "/")
        if match is None:
            continue

        rest = "/" + match.group("path")
        rest = rest.rstrip("/")
        if not rest:
            return route.path

        if depth < _MAX_DEPTH:
            below = _mount_template(children(route), rest, depth + 1)
            if below:
                return route.path + below

    return ""
