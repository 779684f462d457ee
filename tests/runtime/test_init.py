"""The one call: what it gives, what it gives again, and what it refuses."""

from __future__ import annotations

import gc
import logging
import sys
import warnings
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest
from fastapi import FastAPI
from flask import Flask
from opentelemetry import trace

import svcready
from svcready._runtime import current
from svcready.adapters.asgi import ASGIWrapper
from svcready.config._named import KINDS
from svcready.errors import ConfigurationError, DeclarationError
from svcready.logging._handler import LineHandler
from svcready.metrics._model import Number
from svcready.testing import running
from tests.architecture.house import run_clean

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(autouse=True)
def _shut_down() -> Iterator[None]:
    yield
    svcready.shutdown(1.0)


def wrappers_around(app: FastAPI) -> int:
    """Count the wrappers from the outermost layer inwards."""
    layer: object = app.build_middleware_stack()
    count = 0
    while isinstance(layer, ASGIWrapper):
        count += 1
        layer = layer._app

    return count


def test_a_hundred_calls_make_one_of_everything() -> None:
    """100 x init() is one runtime, one log handler, one provider, one wrapper."""
    app = FastAPI()

    runtimes = {id(svcready.init(service="orders", app=app)) for _ in range(100)}

    handlers = [h for h in logging.getLogger().handlers if isinstance(h, LineHandler)]
    providers = {id(trace.get_tracer_provider()) for _ in range(3)}
    assert len(runtimes) == 1
    assert len(handlers) == 1
    assert len(providers) == 1
    assert wrappers_around(app) == 1


def test_another_configuration_warns_and_names_the_keys() -> None:
    """A second call that differs keeps the first and says which keys differ."""
    first = svcready.init(service="orders")

    with pytest.warns(UserWarning, match=r"differing: log\.level, service\.name"):
        second = svcready.init(service="invoices", settings={"log.level": "ERROR"})

    assert second is first
    assert first.settings.service.name == "orders"


def test_reconfigure_replaces_the_runtime_and_totals_carry_over() -> None:
    """`reconfigure=True` puts the new settings in force and loses no count."""
    counter = svcready.counter("init_test_events", "Events of this test")
    first = svcready.init(service="orders")
    counter.inc(3)

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        second = svcready.init(service="invoices", reconfigure=True)

    assert second is not first
    assert second.settings.service.name == "invoices"
    assert second.metrics is not None
    family = second.metrics.snapshot().find("init_test_events")
    assert family is not None
    assert [point.value for point in family.points if isinstance(point, Number)] == [3]


def test_probes_pass_while_a_replaced_runtime_waits_for_its_sinks(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A collector that hangs at a reconfiguration does not fail liveness."""
    old = svcready.init(service="orders")
    health = old.health
    assert health is not None
    seen: list[tuple[float, int]] = []

    def flush(timeout_s: float) -> bool:
        seen.append((timeout_s, health.probe("liveness").status))
        return True

    monkeypatch.setattr(old, "flush", flush)
    closed: list[float | None] = []
    real_close = old.close

    def close(timeout_s: float | None = None) -> None:
        closed.append(timeout_s)
        real_close(timeout_s)

    monkeypatch.setattr(old, "close", close)
    svcready.init(service="invoices", reconfigure=True)

    assert seen == [(5.0, 200)]
    assert closed == [0.0]


def test_several_applications_share_one_runtime() -> None:
    """A second application attaches to the runtime that is there."""
    shop, back_office = FastAPI(), Flask("back_office")

    runtime = svcready.init(service="orders", app=shop)
    again = svcready.init(service="orders", app=back_office)

    assert again is runtime
    assert runtime.apps.frameworks == ["FastAPI", "Flask"]


def test_a_bare_callable_is_told_to_use_wrap() -> None:
    """A callable that cannot be wrapped in place is refused, and `wrap` is named."""

    async def app(scope: object, receive: object, send: object) -> None: ...

    with pytest.raises(DeclarationError, match=r"svcready\.wrap\(app\)"):
        svcready.init(service="orders", app=app)


def test_wrong_code_raises_with_the_nearest_key() -> None:
    """A key of `settings` that does not exist is an error that names the one meant."""
    with pytest.raises(DeclarationError, match=r"log\.levle.*log\.level"):
        svcready.init(service="orders", settings={"log.levle": "DEBUG"})

    assert current() is None


def test_strict_mode_makes_one_error_of_all_problems(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """With SVCREADY_CORE_STRICT every wrong variable is in one ConfigurationError."""
    monkeypatch.setenv("SVCREADY_CORE_STRICT", "true")
    monkeypatch.setenv("SVCREADY_LOG_LEVEL", "loud")
    monkeypatch.setenv("SVCREADY_HEALTH_TIMEOUT_S", "soon")

    with pytest.raises(ConfigurationError) as caught:
        svcready.init(service="orders")

    assert len(caught.value.problems) == 2
    assert "SVCREADY_LOG_LEVEL='loud'" in str(caught.value)
    assert "SVCREADY_HEALTH_TIMEOUT_S='soon'" in str(caught.value)
    assert current() is None


def test_switched_off_it_leaves_everything_alone(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """SVCREADY_CORE_ENABLED=false installs no handler and wraps no application."""
    monkeypatch.setenv("SVCREADY_CORE_ENABLED", "false")
    app = FastAPI()

    svcready.init(service="orders", app=app)

    assert not any(isinstance(h, LineHandler) for h in logging.getLogger().handlers)
    assert wrappers_around(app) == 0


def test_shutdown_puts_back_what_was_there() -> None:
    """After shutdown() no handler of ours is left, and init() starts anew."""
    before = list(logging.getLogger().handlers)
    hooks = (sys.excepthook, logging.getLogger().level)

    first = svcready.init(service="orders")
    svcready.shutdown(1.0)

    assert logging.getLogger().handlers == before
    assert (sys.excepthook, logging.getLogger().level) == hooks
    assert current() is None
    assert svcready.init(service="orders") is not first


def test_a_dropped_application_is_not_kept_alive() -> None:
    """The runtime holds no application that nobody else holds (a test's factory)."""
    import weakref

    app = FastAPI()
    reference = weakref.ref(app)
    svcready.init(service="orders", app=app)

    del app
    gc.collect()

    assert reference() is None


def test_strict_mode_judges_names_when_the_service_is_ready(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A variable for a check that nobody declares is an error once that is certain."""
    monkeypatch.setenv("SVCREADY_CORE_STRICT", "true")
    monkeypatch.setenv("SVCREADY_CHECK__DATABSE__TIMEOUT_S", "1")

    with pytest.raises(ConfigurationError, match="DATABSE"):
        svcready.init(service="orders", app=FastAPI()).ready()


def test_an_unmatched_name_is_reported_when_the_service_is_ready(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Without strict mode the same is one of the problems, and counted."""
    monkeypatch.setenv("SVCREADY_CHECK__DATABSE__TIMEOUT_S", "1")

    runtime = svcready.init(service="orders", app=FastAPI())
    assert runtime.problems() == ()
    runtime.ready()

    (problem,) = runtime.problems()
    assert "SVCREADY_CHECK__DATABSE__TIMEOUT_S" in problem


def test_a_process_that_never_serves_says_nothing_of_itself(
    capfd: pytest.CaptureFixture[str],
) -> None:
    """A command that only loads the service writes no line when it ends."""
    app = FastAPI()
    svcready.init(service="orders", app=app)
    svcready.shutdown(1.0)

    assert capfd.readouterr().out == ""


def test_what_everybody_can_scrape_holds_no_secret() -> None:
    """A resource attribute with a secret's name is hidden on the public page."""
    environ = {"OTEL_RESOURCE_ATTRIBUTES": "deploy.token=s3cr3tvalue,team=a"}
    with running(environ=environ) as harness:
        metrics = harness.runtime.metrics
        assert metrics is not None
        page = metrics.prometheus.render(None, None).body.decode()
        resource = repr(harness.runtime.tracing._resource().attributes)
        inputs = repr(harness.runtime.settings.inputs)

    assert 'team="a"' in page
    assert "s3cr3tvalue" not in page + resource + inputs


@pytest.mark.parametrize(
    "odd",
    [
        "sys.stdout.close()",
        "sys.stdout = type('Log', (), {'flush': lambda self: None})()",
        "sys.argv = []",
    ],
)
def test_an_odd_process_starts_all_the_same(odd: str) -> None:
    """Daemons close standard output, and embedded interpreters have no arguments."""
    run_clean(f"import sys; {odd}; import svcready; svcready.init(service='orders')")


def test_the_deep_report_shows_what_is_wrong() -> None:
    """Who looks at the service's health finds each wrong variable there."""
    with running(environ={"SVCREADY_LOG_LEVEL": "LOUD"}) as harness:
        harness.runtime.ready()
        health = harness.runtime.health
        assert health is not None
        report = health.report()

    assert report["status"] == "warn"
    assert "SVCREADY_LOG_LEVEL='LOUD'" in str(report["info"])


def test_only_a_server_without_lifespan_is_flushed_after_each_request(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Where the server says when it stops, no request waits for a sink before."""
    for lifespan, flushed in ((False, 1), (True, 0)):
        with running() as harness:
            runtime = harness.runtime
            waits: list[float] = []
            if lifespan:
                runtime.starting()

            runtime.begun(None)
            runtime.drain.announce("SIGTERM", 0.0)
            assert not runtime.drain.holds()
            runtime.begun(None)  # a connection that was kept alive
            with monkeypatch.context() as patch:
                patch.setattr(runtime, "flush", waits.append)
                runtime.ended()

            assert len(waits) == flushed


@pytest.mark.parametrize("timeout", [0.25, "250ms", timedelta(milliseconds=250)])
def test_shutdown_takes_any_duration(timeout: float | str | timedelta) -> None:
    """Seconds, a text with a unit, or a timedelta; nothing else."""
    svcready.init(service="orders")

    svcready.shutdown(timeout)

    assert current() is None
    with pytest.raises(DeclarationError, match="soon"):
        svcready.shutdown("soon")


def test_strict_mode_lets_settings_without_effect_pass(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """What a later version heeds is reported, and is no reason to refuse a start."""
    monkeypatch.setenv("SVCREADY_CORE_STRICT", "true")
    monkeypatch.setenv("SVCREADY_LIMIT__DEFAULT__BURST", "3")
    inert = KINDS["LIMIT"]._replace(inert=True)
    monkeypatch.setitem(KINDS, "LIMIT", inert)

    runtime = svcready.init(service="orders", app=FastAPI())
    runtime.ready()

    (problem,) = runtime.problems()
    assert "SVCREADY_LIMIT__DEFAULT__BURST" in problem
