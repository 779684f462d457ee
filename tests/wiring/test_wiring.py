"""Where pillars meet: an event of one is a count, a line and a mark of the others."""

from __future__ import annotations

import threading
from typing import Any, cast

import pytest
from opentelemetry.instrumentation.utils import is_instrumentation_enabled

import svcready
from svcready._core.events import ItemsDropped, publish
from svcready.errors import CircuitOpen
from svcready.metrics._model import Distribution, Number
from svcready.resilience import CircuitBreaker
from svcready.testing import FakeClock, running


class Refused(Exception):
    """What the dependency raises."""


def broken() -> None:
    """Fail as the dependency does."""
    raise Refused("password=hunter2")


def trip(breaker: CircuitBreaker, calls: int) -> None:
    """Call the broken dependency so often."""
    guarded = breaker(broken)
    for _ in range(calls):
        with pytest.raises(Refused):
            guarded()


def test_a_breaker_that_opens_is_counted_logged_and_marked() -> None:
    """One transition: a counter, the state gauge, a WARN line, a span event."""
    breaker = svcready.circuit_breaker("wiring-open", consecutive_failures=3)
    with running() as harness:
        with svcready.span("call"):
            trip(breaker, 3)

        (line,) = harness.logged("circuit breaker wiring-open is open")
        (span,) = [span for span in harness.spans if span.name == "call"]
        transitions = harness.sample(
            "svcready_resilience_transitions_total", name="wiring-open", to="open"
        )
        state = harness.sample("svcready_resilience_state", name="wiring-open")
        failures = harness.sample(
            "svcready_resilience_calls_total",
            component="breaker",
            name="wiring-open",
            outcome="failure",
        )

    assert line["level"] == "WARN"
    assert line["trace_id"] == span.trace_id
    assert transitions == 1
    assert state == 2
    assert failures == 3
    assert "circuit_breaker.moved" in [event.name for event in span.events]


@pytest.mark.parametrize(
    ("mode", "said"),
    [
        ("enforce", "is open"),
        ("observe", "is open, but only observes"),
        ("off", "is forced open, but switched off"),
    ],
)
def test_a_breaker_that_refuses_nothing_says_so(mode: str, said: str) -> None:
    """Who reads that it is open must see whether anybody is refused."""
    breaker = svcready.circuit_breaker("wiring-mode", consecutive_failures=3)
    settings = {"policy.wiring-mode.breaker_mode": mode}
    with running(settings=settings) as harness:
        with svcready.span("call"):
            trip(breaker, 3) if mode != "off" else breaker.force_open()

        (line,) = harness.logged(f"circuit breaker wiring-mode {said}")
        (span,) = [span for span in harness.spans if span.name == "call"]

    assert f"'mode': '{mode}'" in str(line["context"])
    assert [(event.attributes or {})["mode"] for event in span.events] == [mode]


def test_a_fallback_that_answers_is_counted_logged_and_marked() -> None:
    """A counter, one WARN line in ten seconds, a span event, and no message."""
    prices = svcready.fallback("wiring-fallback", "about", on=Refused)
    with running() as harness:
        with svcready.span("call"):
            answers = [prices.call(broken) for _ in range(3)]

        (line,) = harness.logged("fallback wiring-fallback answers")
        (span,) = [span for span in harness.spans if span.name == "call"]
        answered = harness.sample(
            "svcready_resilience_calls_total",
            component="fallback",
            name="wiring-fallback",
            outcome="fallback",
        )
        assert "hunter2" not in str(harness.lines)

    assert answers == ["about"] * 3
    assert line["level"] == "WARN"
    assert line["context"] == {
        "name": "wiring-fallback",
        "source": "fallback",
        "error_type": "Refused",
    }
    assert answered == 3
    assert [event.name for event in span.events] == ["fallback.answered"]


def test_how_full_a_bulkhead_is_and_who_waited_is_measured() -> None:
    """Gauges of what is in it, waits and may be, and a histogram of all waits."""
    made = svcready.bulkhead("wiring-full", max_concurrent=3)
    mail = svcready.rate_limit("wiring-mail", "1000/s burst 1", max_wait=1)
    often = svcready.retry("wiring-waits", on=Refused, attempts=2, wait_base=0.001)
    with running(clock=FakeClock()) as harness:
        with made:
            levels = [
                harness.sample(
                    f"svcready_resilience_{level}",
                    component="bulkhead",
                    name="wiring-full",
                )
                for level in ("in_use", "waiting", "limit")
            ]

        for _ in range(2):
            mail.call(str)

        with pytest.raises(Refused):
            often.call(broken)

        waits = [
            harness.sample(
                "svcready_resilience_wait_seconds_count", component=kind, name=name
            )
            for kind, name in (("rate_limit", "wiring-mail"), ("retry", "wiring-waits"))
        ]

    assert levels == [1, 0, 3]
    assert waits == [1, 1]


def test_no_message_of_a_dependency_leaves() -> None:
    """Errors of a call are told by their class only: messages hold secrets."""
    breaker = svcready.circuit_breaker("wiring-secret", consecutive_failures=2)
    with running() as harness:
        trip(breaker, 2)

        assert "hunter2" not in str(harness.lines)


def test_an_open_breaker_warns_in_the_health_report() -> None:
    """The deep report carries each breaker's state and warns while one is open."""
    breaker = svcready.circuit_breaker("wiring-report", consecutive_failures=2)
    with running() as harness:
        trip(breaker, 2)
        assert harness.runtime.health is not None

        info = harness.runtime.health.report()["info"]

    assert isinstance(info, dict)
    assert info["breakers"]["wiring-report"] == "open"
    assert info["breakers"]["status"] == "warn"


@pytest.mark.parametrize(
    ("mode", "status", "modes"),
    [
        ("enforce", "warn", None),
        ("observe", "warn", {"wiring-info": "observe"}),
        ("off", "pass", {"wiring-info": "off"}),
    ],
)
def test_the_health_report_tells_which_breakers_refuse_nothing(
    mode: str, status: str, modes: dict[str, str] | None
) -> None:
    """A breaker in another mode is named with it; one that is off warns of nothing."""
    breaker = svcready.circuit_breaker("wiring-info", consecutive_failures=2)
    with running() as harness:
        trip(breaker, 2)
        config, clock = breaker.core.config, breaker.core.clock
        breaker.core.use(config._replace(mode=mode), clock)
        assert harness.runtime.health is not None
        info = harness.runtime.health.report()["info"]
        assert isinstance(info, dict)
        assert info["breakers"].get("modes") == modes
        assert (info["breakers"]["status"], breaker.core.state) == (status, "open")


def test_retries_are_told_sparingly() -> None:
    """In an outage one line per policy every 10 s says how many it stands for."""
    clock = FakeClock()
    call = svcready.retry("wiring-retry", on=Refused, attempts=2)(broken)
    with running(clock=clock) as harness:
        for _ in range(50):
            with pytest.raises(Refused):
                call()

        clock.advance(10.1)
        with pytest.raises(Refused):
            call()

        lines = harness.logged("retry wiring-retry gave up")

    held = [line["context"].get("not_logged", 0) for line in lines]  # type: ignore[attr-defined]
    assert held == [0, 49]


def test_drops_are_counted_by_component_and_reason() -> None:
    """Whatever throws telemetry away is in svcready_dropped_total."""
    with running() as harness:
        publish(ItemsDropped("tracing.otlp", "queue_full", 7))
        publish(ItemsDropped("tracing.otlp", "queue_full", 5))

        dropped = harness.sample(
            "svcready_dropped_total", component="tracing.otlp", reason="queue_full"
        )

    assert dropped == 12


def test_a_metric_with_too_many_series_is_told_in_one_line() -> None:
    """It names metric, label and a few values, redacted, and counts what is folded."""
    token = "ghp_" + "a1B2" * 9
    with running(settings={"metrics.max_series": 2}) as harness:
        users = svcready.counter("wiring_users", "Users", labels=("shop", "user"))
        for user in (token, "b", "c", "d"):
            users.labels("s", user).inc()

        (line,) = harness.logged(
            "metric wiring_users reached the limit of series; further ones count as "
            "__other__"
        )
        folded = harness.sample("svcready_metrics_folded_total", metric="wiring_users")

    assert (line["level"], line["event"]) == ("WARN", "metrics.series_capped")
    context = line["context"]
    assert isinstance(context, dict)
    assert (context["metric"], context["limit"]) == ("wiring_users", 2)
    assert (context["label"], context["values"][1:]) == ("user", ["b"])
    assert token not in str(line)
    assert folded == 2


def test_nothing_is_wired_after_the_end() -> None:
    """A closed runtime's hooks are gone: a later event reaches none of its logs."""
    with running() as harness:
        pass

    before = len(harness._written)
    publish(ItemsDropped("tracing.otlp", "queue_full", 1))
    breaker = svcready.circuit_breaker("wiring-late", consecutive_failures=2)
    trip(breaker, 2)

    assert len(harness._written) == before


def test_what_a_check_calls_makes_no_spans() -> None:
    """Probes are no traffic: instrumented clients stay quiet inside a check."""
    seen: list[bool] = []
    ran = threading.Event()

    def check() -> None:
        seen.append(is_instrumentation_enabled())
        ran.set()

    svcready.health.check("wiring-quiet")(check)
    with running() as harness:
        harness.runtime.wake()

        assert ran.wait(10)

    assert seen == [False]


def test_what_is_recorded_in_a_sampled_span_points_at_it() -> None:
    """Counters and histograms carry the span's ids into the snapshot, if asked to."""
    orders = svcready.counter("wiring_orders", "help")
    sizes = svcready.histogram("wiring_sizes", "help", buckets=(1.0, 10.0))
    with running(settings={"tracing.sampling": "100%"}) as harness:
        with svcready.span("call"):
            orders.inc(3)
            sizes.observe(4.0)

        (span,) = [span for span in harness.spans if span.name == "call"]
        ids = (("trace_id", span.trace_id), ("span_id", span.span_id))
        (number,) = orders.read().points
        (distribution,) = sizes.read().points
        assert isinstance(number, Number)
        assert isinstance(distribution, Distribution)
        assert number.exemplar is not None
        assert number.exemplar[:2] == (ids, 3)
        low, kept, high = distribution.exemplars
        assert kept is not None
        assert kept[:2] == (ids, 4.0)
        assert (low, high) == (None, None)


@pytest.mark.parametrize(
    "settings", [{"tracing.sampling": "0%"}, {"metrics.exemplars": False}]
)
def test_there_are_no_exemplars_of_what_nobody_can_look_up(
    settings: dict[str, object],
) -> None:
    """Nothing of an unsampled span, and nothing where they are switched off."""
    orders = svcready.counter("wiring_orders_unsampled", "help", labels=("case",))
    sizes = svcready.histogram("wiring_sizes_unsampled", "help", labels=("case",))
    with (
        running(settings={"tracing.sampling": "100%", **settings}),
        svcready.span("call"),
    ):
        for _ in range(100):
            orders.labels(settings).inc()
            sizes.labels(settings).observe(4.0)

        *_, number = orders.read().points
        *_, distribution = sizes.read().points

    assert isinstance(number, Number)
    assert isinstance(distribution, Distribution)
    assert number.exemplar is None
    assert distribution.exemplars == ()


def test_levels_of_several_workers_show_the_worst() -> None:
    """A check that fails in one worker, or a breaker open in one, is seen."""
    with running() as harness:
        assert harness.runtime.metrics is not None
        families = {f.name: f for f in harness.runtime.metrics.snapshot().families}

    assert {
        name: families[f"svcready_{name}"].workers
        for name in ("health_status", "health_stuck", "resilience_state")
    } == {"health_status": "min", "health_stuck": "max", "resilience_state": "max"}
    assert families["svcready_resilience_calls"].workers == "sum"


def test_retries_inside_retries_are_a_line_once() -> None:
    """What was declared before the start is told at it, what comes later at once."""
    inner = svcready.retry("wiring-inner", on=Refused)(broken)
    svcready.retry("wiring-outer", on=Refused)(inner)
    with running() as harness:
        told = "retry {} has retry wiring-inner inside it: attempts multiply; "
        told += "leave one of them"
        (line,) = harness.logged(told.format("wiring-outer"))
        svcready.retry("wiring-late", on=Refused)(inner)
        (late,) = harness.logged(told.format("wiring-late"))

    assert line["level"] == late["level"] == "WARN"


def test_contradictory_variables_are_reported() -> None:
    """An operator's time-out above the deadline is a problem of the configuration."""
    svcready.policy("wiring-time", timeout=2, deadline=5)
    settings = {"policy.wiring-time.timeout_s": 6}
    with running(settings=settings) as harness:
        problems = harness.runtime.problems()

    assert [p for p in problems if "wiring-time" in p and "left as declared" in p]


def test_threads_that_were_given_up_are_a_gauge() -> None:
    """An operator sees how many threads a time-out has left behind."""
    over = threading.Event()
    stuck = svcready.timeout("wiring-stuck", 0.01, threads=2)
    with running() as harness:
        with pytest.raises(TimeoutError):
            stuck.call(over.wait, 10)

        left = harness.sample("svcready_resilience_abandoned", name="wiring-stuck")
        over.set()

    assert left == 1


def test_seconds_on_lines_are_read_by_people() -> None:
    """Waits and open times are told to the millisecond."""
    breaker = svcready.circuit_breaker("wiring-round", consecutive_failures=1)
    policy = svcready.retry("wiring-round", on=Refused, attempts=2, wait_base=0.0012345)

    @policy
    @breaker
    def call() -> None:
        raise Refused

    with running() as harness:
        with pytest.raises(CircuitOpen):
            call()

        (opened,) = harness.logged("circuit breaker wiring-round is open")
        (follows,) = harness.logged("retry wiring-round follows")

    context: Any = {**cast("Any", opened["context"]), **cast("Any", follows["context"])}
    told = [context["open_s"], context["wait_s"]]
    assert told == [round(seconds, 3) for seconds in told]
