"""Breaker, budget and rate limit under threads that take turns anywhere."""

from __future__ import annotations

import copy
import threading
from dataclasses import dataclass, field
from fractions import Fraction
from typing import TYPE_CHECKING, Any

import pytest

from svcready.errors import CircuitOpen, RateLimited
from svcready.resilience._admitting._config_gates import RateConfig
from svcready.resilience._admitting._gcra import Rate
from svcready.resilience._admitting._pacer import Pacer
from svcready.resilience._breaking._breaker import Breaker
from svcready.resilience._config import BreakerConfig
from svcready.resilience._layering._calls import guarded
from svcready.resilience._retrying._budget import Budget
from tests.examples import examples
from tests.resilience import test_breaker_model, test_rate_limit_model
from tests.resilience.races import LONG, Game, Interrupted, play, unlock

if TYPE_CHECKING:
    import random
    from collections.abc import Callable

    from tests.resilience.interleaving import Stage


@dataclass
class BreakerOracle:
    """The model of the breaker, its clock, and who has been admitted how."""

    model: test_breaker_model.Model
    now: float
    tokens: dict[int, tuple[int, int | None]] = field(default_factory=dict)

    def copy(self) -> BreakerOracle:
        """Return one like it."""
        model = copy.copy(self.model)
        model.seen, model.counts = list(model.seen), dict(model.counts)
        return BreakerOracle(model, self.now, dict(self.tokens))

    def do(self, who: int, what: str, *arguments: Any) -> object:
        """Do it to the model."""
        if what == "admit":
            token = self.model.admit(self.now)
            if token is not None:
                self.tokens[who] = token

            return token is not None

        if what == "settle":
            self.model.settle(self.tokens.pop(who), arguments[0], 0.0, self.now)
        elif what == "pass":
            self.now += arguments[0]
        elif what == "counts":
            return {key: n for key, n in self.model.counts.items() if n}

        return None


class BreakerGame(Game):
    """Calls of a breaker that is closed, or due to be tried."""

    def __init__(self, stage: Stage, *, unlocked: bool) -> None:
        super().__init__(stage, unlocked=unlocked)
        rng = stage.rng
        config = BreakerConfig(
            failure_rate=0.5,
            min_calls=rng.randint(1, 4),
            consecutive_failures=rng.choice((None, 2)),
            probes=rng.randint(1, 2),
        )
        model = test_breaker_model.Model(config)
        self.thing = Breaker(
            "raced", config, clock=self.clock, rng=lambda: 0.5, unlocked=unlocked
        )
        self.error: dict[int, BaseException | None] = {}
        self.who: dict[int, int] = {}
        self.call = guarded(self.thing, self.answer)
        if rng.random() < 0.5:  # it was opened, and may be tried now
            self.thing.hear(10.0, enough=True)
            model.hear(10.0, enough=True, now=self.clock.now_s)
            self.clock.now_s += 10.0

        self.oracle = BreakerOracle(model, self.clock.now_s)

    def answer(self) -> None:
        """Be the dependency: whoever gets here was admitted."""
        who = self.who[threading.get_ident()]
        self.history.end(who, seen=True)
        self.stage.point()
        error = self.error[who]
        outcome = "success" if error is None else "cancelled"
        if isinstance(error, ConnectionError):
            outcome = "failure"

        self.history.begin(who, "settle", outcome)
        if error is not None:
            raise error

    def act(self, who: int, rng: random.Random) -> None:
        """Call, with whatever outcome, or let time pass, or look."""
        chance = rng.random()
        if chance < 0.15:
            # A success counts for the second that its clock told, however much later it
            # is added without a lock: not the 30 s that this would be.
            self.pass_time(
                who,
                rng.choice((1.0, 3.0, 10.0, 30.0)),
                unless=lambda: self.history.is_anybody("settle", "success"),
            )
            return

        if chance < 0.25:
            self.count(who)
            return

        self.who[threading.get_ident()] = who
        self.error[who] = rng.choice((None, None, ConnectionError(), Interrupted()))
        self.history.begin(who, "admit")
        try:
            self.call()
        except CircuitOpen:
            self.history.end(who, seen=False)
        except (ConnectionError, Interrupted):
            self.history.end(who)
        else:
            self.history.end(who)

    def count(self, who: int) -> None:
        """See what was counted."""
        self.history.begin(who, "counts")
        found = self.thing.counts()
        self.history.end(who, {key: n for key, n in found.items() if n})

    def look(self) -> None:
        """Count at the end."""
        self.count(0)


@dataclass
class BudgetOracle:
    """All deposits and withdrawals, each with its second, and what is earned."""

    now: float
    log: tuple[tuple[int, int], ...] = ()
    earned: int = 600

    def copy(self) -> BudgetOracle:
        """Return one like it."""
        return BudgetOracle(self.now, self.log, self.earned)

    def do(self, who: int, what: str, *arguments: Any) -> object:
        """Pay in, pay, or let time pass."""
        del who
        second = int(self.now)
        if what == "pass":
            self.now += arguments[0]
            self.earned = min(600, self.earned + int(self.now) - second)
        elif what in {"succeed", "fail"}:
            self.log = (*self.log, (second, 1))
            if what == "succeed":
                self.earned = min(600, self.earned + 60)
        else:
            fifths = sum(number for at, number in self.log if at > second - 10)
            if fifths < 5:
                if 50 + fifths < 5 or self.earned < 60:
                    return False

                self.earned -= 60

            self.log = (*self.log, (second, -5))
            return True

        return None


class BudgetGame(Game):
    """Retries that are paid by calls which go on meanwhile."""

    def __init__(self, stage: Stage, *, unlocked: bool) -> None:
        super().__init__(stage, unlocked=unlocked)
        self.thing = Budget(self.clock, unlocked=unlocked)
        self.oracle = BudgetOracle(self.clock.now_s)
        for _ in range(stage.rng.randint(6, 10)):
            self.thing.withdraw(self.clock.now_s)
            self.oracle.do(0, "withdraw")

    def succeed(self) -> None:
        """Count a success as the wrapper of a call does."""
        meter = self.thing.meter
        now_s = meter.monotonic()
        if now_s < meter.edge:
            meter.ok += 1
        else:
            self.thing.succeeded(now_s)

    def act(self, who: int, rng: random.Random) -> None:
        """Fail or succeed, retry, or let time pass."""
        budget, clock = self.thing, self.clock
        deeds: tuple[tuple[str, Callable[[], object]], ...] = (
            ("withdraw", lambda: budget.withdraw(clock.monotonic())),
            ("withdraw", lambda: budget.withdraw(clock.monotonic())),
            ("fail", lambda: budget.deposit(clock.monotonic())),
            ("succeed", self.succeed),
        )
        if rng.random() < 0.1:
            self.pass_time(who, rng.choice((0.5, 1.0, 9.0, 60.0)))
        else:
            what, do = rng.choice(deeds)
            self.history.did(who, what, do)

    def look(self) -> None:
        """Spend all that is left: no deposit was lost, and none counted twice."""
        now_s = self.clock.now_s
        for _ in range(12):
            self.history.did(0, "withdraw", lambda: self.thing.withdraw(now_s))


@dataclass
class PacerOracle:
    """The model of the rate limit, its clock, and who has which turn."""

    model: test_rate_limit_model.Model
    now: Fraction
    turns: dict[int, tuple[Fraction, Fraction]] = field(default_factory=dict)

    def copy(self) -> PacerOracle:
        """Return one like it."""
        model = copy.copy(self.model)
        model.turns, model.counts = list(model.turns), dict(model.counts)
        return PacerOracle(model, self.now, dict(self.turns))

    def do(self, who: int, what: str, *arguments: Any) -> object:
        """Do it to the model; a turn is told by how long it is waited for."""
        model = self.model
        if what == "pass":
            self.now += Fraction(arguments[0])
        elif what == "counts":
            return dict(model.counts)
        elif what == "waited":
            del self.turns[who]
            model.count("waited")
        elif what == "give up":
            model.count("cancelled")
            if self.turns.pop(who) == model.turns[-1]:
                model.turns.pop()
        else:
            turn = model.next_turn(self.now)
            wait = turn[0] - self.now
            if wait > model.max_wait:
                model.count("rejected")
                return ("refused", float(wait))

            model.turns.append(turn)
            if wait:
                self.turns[who] = turn
            else:
                model.count("admitted")

            return ("turn", float(wait))

        return None


class PacerGame(Game):
    """Calls that take turns, wait for them, or leave them."""

    def __init__(self, stage: Stage, *, unlocked: bool) -> None:
        super().__init__(stage, unlocked=unlocked)
        per_s, burst = stage.rng.choice((1, 2, 8)), stage.rng.randint(1, 3)
        longest = stage.rng.choice((0, 1, 4))
        self.clock.sleep = self.sleep  # type: ignore[method-assign]
        self.thing = Pacer(
            "raced",
            RateConfig(Rate(float(per_s), burst), float(longest)),
            clock=self.clock,
            unlocked=unlocked,
        )
        model = test_rate_limit_model.Model(per_s, burst, Fraction(longest))
        self.oracle = PacerOracle(model, Fraction(self.clock.now_s))
        self.who: dict[int, int] = {}

    def sleep(self, seconds: float) -> None:
        """Wait for a turn, or be interrupted meanwhile."""
        who = self.who[threading.get_ident()]
        self.history.end(who, ("turn", seconds))
        self.stage.point(surely=True)
        interrupted = self.stage.rng.random() < 0.3
        self.history.begin(who, "give up" if interrupted else "waited")
        if interrupted:
            raise Interrupted

    def act(self, who: int, rng: random.Random) -> None:
        """Take a turn, or let time pass."""
        if rng.random() < 0.15:
            self.pass_time(who, rng.choice((0.125, 0.5, 1.0, 3600.0)))
            return

        self.who[threading.get_ident()] = who
        self.history.begin(who, "enter")
        seen: object = ("turn", 0.0)
        try:
            self.thing.enter()
        except RateLimited as refused:
            seen = ("refused", refused.retry_after)
        except Interrupted:
            pass

        self.history.end(who, seen if self.history.doing(who) == "enter" else None)

    def look(self) -> None:
        """Count at the end."""
        found = self.thing.counts()
        seen = {key: n for key, n in found.items() if n}
        self.history.did(0, "counts", lambda: seen)
        assert self.thing.waiting == 0


GAMES = (BreakerGame, BudgetGame, PacerGame)


@pytest.mark.parametrize("game", GAMES)
def test_threads_see_what_one_thread_could(
    game: type[Game], monkeypatch: pytest.MonkeyPatch
) -> None:
    """In 20 000 deeds of threads that take turns anywhere, all is linearisable."""
    deeds = examples(20_000)
    assert play(game, monkeypatch, deeds) > deeds / 10


@pytest.mark.soak
@pytest.mark.timeout(900)
@pytest.mark.parametrize("game", GAMES)
def test_threads_see_what_one_thread_could_for_long(
    game: type[Game], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same in a million, of all kinds together."""
    play(game, monkeypatch, LONG)


@pytest.mark.parametrize("game", GAMES)
def test_what_has_no_lock_is_found_out(
    game: type[Game], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without its lock each of them shows threads what none alone could see."""
    with pytest.raises(AssertionError) as found:
        play(game, monkeypatch, 100_000, unlock)

    assert "seed" in found.value.__notes__[0]
