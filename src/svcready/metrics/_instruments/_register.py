"""The declarations of metrics: plain data at import, which a pillar binds later."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, TypeVar

from svcready._core import fork
from svcready._core.declarations import Register
from svcready.errors import DeclarationError
from svcready.metrics._instruments._histograms import Histogram
from svcready.metrics._instruments._instrument import Counter, Spec
from svcready.metrics._instruments._levels import Gauge, UpDownCounter
from svcready.metrics._instruments._names import (
    base_name,
    check_buckets,
    check_help,
    check_labels,
    check_workers,
    default_buckets,
    sample_names,
)
from svcready.metrics._instruments._timer import Timer
from svcready.metrics._instruments._units import check_unit, prometheus_name

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from svcready.metrics._instruments._names import Workers

__all__ = ["REGISTER", "Declarer", "Metric", "forget_all", "reset_if_forked"]

Metric = Counter | UpDownCounter | Gauge | Histogram | Timer
M = TypeVar("M", Counter, UpDownCounter, Gauge, Histogram, Timer)

REGISTER: Register[Metric] = Register("metric")
"""Every metric that the process declared, ours included, by base name."""

_OURS = ("svcready_", "svcready.")

# What each name on a Prometheus page belongs to: two names that differ as declared may
# be one there (`latency` in seconds and `latency_seconds`).
_occupied: dict[str, str] = {}
_pid = os.getpid()


class Declarer:
    """
    Declares metrics of one origin.

    Args:
        origin: `application`, or `svcready` for our own.
    """

    __slots__ = ("_origin",)

    def __init__(self, origin: str) -> None:
        self._origin = origin

    def counter(
        self,
        name: str,
        help: str,  # noqa: A002 - the word of every metrics library
        *,
        labels: Sequence[str] = (),
        unit: str = "",
    ) -> Counter:
        """Declare a counter, see `svcready.counter`."""
        spec = self._spec("counter", name, help, labels, unit)
        return _declare(Counter, spec, (), lambda: Counter(spec))

    def up_down_counter(
        self,
        name: str,
        help: str,  # noqa: A002
        *,
        labels: Sequence[str] = (),
        unit: str = "",
    ) -> UpDownCounter:
        """Declare an up-down counter, see `svcready.up_down_counter`."""
        spec = self._spec("up_down_counter", name, help, labels, unit)
        return _declare(UpDownCounter, spec, (), lambda: UpDownCounter(spec))

    def gauge(
        self,
        name: str,
        help: str,  # noqa: A002
        *,
        labels: Sequence[str] = (),
        unit: str = "",
        workers: Workers = "sum",
    ) -> Gauge:
        """Declare a gauge, see `svcready.gauge`."""
        spec = self._spec("gauge", name, help, labels, unit)
        spec = spec._replace(workers=check_workers(name, workers, spec.labels))
        return _declare(Gauge, spec, (), lambda: Gauge(spec))

    def histogram(
        self,
        name: str,
        help: str,  # noqa: A002
        *,
        labels: Sequence[str] = (),
        unit: str = "",
        buckets: Iterable[float] | None = None,
    ) -> Histogram:
        """Declare a histogram, see `svcready.histogram`."""
        spec = self._spec("histogram", name, help, labels, unit)
        bounds = _bounds(spec, buckets)
        return _declare(Histogram, spec, bounds, lambda: Histogram(spec, bounds))

    def timer(
        self,
        name: str,
        help: str,  # noqa: A002
        *,
        labels: Sequence[str] = (),
        buckets: Iterable[float] | None = None,
    ) -> Timer:
        """Declare a timer, see `svcready.timer`."""
        spec = self._spec("timer", name, help, labels, "s")
        bounds = _bounds(spec, buckets)
        return _declare(Timer, spec, bounds, lambda: Timer(spec, bounds))

    def _spec(
        self,
        kind: str,
        name: str,
        help_text: str,
        labels: Sequence[str],
        unit: str,
    ) -> Spec:
        unit = check_unit(name, unit)
        base = base_name(kind, name, unit)
        if self._origin == "application" and base.lower().startswith(_OURS):
            raise DeclarationError(
                f"{kind} name {name!r}: names that begin with 'svcready' are ours"
            )

        return Spec(
            kind,
            base,
            prometheus_name(base, unit),
            check_help(kind, name, help_text),
            unit,
            check_labels(kind, name, labels),
            self._origin,
        )


def reset_if_forked() -> None:
    """
    Start from zero if this process was forked since the last call or reset.

    The fork registry does this at the fork itself once a runtime has hooked it; this
    is for a parent that declared and counted and never ran one.
    """
    if os.getpid() != _pid:
        _reset()


def forget_all() -> None:
    """Forget every metric; for tests, which declare the same names again."""
    REGISTER.clear()
    _occupied.clear()


def _declare(
    kind: type[M], spec: Spec, bounds: tuple[float, ...], make: Callable[[], M]
) -> M:
    def build() -> M:
        _check_free(spec)
        return make()

    metric = REGISTER.declare(spec.name, (spec, bounds), build)
    assert isinstance(metric, kind)  # equal arguments include the kind
    for name in sample_names(spec.kind, spec.exposition):
        _occupied[name] = spec.name

    return metric


def _check_free(spec: Spec) -> None:
    for name in sample_names(spec.kind, spec.exposition):
        other = _occupied.get(name, spec.name)
        if other != spec.name:
            raise DeclarationError(
                f"{spec.kind} {spec.name!r} and metric {other!r} (declared at "
                f"{REGISTER.place(other)}) would both be {name!r} on Prometheus"
            )


def _bounds(spec: Spec, buckets: Iterable[float] | None) -> tuple[float, ...]:
    if buckets is None:
        return default_buckets(spec.unit)

    return check_buckets(spec.name, buckets)


def _reset() -> None:
    global _pid  # noqa: PLW0603 - one per process, as the totals are
    _pid = os.getpid()
    for metric in REGISTER.things():
        metric.reset()


fork.reset_in_child(_reset)
