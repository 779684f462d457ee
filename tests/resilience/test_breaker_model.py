"""The circuit breaker against a model that remembers every call."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field

import pytest
from hypothesis.stateful import RuleBasedStateMachine, invariant

from svcready.errors import CircuitOpen
from svcready.resilience._breaking._breaker import Breaker
from svcready.resilience._config import BreakerConfig
from svcready.resilience._layering._calls import guarded
from svcready.resilience._tally import Tally
from svcready.testing import FakeClock
from tests.examples import examples
from tests.resilience.stepping import begin, rare_step, run, run_for_long, step

ADMITTING = {"closed", "forced_closed"}


@dataclass
class Model:
    """The specification, word for word: lists in place of buckets, no fast path."""

    config: BreakerConfig
    state: str = "closed"
    generation: int = 0
    seen: list[tuple[int, bool, bool]] = field(default_factory=list)
    in_a_row: int = 0
    opened: int = 0
    open_until: float = 0.0
    closed_since: float = -1e9
    probe: int | None = None
    probes_made: int = 0
    lease_until: float = 0.0
    heard_until: float = -1e9
    passed: int = 0
    counts: dict[str, int] = field(default_factory=dict)

    def _count(self, outcome: str) -> None:
        self.counts[outcome] = self.counts.get(outcome, 0) + 1

    def _move(self, state: str, now: float) -> None:
        self.state = state
        self.generation += 1
        self.seen, self.in_a_row, self.passed, self.probe = [], 0, 0, None
        self.heard_until = -1e9
        if state == "closed":
            self.closed_since = now

    def _open(self, now: float, wanted: float = 0.0) -> None:
        if self.state == "closed" and now - self.closed_since >= self.config.window_s:
            self.opened = 0

        self.opened += 1
        self.open_until = now + min(
            self.config.open_max_s,
            wanted or self.config.open_s * 2 ** (self.opened - 1),
        )
        self._move("open", now)

    def _lapse(self, now: float) -> None:
        if self.probe is not None and now >= self.lease_until:
            self._open(now)

    def admit(self, now: float) -> tuple[int, int | None] | None:
        """Return the generation and the probe's number, or None: refused."""
        self._lapse(now)
        if self.state == "disabled":
            return (-1, None)

        if self.state in ADMITTING:
            return (self.generation, None)

        if self.state == "open" and now >= self.open_until:
            self._move("half_open", now)

        if self.state == "half_open" and self.probe is None:
            self.probes_made += 1
            self.probe = self.probes_made
            self.lease_until = now + self.config.probe_lease_s
            return (self.generation, self.probe)

        self._count("rejected")
        return None

    def settle(
        self, token: tuple[int, int | None], outcome: str, elapsed: float, now: float
    ) -> None:
        """Take the outcome of an admitted call."""
        if token == (-1, None):
            return

        self._lapse(now)
        generation, probe = token
        slow_after = self.config.slow_after_s
        slow = slow_after is not None and elapsed >= slow_after
        if generation != self.generation or (probe is not None and probe != self.probe):
            self._count("stale")
        elif probe is not None:
            self.probe = None
            self._verdict(outcome, slow=slow, now=now)
        elif outcome in {"success", "failure"}:
            self._record(outcome, slow=slow, now=now)
        else:
            self._count(outcome)

    def _verdict(self, outcome: str, *, slow: bool, now: float) -> None:
        self._count("slow" if slow and outcome == "success" else outcome)
        if outcome == "failure" or (outcome == "success" and slow):
            self._open(now)
        elif outcome == "success":
            self.passed += 1
            if self.passed == self.config.probes:
                self._move("closed", now)

    def _record(self, outcome: str, *, slow: bool, now: float) -> None:
        failed = outcome == "failure"
        self._count("slow" if slow and not failed else outcome)
        self.in_a_row = self.in_a_row + 1 if failed else 0
        self.seen.append((self._tick(now), failed, slow))
        if self.state == "forced_closed":
            return

        limit = self.config.consecutive_failures
        recent = self._recent(now)
        few = len(recent) < self.config.min_calls
        if (limit is not None and self.in_a_row >= limit) or (
            self._fails(recent) and not few
        ):
            self._open(now)
        elif self._fails(recent) and now < self.heard_until:
            self._open(now, self.heard_until - now)

    def hear(self, seconds: float, *, enough: bool, now: float) -> None:
        """Take note that others have opened theirs."""
        if self.state != "closed":
            return

        self.heard_until = max(self.heard_until, now + seconds)
        recent = self._recent(now)
        if len(recent) < self.config.min_calls and (enough or self._fails(recent)):
            self._open(now, self.heard_until - now)

    def _tick(self, now: float) -> int:
        return int(now // (self.config.window_s / 10))

    def _recent(self, now: float) -> list[tuple[int, bool, bool]]:
        return [call for call in self.seen if call[0] > self._tick(now) - 10]

    def _fails(self, recent: list[tuple[int, bool, bool]]) -> bool:
        failures, slow = (sum(call[at] for call in recent) for at in (1, 2))
        calls = len(recent)
        return calls > 0 and (
            failures / calls >= self.config.failure_rate
            or (slow > 0 and slow / calls >= self.config.slow_rate)
        )


@dataclass
class Pending:
    """A call under way in both worlds."""

    tally: Tally
    token: tuple[int, int | None]
    started: float


class Machine(RuleBasedStateMachine):
    """Does the same to the breaker and to the model."""

    unlocked = True

    @begin(
        rate=(0.25, 0.5, 1.0),
        min_calls=range(1, 9),
        limit=(None, 1, 2, 3, 4),
        slow_after=(None, 1.0),
        probes=(1, 2, 3),
    )
    def declare(
        self,
        rate: float,
        min_calls: int,
        limit: int | None,
        slow_after: float | None,
        probes: int,
    ) -> None:
        """Declare both alike."""
        config = BreakerConfig(
            failure_rate=rate,
            min_calls=min_calls,
            consecutive_failures=limit,
            slow_after_s=slow_after,
            slow_rate=0.5,
            probes=probes,
        )
        self.clock = FakeClock(start_s=0.0)
        self.model = Model(config)
        self.breaker = Breaker(
            "model",
            config,
            clock=self.clock,
            rng=lambda: 0.5,
            unlocked=self.unlocked,
        )
        self.fails = False
        self.pending: deque[Pending] = deque(maxlen=20)
        self.quick = guarded(self.breaker, self.answer)

    def answer(self) -> str:
        """Be the dependency of quick calls."""
        if self.fails:
            raise ConnectionError

        return "answer"

    @step(quarters=(*range(1, 201), *(12, 40, 120, 480) * 40))
    def wait(self, quarters: int) -> None:
        """Let time pass, in quarters of a second."""
        self.clock.advance(quarters / 4)

    @step(fails=(False, True), times=range(1, 7))
    def call(self, fails: bool, times: int) -> None:
        """Call through the wrapper, which counts most successes without the lock."""
        self.fails = fails
        for _ in range(times):
            now = self.clock.monotonic()
            token = self.model.admit(now)
            if token is not None:
                self.model.settle(token, "failure" if fails else "success", 0.0, now)

            try:
                self.quick()
            except CircuitOpen:
                assert token is None
            except ConnectionError:
                assert fails
                assert token is not None
            else:
                assert not fails
                assert token is not None

    @step()
    def start(self) -> None:
        """Begin a call that ends later."""
        now = self.clock.monotonic()
        token = self.model.admit(now)
        try:
            tally = self.breaker.timed or self.breaker.admit()
        except CircuitOpen:
            assert token is None
        else:
            assert token is not None
            self.pending.append(Pending(tally, token, now))

    @step(
        pick=range(20),
        outcome=("success", "failure", "ignored", "cancelled", "inconclusive"),
    )
    def finish(self, pick: int, outcome: str) -> None:
        """End a call; a call ends once, so a second time it is stale or passes."""
        if not self.pending:
            return

        call = self.pending[pick % len(self.pending)]
        now = self.clock.monotonic()
        elapsed = now - call.started
        self.model.settle(call.token, outcome, elapsed, now)
        self.breaker.settle(call.tally, outcome, elapsed)

    @step(quarters=(2, 30, 9999), enough=(False, True))
    def hear(self, quarters: int, enough: bool) -> None:
        """Hear that other processes have opened theirs."""
        now = self.clock.monotonic()
        self.model.hear(quarters / 4, enough=enough, now=now)
        self.breaker.hear(quarters / 4, enough=enough)

    @rare_step(state=("forced_open", "forced_closed", "disabled"))
    def force(self, state: str) -> None:
        """Hold a state by hand."""
        if self.model.state != state:
            self.model._move(state, self.clock.monotonic())

        self.breaker.force(state)

    @rare_step()
    def reset(self) -> None:
        """Let it decide again."""
        self.model._move("closed", 0.0)
        self.model.opened, self.model.closed_since = 0, -1e9
        self.breaker.reset()

    @invariant()
    def agree(self) -> None:
        """Both are in the same state and have counted the same."""
        if not hasattr(self, "model"):
            return

        shown = self.model.state
        if shown == "open" and self.clock.monotonic() >= self.model.open_until:
            shown = "half_open"

        assert self.breaker.state == shown
        counts = {key: n for key, n in self.breaker.counts().items() if n}
        assert counts == self.model.counts


class LockedMachine(Machine):
    """The same on a build where nothing counts without the lock."""

    unlocked = False


@pytest.mark.parametrize("machine", [Machine, LockedMachine])
def test_breaker_is_its_model(machine: type[Machine]) -> None:
    """In 20 000 steps in whatever order the breaker does as the model does."""
    run(machine, examples(200), 50)


@pytest.mark.soak
@pytest.mark.timeout(600)
def test_breaker_is_its_model_for_long() -> None:
    """The same in a million steps."""
    run_for_long(Machine)
