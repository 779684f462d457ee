"""What the URL configuration says of paths, before and without serving them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from django.urls import Resolver404, get_resolver
from django.urls.resolvers import RoutePattern, URLPattern, URLResolver

if TYPE_CHECKING:
    from collections.abc import Iterator

    from django.http import HttpRequest

__all__ = ["OwnPaths", "template_of", "template_taken", "view_of", "views"]


def template_taken(request: HttpRequest) -> str | None:
    """Return the template of the route that *request* took; None: of none."""
    match = request.resolver_match
    if match is None or match.route is None:
        return None

    return "/" + match.route.removeprefix("/")


def template_of(request: HttpRequest) -> str | None:
    """Return the template of the route that *request* will take; None: of none."""
    taken = template_taken(request)
    if taken is not None:
        return taken

    try:
        match = get_resolver(getattr(request, "urlconf", None)).resolve(
            request.path_info
        )
    except Resolver404:
        return None

    return "/" + match.route.removeprefix("/")


def view_of(request: HttpRequest) -> object:
    """Return the view that *request* will take; None: none."""
    resolver = get_resolver(getattr(request, "urlconf", None))
    try:
        return resolver.resolve(request.path_info).func
    except Resolver404:
        return None


def views() -> Iterator[object]:
    """Yield the views of the URL configuration."""
    resolvers = [get_resolver()]
    while resolvers:
        for entry in resolvers.pop().url_patterns:
            if isinstance(entry, URLResolver):
                resolvers.append(entry)
            elif isinstance(entry, URLPattern):
                yield entry.callback


class OwnPaths:
    """Tells which paths the URL configuration defines literally."""

    def __init__(self) -> None:
        self._paths: frozenset[str] | None = None

    def __call__(self, path: str) -> bool:
        if self._paths is None:
            self._paths = frozenset(_literal_paths(get_resolver(), "/"))

        return path in self._paths


def _literal_paths(resolver: URLResolver, prefix: str) -> Iterator[str]:
    for entry in resolver.url_patterns:
        pattern = entry.pattern
        if not isinstance(pattern, RoutePattern) or pattern.converters:
            continue

        path = prefix + str(pattern)
        if isinstance(entry, URLResolver):
            yield from _literal_paths(entry, path)
        elif isinstance(entry, URLPattern):
            yield path
