"""What decides at a request's end whether its trace is kept after all."""

from __future__ import annotations

from typing import TYPE_CHECKING

from svcready.tracing.sampling._glob import glob
from svcready.tracing.sampling._reservoir import Reservoir

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from svcready._core.clock import Clock
    from svcready.config._sections.tracing import TracingSettings
    from svcready.config._slowness import Slowness

__all__ = ["Keeper"]

_FIRST_FAULT = 500
_MAX_KNOWN = 1024
_NEVER = float("inf")


class Keeper:
    """
    Finds what failed or took long, and lets so many of those a second be kept.

    Args:
        errors: Failed requests are kept: an unhandled exception, a status from 500.
        slowness: From when on a request is slow; for a route that several fit, the
            first that names it counts, and what names none counts for the others.
        max_per_s: How many are kept a second, in this process.
        spans: How many inner spans are recorded for each request.
        clock: Measures requests, and drives the limit.
    """

    def __init__(
        self,
        slowness: Sequence[Slowness],
        max_per_s: float,
        spans: int,
        clock: Clock,
        *,
        errors: bool,
    ) -> None:
        self.now: Callable[[], float] = clock.monotonic
        self.spans = spans
        self._errors = errors
        self._admitted = Reservoir(max_per_s, clock).take
        self._rules = sorted(
            ((each.method, glob(each.route), each) for each in slowness),
            key=lambda it: (it[2].route == "*", it[2].method == "*"),
        )
        self._known: dict[tuple[str, str | None], float] = {}

    @classmethod
    def from_settings(cls, settings: TracingSettings, clock: Clock) -> Keeper | None:
        """Make what the section TRACING asks for; None if that is nothing."""
        if not settings.keep_errors and not settings.keep_slower_than:
            return None

        return cls(
            settings.keep_slower_than,
            settings.keep_max_per_s,
            settings.keep_spans,
            clock,
            errors=settings.keep_errors,
        )

    def reason(
        self,
        method: str,
        route: str | None,
        status: int | None,
        error: BaseException | None,
        took_s: float,
    ) -> str:
        """
        Say why a request is to be kept: `error` or `slow`; empty if it is not.

        Args:
            method: The request's.
            route: The route's template; None if nothing matched.
            status: The response's; None if there was none.
            error: What the application raised.
            took_s: How long it took, in seconds.
        """
        failed = isinstance(error, Exception) or (status or 0) >= _FIRST_FAULT
        if failed and self._errors:
            reason = "error"
        elif took_s >= self._threshold_s(method, route):
            reason = "slow"
        else:
            return ""

        return reason if self._admitted() else ""

    def _threshold_s(self, method: str, route: str | None) -> float:
        key = method, route
        known = self._known.get(key)
        if known is None:
            known = self._find(method, route or "")
            if len(self._known) < _MAX_KNOWN:
                self._known[key] = known

        return known

    def _find(self, method: str, route: str) -> float:
        for wanted, matches, slowness in self._rules:
            if wanted in {"*", method} and matches(route):
                return slowness.threshold_s

        return _NEVER
