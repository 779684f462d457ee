"""What the caller's deadline cuts short says nothing of the dependency."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator
from typing import TypeAlias

import httpx
import pytest
import requests
import urllib3

import svcready
from svcready.errors import AttemptTimeout
from svcready.resilience import http
from svcready.resilience._timing import _deadline
from svcready.testing import FakeClock
from tests.resilience.http_peer import Peer, peer
from tests.resilience.peers import breaker_of, run_on

Declare: TypeAlias = Callable[[], Callable[..., Callable[..., object]]]

LATE = [
    TimeoutError("late"),
    httpx.ReadTimeout("late"),
    requests.ReadTimeout("late"),
    requests.ConnectionError(urllib3.exceptions.ReadTimeoutError(None, "/", "late")),  # type: ignore[arg-type]
]


@pytest.fixture(scope="module")
def server() -> Iterator[Peer]:
    """A server that answers `/hang` when the tests are done."""
    with peer() as running:
        yield running
        running.go_on.set()


def outcomes() -> dict[str, int]:
    """Return what the breaker has counted, zeros left out."""
    return {key: n for key, n in breaker_of("payments").counts().items() if n}


def bare() -> svcready.resilience.CircuitBreaker:
    """Return a breaker alone."""
    return svcready.circuit_breaker(
        "payments", success=http.answered, inconclusive=http.local
    )


def with_time() -> svcready.resilience.Policy:
    """Return a breaker around a time-out, neither in a policy's short way."""
    return svcready.policy("payments", timeout=5, breaker=bare())


def whole() -> svcready.resilience.Policy:
    """Return a policy whose calls have a short way."""
    return svcready.policy(
        "payments",
        timeout=5,
        deadline=8,
        breaker=bare(),
        retry=http.transient,
        bulkhead=3,
    )


every_way = pytest.mark.parametrize("declared", [bare, with_time, whole])


@every_way
@pytest.mark.parametrize("tasks", [False, True], ids=["plain", "coroutine"])
@pytest.mark.parametrize("error", LATE, ids=lambda error: type(error).__module__)
def test_a_deadline_that_came_in_is_not_the_dependencys_doing(
    declared: Declare,
    error: Exception,
    *,
    tasks: bool,
    clock: FakeClock,
) -> None:
    """A client's time-out at the end of the time left is ignored, as a task's is."""

    def call() -> None:
        clock.advance(svcready.remaining())
        raise error

    async def call_async() -> None:
        call()

    guarded = declared()(call_async if tasks else call)
    run_on(clock)
    token = _deadline.put(clock.monotonic() + 1.0)
    with pytest.raises(type(error)):
        asyncio.run(guarded()) if tasks else guarded()  # type: ignore[arg-type]

    _deadline.lift(token)
    assert outcomes() == {"ignored": 1}


@every_way
def test_what_ends_before_the_deadline_is_judged(
    declared: Declare, clock: FakeClock
) -> None:
    """A time-out that is the client's own counts, and so does what is none."""
    errors: list[tuple[float, Exception]] = [
        (0.9, httpx.ReadTimeout("its own")),
        (1.0, httpx.ConnectError("refused")),
        (1.0, AttemptTimeout("an inner policy's own time was over")),
    ]

    def call(after_s: float, error: Exception) -> None:
        clock.advance(after_s)
        raise error

    guarded = declared()(call)
    run_on(clock)
    for after_s, error in errors:
        token = _deadline.put(clock.monotonic() + 1.0)
        with pytest.raises(type(error)):
            guarded(after_s, error)

        _deadline.lift(token)

    assert outcomes() == {"failure": 3}


@pytest.mark.parametrize("declared", [with_time, whole])
def test_an_attempt_beyond_its_own_time_has_failed(
    declared: Declare, clock: FakeClock
) -> None:
    """Ten seconds are too long for an attempt of five, whoever had six left."""

    def call() -> None:
        clock.advance(10.0)
        raise httpx.ReadTimeout("the client's own ten seconds")

    guarded = declared()(call)
    run_on(clock)
    token = _deadline.put(clock.monotonic() + 6.0)
    with pytest.raises(httpx.ReadTimeout):
        guarded()

    _deadline.lift(token)
    assert outcomes() == {"failure": 1}


def test_the_last_attempt_gets_what_is_left(clock: FakeClock) -> None:
    """The second attempt has three of its five seconds: only the first one counts."""
    payments = whole()
    run_on(clock)
    breaker = breaker_of("payments")

    @payments
    def call() -> None:
        clock.advance(svcready.remaining())
        raise httpx.ReadTimeout("late", request=httpx.Request("GET", "http://payments"))

    with pytest.raises(httpx.ReadTimeout):
        call()

    assert outcomes() == {"failure": 1, "ignored": 1}
    assert breaker.last_failure == "ReadTimeout"


def test_what_is_cut_short_can_be_slow(clock: FakeClock) -> None:
    """A dependency that hangs behind short deadlines is seen where slow is told."""
    guarded = svcready.circuit_breaker("payments", slow_after=0.5)
    run_on(clock)

    @guarded
    def call() -> None:
        clock.advance(svcready.remaining())
        raise TimeoutError

    for left_s in (0.4, 0.6):
        token = _deadline.put(clock.monotonic() + left_s)
        with pytest.raises(TimeoutError):
            call()

        _deadline.lift(token)

    assert outcomes() == {"ignored": 1, "slow": 1}


@every_way
def test_a_server_that_needs_longer_than_its_caller_has_is_healthy(
    declared: Declare, server: Peer
) -> None:
    """Twenty callers in a hurry don't close a real server to the others."""
    with httpx.Client(trust_env=False) as client:

        def call() -> None:
            client.get(f"{server.url}/hang", timeout=svcready.remaining())

        guarded = declared()(call)
        for _ in range(20):
            token = _deadline.put(time.monotonic() + 0.03)
            with pytest.raises(httpx.TimeoutException):
                guarded()

            _deadline.lift(token)

    assert breaker_of("payments").state == "closed"
    assert outcomes() == {"ignored": 20}
