"""Policies: all that guards the calls to one dependency, under one name."""

from __future__ import annotations

import asyncio
import inspect
from typing import TYPE_CHECKING, Any

import pytest

import svcready
from svcready.errors import CircuitOpen, DeclarationError
from svcready.resilience import (
    circuit_breaker,
    get_breaker,
    get_policy,
    get_retry,
    policy,
    retry,
)
from svcready.resilience._composing._policy_parts import ARGUMENTS
from svcready.testing import FakeClock
from tests.resilience.peers import Dependency, run_on

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Generator

    from tests.conftest import Faults


def test_parts_are_the_policys_own() -> None:
    """Parts without a name take the policy's, and are found by it."""
    payments = policy("payments", retry=retry(on=OSError, attempts=5), breaker=True)
    assert payments.name == "payments"
    assert get_retry("payments").retrier.config.attempts == 5
    assert get_breaker("payments").state == "closed"
    assert get_policy("payments").name == "payments"


def test_every_attempt_meets_the_breaker() -> None:
    """The retry is outside the breaker, so attempts count and an open one ends them."""
    bank = Dependency(OSError(), OSError(), OSError())
    payments = policy(
        "payments",
        retry=retry(on=OSError, wait_base=0.001, wait_max=0.001),
        breaker=circuit_breaker(consecutive_failures=2),
    )

    @payments
    def pay(order: int) -> object:
        return bank(order)

    with pytest.raises(CircuitOpen):
        pay(1)

    assert bank.calls == 2


def test_a_part_of_another_name_is_refused() -> None:
    """A part that has a name of its own can't be hidden in another's policy."""
    with pytest.raises(DeclarationError, match="'bank'"):
        policy("payments", breaker=circuit_breaker("bank"))


@pytest.mark.parametrize("argument", ARGUMENTS)
def test_what_no_part_can_be_made_of_is_refused(argument: str) -> None:
    """Every argument says no to what means nothing for it."""
    with pytest.raises(DeclarationError):
        policy("payments", **{argument: object()})  # type: ignore[arg-type]


def test_a_part_in_the_wrong_place_is_refused() -> None:
    """A retry given as breaker is a mistake, not a second retry."""
    with pytest.raises(DeclarationError, match="breaker="):
        policy("payments", breaker=retry(on=OSError))


def test_a_second_meaning_is_refused() -> None:
    """A name means one policy; the message shows both places."""
    policy("payments", breaker=True)
    policy("payments", breaker=True)
    with pytest.raises(DeclarationError, match=r"test_policy\.py.*test_policy\.py"):
        policy("payments", retry=OSError)


def test_it_is_looked_up_by_name_before_it_is_declared() -> None:
    """The order of imports doesn't matter: parts are taken at the first call."""
    bank = Dependency(OSError())

    @policy("payments")
    def pay(order: int) -> object:
        return bank(order)

    policy("payments", retry=retry(on=OSError, wait_base=0.001, wait_max=0.001))
    assert pay(1) == "answer"
    assert bank.calls == 2


def test_a_policy_that_nobody_declared_guards_nothing_in_silence() -> None:
    """Using a name that nothing declares is an error at the call, not no policy."""

    @policy("payments")
    def pay() -> None: ...

    with pytest.raises(DeclarationError, match="payments"):
        pay()

    with pytest.raises(DeclarationError, match="payments"):
        policy("payments").call(pay)

    with pytest.raises(KeyError):
        get_policy("payments")


def test_late_functions_stay_what_they_are() -> None:
    """Frameworks tell coroutines and generators from functions; so do we, early."""
    late = policy("payments")

    @late
    async def pay(order: int) -> int:
        return order

    @late
    def items() -> Generator[int, int, str]:
        got = yield 1
        yield got
        return "done"

    @late
    async def feed() -> AsyncGenerator[int, int]:
        got = yield 1
        yield got

    class Service:
        @late
        @staticmethod
        def below() -> int:
            return 4

    policy("payments", breaker=True)
    assert inspect.iscoroutinefunction(pay)
    assert inspect.isgeneratorfunction(items)
    assert inspect.isasyncgenfunction(feed)
    assert asyncio.run(pay(3)) == 3
    assert Service.below() == 4

    stream = items()
    assert [next(stream), stream.send(5)] == [1, 5]
    with pytest.raises(StopIteration) as stopped:
        next(stream)

    assert stopped.value.value == "done"

    async def both() -> list[int]:
        source = feed()
        return [await anext(source), await source.asend(6)]

    assert asyncio.run(both()) == [1, 6]


def test_it_guards_blocks() -> None:
    """A block passes what admits calls, sync and async, from one shared object."""
    payments = policy("payments", breaker=circuit_breaker(consecutive_failures=1))

    async def fail() -> None:
        async with payments:
            raise OSError

    with pytest.raises(ConnectionError), payments:
        raise ConnectionError

    with pytest.raises(CircuitOpen), payments:
        pytest.fail("an open breaker admits no block")

    with pytest.raises(CircuitOpen):
        asyncio.run(fail())


@pytest.mark.parametrize("spelt", ["with", "async with", "guard"])
def test_what_a_block_goes_without_is_told(faults: Faults, spelt: str) -> None:
    """Retry and fallback do nothing for a block: once a policy, and it is guarded."""
    payments = policy("payments", retry=OSError, fallback=lambda: 0, breaker=True)

    async def main() -> None:
        async with payments:
            pass

    for _ in range(2):
        if spelt == "async with":
            asyncio.run(main())
        else:
            with payments if spelt == "with" else payments.guard():
                pass

    told = str(faults.claim("resilience.policy"))
    assert "'payments'" in told
    assert "fallback and retry" in told
    assert payments.call(int, "7") == 7


@pytest.mark.parametrize(
    "part", [{"retry": OSError}, {"hedge": 0.1}, {"fallback": lambda: 0}]
)
def test_a_block_that_nothing_guards_is_an_error(part: dict[str, Any]) -> None:
    """A policy of parts that only calls can have refuses blocks when they begin."""
    payments = policy("payments", **part)
    with pytest.raises(DeclarationError, match=r"'payments'.*call"), payments:
        pytest.fail("nothing would have guarded this")


def test_it_makes_single_calls() -> None:
    """`call` is the policy without a decorator, for plain and coroutine functions."""
    payments = policy("payments", breaker=True)

    async def pay(order: int) -> int:
        return order

    assert payments.call(int, "7") == 7
    assert asyncio.run(payments.call(pay, 8)) == 8


def test_retry_and_hedge_exclude_each_other() -> None:
    """A hedge makes further attempts itself; both together would multiply them."""
    with pytest.raises(DeclarationError, match="hedge"):
        svcready.policy("payments", retry=OSError, hedge=0.1)


def test_blocks_left_out_of_order_keep_their_guards() -> None:
    """Two generators take turns; the first that ends takes nothing away."""
    first = svcready.bulkhead("first", max_concurrent=1)
    second = svcready.bulkhead("second", max_concurrent=1)

    def rows(room: svcready.resilience.Bulkhead) -> Generator[int, None, None]:
        with room:
            yield 1

    one, other = rows(first), rows(second)
    assert [next(one), next(other)] == [1, 1]
    one.close()
    assert (first.level.in_use, second.level.in_use) == (0, 1)
    other.close()
    assert second.level.in_use == 0


def test_refused_calls_pay_for_no_retries(clock: FakeClock) -> None:
    """A dependency that saw nothing of them owes them nothing."""
    payments = policy("payments", retry=OSError, breaker=True)
    run_on(clock)
    get_breaker("payments").force_open()
    for _ in range(1000):
        with pytest.raises(CircuitOpen):
            payments.call(int, "7")

    assert get_retry("payments").retrier.budget.balance() == 10.0


def test_a_refused_declaration_leaves_nothing_behind() -> None:
    """What contradicts itself can be put right under the same name."""
    with pytest.raises(DeclarationError, match="deadline"):
        policy("payments", timeout=10, deadline=5)

    payments = policy("payments", timeout=2, deadline=5)
    assert payments.call(int, "7") == 7


@pytest.mark.parametrize(
    ("argument", "value"), [("timeout", "abc"), ("retry", 3), ("deadline", True)]
)
def test_a_wrong_short_spelling_is_named_as_it_was_given(
    argument: str, value: object
) -> None:
    """The message has the policy, its argument and the value."""
    with pytest.raises(DeclarationError, match=rf"'payments'.*{argument}={value!r}"):
        policy("payments", **{argument: value})  # type: ignore[arg-type]
