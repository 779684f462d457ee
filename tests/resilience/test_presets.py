"""Presets: the parts that suit a kind of dependency, by one word."""

from __future__ import annotations

import pytest

from svcready.errors import DeclarationError
from svcready.resilience import (
    get_breaker,
    get_retry,
    get_timeout,
    http,
    policy,
    retry,
)
from svcready.resilience._composing._presets import PRESETS
from svcready.resilience._layering._layers import BREAKER, BULKHEAD


@pytest.mark.parametrize("preset", PRESETS)
def test_a_preset_is_a_policy(preset: str) -> None:
    """Every preset makes parts of the policy's name, and means the same twice."""
    first = policy("payments", preset=preset)
    assert policy("payments", preset=preset)._plan is first._plan
    assert get_retry("payments").name == "payments"
    assert get_breaker("payments").name == "payments"


def test_what_is_given_takes_the_presets_place() -> None:
    """Parts of one's own win, False leaves one out, the others are the preset's."""
    longer = retry(on=http.transient, attempts=5)
    policy("payments", preset="http", retry=longer)
    assert get_retry("payments").retrier.config.attempts == 5
    assert get_breaker("payments").state == "closed"
    without = policy("orders", preset="http", breaker=False, bulkhead=False)
    full = policy("stock", preset="http")
    assert set(full._plan.layers) - set(without._plan.layers) == {BREAKER, BULKHEAD}
    own = policy("goods", preset="http", deadline=60, timeout=12)
    assert get_timeout("goods").core.config.bound_s == 12.0
    assert set(own._plan.layers) == set(full._plan.layers)


def test_what_contradicts_the_preset_is_refused() -> None:
    """An attempt that may take longer than the whole call is a mistake."""
    with pytest.raises(DeclarationError, match="payments"):
        policy("payments", preset="http", timeout=50)


def test_an_unknown_preset_is_refused() -> None:
    """The message names those that there are."""
    with pytest.raises(DeclarationError, match="http"):
        policy("payments", preset="htpp")
