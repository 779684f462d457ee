"""The rate algorithm against a bucket of tokens, which is the same said slowly."""

from __future__ import annotations

import math
from fractions import Fraction

from hypothesis import given
from hypothesis import strategies as st

from svcready.resilience._admitting._gcra import Rate, gcra

STEPS = st.lists(
    st.tuples(st.integers(0, 40), st.integers(1, 4)), min_size=1, max_size=60
)


@given(per_s=st.sampled_from([1, 2, 4, 8]), burst=st.integers(1, 10), steps=STEPS)
def test_it_is_a_bucket_of_tokens(
    per_s: int, burst: int, steps: list[tuple[int, int]]
) -> None:
    """A bucket that holds the burst and fills at the rate allows exactly the same."""
    rate, tat_s, now = Rate(float(per_s), burst), 0.0, Fraction(1000)
    tokens = Fraction(burst)
    for eighths, cost in steps:
        pause = Fraction(eighths, 8)
        now += pause
        tokens = min(Fraction(burst), tokens + pause * per_s)
        taken = gcra(rate, tat_s, float(now), cost)
        tat_s = taken.tat_s
        assert taken.allowed == (tokens >= cost)
        if taken.allowed:
            tokens -= cost
        elif cost > burst:
            assert taken.retry_after_s == math.inf
        else:
            assert taken.retry_after_s == float((cost - tokens) / per_s)

        assert taken.remaining == math.floor(tokens)
        assert taken.full_after_s == float((burst - tokens) / per_s)


def test_asking_takes_nothing() -> None:
    """A cost of 0 tells what remains, and leaves it."""
    rate = Rate(1.0, 2)
    first = gcra(rate, 0.0, 1000.0, 0)
    assert (first.allowed, first.remaining) == (True, 2)
    assert gcra(rate, first.tat_s, 1000.0, 2).allowed
