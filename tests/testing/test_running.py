"""What users' tests rely on: a runtime of the test's own, and what it said."""

from __future__ import annotations

import warnings

import pytest
from flask import Flask
from opentelemetry.metrics import get_meter
from prometheus_client import REGISTRY
from prometheus_client.core import SummaryMetricFamily

import svcready
from svcready._runtime import current
from svcready.errors import DeclarationError
from svcready.testing import running


def make_app() -> Flask:
    """Make an application as a factory does, with a configuration of its own."""
    app = Flask("orders")
    svcready.init(service="orders", version="1.4.2", app=app, reconfigure=True)

    @app.get("/orders/<order_id>")
    def read_order(order_id: str) -> str:
        return order_id

    return app


def test_a_factorys_init_joins_the_tests_runtime() -> None:
    """`init()` inside the block attaches its application and neither warns nor wins."""
    with running() as harness, warnings.catch_warnings():
        warnings.simplefilter("error")
        make_app().test_client().get("/orders/7", buffered=True)

        assert current() is harness.runtime
        (line,) = harness.access_lines

    assert line["service"] == "test"


def test_an_application_made_before_follows_the_tests_runtime() -> None:
    """An application that importing it has initialised is seen after `shutdown()`."""
    app = make_app()
    svcready.shutdown(1.0)

    with running() as harness:
        app.test_client().get("/orders/7", buffered=True)
        (line,) = harness.access_lines

    assert line["service"] == "test"


def test_counts_begin_at_zero_in_each_block() -> None:
    """No test sees what one before it counted; a level is what the code says it is."""
    orders = svcready.counter("counted_orders", "Orders.", labels=("kind",))
    retail = orders.labels("retail")
    took = svcready.histogram("counted_sizes", "Sizes.")
    level = svcready.gauge("counted_level", "Level.")
    level.set(4)
    foreign = get_meter("shop").create_counter("counted_foreign")
    for _ in range(2):
        with running(settings={"cloudwatch.mode": "emf"}) as harness:
            retail.inc()
            foreign.add(2)
            took.observe(2.5)
            make_app().test_client().get("/orders/7", buffered=True)
            assert harness.sample("counted_orders_total", kind="retail") == 1
            assert harness.sample("counted_sizes_sum") == 2.5
            assert harness.sample("counted_level") == 4
            assert harness.sample("counted_foreign_total") == 2
            assert harness.sample("http_server_request_duration_seconds_count") == 1
            sent = [
                event["counted_orders"]
                for event in harness.emf_events
                if "counted_orders" in event
            ]
            assert sent == [1]


def test_what_begins_anew_in_a_block_counts_from_there() -> None:
    """A counter that has fallen was reset, and so were its count and its sum."""
    orders = svcready.counter("anew_orders", "Orders.")
    sizes = svcready.histogram("anew_sizes", "Sizes.")
    orders.inc(5)
    sizes.observe(7.0)
    sizes.observe(7.0)
    with running() as harness:
        orders.reset()
        sizes.reset()
        orders.inc()
        sizes.observe(20.0)
        assert harness.sample("anew_orders_total") == 1
        assert harness.sample("anew_sizes_count") == 1
        assert harness.sample("anew_sizes_sum") == 20.0


def test_a_quantile_is_a_level() -> None:
    """What it was when the block began is not taken from it."""

    class Summaries:
        """Gives the same summary all the time."""

        def collect(self) -> list[SummaryMetricFamily]:
            """Return it."""
            family = SummaryMetricFamily("rpc_seconds", "Calls.", 4, 2.0)
            family.add_sample("rpc_seconds", {"quantile": "0.5"}, 0.25)
            return [family]

    summaries = Summaries()
    REGISTRY.register(summaries)
    try:
        with running() as harness:
            assert harness.sample("rpc_seconds", quantile="0.5") == 0.25
            assert harness.sample("rpc_seconds_count") == 0
    finally:
        REGISTRY.unregister(summaries)


def test_a_runtime_in_force_is_no_tests_own() -> None:
    """With a runtime in force already the block refuses, and says what to call."""
    svcready.init(service="orders")
    try:
        with (
            pytest.raises(DeclarationError, match=r"call svcready.shutdown\(\) first"),
            running(),
        ):
            pass
    finally:
        svcready.shutdown(1.0)


def test_init_decides_again_after_the_block() -> None:
    """What held the test's runtime in force ends with the block."""
    with running():
        pass

    try:
        assert svcready.init(service="orders").settings.service.name == "orders"
    finally:
        svcready.shutdown(1.0)


def test_a_message_that_nobody_logged_is_told_with_those_there_were() -> None:
    """A typo in a test reads as one; that there is no line can still be asserted."""
    log = svcready.get_logger("orders")
    with running() as harness:
        for number in range(30):
            log.info("order %d accepted", number)

        nothing = harness.logged("order accepted")
        assert not nothing
        assert nothing == []
        with pytest.raises(AssertionError) as unpacked:
            (_,) = nothing

        with pytest.raises(AssertionError) as indexed:
            assert nothing[0]

        (line,) = harness.logged("order 3 accepted")

    first, more, *others = str(unpacked.value).splitlines()
    assert first == "no line has the message 'order accepted'; there were:"
    assert more.startswith("  ... and ")
    assert others[-1] == "  order 29 accepted"
    assert len(others) == 20
    assert str(indexed.value) == str(unpacked.value)
    assert line["level"] == "INFO"
