"""What the deep report says besides checks: process, breakers, pools, key figures."""

from __future__ import annotations

import platform
import threading
from typing import TYPE_CHECKING

from svcready._core import fork
from svcready._core.release import own_version
from svcready.admin._exchange import OpsResponse
from svcready.admin._routes._info import process
from svcready.metrics._model import Distribution, Number
from svcready.resilience._modes import not_enforced

if TYPE_CHECKING:
    from svcready._runtime import Runtime
    from svcready.admin._exchange import OpsRequest
    from svcready.admin._surface import Route
    from svcready.metrics._model import Family, Snapshot

__all__ = ["KeyFigures", "with_overview"]

_DURATION = "http.server.request.duration"
_LAG = "svcready_event_loop_lag"
_LEVELS = {
    "db.client.connection.count": None,
    "db.client.connection.max": "max",
    "db.client.connection.pending_requests": "waiting",
}
_FAILED = 500
_LEAST_S = 1.0
_P95 = 0.95


def with_overview(route: Route, runtime: Runtime) -> Route:
    """Return the deep report's route, whose answers have the overview as well."""
    figures = KeyFigures(runtime)

    def answer(request: OpsRequest) -> OpsResponse:
        import orjson

        status, headers, body = route.answer(request)
        more = orjson.loads(body) | _overview(runtime, figures)
        return OpsResponse(status, headers, orjson.dumps(more, default=str))

    # Slow: the metrics are read.
    return route._replace(answer=answer, slow=True)


def _overview(runtime: Runtime, figures: KeyFigures) -> dict[str, object]:
    told: dict[str, object] = {
        "process": {
            "svcready": own_version(),
            "python": platform.python_version(),
            **process(runtime),
        }
    }
    if runtime.resilience is not None:
        states = runtime.resilience.states()
        told["breakers"] = {each.name: each.state for each in states}
        modes = not_enforced(runtime.resilience)
        if modes:
            told["not_enforced"] = modes

    if runtime.metrics is not None:
        snapshot = runtime.metrics.snapshot()
        pools = _pools(snapshot)
        if pools:
            told["pools"] = pools

        told["figures"] = figures.read(snapshot)

    return told


class KeyFigures:
    """
    Rates of this process's requests since the last time that somebody looked.

    Args:
        runtime: Gives the clock and what is in flight.
    """

    def __init__(self, runtime: Runtime) -> None:
        self._now = runtime.clock.monotonic
        self._open = runtime.open_requests
        self._reset()
        fork.reset_in_child(self._reset)

    def _reset(self) -> None:
        self._lock = threading.Lock()
        self._last: tuple[float, _Requests, _Requests] | None = None

    def read(self, snapshot: Snapshot) -> dict[str, object]:
        """Return the figures, of the whole time at the first look."""
        now_s = self._now()
        requests = _Requests.of(snapshot.find(_DURATION), failures=True)
        lag = _Requests.of(snapshot.find(_LAG), failures=False)
        with self._lock:
            last = self._last
            if last is None or now_s - last[0] >= _LEAST_S:
                self._last = now_s, requests, lag

        told: dict[str, object] = {"in_flight": len(self._open)}
        span_s: float | None = None
        if last is not None:
            requests, lag = requests.since(last[1]), lag.since(last[2])
            span_s = now_s - last[0]

        told["seconds"] = None if span_s is None else round(span_s, 1)
        told["requests"] = requests.total
        if span_s:
            told["requests_per_s"] = round(requests.total / span_s, 3)

        share = requests.failed / requests.total if requests.total else None
        told["error_share"] = None if share is None else round(share, 5)
        told["p95_s"] = requests.quantile(_P95)
        told["loop_lag_p95_s"] = lag.quantile(_P95)
        return told


class _Requests:
    """Durations, all series of them together."""

    def __init__(
        self, bounds: tuple[float, ...], counts: tuple[int, ...], failed: int
    ) -> None:
        self.bounds = bounds
        self.counts = counts
        self.failed = failed
        self.total = sum(counts)

    @classmethod
    def of(cls, family: Family | None, *, failures: bool) -> _Requests:
        """Add up the series of a histogram; those with a status of 5xx failed."""
        bounds: tuple[float, ...] = ()
        counts: list[int] = []
        failed = 0
        for point in () if family is None else family.points:
            if not isinstance(point, Distribution):
                continue

            if not counts:
                bounds, counts = point.bounds, [0] * len(point.counts)

            if point.bounds == bounds:
                counts = [a + b for a, b in zip(counts, point.counts, strict=True)]
                status = point.labels[2] if failures else ""
                if status.isdecimal() and int(status) >= _FAILED:
                    failed += point.observations

        return cls(bounds, tuple(counts), failed)

    def since(self, before: _Requests) -> _Requests:
        """Return what came after *before*."""
        if before.bounds != self.bounds:
            return self

        counts = zip(self.counts, before.counts, strict=True)
        left = tuple(max(0, now - then) for now, then in counts)
        return _Requests(self.bounds, left, max(0, self.failed - before.failed))

    def quantile(self, share: float) -> float | None:
        """Return it as far as the buckets tell; None without any value."""
        if not self.total:
            return None

        rank, below, low = share * self.total, 0, 0.0
        for bound, count in zip(self.bounds, self.counts, strict=False):
            if count and below + count >= rank:
                return round(low + (bound - low) * (rank - below) / count, 6)

            below, low = below + count, bound

        return low  # above the last bound


def _pools(snapshot: Snapshot) -> dict[str, dict[str, float]]:
    """Return the levels of connection pools, by pool."""
    pools: dict[str, dict[str, float]] = {}
    for name, word in _LEVELS.items():
        family = snapshot.find(name)
        for point in () if family is None else family.points:
            if isinstance(point, Number):
                level = word or point.labels[1]
                pools.setdefault(point.labels[0], {})[level] = point.value

    return pools
