"""A shared store that is lost or back is a line and a family."""

from __future__ import annotations

import pytest

import svcready
from svcready._core.events import publish
from svcready._runtime import current
from svcready.resilience._events import StoreBack, StoreLost
from svcready.resilience._gcra import Rate
from svcready.resilience._sharing._rate_store import SharedRates
from svcready.resilience._store import MemoryStore, Want
from svcready.testing import running
from tests.servers.harness import eventually, free_port
from tests.servers.redis_server import redis_server

WANTS = [Want("k", Rate(1.0, 10))]


def settings_of(port: int) -> dict[str, object]:
    """Return what switches sharing on."""
    return {
        "resilience.redis_url": f"redis://:hunter2@127.0.0.1:{port}",
        "resilience.share_breakers": True,
        "http.rate_limit_store": "redis",
    }


def test_a_lost_store_is_a_line_once_and_a_number() -> None:
    """Nobody listens: one WARN line, a gauge of 0, failures and decisions counted."""
    with running(service="orders", settings=settings_of(free_port())) as harness:
        runtime = current()
        assert runtime is not None
        assert runtime.resilience is not None
        store = runtime.resilience.rate_store()
        assert store is runtime.resilience.rate_store()
        for _ in range(3):
            assert store.take(WANTS).allowed

        (line,) = harness.logged(
            "Redis does not answer (connection): rate limits follow "
            "SVCREADY_HTTP_RATE_LIMIT_ON_STORE_FAILURE"
        )
        up = harness.sample("svcready_resilience_store_up", store="rate_limits")
        failures = harness.sample(
            "svcready_resilience_store_failures_total",
            store="rate_limits",
            reason="connection",
        )
        bypassed = harness.sample(
            "svcready_resilience_store_bypassed_total",
            store="rate_limits",
            mode="local",
        )

    assert line["level"] == "WARN"
    assert "hunter2" not in str(line)
    assert up == 0
    assert failures
    assert bypassed == 3


def test_a_store_that_is_back_is_told() -> None:
    """The line says for how long it was lost."""
    with running() as harness:
        publish(StoreLost("breakers", "timeout"))
        publish(StoreBack("breakers", 12.3456))
        (lost,) = harness.logged(
            "Redis does not answer (timeout): circuit breakers of this process hear of "
            "no others"
        )
        (back,) = harness.logged("Redis answers again after 12.3 s")

    assert (lost["level"], back["level"]) == ("WARN", "INFO")


def test_what_breakers_tell_is_counted() -> None:
    """An opening that was told to others is in the metrics."""
    breaker = svcready.circuit_breaker("shared-told", consecutive_failures=1)
    with redis_server(password="hunter2") as server:
        settings = settings_of(server.port)
        with running(service="orders", settings=settings) as harness:
            runtime = current()
            assert runtime is not None
            assert runtime.resilience is not None
            runtime.resilience.wake()
            with pytest.raises(ZeroDivisionError):
                breaker.call(divmod, 1, 0)

            told = harness.sample("svcready_resilience_gossip_total", outcome="told")
            up = harness.sample("svcready_resilience_store_up", store="breakers")
            store = runtime.resilience.rate_store()
            assert isinstance(store, SharedRates)
            store.wake()
            eventually(lambda: store.take(WANTS) and not store.without(), "Redis")

    assert told == 1
    assert up == 1


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"http.rate_limit_store": "redis"},
        {"resilience.redis_url": "redis://127.0.0.1:9"},
    ],
)
def test_nothing_is_shared_unless_all_is_said(settings: dict[str, object]) -> None:
    """Without the store's name or its URL everything stays in the process."""
    with running(service="orders", settings=settings) as harness:
        runtime = current()
        assert runtime is not None
        resilience = runtime.resilience
        assert resilience is not None
        resilience.wake()
        assert isinstance(resilience.rate_store(), MemoryStore)
        assert (resilience.gossip, resilience.stores()) == (None, [])
        assert harness.sample("svcready_resilience_store_up") is None
