"""Models whose steps hypothesis draws, or a seeded generator where there are many."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar, cast

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    rule,
    run_state_machine_as_test,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    Method = TypeVar("Method", bound=Callable[..., None])

__all__ = ["begin", "rare_step", "run", "run_for_long", "step"]

LONG = 1_000_000
AT_A_TIME = 100


class _Drawn(NamedTuple):
    """A method, and what each of its arguments is drawn from."""

    method: Callable[..., None]
    choices: dict[str, Sequence[object]]
    often: int
    """How often it is taken among others; 0: once, at the beginning."""

    def draw(self, rng: random.Random) -> dict[str, object]:
        return {name: rng.choice(values) for name, values in self.choices.items()}


def begin(**choices: Sequence[object]) -> Callable[[Method], Method]:
    """Mark the method that makes what is tried, and the model."""
    return _marked(cast("Any", initialize), choices, often=0)


def step(**choices: Sequence[object]) -> Callable[[Method], Method]:
    """Mark a method that does the same to both."""
    return _marked(cast("Any", rule), choices, often=20)


def rare_step(**choices: Sequence[object]) -> Callable[[Method], Method]:
    """Mark a method that does so, and leaves little of what was before."""
    return _marked(cast("Any", rule), choices, often=1)


def _marked(
    kind: Any, choices: dict[str, Sequence[object]], *, often: int
) -> Callable[[Method], Method]:
    strategies = {name: st.sampled_from(values) for name, values in choices.items()}

    def mark(method: Method) -> Method:
        marked = kind(**strategies)(method)
        marked.drawn = _Drawn(method, choices, often)
        return cast("Method", marked)

    return mark


def run(machine: type[RuleBasedStateMachine], cases: int, steps: int) -> None:
    """Let hypothesis look for steps after which the two differ, shortest first."""
    run_state_machine_as_test(
        machine,
        settings=settings(max_examples=cases, stateful_step_count=steps, deadline=None),
    )


def run_for_long(machine: type[RuleBasedStateMachine], seed: int = 7) -> None:
    """
    Take a million steps of *machine*, drawn from a known seed.

    Not by hypothesis, which remembers every choice of a run, and takes fifty times as
    long to make it. The machine has one invariant, `agree`.
    """
    members = (getattr(machine, name) for name in sorted(dir(machine)))
    drawn: list[_Drawn] = [each.drawn for each in members if hasattr(each, "drawn")]
    (first,) = (each for each in drawn if not each.often)
    steps = [each for each in drawn for _ in range(each.often)]
    for case in range(LONG // AT_A_TIME):
        rng = random.Random(f"{seed} {case}")
        done: list[str] = []
        try:
            _walk(machine(), first, steps, rng, done)
        except BaseException as error:
            error.add_note(f"case {case} of seed {seed}: " + "; ".join(done))
            raise


def _walk(
    machine: Any,
    first: _Drawn,
    steps: list[_Drawn],
    rng: random.Random,
    done: list[str],
) -> None:
    for each in (first, *rng.choices(steps, k=AT_A_TIME)):
        arguments = each.draw(rng)
        done.append(f"{each.method.__name__} {arguments}")
        each.method(machine, **arguments)
        machine.agree()

    machine.teardown()
