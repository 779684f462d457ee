"""What an operator may make of a limit."""

from __future__ import annotations

import pytest

import svcready
from svcready._core.clock import SYSTEM_CLOCK
from svcready.resilience._limiting._limit import LIMITS
from svcready.testing import running


@pytest.mark.parametrize("values", [{"burst": 4}, {"rate": (4.0, 4)}])
def test_a_burst_below_a_cost_is_refused(values: dict[str, object]) -> None:
    """Nobody could ever pay it, as code is told; the other values hold."""
    for cost in (1, 5, 2):
        svcready.limit("60/s burst 20", name="reports", cost=cost)

    declared = LIMITS.named("reports")
    (problem,) = declared.tune({**values, "mode": "observe"}, SYSTEM_CLOCK)
    assert "burst of 4 is below the cost of 5" in problem
    assert declared.core.config.rate == (60.0, 20)
    assert declared.core.config.mode == "observe"
    assert declared.tune({"burst": 5}, SYSTEM_CLOCK) == ()
    assert declared.core.config.rate.burst == 5


@pytest.mark.parametrize("costs", [(1, 5), (5, 1)])
def test_a_cost_declared_after_the_start_takes_back_a_burst_below_it(
    costs: tuple[int, int],
) -> None:
    """What the problem says of the rate is so, whichever place is declared first."""
    name = f"late{costs[0]}"
    variable = f"SVCREADY_LIMIT__{name.upper()}"
    environ = {f"{variable}__BURST": "3", f"{variable}__MODE": "observe"}
    with running(environ=environ) as harness:
        for cost in costs:
            svcready.limit("5/s burst 10", name=name, cost=cost)(lambda: None)

        assert LIMITS.named(name).core.config == ((5.0, 10), "observe")
        harness.runtime.ready()
        (problem,) = harness.runtime.problems()
        assert "the rate is left as declared" in problem
