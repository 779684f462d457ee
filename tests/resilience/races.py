"""Games of threads that take turns anywhere, each of which must be explained."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any

from tests.resilience.histories import History
from tests.resilience.interleaving import Stage, SteppedClock

if TYPE_CHECKING:
    import random
    from collections.abc import Callable

    import pytest

    from tests.resilience.histories import Oracle

__all__ = ["ACTORS", "LONG", "Game", "Interrupted", "play", "unlock"]

ACTORS = 3
DEEDS = 3
LONG = 250_000
"""Deeds of each; of all four that is a million."""


class Interrupted(BaseException):
    """As a cancellation, or Ctrl-C."""


class Game:
    """What actors do to one thing, and what explains it."""

    def __init__(self, stage: Stage, *, unlocked: bool) -> None:
        self.stage = stage
        self.clock = SteppedClock(stage)
        self.history = History()
        self.unlocked = unlocked
        self.oracle: Oracle
        self.thing: Any
        """What is raced for."""

    def act(self, who: int, rng: random.Random) -> None:
        """Do something."""
        raise NotImplementedError

    def look(self) -> None:
        """See what became of it all, when all is done."""

    def pass_time(
        self, who: int, seconds: float, unless: Callable[[], bool] = bool
    ) -> None:
        """
        Let the clock jump, while nobody has the lock.

        What holds it has looked at the clock, and may be as late as it was held.

        Args:
            who: Who does it.
            seconds: How far.
            unless: Says when it must not, as soon as nobody has the lock.
        """
        with self.thing._lock:
            if not unless():
                self.history.begin(who, "pass", seconds)
                self.clock.now_s += seconds
                self.history.end(who)

    def play(self) -> None:
        """Let everybody act, and see whether it can be explained."""
        rng = self.stage.rng

        def part(who: int) -> Callable[[], None]:
            def act() -> None:
                for _ in range(DEEDS):
                    self.act(who, rng)

            return act

        self.stage.act(*map(part, range(ACTORS)))
        self.look()
        assert self.history.is_explained_by(self.oracle), f"\n{self.history}"


def play(
    game: type[Game],
    monkeypatch: pytest.MonkeyPatch,
    deeds: int,
    change: Callable[[Game], None] = lambda _: None,
) -> int:
    """Play so often; return how many turns ended where nobody had to wait."""
    turns = 0
    for number in range(deeds // (ACTORS * DEEDS)):
        seed = f"{game.__name__} {number}"
        stage = Stage(seed)
        with monkeypatch.context() as patched:
            stage.install(patched)
            try:
                played = game(stage, unlocked=bool(number % 3))
                change(played)
                played.play()
            except BaseException as error:
                error.add_note(f"seed {seed!r}")
                raise

        turns += stage.turns

    return turns


def unlock(game: Game) -> None:
    """Take the lock out."""
    game.thing._lock = contextlib.nullcontext()
