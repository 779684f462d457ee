"""A runtime sends EMF when it is told to, and says what is wrong with how."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import orjson
import pytest

import svcready
from svcready.testing import FakeClock, assert_emf_event, running
from tests.adapters.support import Scope, ask_asgi, http_scope
from tests.metrics.sinks.cloudwatch.test_emf import read

if TYPE_CHECKING:
    from svcready.testing import Harness

ENV = (("Environment", "production"),)
OWN = "SVCREADY_CLOUDWATCH_"


def amounts(harness: Harness) -> dict[str, float]:
    """Return the sums of metrics that have the environment as only dimension."""
    lines = [orjson.dumps(event) for event in harness.emf_events]
    return {
        name: total
        for (name, dimensions), (_, total) in read(lines).items()
        if dimensions == ENV
    }


def test_a_flush_writes_everything_at_once() -> None:
    """What was recorded before the start and since, each once, and valid."""
    orders = svcready.counter("emf_orders", "help")
    times = svcready.histogram("emf_times", "help", unit="s")
    orders.inc(2)
    with running(settings={"cloudwatch.mode": "emf"}) as harness:
        orders.inc(3)
        for _ in range(250):
            times.observe(0.5)

        metrics = harness.runtime.metrics
        assert metrics is not None
        metrics.http.children("GET", "/orders", 503).observe(0.25)
        found = amounts(harness)
        for event in harness.emf_events:
            assert_emf_event(orjson.dumps(event))

        # Two, three by endpoint and as a whole, errors as a whole, one type of error.
        assert harness.sample("svcready_cloudwatch_billed_metrics") == 2 + 3 * 2 + 2
        svcready.get_logger("shop").info("open")
        assert [line["message"] for line in harness.lines] == ["open"]

    assert found == {
        "emf_orders": 5,
        "emf_times": 125.0,
        "RequestCount": 1,
        "ResponseTime": 250,
        "ErrorCount": 0,
        "FaultCount": 1,
    }


def test_nothing_is_written_where_it_is_off() -> None:
    """By default CloudWatch is off, and costs nothing."""
    orders = svcready.counter("emf_none", "help")
    with running() as harness:
        orders.inc()
        assert harness.emf_events == []
        assert harness.sample("svcready_cloudwatch_billed_metrics") is None


@pytest.mark.parametrize(
    ("variable", "value", "said"),
    [
        (f"{OWN}DIMENSIONS", "Enviroment", "did you mean Environment?"),
        (f"{OWN}NAMESPACE", "AWS/Orders", "App/Orders is used"),
        (f"{OWN}EMF_DESTINATION", "tcp//agent", "EMF goes to stdout"),
        ("AWS_EMF_AGENT_ENDPOINT", "tcp//agent", "EMF goes to stdout"),
    ],
)
def test_a_wrong_setting_is_reported(variable: str, value: str, said: str) -> None:
    """With the variable's name, and what is done instead; metrics go on."""
    orders = svcready.counter("emf_wrong", "help")
    environ = {f"{OWN}MODE": "emf", variable: value}
    with running(environ=environ) as harness:
        orders.inc()
        (problem,) = harness.runtime.problems()
        assert str(problem).startswith(f"{variable}={value}")
        assert said in str(problem)
        assert "emf_wrong" in amounts(harness)


@pytest.mark.parametrize(
    ("destination", "per_request"),
    [("udp://127.0.0.1:25888", False), ("stdout", True)],
)
def test_no_request_waits_for_an_agent(destination: str, *, per_request: bool) -> None:
    """An agent that is away would hold up an event loop with each of its requests."""
    environ = {
        "SVCREADY_CLOUDWATCH_MODE": "emf",
        "SVCREADY_CLOUDWATCH_EMF_PER_REQUEST": "true",
        "SVCREADY_CLOUDWATCH_EMF_DESTINATION": destination,
    }
    with running(environ=environ) as harness:
        assert harness.runtime.metrics is not None
        asked = harness.runtime.metrics.request_flush()
        problems = harness.runtime.problems()

    assert (asked is not None) is per_request
    assert bool(problems) is not per_request
    for problem in problems:
        assert str(problem).startswith("SVCREADY_CLOUDWATCH_EMF_PER_REQUEST=true")


def test_the_budget_is_warned_of_once() -> None:
    """One line names what has most dimension values."""
    shops = svcready.counter("emf_visits", "help", labels=("shop",))
    settings = {"cloudwatch.mode": "emf", "cloudwatch.metric_budget": 5}
    with running(settings=settings, clock=FakeClock()) as harness:
        for number in range(8):
            shops.labels(number).inc()

        harness.runtime.flush(1.0)
        harness.runtime.flush(1.0)
        found = [
            line
            for line in harness.lines
            if line.get("event") == "metrics.budget_exceeded"
        ]

    (line,) = found
    assert line["level"] == "WARN"
    assert line["context"] == {"billed": 9, "budget": 5, "largest": {"emf_visits": 9}}


@pytest.mark.parametrize("on_lambda", [True, False])
def test_a_request_on_lambda_brings_its_metrics_out(
    monkeypatch: pytest.MonkeyPatch, *, on_lambda: bool
) -> None:
    """When it ends, with its ids to search for: the process is frozen after it."""
    if on_lambda:
        monkeypatch.setenv("AWS_LAMBDA_FUNCTION_NAME", "orders")

    orders = svcready.counter("emf_lambda_orders", "help")

    async def app(scope: Scope, receive: object, send: Any) -> None:
        del scope, receive
        orders.inc()
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body"})

    with running(settings={"cloudwatch.mode": "emf"}) as harness:
        scope = http_scope(headers=[(b"x-request-id", b"order-7")])
        asyncio.run(ask_asgi(svcready.wrap(app), scope))
        events = harness.emf_events

    of_request = [event for event in events if "request_id" in event]
    assert bool(of_request) is on_lambda
    assert sum("emf_lambda_orders" in event for event in events) == 1
    for event in of_request:
        assert event["request_id"] == "order-7"
        assert event["correlation_id"] == "order-7"
        assert len(str(event["trace_id"])) == 32
