"""What each sink was sent, added up as its receiver does, in one form for all four."""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple, cast

from opentelemetry.proto.metrics.v1.metrics_pb2 import Metric as Sent
from prometheus_client import parser as plain
from prometheus_client.openmetrics import parser as openmetrics

from svcready.testing import FakeClock, Harness, assert_emf_event
from tests.metrics.otlp_collector import MetricsCollector, labels_of, value_of
from tests.metrics.sinks.cloudwatch.put.metrics_server import Body, MetricsServer

Labels = frozenset[tuple[str, str]]
Key = tuple[str, Labels]
ENVIRONMENT = ("Environment", "production")
OPENMETRICS = "application/openmetrics-text; version=1.0.0"
DELTA = 1


@dataclass
class Amount:
    """What one series came to."""

    count: float = 0
    """Of a distribution, how many values there were."""
    sum: float = 0.0
    """The total of a count; what a distribution's values add up to."""
    latest: float = math.nan
    """The last number that came, for a level."""
    values: Counter[float] = field(default_factory=Counter)
    """Values by how often each came, where the sink sends values."""
    buckets: Counter[float] = field(default_factory=Counter)
    """Values by the upper bound of their bucket, where it sends buckets."""
    exemplars: set[str] = field(default_factory=set)
    """The trace ids."""

    def number(self, value: float) -> None:
        """Take in a number that was sent."""
        self.count += 1
        self.sum += value
        self.latest = value

    def weigh(self, values: Iterable[float], counts: Iterable[int]) -> None:
        """Take in values that were sent, each with its count."""
        for value, count in zip(values, counts, strict=True):
            self.values[value] += count


Received = dict[Key, Amount]


def nearest_rank(values: Counter[float], share: float) -> float:
    """Return the percentile at *share* of all values, as CloudWatch computes it."""
    rank = math.ceil(share * values.total())
    for value, count in sorted(values.items()):
        rank -= count
        if rank <= 0:
            return value

    raise ValueError("no values")


def read_page(page: str, *, is_openmetrics: bool = False) -> Received:
    """Return what a page of Prometheus shows, by names of families."""
    parse = (
        openmetrics.text_string_to_metric_families
        if is_openmetrics
        else plain.text_string_to_metric_families
    )
    found: Received = defaultdict(Amount)
    cumulated: dict[Key, list[tuple[float, float]]] = defaultdict(list)
    for family in parse(page):
        for sample in family.samples:
            labels = dict(sample.labels)
            bound = labels.pop("le", "")
            key = (family.name, frozenset(labels.items()))
            amount = found[key]
            if sample.exemplar is not None:
                amount.exemplars.add(sample.exemplar.labels["trace_id"])

            if sample.name.endswith("_bucket") and family.type == "histogram":
                cumulated[key].append((float(bound), sample.value))
            elif sample.name.endswith("_count") and family.type == "histogram":
                amount.count = sample.value
            elif sample.name.endswith("_sum") and family.type == "histogram":
                amount.sum = sample.value
            else:
                assert key not in cumulated, sample
                assert math.isnan(amount.latest), f"{key} is there twice"
                amount.number(sample.value)

    for key, buckets in cumulated.items():
        below = 0.0
        for upper, count in buckets:
            assert count >= below, f"{key} has buckets that fall"
            found[key].buckets[upper] = int(count - below)
            below = count

        if buckets[0][0] < 0:  # OpenMetrics' rule: no sum, and so no count
            assert not found[key].count
            found[key].count, found[key].sum = below, math.nan

        assert below == found[key].count, key

    return found


def read_emf(lines: Iterable[bytes]) -> Received:
    """Return what CloudWatch makes of EMF, every event of which is valid."""
    found: Received = defaultdict(Amount)
    for line in lines:
        event = assert_emf_event(line)
        head = cast("dict[str, list[dict[str, list[Body]]]]", event["_aws"])
        for directive in head["CloudWatchMetrics"]:
            for names in cast("list[list[str]]", directive["Dimensions"]):
                labels = frozenset((name, str(event[name])) for name in names)
                for metric in directive["Metrics"]:
                    name = metric["Name"]
                    _take_target(found[name, labels], event[name])

    return found


def _take_target(amount: Amount, target: object) -> None:
    if isinstance(target, list):
        for value in target:
            amount.number(value)
            amount.values[value] += 1
    elif isinstance(target, dict):
        amount.count += target["Count"]
        amount.sum += target["Sum"]
        amount.weigh(target["Values"], target["Counts"])
    else:
        value = cast("float", target)
        amount.number(value)
        amount.values[value] += 1


def read_put(server: MetricsServer) -> Received:
    """Return what was put, which the server has held to every rule."""
    found: Received = defaultdict(Amount)
    for _, datums in server.requests:
        for datum in datums:
            dimensions = datum.get("Dimensions", [])
            labels = frozenset((it["Name"], it["Value"]) for it in dimensions)
            amount = found[datum["MetricName"], labels]
            if "Value" in datum:
                amount.number(datum["Value"])
                amount.values[datum["Value"]] += 1
                continue

            values = datum["Values"]
            counts = datum.get("Counts", [1] * len(values))
            amount.count += sum(counts)
            amount.sum += math.fsum(
                value * count for value, count in zip(values, counts, strict=True)
            )
            amount.weigh(values, counts)

    return found


def read_otlp(collector: MetricsCollector, levels_of: str = "") -> Received:
    """
    Return what came over OTLP, from all processes together.

    Differences are added up; of totals the latest of each process counts.

    Args:
        collector: What was sent.
        levels_of: The instance whose levels are meant, if there are several.
    """
    added: Received = defaultdict(Amount)
    latest: dict[tuple[str, Key], Amount] = {}
    for instance, metric in _otlp_metrics(collector):
        kind = str(metric.WhichOneof("data"))
        data = getattr(metric, kind)
        delta = kind != "gauge" and data.aggregation_temporality == DELTA
        for point in data.data_points:
            labels = frozenset((key, str(value)) for key, value in labels_of(point))
            key = (metric.name, labels)
            into = added[key] if delta else latest.setdefault((instance, key), Amount())
            exemplars = into.exemplars
            if not delta:
                into = latest[instance, key] = Amount(exemplars=exemplars)

            exemplars |= {exemplar.trace_id.hex() for exemplar in point.exemplars}
            if kind != "histogram":
                into.number(value_of(point))
                continue

            into.count += point.count
            into.sum += point.sum
            bounds = (*point.explicit_bounds, math.inf)
            for bound, count in zip(bounds, point.bucket_counts, strict=True):
                into.buckets[bound] += count

    for (instance, key), amount in latest.items():
        total = added[key]
        total.count += amount.count
        total.sum += amount.sum
        if levels_of in {"", instance}:
            total.latest = amount.latest

        total.buckets.update(amount.buckets)
        total.exemplars |= amount.exemplars

    return added


def _otlp_metrics(collector: MetricsCollector) -> Iterator[tuple[str, Sent]]:
    for push in collector.pushes:
        for resource in push.resource_metrics:
            attributes = dict(labels_of(resource.resource))
            for scope in resource.scope_metrics:
                for metric in scope.metrics:
                    yield str(attributes["service.instance.id"]), metric


class Receivers(NamedTuple):
    """Who receives what is sent, and the clock that they and the sender share."""

    file: Path
    """Where EMF is written."""
    put: MetricsServer
    collector: MetricsCollector
    clock: FakeClock

    def settings(self, mode: str, temporality: str) -> dict[str, object]:
        """Return settings with which all sinks but one of CloudWatch's two are on."""
        return {
            "cloudwatch.mode": mode,
            "cloudwatch.emf_destination": str(self.file),
            "cloudwatch.endpoint": self.put.url,
            "cloudwatch.region": "eu-west-1",
            "otlp.metrics_endpoint": f"{self.collector.url}/v1/metrics",
            "otlp.metrics_temporality": temporality,
        }

    def page(self, harness: Harness, accept: str | None = None) -> Received:
        """Return what the Prometheus page shows."""
        assert harness.runtime.metrics is not None
        page = harness.runtime.metrics.prometheus.render(accept, None)
        return read_page(page.body.decode(), is_openmetrics=accept is not None)

    def cloudwatch(self, mode: str) -> Received:
        """Return what CloudWatch got in one way, `emf` or `api`."""
        return read_put(self.put) if mode == "api" else read_emf(self.lines())

    def lines(self) -> list[bytes]:
        """Return the events of EMF that were written."""
        there = self.file.exists()
        return self.file.read_bytes().splitlines() if there else []

    def otlp(self, levels_of: str = "") -> Received:
        """Return what came over OTLP, see `read_otlp`."""
        return read_otlp(self.collector, levels_of)
