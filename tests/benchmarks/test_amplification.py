"""An outage of a minute at a hundred calls a second: what policies make of it."""

from __future__ import annotations

import pytest

from benchmarks.resilience_amplification import KINDS, simulate


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("kind", KINDS)
def test_total_failure_in_one_process(kind: str, seed: int) -> None:
    """At most 1.25 times the calls, and no 100 ms after it over twice the mean."""
    outcome = simulate(kind, 1, seed)
    assert outcome.amplification <= 1.25
    assert outcome.busiest <= 2.0


@pytest.mark.parametrize("kind", KINDS)
def test_total_failure_in_twenty(kind: str) -> None:
    """Twenty processes together make no more of it, and don't come back together."""
    outcome = simulate(kind, 20)
    assert outcome.amplification <= 1.25
    assert outcome.busiest <= 2.0
    assert outcome.recovered_s <= 60.0
