"""A request of Django's in flight, and its waiting in a view's thread."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from asgiref.sync import async_to_sync

from svcready.adapters._admission import keep_route
from svcready.adapters._wsgi_flight import InFlight
from svcready.adapters.django._routes import route_ahead, template_taken

if TYPE_CHECKING:
    from collections.abc import Awaitable, Mapping

    from django.http import HttpRequest

    from svcready.adapters._admission import Taken
    from svcready.adapters._plan import RequestPlan

__all__ = ["Flight"]


class Flight(InFlight):
    """A request of Django's in flight."""

    __slots__ = ("_request",)

    def __init__(self, plan: RequestPlan, request: HttpRequest) -> None:
        self._request = request
        InFlight.__init__(
            self,
            plan,
            request.META,
            request.method or "GET",
            request.path,
            request.scheme or "http",
        )

    def describe(self) -> Mapping[str, str | int]:
        """Return the start attributes of the span."""
        request = self._request
        return {
            **InFlight.describe(self),
            "url.path": request.path,
            "url.scheme": request.scheme or "http",
        }

    def template(self) -> str | None:
        """Return the template of the route that it will take; None: of none."""
        return template_taken(self._request) or self._ahead_of_route().template

    def bare_path(self) -> str | None:
        """Return None: there are routes."""
        return None

    def native(self) -> object:
        """Return the request: what resolvers are called with."""
        return self._request

    def endpoint(self) -> object:
        """Return the view that will serve it; None: none will."""
        return self._ahead_of_route().endpoint

    def wait_for(self, told: Awaitable[object]) -> object:
        """Have a loop run an awaitable: the one that its thread works for, or a new."""

        async def run() -> object:
            return await told

        return async_to_sync(run)()

    def _ahead_of_route(self) -> Taken:
        request = self._request
        key = (request.path_info, getattr(request, "urlconf", None))
        return keep_route(self, key, partial(route_ahead, request))
