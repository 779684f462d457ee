"""The outbound rate limit against a bucket of tokens that knows the future."""

from __future__ import annotations

from dataclasses import dataclass, field
from fractions import Fraction

import pytest
from hypothesis.stateful import RuleBasedStateMachine, invariant

from svcready.errors import RateLimited
from svcready.resilience._admitting._config_gates import RateConfig
from svcready.resilience._admitting._gcra import Rate
from svcready.resilience._admitting._pacer import Pacer, _Turn
from svcready.resilience._timing import _deadline
from svcready.testing import FakeClock
from tests.examples import examples
from tests.resilience.stepping import begin, run, run_for_long, step


@dataclass
class Model:
    """When calls go: each takes a token that is there by then."""

    per_s: int
    burst: int
    max_wait: Fraction
    turns: list[tuple[Fraction, Fraction]] = field(default_factory=list)
    """When each call goes, and how many tokens are left after it."""
    counts: dict[str, int] = field(default_factory=dict)

    def next_turn(self, now: Fraction) -> tuple[Fraction, Fraction]:
        """Return when there is a token after all turns that are taken, and the rest."""
        full = Fraction(self.burst)
        at, tokens = self.turns[-1] if self.turns else (Fraction(0), full)
        if now > at:
            tokens = min(full, tokens + (now - at) * self.per_s)
            at = now

        missing = max(Fraction(0), 1 - tokens)
        return at + missing / self.per_s, tokens + missing - 1

    def count(self, outcome: str) -> None:
        """Count a call."""
        self.counts[outcome] = self.counts.get(outcome, 0) + 1


class Machine(RuleBasedStateMachine):
    """Does the same to the rate limit and to the model."""

    unlocked = True

    @begin(per_s=(1, 2, 8), burst=range(1, 6), wait=(0, 1, 4))
    def declare(self, per_s: int, burst: int, wait: int) -> None:
        """Make both alike."""
        self.clock = FakeClock(start_s=1024.0)
        self.model = Model(per_s, burst, Fraction(wait))
        self.core = Pacer(
            "model",
            RateConfig(Rate(float(per_s), burst), float(wait)),
            clock=self.clock,
            unlocked=self.unlocked,
        )
        self.waiting: list[tuple[tuple[Fraction, Fraction], _Turn]] = []

    @property
    def now(self) -> Fraction:
        """The time."""
        return Fraction(self.clock.monotonic())

    @step(times=range(1, 7), left=(None, None, 0, 1, 2))
    def call(self, times: int, left: int | None) -> None:
        """Call so often, under a deadline or none; who must wait begins to."""
        model = self.model
        for _ in range(times):
            turn = model.next_turn(self.now)
            wait = turn[0] - self.now
            most = None if left is None else Fraction(left)
            longest = model.max_wait if most is None else min(model.max_wait, most)
            token = _deadline.put(
                float("inf") if left is None else float(self.now + left)
            )
            try:
                if wait == 0:
                    self.core.enter()
                    model.turns.append(turn)
                    model.count("admitted")
                elif wait > longest:
                    with pytest.raises(RateLimited) as refused:
                        self.core._ask(may_wait=True)

                    assert refused.value.retry_after == float(wait)
                    model.count("rejected")
                else:
                    taken = self.core._ask(may_wait=True)
                    assert taken is not None
                    assert taken.wait_s == float(wait)
                    model.turns.append(turn)
                    self.waiting.append((turn, taken))
            finally:
                _deadline.lift(token)

    @step(eighths=(*range(1, 65), *(8 * 3600,) * 16))
    def pass_time(self, eighths: int) -> None:
        """Let time pass, an hour at once now and then; whose turn came is gone."""
        self.clock.advance(eighths / 8)
        for turn, taken in tuple(self.waiting):
            if turn[0] <= self.now:
                self.waiting.remove((turn, taken))
                self.core._waited(taken)
                self.model.count("waited")

    @step(pick=range(1001))
    def cancel(self, pick: int) -> None:
        """Cancel somebody who waits; only the last one's turn is free again."""
        if not self.waiting:
            return

        turn, taken = self.waiting.pop(pick % len(self.waiting))
        self.core._give_up(taken)
        self.model.count("cancelled")
        if turn == self.model.turns[-1]:
            self.model.turns.pop()

    @invariant()
    def agree(self) -> None:
        """Both have counted the same, and never is more going than the rate allows."""
        if not hasattr(self, "model"):
            return

        model = self.model
        counts = {key: n for key, n in self.core.counts().items() if n}
        assert counts == model.counts
        assert self.core.waiting == len(self.waiting)
        assert all(tokens >= 0 for _, tokens in model.turns)


class LockedMachine(Machine):
    """The same on a build where nothing goes without the lock."""

    unlocked = False


@pytest.mark.parametrize("machine", [Machine, LockedMachine])
def test_rate_limit_is_its_model(machine: type[Machine]) -> None:
    """Whatever happens in whatever order, each call goes when the bucket says."""
    run(machine, examples(200), 50)


@pytest.mark.soak
@pytest.mark.timeout(600)
def test_rate_limit_is_its_model_for_long() -> None:
    """The same in a million steps."""
    run_for_long(Machine)
