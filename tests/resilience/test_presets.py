"""Presets: the parts that suit a kind of dependency, by one word."""

from __future__ import annotations

import pytest

from svcready.errors import DeclarationError
from svcready.resilience import (
    circuit_breaker,
    get_breaker,
    get_retry,
    http,
    policy,
    retry,
)
from svcready.resilience._breaker import Breaker
from svcready.resilience._config import BreakerConfig
from svcready.resilience._layers import BREAKER, RETRY
from svcready.resilience._presets import PRESETS
from tests.conftest import Faults
from tests.resilience.peers import breaker_of


@pytest.mark.parametrize("preset", PRESETS)
def test_a_preset_is_a_policy(preset: str) -> None:
    """Every preset makes parts of the policy's name, and means the same twice."""
    first = policy("payments", preset=preset)
    assert policy("payments", preset=preset)._plan is first._plan
    assert get_retry("payments").name == "payments"
    assert get_breaker("payments").name == "payments"


def test_what_is_given_takes_the_presets_place() -> None:
    """Parts of one's own win, False leaves one out, the others are the preset's."""
    own = retry(on=http.transient, attempts=5)
    policy("payments", preset="http", retry=own)
    assert get_retry("payments").retrier.config.attempts == 5
    assert get_breaker("payments").state == "closed"
    without = policy("orders", preset="http", breaker=False)
    assert set(without._plan.layers) == {RETRY}
    assert set(policy("stock", preset="http", retry=False)._plan.layers) == {BREAKER}


def test_an_unknown_preset_is_refused() -> None:
    """The message names those that there are."""
    with pytest.raises(DeclarationError, match="http"):
        policy("payments", preset="htpp")


def test_an_answer_can_be_a_success_although_it_is_raised() -> None:
    """A dependency that answers everything with 404 closes its breaker again."""
    breaker = circuit_breaker(
        "payments",
        ignore=KeyError,
        outcome=lambda error: (
            "success" if isinstance(error, LookupError) else "failure"
        ),
    )
    for error in (LookupError, LookupError, KeyError, OSError):
        with pytest.raises(error):
            breaker.call(_raise, error())

    assert breaker.breaker.counts() == {"success": 2, "failure": 1, "ignored": 1}


def test_an_outcome_that_is_none_is_a_failure(faults: Faults) -> None:
    """A function that fails or says another word is reported, and the error counts."""
    breaker = circuit_breaker("payments", outcome=lambda error: "fine")
    with pytest.raises(ConnectionError):
        breaker.call(_raise, ConnectionError())

    assert isinstance(faults.claim("resilience.outcome"), ValueError)
    assert breaker.breaker.counts() == {"success": 0, "failure": 1}


def test_what_is_no_outcome_function_is_refused() -> None:
    """A word in a function's place is a mistake at the declaration."""
    with pytest.raises(DeclarationError, match="outcome="):
        circuit_breaker("payments", outcome="success")  # type: ignore[arg-type]


def test_breakers_of_one_name_judge_alike() -> None:
    """The function is among the arguments that must be equal."""
    circuit_breaker("payments", outcome=http.outcome)
    circuit_breaker("payments", outcome=http.outcome)
    assert breaker_of("payments").judge(OSError()) == "failure"
    with pytest.raises(DeclarationError):
        circuit_breaker("payments", ignore=KeyError)


def test_without_a_word_every_error_is_a_failure() -> None:
    """The state alone judges so as well."""
    assert Breaker("payments", BreakerConfig()).judge(KeyError()) == "failure"


def _raise(error: Exception) -> None:
    raise error
