"""
Print what retries and breakers add to an outage: `python benchmarks/resilience_amplification.py`.

A dependency is called a hundred times a second, by one process or by twenty together. It
fails every call for 60 s, then answers again. Time is simulated, the policies are the real
ones. Each process pays for a fifth of its calls, and for one retry a second besides.
"""  # noqa: E501

from __future__ import annotations

import heapq
import random
import sys
import types
from collections import Counter
from contextvars import copy_context
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import svcready
from svcready.resilience._parts import parts
from svcready.testing import FakeClock

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Generator
    from contextvars import Context

__all__ = ["KINDS", "Outcome", "simulate"]

PROCESSES = (1, 20)
RATE_PER_S = 100
BEFORE_S, OUTAGE_S, AFTER_S = 30, 60, 120
SLOTS_PER_S = 10


class Outcome(NamedTuple):
    """What the dependency saw."""

    amplification: float
    """Its calls during the outage, as a share of the callers'."""
    busiest: float
    """Its busiest 100 ms after the outage, as a multiple of the mean after it."""
    recovered_s: float
    """How long after the outage nine tenths of the callers got their answer again."""


class Simulation:
    """Coroutines that sleep on a fake clock, each resumed when its time has come."""

    def __init__(self) -> None:
        self.clock = _Clock()
        self._begin_s = self.clock.monotonic()
        self._due: list[tuple[float, int, Context, Coroutine[float, None, None]]] = []
        self._made = 0

    @property
    def now_s(self) -> float:
        """Seconds since the beginning."""
        return self.clock.monotonic() - self._begin_s

    def at(self, at_s: float, work: Coroutine[float, None, None]) -> None:
        """Begin *work* at a time, in a context of its own as a task does."""
        self._push(at_s, copy_context(), work)

    def run(self) -> None:
        """Let time pass until nothing is left to do."""
        while self._due:
            at_s, _, context, work = heapq.heappop(self._due)
            self.clock.advance(max(0.0, at_s - self.now_s))
            try:
                wait_s = context.run(work.send, None)
            except StopIteration:
                continue

            self._push(self.now_s + wait_s, context, work)

    def _push(
        self, at_s: float, context: Context, work: Coroutine[float, None, None]
    ) -> None:
        self._made += 1
        heapq.heappush(self._due, (at_s, self._made, context, work))


class _Clock(FakeClock):
    """A fake clock whose async sleep suspends, where the other's passes at once."""

    async def sleep_async(self, seconds: float) -> None:
        """Suspend the coroutine that is being simulated."""
        await _sleep(seconds)


@types.coroutine
def _sleep(seconds: float) -> Generator[float, None, None]:
    yield seconds


def _retry(name: str) -> object:
    return svcready.policy(name, retry=svcready.retry(on=ConnectionError))


def _breaker(name: str) -> object:
    return svcready.policy(name, breaker=True)


def _both(name: str) -> object:
    retry = svcready.retry(on=ConnectionError)
    return svcready.policy(name, retry=retry, breaker=svcready.circuit_breaker(name))


KINDS: dict[str, Callable[[str], object]] = {
    "retry with budget": _retry,
    "breaker": _breaker,
    "both": _both,
}


def simulate(kind: str, processes: int, seed: int = 1) -> Outcome:
    """Run one kind of policy, in so many processes, through the outage."""
    simulation = Simulation()
    rng = random.Random(seed)
    calls: Counter[int] = Counter()
    answered: Counter[int] = Counter()
    ends_s = BEFORE_S + OUTAGE_S

    async def dependency() -> None:
        calls[int(simulation.now_s * SLOTS_PER_S)] += 1
        await _sleep(0.005 + 0.01 * rng.random())
        if BEFORE_S <= simulation.now_s < ends_s:
            raise ConnectionError

    prefix = f"amplified-{kind.replace(' ', '-')}-{processes}-{seed}-"
    policies = [KINDS[kind](f"{prefix}{number}") for number in range(processes)]
    for part in parts():
        for declared in part.register.things():
            if declared.core.name.startswith(prefix):
                declared.tune({}, simulation.clock)
                declared.core._rng = rng.random

    async def call(guarded: Callable[[], Coroutine[float, None, None]]) -> None:
        try:
            await guarded()
        except (ConnectionError, svcready.errors.Rejected):
            return

        answered[int(simulation.now_s)] += 1

    guarded = [policy(dependency) for policy in policies]  # type: ignore[operator]
    for number in range((BEFORE_S + OUTAGE_S + AFTER_S) * RATE_PER_S):
        simulation.at(number / RATE_PER_S, call(guarded[number % processes]))

    simulation.run()
    return _judge(calls, answered, ends_s)


def _judge(calls: Counter[int], answered: Counter[int], ends_s: int) -> Outcome:
    first, last = BEFORE_S * SLOTS_PER_S, ends_s * SLOTS_PER_S
    during = sum(calls[slot] for slot in range(first, last))
    after = [calls[slot] for slot in range(last, last + AFTER_S * SLOTS_PER_S)]
    good = (
        s for s in range(ends_s, ends_s + AFTER_S) if answered[s] >= 0.9 * RATE_PER_S
    )
    return Outcome(
        during / (OUTAGE_S * RATE_PER_S),
        max(after) / (sum(after) / len(after)),
        float(next(good, ends_s + AFTER_S) - ends_s),
    )


def main() -> None:
    """Print a table."""
    rows = [
        "| Policy | processes | calls in the outage | busiest 100 ms after | back |"
    ]
    rows += ["|---|---|---|---|---|"]
    for kind in KINDS:
        for processes in PROCESSES:
            found = simulate(kind, processes)
            rows.append(
                f"| {kind} | {processes} | {found.amplification:.2f} times | "
                f"{found.busiest:.2f} times the mean | {found.recovered_s:.0f} s |"
            )

    sys.stdout.write("\n".join(rows) + "\n")


if __name__ == "__main__":
    main()
