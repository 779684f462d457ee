"""A shared store that is lost or back is a line and a family."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

import svcready
from svcready._core.events import publish
from svcready.resilience._admitting._gcra import Rate
from svcready.resilience._events import StoreBack, StoreLost
from svcready.resilience._limiting._store import MemoryStore, Want
from svcready.resilience._sharing._shared import Shared
from svcready.testing import Harness, running
from tests.servers.harness import free_port
from tests.servers.redis_server import redis_server

WANTS = [Want("k", Rate(1.0, 10))]


def settings_of(port: int) -> dict[str, object]:
    """Return what switches sharing on."""
    return {
        "resilience.redis_url": f"redis://:hunter2@127.0.0.1:{port}",
        "resilience.share_breakers": True,
        "http.rate_limit_store": "redis",
    }


def shared_by(harness: Harness) -> Shared:
    """Return what a runtime shares."""
    assert harness.runtime.resilience is not None
    assert harness.runtime.resilience.shared is not None
    return harness.runtime.resilience.shared


def test_a_lost_store_is_a_line_once_and_a_number() -> None:
    """Nobody listens: one WARN line, a gauge of 0, failures and decisions counted."""
    with running(service="orders", settings=settings_of(free_port())) as harness:
        store = shared_by(harness).rate_store()
        for _ in range(3):
            assert store.take(WANTS).allowed

        (line,) = harness.logged(
            "Redis does not answer (connection): rate limits follow "
            "SVCREADY_HTTP_RATE_LIMIT_ON_STORE_FAILURE=local"
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
            shared = shared_by(harness)
            shared.wake()
            with pytest.raises(ZeroDivisionError):
                breaker.call(divmod, 1, 0)

            told = harness.sample("svcready_resilience_gossip_total", outcome="told")
            up = harness.sample("svcready_resilience_store_up", store="breakers")

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
        shared = shared_by(harness)
        shared.wake()
        assert isinstance(shared.rate_store(), MemoryStore)
        assert shared.contacts() == []
        assert harness.sample("svcready_resilience_store_up") is None


@pytest.mark.parametrize("on_failure", ["local", "closed"])
def test_requests_are_limited_without_redis(on_failure: str) -> None:
    """An application's rule holds while Redis is lost, as the setting says."""
    settings = settings_of(free_port()) | {
        "http.rate_limits": "* 2/h by address",
        "http.rate_limit_on_store_failure": on_failure,
    }
    app = svcready.wrap(answering)
    with running(service="orders", settings=settings) as harness:
        statuses = [asyncio.run(asked(app)) for _ in range(3)]
        shared = shared_by(harness)
        assert shared.rates is not None
        assert shared.rates.without() == {on_failure: 3}

    assert statuses == {"local": [200, 200, 429], "closed": [503] * 3}[on_failure]


def test_the_servers_own_error_is_told_by_its_code() -> None:
    """It does answer, so the line says what; the rest of its text is nobody's."""
    with redis_server(password="hunter2") as server:
        settings = settings_of(server.port) | {
            "resilience.redis_url": f"redis://:wrong@127.0.0.1:{server.port}",
            "resilience.share_breakers": False,
            "http.rate_limit_on_store_failure": "closed",
            "resilience.redis_timeout_s": 5,
        }
        with running(service="orders", settings=settings) as harness:
            assert not shared_by(harness).rate_store().take(WANTS).allowed
            (line,) = harness.logged(
                "Redis answers WRONGPASS: rate limits follow "
                "SVCREADY_HTTP_RATE_LIMIT_ON_STORE_FAILURE=closed"
            )

    assert line["context"] == {
        "name": "rate_limits",
        "reason": "refused",
        "code": "WRONGPASS",
    }


@pytest.mark.parametrize(("on_failure", "status"), [("closed", 503), ("open", 200)])
def test_no_quota_is_claimed_that_nobody_knows(on_failure: str, status: int) -> None:
    """It is the service that can't: a 503 of its capacity, and no RateLimit fields."""
    settings = settings_of(free_port()) | {
        "http.rate_limits": "* 2/h by address",
        "http.rate_limit_on_store_failure": on_failure,
    }
    app = svcready.wrap(answering)
    with running(service="orders", settings=settings):
        start, body = asyncio.run(answers(app))[:2]

    names = {name.lower() for name, _ in start["headers"]}
    assert start["status"] == status
    assert not names & {b"ratelimit", b"ratelimit-policy"}
    if status == 503:
        assert b"retry-after" in names
        assert b"#temporary-reduced-capacity" in body["body"]
        assert b"quota" not in body["body"]


def test_requests_of_two_services_processes_are_one_limit() -> None:
    """What one process lets through, another refuses."""
    app = svcready.wrap(answering)
    statuses = []
    with redis_server(password="hunter2") as server:
        settings = settings_of(server.port) | {
            "http.rate_limits": "* 3/h by address",
            "resilience.redis_timeout_s": 5,
        }
        for _ in range(2):  # one runtime after the other, each without a memory
            with running(service="orders", settings=settings):
                statuses += [asyncio.run(asked(app)) for _ in range(2)]

    assert statuses == [200, 200, 200, 429]


async def answering(scope: object, receive: object, send: Any) -> None:
    """Answer every request."""
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"ok"})


async def asked(app: Any) -> int:
    """Send a request and return the answer's status."""
    return int((await answers(app))[0]["status"])


async def answers(app: Any) -> list[dict[str, Any]]:
    """Send a request and return what was sent back."""
    sent: list[dict[str, Any]] = []

    async def receive() -> dict[str, object]:
        return {"type": "http.request", "body": b""}

    async def send(message: dict[str, Any]) -> None:
        sent.append(message)

    scope = {
        "type": "http",
        "method": "GET",
        "path": "/orders",
        "headers": [],
        "client": ("192.0.2.1", 1),
    }
    await app(scope, receive, send)
    return sent
