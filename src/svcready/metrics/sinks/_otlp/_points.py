"""The families of a snapshot as OTLP's metrics."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple

from svcready._core.guard import guard
from svcready._transport.otlp_metrics import (
    ExemplarPoint,
    HistogramPoint,
    Metric,
    NumberPoint,
    Scope,
    SummaryPoint,
)
from svcready.metrics._instruments._instrument import OTHER
from svcready.metrics._model import Distribution, Number
from svcready.metrics.sinks._otlp._foreign import Quantiles, of_samples
from svcready.metrics.sources._otel._labels import SCOPE_LABEL

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from svcready.metrics._model import Exemplar, Family, Snapshot
    from svcready.metrics.sinks._otlp._since import Key, Since, Total

__all__ = ["Outgoing", "Reading"]

_Point = NumberPoint | HistogramPoint | SummaryPoint

_alone = guard("metrics.otlp")
"""Keeps one family's fault from the others."""
_TOTALS = frozenset({"counter", "histogram"})
_OVERFLOW = {"otel.metric.overflow": "true"}
# Labels that we and Prometheus spell with `_`; these are the conventions' names.
_ATTRIBUTES = {
    name.replace(".", "_"): name
    for name in (
        *("cpu.mode", "cpython.gc.generation", "disk.io.direction", "error.type"),
        *("db.client.connection.pool.name", "db.client.connection.state"),
        *("db.collection.name", "db.namespace", "db.operation.name", "db.system.name"),
        *("http.request.method", "http.response.status_code", "http.route"),
        *("messaging.destination.name", "messaging.operation.name"),
        *("messaging.operation.type", "messaging.system"),
        *("messaging.consumer.group.name", "network.io.direction"),
        *("network.protocol.name", "network.protocol.version"),
        *("process.context_switch.type", "rpc.method", "rpc.service", "rpc.system"),
        *("aws.dynamodb.table_name", "network.interface.name", "rpc.system.name"),
        *("server.address", "server.port", "system.device", "url.scheme"),
    )
}
_WHOLE = {"http.response.status_code", "server.port", "cpython.gc.generation"}


class Outgoing(NamedTuple):
    """One point on its way, and what is known to have arrived once it has."""

    point: _Point
    key: Key | None = None
    total: Total | None = None


class Reading:
    """
    One snapshot as OTLP's metrics, by scope.

    Args:
        snapshot: What was read.
        started_ns: When the process' totals began.
        since: Makes totals into differences; None sends the totals.
        frugal: Differences of what is counted by instruments alone.
        exemplars_after_ns: Exemplars up to then were sent before.
    """

    def __init__(
        self,
        snapshot: Snapshot,
        started_ns: int,
        *,
        since: Since | None = None,
        frugal: bool = False,
        exemplars_after_ns: int = 0,
    ) -> None:
        self._taken_ns = snapshot.taken_ns
        self._started_ns = min(started_ns, snapshot.taken_ns)
        self._since = since
        self._frugal = frugal
        self._after_ns = exemplars_after_ns
        self._scopes: dict[str, list[tuple[Metric, list[Outgoing]]]] = {}
        if since is not None:
            since.begin(snapshot.taken_ns)

        for family in snapshot.families:
            with _alone:
                self._add(family)

    def scopes(self, ours: Scope) -> Iterator[tuple[Scope, Iterable[Metric]]]:
        """Yield the metrics by scope; those that no meter recorded are of *ours*."""
        for name, metrics in self._scopes.items():
            yield Scope(name) if name else ours, (metric for metric, _ in metrics)

    def outgoing(self) -> list[Outgoing]:
        """Return all points in the order in which `scopes` gives them."""
        return [
            point
            for metrics in self._scopes.values()
            for _, points in metrics
            for point in points
        ]

    def _add(self, family: Family) -> None:
        if family.kind == "info" and family.exposition == "target":
            return  # the resource says so

        if family.origin == "prometheus_client":
            for remade in of_samples(family):
                self._add_plain(remade)
        else:
            self._add_plain(family)

    def _add_plain(self, family: Family) -> None:
        delta = self._since is not None and self._is_delta(family)
        names = _attribute_names(family)
        at = -1
        if family.origin == "otel" and SCOPE_LABEL in family.labels:
            at = family.labels.index(SCOPE_LABEL)

        by_scope: dict[str, list[Outgoing]] = {}
        for point in family.points:
            made = self._outgoing(family, names, point, delta=delta)
            if made is not None:
                scope = point.labels[at] if at >= 0 else ""
                by_scope.setdefault("" if scope == OTHER else scope, []).append(made)  # type: ignore[arg-type]

        kind = _kind(family)
        for scope, points in by_scope.items():
            metric = Metric(
                family.name,
                family.help,
                family.unit,
                kind,
                [each.point for each in points],
                monotonic=family.kind == "counter",
                delta=delta,
            )
            self._scopes.setdefault(scope, []).append((metric, points))

    def _is_delta(self, family: Family) -> bool:
        frugal = self._frugal and family.origin in {"process", "prometheus_client"}
        return family.kind in _TOTALS and not frugal

    def _outgoing(
        self, family: Family, names: tuple[str, ...], point: object, *, delta: bool
    ) -> Outgoing | None:
        if isinstance(point, Quantiles):
            return Outgoing(
                SummaryPoint(
                    _attributes(names, point.labels),
                    self._started_ns,
                    self._taken_ns,
                    point.observations,
                    0.0 if math.isnan(point.sum) else point.sum,
                    point.quantiles,
                )
            )

        if not isinstance(point, Number | Distribution):
            return None

        if not delta or self._since is None:
            return Outgoing(self._point(family, names, point, self._started_ns))

        key = self._since.key(family, point)
        added = self._since.difference(key, point)
        if added is None:
            return None

        return Outgoing(self._point(family, names, *added), key, point)

    def _point(
        self, family: Family, names: tuple[str, ...], point: Total, start_ns: int
    ) -> _Point:
        attributes = _attributes(names, point.labels)
        if isinstance(point, Number):
            return NumberPoint(
                attributes,
                0 if _kind(family) == "gauge" else start_ns,
                self._taken_ns,
                point.value,
                self._exemplars((point.exemplar,)),
            )

        return HistogramPoint(
            attributes,
            start_ns,
            self._taken_ns,
            point.bounds,
            point.counts,
            None if math.isnan(point.sum) else point.sum,
            self._exemplars(point.exemplars),
        )

    def _exemplars(self, given: Iterable[Exemplar | None]) -> tuple[ExemplarPoint, ...]:
        made = [_exemplar(each) for each in given if each is not None]
        return tuple(
            [
                each
                for each in made
                if each is not None and each.time_ns > self._after_ns
            ]
        )


def _kind(family: Family) -> str:
    if family.kind in {"counter", "updowncounter"}:
        return "sum"

    return family.kind if family.kind in {"histogram", "summary"} else "gauge"


def _attribute_names(family: Family) -> tuple[str, ...]:
    if family.attributes:
        return tuple(
            ["" if name == SCOPE_LABEL else name for name in family.attributes]
        )

    if family.origin in {"application", "prometheus_client"}:
        return family.labels

    return tuple([_ATTRIBUTES.get(name, name) for name in family.labels])


def _attributes(names: tuple[str, ...], values: tuple[str, ...]) -> dict[str, object]:
    made: dict[str, object] = {}
    folded = bool(values)
    for name, value in zip(names, values, strict=True):
        folded &= value == OTHER
        if name and value:
            whole = name in _WHOLE and value.isdecimal()
            made[name] = int(value) if whole else value

    return dict(_OVERFLOW) if folded else made


def _exemplar(given: Exemplar) -> ExemplarPoint | None:
    further = dict(given.labels)
    try:
        trace_id = bytes.fromhex(further.pop("trace_id", ""))
        span_id = bytes.fromhex(further.pop("span_id", ""))
        time_ns = int(float(given.timestamp) * 1e9)  # type: ignore[arg-type]
    except (TypeError, ValueError):  # another library's, in a form of its own
        return None

    if len(trace_id) not in {0, 16} or len(span_id) not in {0, 8} or time_ns < 0:
        return None

    return ExemplarPoint(time_ns, given.value, trace_id, span_id, further)
