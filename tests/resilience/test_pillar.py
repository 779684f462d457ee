"""The pillar: an operator's values, the runtime's clock, what it shows, fork."""

from __future__ import annotations

import contextlib
import json
import math
import os
import threading
from collections.abc import Mapping
from typing import Any, cast

import pytest

from svcready._core import fork
from svcready._core.clock import SYSTEM_CLOCK
from svcready.config._sections.resilience import POLICY_FIELDS
from svcready.errors import CircuitOpen
from svcready.resilience import (
    bulkhead,
    circuit_breaker,
    hedge,
    policy,
    retry,
    stale,
    timeout,
)
from svcready.resilience._admitting._gcra import Rate
from svcready.resilience._config import BreakerConfig, RetryConfig
from svcready.resilience._parts import LIMIT_KIND, cores, parts
from svcready.resilience._pillar import ResiliencePillar, apply
from svcready.resilience._pillar_model import CallCount, PolicyState
from svcready.testing import FakeClock
from tests.resilience.peers import Dependency, breaker_of, retrier_of, run_on


def pillar(
    clock: FakeClock,
    values: Mapping[str, Mapping[str, object]],
    *,
    enabled: bool = True,
) -> ResiliencePillar:
    """Return a pillar whose operator says *values*."""
    return ResiliencePillar(
        enabled=enabled,
        clock=clock,
        policy_values=lambda name: values.get(name, {}),
    )


def test_an_operator_overrides_code(clock: FakeClock) -> None:
    """Values hold for what was declared before and after the start."""
    values = {"payments": {"retry_attempts": "5", "breaker_open_s": "1m"}}
    made = pillar(clock, values)
    before = retry("payments", on=ConnectionError, attempts=2)
    made.start()
    after = circuit_breaker("payments", consecutive_failures=1)

    assert before.retrier.config.attempts == 5
    assert before.call(Dependency(*[ConnectionError() for _ in range(4)])) == "answer"
    assert len(clock.sleeps) == 4
    assert after.breaker.config.open_s == 60.0
    assert after.breaker.clock is clock


def test_closing_gives_code_its_numbers_back(clock: FakeClock) -> None:
    """After `close` the declared numbers and the system's clock are in force."""
    policy = retry("payments", on=ConnectionError)
    made = pillar(clock, {"payments": {"retry_attempts": 5}})
    made.start()
    made.close()
    assert policy.retrier.config == RetryConfig()
    assert policy.retrier.clock is SYSTEM_CLOCK


def test_values_change_without_losing_state(clock: FakeClock) -> None:
    """An open breaker stays open, a window keeps its failures, a budget its debts."""
    circuit_breaker("orders", consecutive_failures=1).force_open()
    policy = circuit_breaker("payments", min_calls=4)
    retry("payments", on=ConnectionError)
    pillar(clock, {}).start()
    for _ in range(3):
        with pytest.raises(ConnectionError):
            policy.call(Dependency(ConnectionError()))

    while retrier_of("payments").budget.withdraw(clock.monotonic()):
        pass

    assert apply("payments", {"breaker_window_s": 60, "retry_max_s": "9s"}) == ()
    assert apply("orders", {"breaker_open_s": 5}) == ()
    assert breaker_of("orders").state == "forced_open"
    assert not retrier_of("payments").budget.withdraw(clock.monotonic())
    with pytest.raises(ConnectionError):
        policy.call(Dependency(ConnectionError()))

    assert policy.state == "open"


def test_another_clock_shifts_what_is_under_way(clock: FakeClock) -> None:
    """Bound to another clock, open time, leases and debts last as long as before."""
    opened = circuit_breaker("opened", consecutive_failures=1)
    probing = circuit_breaker("probing", consecutive_failures=1)
    retry("opened", on=ConnectionError)
    run_on(clock)
    for breaker in (probing, opened):
        with pytest.raises(ConnectionError):
            breaker.call(Dependency(ConnectionError()))

        if breaker is probing:
            clock.advance(10.0)

    probe = probing.guard().__enter__()
    while retrier_of("opened").budget.withdraw(clock.monotonic()):
        pass

    later = FakeClock(start_s=5_000_000.25)
    run_on(later)
    for _ in range(10):  # which earns the reserve back, and not at once
        retrier_of("opened").budget.answered(later.monotonic())

    assert not retrier_of("opened").budget.withdraw(later.monotonic())
    later.advance(9.5)
    assert opened.state == "open"
    with pytest.raises(CircuitOpen) as refused:
        probing.call(Dependency())

    assert refused.value.reason == "half_open"
    later.advance(0.5)
    assert opened.state == "half_open"
    with pytest.raises(CircuitOpen) as refused:
        probing.call(Dependency())

    assert refused.value.reason == "open"
    assert retrier_of("opened").budget.withdraw(later.monotonic())
    del probe


def test_a_lowered_threshold_is_judged_at_the_next_outcome(clock: FakeClock) -> None:
    """A success opens it if the operator's new rate is already reached."""
    policy = circuit_breaker("payments", min_calls=4)
    pillar(clock, {}).start()
    call = policy(Dependency(ConnectionError()))
    with pytest.raises(ConnectionError):
        call()

    for _ in range(9):
        call()

    apply("payments", {"breaker_failure_rate": "5%"})
    call()
    assert policy.state == "open"


def test_a_value_left_out_falls_back(clock: FakeClock) -> None:
    """A file that no longer says a number leaves the code's."""
    policy = retry("payments", on=ConnectionError, attempts=2)
    apply("payments", {"retry_attempts": 7})
    apply("payments", {})
    assert policy.retrier.config.attempts == 2


def test_a_changed_file_takes_effect(clock: FakeClock) -> None:
    """`reload` asks for every policy's values again."""
    values: dict[str, dict[str, object]] = {}
    made = pillar(clock, values)
    policy = retry("payments", on=ConnectionError)
    made.start()
    values["payments"] = {"retry_attempts": 7}
    made.reload()
    assert policy.retrier.config.attempts == 7


def test_bad_values_are_reported_and_left_out(clock: FakeClock) -> None:
    """Each bad value is named with what is allowed; the good ones are in force."""
    retry("payments", on=ConnectionError)
    circuit_breaker("payments")
    values: dict[str, object] = {
        "retry_attempts": "many",
        "retry_base_s": "10s",
        "breaker_failure_rate": "0",
        "breaker_open_s": "5m",
        "breaker_min_calls": "7",
        "mode": "perhaps",
    }
    made = pillar(clock, {"payments": values})
    made.start()

    text = " | ".join(made.untuned())
    for name in values.keys() - {"breaker_min_calls"}:
        assert name in text

    assert retrier_of("payments").config == RetryConfig()
    assert breaker_of("payments").config == BreakerConfig(min_calls=7)


def test_every_field_is_somebodys() -> None:
    """Each field of the reference table changes a number, and each number has one."""
    policy(
        "payments",
        fallback=stale("5m"),
        deadline=5,
        retry=OSError,
        throttle=True,
        bulkhead=bulkhead(max_concurrent=2, max_queue=2, max_wait=2),
        breaker=True,
        rate_limit="2/s",
        timeout=timeout(after=2, threads=2),
    )
    changing: dict[str, tuple[str, object]] = {
        "mode": ("retry", "off"),
        "fallback_mode": ("fallback", "off"),
        "fallback_stale_max_age_s": ("fallback", 9),
        "fallback_stale_max_entries": ("fallback", 9),
        "budget_ratio": ("retry", 0.5),
        "budget_reserve_per_s": ("retry", 9),
        "retry_mode": ("retry", "off"),
        "retry_attempts": ("retry", 9),
        "retry_base_s": ("retry", 0.5),
        "retry_max_s": ("retry", 9),
        "deadline_s": ("retry", 9),
        "deadline_mode": ("deadline", "off"),
        "timeout_mode": ("timeout", "off"),
        "timeout_s": ("timeout", 3.0),
        "timeout_threads": ("timeout", 9),
        "breaker_mode": ("breaker", "off"),
        "breaker_failure_rate": ("breaker", 0.9),
        "breaker_min_calls": ("breaker", 9),
        "breaker_window_s": ("breaker", 9),
        "breaker_consecutive_failures": ("breaker", 9),
        "breaker_slow_after_s": ("breaker", 9),
        "breaker_slow_rate": ("breaker", 0.9),
        "breaker_open_s": ("breaker", 9),
        "breaker_open_max_s": ("breaker", 99),
        "breaker_probes": ("breaker", 9),
        "breaker_probe_lease_s": ("breaker", 99),
        "throttle_mode": ("throttle", "off"),
        "throttle_k": ("throttle", 9),
        "throttle_window_s": ("throttle", 9),
        "throttle_max_rejection": ("throttle", 0.5),
        "bulkhead_mode": ("bulkhead", "off"),
        "bulkhead_max_concurrent": ("bulkhead", 9),
        "bulkhead_max_queue": ("bulkhead", 9),
        "bulkhead_max_wait_s": ("bulkhead", 9),
        "rate_limit_mode": ("rate_limit", "off"),
        "rate_limit": ("rate_limit", "9/s burst 3"),
        "rate_limit_max_wait_s": ("rate_limit", 9),
    }
    hedge("payments", 1, threads=2)
    changing |= {
        "hedge_percentile": ("hedge", 0.99),
        "hedge_threads": ("hedge", 9),
        "hedge_mode": ("hedge", "off"),
        "hedge_after_s": ("hedge", 9),
        "hedge_max": ("hedge", 9),
    }
    assert changing.keys() == POLICY_FIELDS.keys()
    tuned: set[tuple[str, str]] = set()
    for name, (kind, value) in changing.items():
        apply("payments", {})
        before = {each: core.config for each, (core,) in all_cores()}
        assert apply("payments", {name: value}) == ()
        changed = {
            (each, number): getattr(core.config, number)
            for each, (core,) in all_cores()
            for number, was in before[each]._asdict().items()
            if getattr(core.config, number) != was
        }
        expected = Rate(9.0, 3) if name == "rate_limit" else value
        assert expected in [new for (of, _), new in changed.items() if of == kind]
        tuned |= changed.keys()

    assert tuned == {
        (kind, number)
        for kind, (core,) in all_cores()
        for number in core.config._fields
    }


def all_cores() -> list[tuple[str, list[Any]]]:
    """Return the state of each part of the only policy there is."""
    kinds = (
        (part.kind, cores(part.kind)) for part in parts() if part.kind != LIMIT_KIND
    )
    return [(kind, found) for kind, found in kinds if found]


def test_what_only_code_can_begin_is_no_operators() -> None:
    """Threads and last good answers: where code has none, whoever named it is told."""
    policy("payments", fallback=lambda: None, retry=OSError, timeout=2)
    hedge("quotes", 1)
    said = {
        "timeout_threads": 9,
        "hedge_threads": 9,
        "fallback_stale_max_age_s": 9,
        "fallback_stale_max_entries": 9,
    }
    assert apply("payments", said) == apply("quotes", said) == ()
    assert all(core.config.threads == 0 for core in cores("timeout") + cores("hedge"))
    made = pillar(FakeClock(), {})
    assert made.lacks("PAYMENTS", "timeout_threads").startswith(
        "policy 'payments' uses no threads"
    )
    assert "no threads" in made.lacks("QUOTES", "hedge_threads")
    assert "no answers" in made.lacks("PAYMENTS", "fallback_stale_max_entries")
    assert "has no timeout" in made.lacks("QUOTES", "timeout_threads")
    policy("reads", timeout=timeout(after=2, threads=2))
    assert made.lacks("READS", "timeout_threads") == ""


def test_zero_takes_a_rule_away(clock: FakeClock) -> None:
    """An operator removes a deadline or the rule of consecutive failures by 0."""
    policy = retry("payments", on=OSError, deadline=1.0)
    breaker = circuit_breaker("payments", consecutive_failures=1, slow_after=1.0)
    apply(
        "payments",
        {
            "deadline_s": 0,
            "breaker_consecutive_failures": 0,
            "breaker_slow_after_s": "0",
        },
    )
    assert policy.retrier.config.deadline_s is None
    assert breaker.breaker.config == BreakerConfig()


def test_switched_off_every_call_goes_through_once(clock: FakeClock) -> None:
    """`SVCREADY_RESILIENCE_ENABLED=false` leaves the application as written."""
    policy = retry("payments", on=ConnectionError)
    breaker = circuit_breaker("payments", consecutive_failures=1)
    breaker.force_open()
    pillar(clock, {"payments": {"mode": "enforce"}}, enabled=False).start()
    dependency = Dependency(ConnectionError())
    call = policy(breaker(dependency))
    with pytest.raises(ConnectionError):
        call()

    assert call() == "answer"
    assert dependency.calls == 2


def test_what_it_shows(clock: FakeClock) -> None:
    """States and counts are there for the health report and the metrics."""
    made = pillar(clock, {})
    policy = retry("payments", on=ConnectionError)
    breaker = circuit_breaker("payments", consecutive_failures=2)
    circuit_breaker("orders").force_open()
    made.start()
    call = policy(breaker(Dependency(ConnectionError(), OSError("s3cr3t"))))
    assert made.states()[0].level == 0
    with pytest.raises(OSError, match="s3cr3t"):
        call()

    assert made.states() == [
        PolicyState(
            "breaker", "payments", "open", 2, "enforce", "consecutive", "OSError"
        ),
        PolicyState("breaker", "orders", "forced_open", 3, "enforce", "manual", None),
    ]
    clock.advance(13.0)
    assert made.states()[0].level == 1
    assert set(made.calls()) >= {
        CallCount("retry", "payments", "not_retryable", 1),
        CallCount("breaker", "payments", "failure", 2),
    }
    assert made.retries() == [CallCount("retry", "payments", "error", 1)]
    assert made.names() == ("payments", "orders")
    assert made.describe()["orders"]["breaker"] == BreakerConfig()._asdict()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.parametrize("lock", ["breaker", "telling", "retry", "budget"])
def test_a_child_forked_under_a_lock_works(clock: FakeClock, lock: str) -> None:
    """A child of a process that held one of our locks calls, counts and recovers."""
    fork.install()
    policy = retry("payments", on=ConnectionError)
    breaker = circuit_breaker("payments", consecutive_failures=1)
    pillar(clock, {}).start()
    with pytest.raises(KeyError):
        breaker.call(Dependency(KeyError()))

    core, retrier = breaker_of("payments"), retrier_of("payments")
    held: contextlib.AbstractContextManager[object] = {
        "breaker": cast("contextlib.AbstractContextManager[object]", core._lock),
        "telling": core._outbox._telling,
        "retry": retrier._lock,
        "budget": retrier.budget._lock,
    }[lock]
    taken, release = threading.Event(), threading.Event()

    def hold() -> None:
        with held:
            taken.set()
            release.wait(30)

    holder = threading.Thread(target=hold)
    holder.start()
    assert taken.wait(30)
    reading, writing = os.pipe()
    pid = os.fork()
    if pid == 0:  # pragma: no cover - the child's coverage is not collected
        try:
            try:
                breaker.call(Dependency())
            except CircuitOpen:
                clock.advance(15.0)

            call = policy(breaker(Dependency(ConnectionError())))
            try:
                call()
            except CircuitOpen:
                pass

            told = json.dumps([core.state, core.counts(), retrier.counts()])
            os.write(writing, told.encode())
        finally:
            os._exit(0)

    os.close(writing)
    with os.fdopen(reading) as pipe:
        told = pipe.read()

    os.waitpid(pid, 0)
    release.set()
    holder.join(30)
    state, counts, outcomes = json.loads(told)
    assert state == "open"
    # What happened before the fork is the parent's to tell.
    assert counts == {"success": 0, "rejected": 2, "failure": 1}
    assert outcomes == {"success": 0, "not_retryable": 1}


def test_a_forked_child_begins_its_totals_anew(clock: FakeClock) -> None:
    """What the child's hook does: locks anew, totals at zero, state and window kept."""
    policy = retry("payments", on=ConnectionError)
    breaker = circuit_breaker("payments", min_calls=2, failure_rate=1.0)
    run_on(clock)
    dependency = Dependency(ConnectionError(), KeyError())
    call = policy(breaker(dependency))
    with pytest.raises(KeyError):
        call()

    assert breaker.state == "open"
    clock.advance(10.0)
    breaker.guard().__enter__()  # a thread that the child does not have
    fork._run_resets()
    assert breaker.breaker.counts() == {"success": 0}
    assert retrier_of("payments").counts() == {"success": 0}
    assert call() == "answer"  # the probe's place is free
    assert breaker.breaker.counts() == {"success": 1}
    assert retrier_of("payments").counts() == {"success": 1}


def test_a_deadlines_mode_is_its_own_wherever_it_is_kept() -> None:
    """`DEADLINE_MODE=observe` lets calls go on, though a retry keeps the deadline."""
    policy = retry("payments", on=OSError, deadline=5)
    values = {"deadline_s": 0.1, "deadline_mode": "observe"}
    assert apply("payments", values) == ()
    assert policy.retrier.bound_s() == math.inf
