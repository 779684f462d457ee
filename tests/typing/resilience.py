"""What type checkers must make of the policies; checked, never run."""

from __future__ import annotations

import functools
from collections.abc import AsyncGenerator, Coroutine, Generator
from datetime import timedelta
from typing import Any, assert_type

from svcready.resilience import (
    CircuitBreaker,
    Policy,
    circuit_breaker,
    deadline,
    fallback,
    get_breaker,
    get_fallback,
    get_hedge,
    get_retry,
    hedge,
    policy,
    remaining,
    retry,
    stale,
    timeout,
)


@retry("payments", on=ConnectionError)
@circuit_breaker("payments")
def charge(order: int, *, dry: bool = False) -> str:
    """Be a plain function."""
    return f"{order} {dry}"


assert_type(charge(1, dry=True), str)
charge("1")  # type: ignore[arg-type]
charge(1, wet=True)  # type: ignore[call-arg]


@circuit_breaker()
@retry(on=(ConnectionError, TimeoutError), deadline="2s", wait_max=timedelta(seconds=1))
async def refund(order: int) -> bytes:
    """Be a coroutine function."""
    return bytes(order)


_ = assert_type(refund(1), Coroutine[Any, Any, bytes])


@retry(on=lambda error: isinstance(error, OSError) and error.errno == 5)
def read() -> Generator[int, str, float]:
    """Be a generator function."""
    yield 1
    return 1.0


assert_type(read(), Generator[int, str, float])


@retry(on=OSError, retry_after=lambda error: 1.0 if error.args else None)
async def listen() -> AsyncGenerator[int, None]:
    """Be an async generator function."""
    yield 1


assert_type(listen(), AsyncGenerator[int, None])


class Service:
    """Has methods."""

    @retry("payments", on=ConnectionError)
    def charge(self, order: int) -> str:
        """Be a method."""
        return str(order)

    @staticmethod
    @circuit_breaker("payments")
    def refund(order: int) -> bytes:
        """Be a static method."""
        return bytes(order)


assert_type(Service().charge(1), str)
assert_type(Service.refund(1), bytes)

assert_type(get_retry("payments").call(charge, 1, dry=True), str)
assert_type(get_breaker("payments").call(charge, 1), str)
get_breaker("payments").call(charge, "1")  # type: ignore[arg-type]
retry("payments", on=OSError)(functools.partial(charge, 1))()

retry("payments")  # type: ignore[call-overload]
retry("payments", on=BaseException)  # type: ignore[arg-type]


async def guard() -> None:
    """Use the breaker as a context manager."""
    breaker = circuit_breaker("payments", slow_after="500ms", ignore=KeyError)
    with breaker as entered:
        assert_type(entered, CircuitBreaker)

    async with breaker, breaker.guard():
        pass


@timeout("payments", 2)
@deadline("payments", "5s")
async def capture(order: int) -> bytes:
    """Be bounded in time."""
    return bytes(order)


_capture = assert_type(capture(1), Coroutine[Any, Any, bytes])
assert_type(remaining(), float)
assert_type(timeout(after=2, threads=4).call(charge, 1), str)
timeout("payments")  # type: ignore[call-overload]
deadline()  # type: ignore[call-overload]


@hedge("quotes", "p95", on=ConnectionError, threads=4)
async def quote(symbol: str) -> float:
    """Be a coroutine function."""
    return float(len(symbol))


@fallback("rates", lambda currency, error: 1.0, stale=stale("5m", key=str))
def rate(currency: str) -> float:
    """Be a plain function."""
    return float(currency)


_quoted = assert_type(quote("ACME"), Coroutine[Any, Any, float])
assert_type(rate("EUR"), float)
assert_type(get_fallback("rates").call(rate, "EUR"), float)
_quoted = get_hedge("quotes").call(quote, "ACME")
rate(1)  # type: ignore[arg-type]
quote(1)  # type: ignore[arg-type,unused-coroutine]
hedge(after=timedelta(milliseconds=50))(rate)("EUR")
hedge("quotes")  # type: ignore[call-overload]
fallback("rates", stale=object())  # type: ignore[arg-type]
assert_type(policy("rates", fallback=stale("5m"), hedge="100ms"), Policy)
