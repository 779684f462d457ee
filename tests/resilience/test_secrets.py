"""What an application's own functions raise is never told with what they were given."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

import svcready
from svcready._core import guard
from svcready.errors import RateLimited
from svcready.resilience._limiting._limit_keys import keep
from svcready.resilience._limiting._resolvers import RESOLVERS, resolve
from svcready.testing import FakeClock, running
from tests.resilience.peers import run_on

SECRET = "hunter2-4111111111111111"


def leak(*args: object, **_: object) -> Any:
    """Fail as a careless function does: with all that it was called with."""
    raise LookupError(f"nothing for {args}")


class Card:
    """An object of the application's, which can't be told as text."""

    def __str__(self) -> str:
        raise LookupError(SECRET)


def pay(card: str) -> None:
    """Fail with the arguments in the error, as clients do."""
    raise ConnectionError(f"could not charge {card}")


def stale_key() -> None:
    """Ask for the key of an answer that is to be kept."""
    guarded = svcready.fallback("secret", stale=svcready.stale("5m", key=leak))
    guarded.call(lambda card: card, SECRET)


def fallback_on() -> None:
    """Ask whether a fallback answers."""
    call(svcready.fallback("secret", "later", on=leak))


def hedge_on() -> None:
    """Ask whether a failed attempt is made again at once."""
    hedged = svcready.hedge("secret", after=1, on=leak, threads=True)
    call(hedged)


def retry_on() -> None:
    """Ask whether an error is retried."""
    call(svcready.retry("secret", on=leak))


def retry_after() -> None:
    """Ask an error how long to wait."""
    call(
        svcready.retry(
            "secret", on=ConnectionError, attempts=2, wait_base=0.001, retry_after=leak
        )
    )


def breaker(argument: str) -> Callable[[], None]:
    """Return what asks a breaker what an error is."""
    given: dict[str, Any] = {argument: leak}
    return lambda: call(svcready.circuit_breaker("secret", **given))


def throttle_on() -> None:
    """Ask whether an error is an overload."""
    call(svcready.throttle("secret", on=leak))


def limit_key() -> None:
    """Ask a resolver who a request is of."""
    RESOLVERS.declare("secret", leak, lambda: leak)
    try:
        resolve("secret", SECRET)
    finally:
        RESOLVERS.remove("secret")


def limit_text() -> None:
    """Ask what a resolver told for its text."""
    keep({}, "secret", Card())


def call(guarded: Callable[..., Callable[..., object]]) -> None:
    """Call what fails."""
    run_on(FakeClock())
    with pytest.raises((ConnectionError, RateLimited)):
        guarded(pay)(SECRET)


@pytest.mark.parametrize(
    "provoke",
    [
        stale_key,
        fallback_on,
        hedge_on,
        retry_on,
        retry_after,
        breaker("ignore"),
        breaker("success"),
        breaker("inconclusive"),
        throttle_on,
        limit_key,
        limit_text,
    ],
)
def test_no_argument_gets_into_the_log(provoke: Callable[[], None]) -> None:
    """One line says what failed where, and nothing of what it was called with."""
    with running(settings={"log.level": "DEBUG", "log.allow_debug": True}) as harness:
        before = guard.set_reporter(guard.FaultLog())
        try:
            provoke()
        finally:
            guard.set_reporter(before)

        lines = [line for line in harness.lines if "own code failed" in str(line)]

    assert len(lines) == 1
    assert "LookupError in " in str(lines[0]["message"])
    assert "test_secrets.py:" in str(lines[0]["message"])
    assert not any("hunter2" in str(line) for line in harness.lines)
