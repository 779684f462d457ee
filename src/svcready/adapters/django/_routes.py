"""What the URL configuration says of paths, before and without serving them."""

from __future__ import annotations

from contextlib import nullcontext
from functools import cache
from typing import TYPE_CHECKING

from django.conf import settings
from django.conf.urls.i18n import is_language_prefix_patterns_used
from django.urls import Resolver404, get_resolver
from django.urls.resolvers import RoutePattern, URLPattern, URLResolver
from django.utils import translation

from svcready.adapters._admission import NOWHERE, Taken
from svcready.resilience._limiting._inbound_means import DeclaredRoute

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from django.http import HttpRequest

__all__ = ["OwnPaths", "list_routes", "route_ahead", "template_taken"]


def template_taken(request: HttpRequest) -> str | None:
    """Return the template of the route that *request* took; None: of none."""
    match = request.resolver_match
    if match is None or match.route is None:
        return None

    return "/" + match.route.removeprefix("/")


def route_ahead(request: HttpRequest) -> Taken:
    """Return the route that *request* will take, in the language that it will have."""
    urlconf: str | None = getattr(request, "urlconf", None)
    prefixed, prefixes_default = is_language_prefix_patterns_used(
        urlconf or settings.ROOT_URLCONF
    )
    if not prefixed:
        return _resolve(request, urlconf)

    # As `LocaleMiddleware` sets it, which has not run yet; a thread may still have the
    # language of the request before.
    language = translation.get_language_from_path(request.path_info)
    if language is None and prefixes_default:
        language = translation.get_language_from_request(request)

    with translation.override(language or settings.LANGUAGE_CODE):
        return _resolve(request, urlconf)


def _resolve(request: HttpRequest, urlconf: str | None) -> Taken:
    try:
        match = get_resolver(urlconf).resolve(request.path_info)
    except Resolver404:
        return NOWHERE

    return Taken("/" + match.route.removeprefix("/"), match.func)


@cache
def list_routes(app: object) -> Sequence[DeclaredRoute]:
    """Return all routes of the URL configuration, in every language if it has some."""
    del app
    prefixed, _ = is_language_prefix_patterns_used(settings.ROOT_URLCONF)
    languages = [code for code, _ in settings.LANGUAGES] if prefixed else [None]
    routes: dict[DeclaredRoute, None] = {}
    for code in languages:
        with translation.override(code) if code else nullcontext():
            routes.update(dict.fromkeys(_declared(get_resolver(), "")))

    return tuple(routes)


def _declared(resolver: URLResolver, prefix: str) -> Iterator[DeclaredRoute]:
    for entry in resolver.url_patterns:
        part = str(entry.pattern)
        whole = prefix + (part.removeprefix("^") if prefix else part)
        if isinstance(entry, URLResolver):
            yield from _declared(entry, whole)
        else:
            yield DeclaredRoute("/" + whole.removeprefix("/"), None, entry.callback)


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
