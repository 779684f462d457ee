"""How what was declared is looked up, and who is told."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import pytest

import svcready
from svcready.errors import DeclarationError
from svcready.resilience import (
    bulkhead,
    circuit_breaker,
    deadline,
    fallback,
    get_breaker,
    get_bulkhead,
    get_deadline,
    get_fallback,
    get_hedge,
    get_limit,
    get_policy,
    get_rate_limit,
    get_retry,
    get_throttle,
    get_timeout,
    hedge,
    limit,
    policy,
    rate_limit,
    retry,
    throttle,
    timeout,
)


@pytest.mark.parametrize(
    ("declare", "look_up"),
    [
        (lambda: bulkhead("b", max_concurrent=1), get_bulkhead),
        (lambda: deadline("b", 1), get_deadline),
        (lambda: fallback("b", to=1), get_fallback),
        (lambda: hedge("b", 1), get_hedge),
        (lambda: limit("1/s", name="b"), get_limit),
        (lambda: rate_limit("b", "1/s"), get_rate_limit),
        (lambda: retry("b", on=OSError), get_retry),
        (lambda: timeout("b", 1), get_timeout),
        (lambda: throttle("b"), get_throttle),
        (lambda: circuit_breaker("b"), get_breaker),
        (lambda: policy("b", retry=OSError), get_policy),
    ],
)
def test_a_name_alone_is_told_how_it_is_looked_up(
    declare: Callable[[], object], look_up: Callable[[str], object]
) -> None:
    """A part is looked up by `get_...`; its declaration says so, and who there is."""
    part: Any = look_up.__name__.removeprefix("get_")
    short: Any = getattr(svcready, "circuit_breaker" if part == "breaker" else part)
    with pytest.raises(KeyError, match=r"called 'b'; declared are: none"):
        look_up("b")

    if part not in {"throttle", "breaker", "policy"}:  # which need no arguments
        with pytest.raises(DeclarationError) as caught:
            short("b")

        assert "get_" not in str(caught.value)

    declare()
    look_up("b")
    with pytest.raises(KeyError, match=r"called 'c'; declared are: b"):
        look_up("c")

    if part in {"throttle", "breaker", "policy"}:
        short("b")
        return

    with pytest.raises(DeclarationError) as caught:
        short("b")

    told = rf"svcready.resilience.get_{part}\('b'\) returns what \S+:\d+ declared"
    assert re.search(told, str(caught.value))
