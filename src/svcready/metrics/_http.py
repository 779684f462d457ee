"""The HTTP server's metrics, by OpenTelemetry's stable conventions."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from svcready._core.events import publish
from svcready._core.http import METHODS, OTHER_VALUE, UNMATCHED
from svcready.metrics._events import SeriesCapped
from svcready.metrics._instruments._instrument import OTHER

if TYPE_CHECKING:
    from svcready.metrics._instruments._histograms import Histogram
    from svcready.metrics._instruments._register import Declarer

__all__ = ["HttpMetrics", "Level", "Recorder"]

_SCHEMES = frozenset(("http", "https", "ws", "wss"))
_SERIES_PER_ROUTE = 10
_SAMPLES = 5
_RESPONSE = (
    "http_request_method",
    "http_route",
    "http_response_status_code",
    "url_scheme",
    "error_type",
)
# The conventions advise none. 256 B to 16 MiB, each four times the one before.
_SIZES = tuple(float(4**power) for power in range(4, 13))


class Recorder(Protocol):
    """Where the durations, or sizes, of one method, route and status go."""

    def observe(self, value: float, /) -> None:
        """Record a duration in seconds, or a size in bytes."""
        ...


class Level(Protocol):
    """A level that requests raise when they begin and lower when they end."""

    def inc(self, amount: float = 1) -> None:
        """Raise it."""
        ...

    def dec(self, amount: float = 1) -> None:
        """Lower it."""
        ...


class HttpMetrics:
    """
    Request durations, active requests, and the sizes of bodies.

    Children are for keeping: the request lifecycle asks once per method, route and
    status, and then only observes.

    Args:
        declare: Declares our own metrics.
        max_routes: How many routes have series of their own; further ones share
            `__other__`.
        known_methods: Methods that are told apart; the others are `_OTHER`.
    """

    def __init__(
        self,
        declare: Declarer,
        *,
        max_routes: int,
        known_methods: frozenset[str] = METHODS,
    ) -> None:
        self._max_routes = max_routes
        self._known_methods = known_methods
        self._routes: dict[str, str] = {}
        self._routes_told = False
        self._duration = declare.histogram(
            "http.server.request.duration",
            "Duration of HTTP server requests.",
            unit="s",
            labels=_RESPONSE,
        )
        self._request_size = declare.histogram(
            "http.server.request.body.size",
            "Size of HTTP server request bodies.",
            unit="By",
            labels=_RESPONSE,
            buckets=_SIZES,
        )
        self._response_size = declare.histogram(
            "http.server.response.body.size",
            "Size of HTTP server response bodies.",
            unit="By",
            labels=_RESPONSE,
            buckets=_SIZES,
        )
        self.most_series = max_routes * _SERIES_PER_ROUTE
        """How many series each of these metrics may have."""
        for histogram in (self._duration, self._request_size, self._response_size):
            histogram.cap(self.most_series)

        self._active = declare.up_down_counter(
            "http.server.active_requests",
            "Number of active HTTP server requests.",
            unit="{request}",
            labels=("http_request_method", "url_scheme"),
        )

    def children(
        self,
        method: str,
        route: str | None,
        status: int | None,
        *,
        scheme: str = "http",
        error: str | None = None,
    ) -> Recorder:
        """
        Return where the durations of such requests go.

        Args:
            method: The request's method, case-sensitive.
            route: The route's template, never a path; None if none matched.
            status: The status that was sent; None if none was.
            scheme: The request's scheme.
            error: The class of an unhandled exception; by default the status of a 5xx,
                and empty for all others.
        """
        return self._child(self._duration, method, route, status, scheme, error)

    def request_sizes(
        self,
        method: str,
        route: str | None,
        status: int | None,
        *,
        scheme: str = "http",
        error: str | None = None,
    ) -> Recorder:
        """Return where the sizes of such requests' bodies go, see `children`."""
        return self._child(self._request_size, method, route, status, scheme, error)

    def response_sizes(
        self,
        method: str,
        route: str | None,
        status: int | None,
        *,
        scheme: str = "http",
        error: str | None = None,
    ) -> Recorder:
        """Return where the sizes of such responses' bodies go, see `children`."""
        return self._child(self._response_size, method, route, status, scheme, error)

    def active(self, method: str, *, scheme: str = "http") -> Level:
        """Return the level of active requests of *method*."""
        return self._active.labels(
            self._method(method), scheme if scheme in _SCHEMES else OTHER_VALUE
        )

    def _child(
        self,
        histogram: Histogram,
        method: str,
        route: str | None,
        status: int | None,
        scheme: str,
        error: str | None,
    ) -> Recorder:
        failed = status is not None and status >= 500
        return histogram.labels(
            self._method(method),
            self._route(route),
            "" if status is None else str(status),
            scheme if scheme in _SCHEMES else OTHER_VALUE,
            error or (str(status) if failed else ""),
        )

    def _method(self, method: str) -> str:
        return method if method in self._known_methods else OTHER_VALUE

    def _route(self, route: str | None) -> str:
        if not route or route == UNMATCHED:  # which takes nobody's room
            return UNMATCHED

        known = self._routes.get(route)
        if known is not None:
            return known

        if len(self._routes) >= self._max_routes:
            self._tell_routes()
            return OTHER

        return self._routes.setdefault(route, route)

    def _tell_routes(self) -> None:
        if not self._routes_told:
            self._routes_told = True
            sample = tuple(self._routes.copy())[-_SAMPLES:]
            name = self._duration.spec.name
            publish(SeriesCapped(name, self._max_routes, "http_route", sample))
