"""Numbers that contradict each other, and retries inside retries."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from svcready.errors import DeclarationError
from svcready.resilience import (
    RetryNested,
    circuit_breaker,
    deadline,
    get_breaker,
    get_deadline,
    get_timeout,
    policy,
    retry,
    timeout,
)
from svcready.resilience._composing._presets import PRESETS
from svcready.resilience._pillar import ResiliencePillar, apply
from svcready.resilience._retrying import _nested
from svcready.testing import FakeClock, running
from tests.resilience.peers import Dependency, breaker_of, run_on


def pillar(clock: FakeClock, values: dict[str, object]) -> ResiliencePillar:
    """Return a pillar whose operator says *values* of every policy."""
    return ResiliencePillar(
        enabled=True,
        clock=clock,
        policy_values=lambda _: values,
        named=lambda name, field: f"{name}.{field}",
    )


def test_an_attempt_must_fit_into_the_call() -> None:
    """A time-out above the deadline would never be reached: the code is wrong."""
    with pytest.raises(DeclarationError, match=r"attempt may take 6 s.*call.*5 s"):
        policy("payments", timeout=6, deadline=5)

    with pytest.raises(DeclarationError, match=r"6 s.*5 s"):
        policy("orders", timeout=6, retry=retry(on=OSError, deadline=5))

    policy("stock", timeout=5, deadline=5)


@pytest.mark.parametrize(
    ("parts", "said"),
    [
        ({"deadline": 5}, r"10 s, the preset's timeout, but .*, its deadline, 5 s$"),
        ({"timeout": 40}, r"take 40 s, but .*, its deadline, 30 s, the preset's$"),
        ({"timeout": 6, "retry": retry(on=OSError, deadline=5)}, "deadline, 5 s$"),
        ({"deadline": 60, "timeout": 16}, "may take, 16 s$"),
    ],
)
def test_what_the_preset_says_is_called_so(parts: dict[str, Any], said: str) -> None:
    """Nobody looks in the code for a number that it doesn't hold."""
    with pytest.raises(DeclarationError, match=said):
        policy("payments", preset="http", **parts)


def test_a_window_must_hold_two_attempts() -> None:
    """A breaker that forgets while an attempt runs never sees a failure rate."""
    with pytest.raises(DeclarationError, match=r"window of 30 s .* 16 s"):
        policy("payments", timeout=16, breaker=True)

    policy("orders", timeout=15, breaker=True)


def test_stacked_decorators_are_looked_at_too() -> None:
    """Layers that fuse under one name are one policy."""
    with pytest.raises(DeclarationError, match=r"6 s.*5 s"):

        @timeout("payments", 6)
        @deadline("payments", 5)
        def pay() -> None: ...


def test_a_breaker_named_only_is_judged_when_it_is_declared() -> None:
    """Its window may yet come from another module."""

    @timeout("payments", 20)
    @circuit_breaker("payments")
    def pay() -> None: ...

    circuit_breaker("payments", window=60)
    policy("payments", timeout=timeout(after=20), breaker=circuit_breaker("payments"))


def test_an_operators_contradiction_is_reported(clock: FakeClock) -> None:
    """In the operator's words; the code's numbers stay in force, the rest is taken."""
    policy("payments", timeout=2, deadline=5, retry=OSError, breaker=True)
    values: dict[str, object] = {"timeout_s": 6, "breaker_probes": 7}
    made = pillar(clock, values)
    made.start()
    assert made.untuned() == (
        (
            "policy payments: an attempt may take 6 s, but the whole call, its "
            "deadline, 5 s: payments.timeout_s is left as declared"
        ),
    )
    assert get_timeout("payments").core.config.bound_s == 2
    assert get_breaker("payments").breaker.config.probes == 7
    made.reload()
    assert len(made.untuned()) == 1
    values["timeout_s"] = 4
    made.reload()
    assert get_timeout("payments").core.config.bound_s == 4
    assert made.untuned() == ()
    made.close()


@pytest.mark.parametrize(
    ("parts", "variable", "whose"),
    [
        ({"retry": OSError}, "RETRY_BASE_S", "the default retry_max_s=5"),
        (
            {"retry": retry(on=OSError, wait_max=9)},
            "RETRY_BASE_S",
            "the code's retry_max_s=9",
        ),
        ({"breaker": True}, "BREAKER_OPEN_S", "the default breaker_open_max_s=120"),
    ],
)
def test_a_number_of_nobodys_is_called_the_default(
    parts: dict[str, Any], variable: str, whose: str
) -> None:
    """Only what the code gives is the code's."""
    name = f"SVCREADY_POLICY__PAYMENTS__{variable}"
    with running(environ={name: "200"}) as harness:
        policy("payments", **parts)
        harness.runtime.ready()
        (problem,) = harness.runtime.problems()

    assert f"{name}=200 is above {whose}: both are left as declared" in problem


def test_what_is_declared_later_is_looked_at_as_well(clock: FakeClock) -> None:
    """A part that joins makes values contradictory that were none: all go back."""
    made = pillar(clock, {"timeout_s": 6, "deadline_s": 5})
    timeout("payments", 2)
    made.start()
    assert get_timeout("payments").core.config.bound_s == 6
    deadline("payments", 10)
    (problem,) = made.untuned()
    assert problem.endswith(
        "5 s: payments.deadline_s and payments.timeout_s are left as declared"
    )
    assert get_timeout("payments").core.config.bound_s == 2
    assert get_deadline("payments").core.config.bound_s == 10
    made.close()


def test_what_is_switched_off_contradicts_nothing() -> None:
    """A deadline that takes no part bounds no attempt."""
    policy("payments", timeout=2, deadline=5)
    assert apply("payments", {"timeout_s": 6, "deadline_mode": "off"}) == ()
    assert len(apply("payments", {"timeout_s": 6})) == 1
    assert apply("payments", {"timeout_s": 0}) == ()


def test_parts_that_never_met_are_reported(clock: FakeClock) -> None:
    """The code's own contradiction that no declaration saw is told at the start."""
    timeout("payments", 20)
    circuit_breaker("payments")
    made = pillar(clock, {})
    made.start()
    (problem,) = made.untuned()
    assert "20 s" in problem


def test_declared_nesting_is_told_once(clock: FakeClock, told: list[object]) -> None:
    """Retries around retries of another name are found when they are declared."""

    @timeout("between", 5)
    @retry("stock", on=OSError)
    def reserve() -> None: ...

    for _ in range(2):
        retry("orders", on=OSError)(reserve)

    retry("stock", on=OSError)(reserve)
    retry("meant", on=OSError, nested=True)(reserve)
    assert told == []
    made = pillar(clock, {})
    made.start()
    made.begin_telling()
    made.begin_telling()
    assert told == [RetryNested("orders", "stock")]
    retry("page", on=OSError)(reserve)
    assert told[1:] == [RetryNested("page", "stock")]
    made.close()


def test_nesting_is_found_at_run_time(clock: FakeClock, told: list[object]) -> None:
    """An inner retry that gave up is seen by the outer, in what it caused as well."""
    pillar(clock, {}).start()
    inner = retry("stock", on=OSError)
    outer = retry("orders", on=(OSError, LookupError))
    _nested.begin_telling()

    def wrapped() -> None:
        try:
            inner.call(Dependency(*[OSError() for _ in range(9)]))
        except OSError as error:
            raise LookupError from error

    for _ in range(2):
        with pytest.raises(LookupError):
            outer.call(wrapped)

    assert [event for event in told if isinstance(event, RetryNested)] == [
        RetryNested("orders", "stock")
    ]
    _nested.begin_telling(on=False)


def test_errors_of_neighbours_are_no_nesting(told: list[object]) -> None:
    """A retry that runs while another's error is handled is not around it."""
    _nested.begin_telling()
    first, second = retry("first", on=OSError), retry("second", on=OSError)

    def call() -> None:
        try:
            first.call(Dependency(*[OSError() for _ in range(9)]))
        except OSError:
            second.call(Dependency(*[ConnectionError() for _ in range(9)]))

    with pytest.raises(ConnectionError):
        call()

    assert not [event for event in told if isinstance(event, RetryNested)]
    _nested.begin_telling(on=False)


def test_pairs_are_bounded(told: list[object]) -> None:
    """Names made at run time fill no memory."""
    _nested.begin_telling()
    for number in range(1000):
        _nested.found("outer", f"inner-{number}")

    assert len(told) == 256
    _nested.begin_telling(on=False)


BLIND = [
    ({"deadline": 5, "breaker": True}, True),
    ({"retry": retry(on=OSError, deadline=5), "breaker": True}, True),
    ({"deadline": 5, "breaker": circuit_breaker(slow_after=6)}, True),
    ({"deadline": 5, "timeout": 2, "breaker": True}, False),
    ({"deadline": 5, "breaker": circuit_breaker(slow_after=4)}, False),
    ({"deadline": 5}, False),
    ({"timeout": 5, "breaker": True}, False),
]


@pytest.mark.parametrize(("given", "is_blind"), BLIND, ids=str)
def test_a_breaker_that_sees_no_call_that_hangs_is_told(
    given: dict[str, Any], *, is_blind: bool, clock: FakeClock
) -> None:
    """Where the deadline ends every call that hangs, one line says so, and when."""
    payments = policy("payments", **given)
    on = pillar(clock, {})
    on.start()
    told = on.notices()
    on.close()
    assert len(told) == is_blind
    assert all("deadline of 5 s cuts off a call that hangs" in line for line in told)

    if not given.get("breaker"):
        return

    run_on(clock)

    async def hang() -> None:
        await asyncio.sleep(99)

    with pytest.raises(TimeoutError):
        clock.run(payments.call(hang))

    counts = breaker_of("payments").counts()
    assert (not counts.get("failure", 0) + counts.get("slow", 0)) is is_blind


def test_modes_have_a_part_in_it(clock: FakeClock) -> None:
    """A time-out that is off bounds nothing; a breaker that is off counts nothing."""
    policy("payments", deadline=5, timeout=2, breaker=True)
    cases: list[tuple[dict[str, object], int]] = [
        ({}, 0),
        ({"timeout_s": 5}, 1),
        ({"timeout_mode": "off"}, 1),
        ({"timeout_mode": "observe"}, 1),
        ({"timeout_mode": "off", "deadline_mode": "observe"}, 0),
        ({"timeout_mode": "off", "breaker_mode": "off"}, 0),
    ]
    for values, lines in cases:
        on = pillar(clock, values)
        on.start()
        assert len(on.notices()) == lines, values
        on.close()


@pytest.mark.parametrize("preset", PRESETS)
def test_no_preset_is_blind(preset: str, clock: FakeClock) -> None:
    """What we choose for a dependency sees it hang."""
    policy("payments", preset=preset)
    on = pillar(clock, {})
    assert on.notices() == ()
