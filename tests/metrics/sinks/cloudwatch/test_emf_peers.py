"""Our events say what AWS' own libraries write for the same data, where these are."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, cast

import pytest

from svcready.metrics._instruments._sketch import Sketch
from svcready.metrics.sinks._cloudwatch._data import Datum
from svcready.metrics.sinks._cloudwatch._emf._events import Emf
from tests.metrics.sinks.cloudwatch.test_emf import read

if TYPE_CHECKING:
    from collections.abc import Mapping

DIMENSIONS = (("Environment", "test"), ("Version", "1"))


def ours() -> bytes:
    """Write two orders, and two sizes."""
    sketch = Sketch()
    sketch.add((1.0, 5.0))
    datums = [
        Datum("orders", DIMENSIONS, "Count", value=2.0),
        Datum("sizes", DIMENSIONS, "Bytes", 60, "distribution", 0.0, sketch),
    ]
    (event,) = Emf().events(
        datums, namespace="Shop", time_ms=1, hints={}, properties={}
    )
    return event.line


def shape(line: str | bytes) -> list[object]:
    """Return what is defined: namespace, dimensions and metrics."""
    event = cast("Mapping[str, Mapping[str, object]]", json.loads(line))
    made: list[object] = []
    for each in cast(
        "list[dict[str, list[object]]]", event["_aws"]["CloudWatchMetrics"]
    ):
        sets = [sorted(cast("list[str]", names)) for names in each["Dimensions"]]
        metrics = sorted(
            json.dumps(metric, sort_keys=True) for metric in each["Metrics"]
        )
        made.append((each["Namespace"], sets, metrics))

    return made


def test_as_aws_embedded_metrics() -> None:
    """The same directive, and the same numbers in it."""
    context = pytest.importorskip("aws_embedded_metrics.logger.metrics_context")
    serializers = pytest.importorskip("aws_embedded_metrics.serializers.log_serializer")
    metrics = context.MetricsContext.empty()
    metrics.namespace = "Shop"
    metrics.should_use_default_dimensions = False
    metrics.put_dimensions(dict(DIMENSIONS))
    metrics.put_metric("orders", 2.0, "Count")
    metrics.put_metric("sizes", 1.0, "Bytes")
    metrics.put_metric("sizes", 5.0, "Bytes")
    (theirs,) = serializers.LogSerializer.serialize(metrics)

    assert shape(ours()) == shape(theirs)
    assert read([ours()]) == read([theirs.encode()])


def test_as_powertools() -> None:
    """But for the dimension `service` that it always adds."""
    powertools = pytest.importorskip("aws_lambda_powertools.metrics")
    metrics = powertools.EphemeralMetrics(namespace="Shop")
    for name, value in DIMENSIONS:
        metrics.add_dimension(name, value)

    metrics.add_metric("orders", "Count", 2.0)
    metrics.add_metric("sizes", "Bytes", 1.0)
    metrics.add_metric("sizes", "Bytes", 5.0)
    theirs = json.dumps(metrics.serialize_metric_set())

    assert shape(ours()) == shape(theirs)
    assert read([ours()]) == read([theirs.encode()])
