"""The service whose workers are counted together."""

from __future__ import annotations

import os
import time

import prometheus_client
from flask import Flask
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

import svcready

app = Flask(__name__)
runtime = svcready.init(service=os.environ.get("NAME", "many"), app=app)

hits = svcready.counter("hits", "Hits", labels=("kind",))
sizes = svcready.histogram("sizes", "Sizes", buckets=(1, 10))
imported = svcready.counter("imported", "Times that it was imported")
imported.inc()
theirs = prometheus_client.Counter("theirs", "Hits, by another library")
spread = prometheus_client.Histogram("spread", "Sizes, too", buckets=(1, 10))
busy = prometheus_client.Gauge("busy", "Level", multiprocess_mode="livesum")
theirs.inc(100)


class Custom(Collector):
    """Says who answers."""

    def collect(self) -> list[GaugeMetricFamily]:
        """Return one family."""
        return [GaugeMetricFamily("answering", "Who answers", value=os.getpid())]


prometheus_client.REGISTRY.register(Custom())


@app.get("/who")
def who() -> dict[str, int]:
    time.sleep(0.01)
    return {"pid": os.getpid()}


@app.get("/hit")
def hit() -> dict[str, int]:
    hits.labels("a").inc()
    sizes.observe(5)
    theirs.inc()
    spread.observe(5)
    busy.set(1)
    return {"pid": os.getpid()}
