"""Five metrics in three dimensions, recorded and written as one EMF event."""

from __future__ import annotations

from typing import TYPE_CHECKING

from benchmarks.workload import AsyncStatement, Statement

if TYPE_CHECKING:
    from benchmarks.workload import Workload

NAMES = ("orders", "items", "payments", "refunds", "mails")
DIMENSIONS = {"region": "eu-west-1", "tier": "gold", "kind": "retail"}
ID = {"request_id": "8fd55f3c2f834a0fa2d6f5b0f1cc1b3c"}


def ours() -> Workload:
    """svcready, per request as on Lambda: kept children, and a request's end."""
    import svcready

    families = [
        svcready.counter(name, "What it counts", labels=tuple(DIMENSIONS))
        for name in NAMES
    ]
    runtime = svcready.init(
        service="orders",
        settings={
            "cloudwatch.mode": "emf",
            "cloudwatch.emf_per_request": "true",
            "cloudwatch.dimensions": ",".join(DIMENSIONS),
        },
    )
    assert runtime.metrics is not None
    names: dict[str, object] = {
        name: family.labels(*DIMENSIONS.values())
        for name, family in zip(NAMES, families, strict=True)
    }
    names.update(flush=runtime.metrics.request_flush(), id=ID)
    record = "; ".join(f"{name}.inc()" for name in NAMES)
    return Statement(f"{record}; flush(id)", names)


def embedded_metrics() -> Workload:
    """aws-embedded-metrics to standard output, as in Lambda; dimensions kept."""
    from aws_embedded_metrics.config import get_config
    from aws_embedded_metrics.logger.metrics_logger_factory import create_metrics_logger

    config = get_config()
    config.environment, config.namespace = "local", "orders"
    logger = create_metrics_logger()
    logger.set_dimensions(DIMENSIONS, use_default=False)
    record = "\n".join(f"logger.put_metric({name!r}, 1, 'Count')" for name in NAMES)
    statement = f"{record}\nlogger.set_property(*id)\nawait logger.flush()"
    return AsyncStatement(statement, {"logger": logger, "id": next(iter(ID.items()))})


def powertools() -> Workload:
    """Powertools, default dimensions; what its `log_metrics` does at the end."""
    from aws_lambda_powertools.metrics import Metrics, MetricUnit

    metrics = Metrics(namespace="orders")
    metrics.set_default_dimensions(**DIMENSIONS)
    record = "\n".join(f"metrics.add_metric({name!r}, unit, 1)" for name in NAMES)
    statement = f"{record}\nmetrics.add_metadata(*id)\nmetrics.flush_metrics()"
    names = {"metrics": metrics, "unit": MetricUnit.Count, "id": next(iter(ID.items()))}
    return Statement(statement, names)


def floor() -> Workload:
    """The document by orjson, and one write."""
    import os

    import orjson

    document = {
        "_aws": {
            "Timestamp": 1_700_000_000_000,
            "CloudWatchMetrics": [
                {
                    "Namespace": "orders",
                    "Dimensions": [list(DIMENSIONS)],
                    "Metrics": [{"Name": name, "Unit": "Count"} for name in NAMES],
                }
            ],
        },
        **ID,
        **DIMENSIONS,
        **dict.fromkeys(NAMES, 1),
    }
    names = {
        "write": os.write,
        "dumps": orjson.dumps,
        "document": document,
        "line": orjson.OPT_APPEND_NEWLINE,
    }
    return Statement("write(1, dumps(document, option=line))", names)
