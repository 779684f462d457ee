"""A dependency that does as it is told, and policies on a test's clock."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from svcready._core.clock import SYSTEM_CLOCK
from svcready.resilience._breaking._circuit import BREAKERS
from svcready.resilience._breaking._judge import Judge
from svcready.resilience._composing._policy import POLICIES
from svcready.resilience._parts import DERIVED, parts
from svcready.resilience._retrying import _nested
from svcready.resilience._retrying._retry import RETRIERS
from svcready.resilience._timing._deadline import read_by

if TYPE_CHECKING:
    from svcready._core.clock import Clock
    from svcready.resilience._breaking._breaker import Breaker
    from svcready.resilience._retrying._retrier import Retrier


class Dependency:
    """
    Fails as often as it is told, then answers.

    Args:
        failures: What it raises, one per call.
        answer: What it returns after those.
    """

    def __init__(self, *failures: BaseException, answer: object = "answer") -> None:
        self.failures = list(failures)
        self.answer = answer
        self.calls = 0

    def __call__(self, *args: object, **kwargs: object) -> object:
        """Take a call."""
        self.calls += 1
        if self.failures:
            raise self.failures.pop(0)

        return self.answer


def retrier_of(name: str) -> Retrier:
    """Return the state behind the retry called *name*."""
    declared = RETRIERS.get(name)
    assert declared is not None
    return declared.core


def breaker_of(name: str) -> Breaker:
    """Return the state behind the circuit breaker called *name*."""
    declared = BREAKERS.get(name)
    assert declared is not None
    return declared.core


def forget_declared() -> None:
    """Have no policy from before, whatever modules have declared."""
    POLICIES.clear()
    DERIVED.clear()
    _nested.forget()
    read_by(SYSTEM_CLOCK)
    for part in parts():
        part.register.bind(None)
        part.register.clear()


def run_on(clock: Clock) -> None:
    """Put every policy on *clock*, with draws that are always the middle."""
    read_by(clock)
    for part in parts():
        for declared in part.register.things():
            declared.tune({}, clock)
            if hasattr(declared.core, "_rng"):
                declared.core._rng = lambda: 0.5


def judged(client: Any, error: Exception) -> str:
    """Return what an error is to a breaker that has a client's words for it."""
    judge = Judge(client.unrelated, client.answered, client.local)
    return judge(error)
