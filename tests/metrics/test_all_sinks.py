"""The same run, read through every sink."""

from __future__ import annotations

import asyncio
import random

import httpx
import pytest
from fastapi import FastAPI, HTTPException

import svcready
from svcready.testing import FakeClock, running

pytest.importorskip("opentelemetry.proto")
pytest.importorskip("boto3")

from tests.metrics.received import ENVIRONMENT, OPENMETRICS, Received, Receivers
from tests.metrics.recorded import (
    CLOUDWATCH,
    OTLP,
    PAGE,
    Metric,
    Model,
    compare_buckets,
    compare_percentiles,
    near,
)

MODES = ("sum", "max", "min", "latest")
METRICS = (
    Metric("orders.created", "counter", "orders_created", ("kind", "shop")),
    Metric("sent", "counter", "sent_bytes"),
    Metric("queue.length", "level", "queue_length", ("queue",)),
    *(Metric(f"level.{it}", "level", f"level_{it}", ("of",), it) for it in MODES),
    Metric("order.size", "histogram", "order_size_bytes", ("kind",)),
    Metric("balance", "histogram", "balance"),
    Metric("checkout", "histogram", "checkout_seconds", ("kind",)),
)
TICK_S = 1 / 1024
"""Durations are whole numbers of these, so that floats add them up exactly."""
REQUESTS = (
    ("GET", "/orders/{order_id}", 200, ""),
    ("POST", "/orders", 201, ""),
    ("POST", "/orders", 409, ""),
    ("GET", "__unmatched__", 404, ""),
    ("GET", "/broken", 500, "ZeroDivisionError"),
)
DURATION = "http.server.request.duration"


class Run:
    """
    A service's work: the recordings of metrics and, beside them, a list of them.

    Args:
        clock: Passes while something is timed.
    """

    def __init__(self, clock: FakeClock) -> None:
        self._clock = clock
        self._random = random.Random(20_240_501)
        self.model = Model(METRICS)
        self.requests: dict[tuple[str, str, int, str], list[float]] = {}
        kind = ("kind",)
        self._orders = svcready.counter(
            "orders.created", "help", labels=("kind", "shop")
        )
        self._sent = svcready.counter("sent", "help", unit="By")
        self._queue = svcready.up_down_counter(
            "queue.length", "help", labels=("queue",)
        )
        self._levels = [
            svcready.gauge(f"level.{mode}", "help", labels=("of",), workers=mode)  # type: ignore[arg-type]
            for mode in MODES
        ]
        bounds = (100, 1000, 10_000)
        self._sizes = svcready.histogram(
            "order.size", "help", unit="By", labels=kind, buckets=bounds
        )
        bounds = (-10, 0, 10)
        self._balance = svcready.histogram("balance", "help", buckets=bounds)
        self._checkout = svcready.timer("checkout", "help", labels=kind)
        self._app = FastAPI()
        self._define()
        svcready.init(app=self._app)

    def work(self, times: int) -> None:
        """Record, every kind of metric, *times* over; a part of it in sampled spans."""
        for number in range(times):
            if number % 100:
                self._record(*self._random.choices(("retail", "trade"), (9, 1)))
            else:
                with svcready.span("batch"):
                    self._record("retail")

        asyncio.run(self._ask(times // 10))

    def _record(self, kind: str) -> None:
        rng, model = self._random, self.model
        shop, amount = f"s-{rng.randrange(20)}", rng.randrange(4)
        self._orders.labels(kind, shop).inc(amount)
        model.add("orders.created", (kind, shop), amount)
        size = rng.lognormvariate(7, 1)
        self._sizes.labels(kind).observe(size)
        model.add("order.size", (kind,), size)
        self._sent.inc(size)
        model.add("sent", (), size)
        step = rng.randrange(-3, 4)
        (self._queue.labels(shop).inc if step > 0 else self._queue.labels(shop).dec)(
            abs(step)
        )
        before = sum(model.recorded["queue.length"][shop,])
        model.set("queue.length", (shop,), before + step)
        for gauge in self._levels:
            level = rng.uniform(-5, 5)
            gauge.labels(kind).set(level)
            model.set(gauge.spec.name, (kind,), level)

        balance = rng.choice((0.0, rng.gauss(0, 20)))
        self._balance.observe(balance)
        model.add("balance", (), balance)
        took_s = rng.randrange(1, 300) * TICK_S
        with self._checkout.labels(kind):
            self._clock.advance(took_s)

        model.add("checkout", (kind,), took_s)

    def _define(self) -> None:
        app, advance = self._app, self._clock.advance

        @app.get("/orders/{order_id}")
        async def order(order_id: int, ticks: int) -> int:
            advance(ticks * TICK_S)
            return order_id

        @app.post("/orders", status_code=201)
        async def create(ticks: int, refuse: bool = False) -> None:
            advance(ticks * TICK_S)
            if refuse:
                raise HTTPException(409)

        @app.get("/broken")
        async def broken(ticks: int) -> float:
            advance(ticks * TICK_S)
            return 1 / 0

    async def _ask(self, times: int) -> None:
        transport = httpx.ASGITransport(self._app, raise_app_exceptions=False)
        async with httpx.AsyncClient(transport=transport, base_url="http://x") as http:
            for _ in range(times):
                request = self._random.choice(REQUESTS)
                method, route, status, _ = request
                path = route.format(order_id=7).replace("__unmatched__", "/nowhere")
                ticks = 0 if status == 404 else self._random.randrange(1, 300)
                asked = {"ticks": ticks, "refuse": status == 409}
                reply = await http.request(method, path, params=asked)
                assert reply.status_code == status
                self.requests.setdefault(request, []).append(ticks * TICK_S)


def compare_requests(run: Run, received: Received, *, dotted: bool) -> None:
    """Hold the HTTP durations of a page or OTLP against the requests."""
    name = DURATION if dotted else f"{DURATION.replace('.', '_')}_seconds"
    assert len([key for key in received if key[0] == name]) == len(run.requests)
    for (method, route, status, error), durations in run.requests.items():
        labels = {
            "http.request.method": method,
            "http.route": route,
            "http.response.status_code": str(status),
            "url.scheme": "http",
            "error.type": error,
        }
        pairs = {(key.replace(".", "_"), text) for key, text in labels.items()}
        if dotted:
            pairs = {(key, text) for key, text in labels.items() if text}

        amount = received[name, frozenset(pairs)]
        assert amount.count == len(durations)
        assert near(amount.sum, durations)
        compare_buckets(amount, durations)


def compare_standard_set(run: Run, received: Received) -> None:
    """Hold CloudWatch's standard set against the requests."""
    by_endpoint: dict[tuple[str, ...], list[tuple[int, float]]] = {}
    for (method, route, status, _), durations in run.requests.items():
        seen = [(status, took_s * 1000) for took_s in durations]
        by_endpoint.setdefault((f"{method} {route}",), []).extend(seen)
        by_endpoint.setdefault((), []).extend(seen)

    for endpoint, answers in by_endpoint.items():
        labels = frozenset({ENVIRONMENT, *(("ApiEndpoint", it) for it in endpoint)})
        times = [took_ms for _, took_ms in answers]
        assert received["RequestCount", labels].sum == len(answers)
        assert received["ResponseTime", labels].count == len(answers)
        assert near(received["ResponseTime", labels].sum, times)
        errors = sum(400 <= status < 500 for status, _ in answers)
        faults = sum(status >= 500 for status, _ in answers)
        for name, count in (("ErrorCount", errors), ("FaultCount", faults)):
            amount = received.get((name, labels))
            assert (0 if amount is None else amount.sum) == count

    broken = len(run.requests[REQUESTS[-1]])
    typed = frozenset({ENVIRONMENT, ("ErrorType", "ZeroDivisionError")})
    assert received["RequestErrorCount", typed].sum == broken


@pytest.mark.parametrize("intervals", [1, 3])
@pytest.mark.parametrize(
    ("mode", "temporality"), [("emf", "cumulative"), ("api", "delta")]
)
def test_the_same_run_on_every_sink(
    receivers: Receivers, mode: str, temporality: str, intervals: int
) -> None:
    """
    Counts are exact and sums are up to rounding on all four, in one interval or three.

    So are the percentiles up to 1.5 %, where values are sent, and each bucket's count,
    where buckets are.
    """
    chosen = receivers.settings(mode, temporality)
    if intervals == 1:  # else the sinks' own threads push as well, meanwhile
        names = ("cloudwatch.flush_interval_s", "otlp.metrics_interval_s")
        chosen |= dict.fromkeys(names, 3600)

    with running(settings=chosen, clock=receivers.clock) as harness:
        run = Run(receivers.clock)
        for _ in range(intervals):
            run.work(6000 // intervals)
            receivers.clock.advance(60)
            assert harness.runtime.flush(10)

        pages = receivers.page(harness), receivers.page(harness, OPENMETRICS)
        traces = {span.trace_id for span in harness.spans}

    over_otlp, sent = receivers.otlp(), receivers.cloudwatch(mode)
    for page in pages:
        run.model.compare(page, PAGE)
        compare_requests(run, page, dotted=False)

    run.model.compare(over_otlp, OTLP)
    compare_requests(run, over_otlp, dotted=True)
    run.model.compare(sent, CLOUDWATCH)
    compare_standard_set(run, sent)

    for kind in ("retail", "trade"):
        values = run.model.recorded["order.size"][kind,]
        labels = frozenset({("kind", kind)})
        compare_buckets(pages[0]["order_size_bytes", labels], values)
        compare_buckets(over_otlp["order.size", labels], values)
        if intervals == 1:
            compare_percentiles(sent["order.size", labels | {ENVIRONMENT}], values)

    shown = {it for amount in pages[1].values() for it in amount.exemplars}
    came = {it for amount in over_otlp.values() for it in amount.exemplars}
    assert len(shown) > 5
    assert shown <= came <= traces
