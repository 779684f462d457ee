"""The policies under test: held in a state, counted, and as new for every test."""

from __future__ import annotations

from typing import TYPE_CHECKING

from svcready._core.events import subscribe
from svcready.resilience import BreakerMoved, get_breaker
from svcready.resilience._parts import declared_as, parts

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from svcready.resilience._breaking._circuit import CircuitBreaker

__all__ = ["Policies", "reset_policies"]

# What is further in refuses least of what is counted further out.
_FROM_WITHIN = (
    "timeout",
    "rate_limit",
    "breaker",
    "bulkhead",
    "throttle",
    "hedge",
    "retry",
)
_ADMITTED = ("admitted", "waited", "observed")
_REFUSED = ("rejected", "unsent")


def reset_policies() -> None:
    """
    Have every policy begin anew, as in a process that has just started.

    Breakers are closed with an empty window, budgets full, last good answers, learnt
    latencies and used-up rates forgotten. Permits of calls that still run stay taken,
    and totals go on. `running` does this at the start and at the end of its block.
    """
    for part in parts():
        for declared in part.register.things():
            reset: Callable[[], None] | None = getattr(declared.core, "reset", None)
            if reset is not None:  # some have no state but their numbers
                reset()


class Policies:
    """The policies in one `running` block."""

    def __init__(self) -> None:
        self._moves: list[BreakerMoved] = []
        self._end = subscribe(BreakerMoved, self._moves.append)
        names = {name for part in parts() for name in part.register.names()}
        # Limits on inbound requests have names of their own, and no attempts.
        self._before = {name: _attempts(name) for name in names if declared_as(name)}

    def close(self) -> None:
        """Hear of no more."""
        self._end()

    def force_open(self, name: str) -> None:
        """
        Have a circuit breaker refuse every call, until `reset`.

        Raises:
            LookupError: There is none of that name.
        """
        _breaker(name).force_open()

    def force_closed(self, name: str) -> None:
        """Have a circuit breaker admit every call, whatever comes of it."""
        _breaker(name).force_close()

    def reset(self) -> None:
        """Do as `reset_policies`, and count attempts and moves from now on."""
        reset_policies()
        self._moves.clear()
        self._before = {name: _attempts(name) for name in self._before}

    def attempts(self, name: str) -> int:
        """
        Return how many attempts were made under a policy since the block began.

        Those that a breaker, a rate limit or another part refused are none. What
        counts them is the innermost part that the policy has and that is not off: its
        time-out, rate limit, breaker, bulkhead, throttle, hedge, retry, or another.

        Raises:
            LookupError: Nothing is declared under that name.
        """
        return _attempts(name) - self._before.get(name, 0)

    def transitions(self, name: str) -> list[str]:
        """Return the states that a circuit breaker moved to since the block began."""
        _breaker(name)
        return [move.after for move in self._moves if move.name == name]

    def assert_transitions(self, name: str, states: Iterable[str]) -> None:
        """
        See that a circuit breaker moved to these states since the block began.

        Args:
            name: The breaker's name.
            states: `open`, `half_open`, `closed` and the forced ones, in order.

        Raises:
            AssertionError: It did not; the message shows its moves and their reasons.
        """
        expected, moved = list(states), self.transitions(name)
        if moved != expected:
            shown = [
                f"  {move.before} -> {move.after} ({move.reason})"
                for move in self._moves
                if move.name == name
            ]
            said = f"circuit breaker {name!r} was to move to {expected}; it did:"
            raise AssertionError("\n".join((said, *(shown or ["  (nothing)"]))))


def _breaker(name: str) -> CircuitBreaker:
    try:
        return get_breaker(name)
    except KeyError:
        raise _unknown("circuit breaker", name, ("breaker",)) from None


def _attempts(name: str) -> int:
    """Return how many attempts were made under a name since the process began."""
    found = declared_as(name)
    if not found:
        raise _unknown("policy", name, tuple(part.kind for part in parts()))

    for kind in (*_FROM_WITHIN, *found):
        if kind not in found or found[kind].core.config.mode == "off":
            continue

        core = found[kind].core
        counts: dict[str, int] = core.counts()
        if kind in {"bulkhead", "rate_limit"}:
            return sum(counts.get(outcome, 0) for outcome in _ADMITTED)

        calls = sum(counts.values()) - sum(counts.get(what, 0) for what in _REFUSED)
        if kind == "hedge":
            return calls + int(core.hedges)

        return calls + sum(core.retries().values()) if kind == "retry" else calls

    return 0


def _unknown(what: str, name: str, kinds: tuple[str, ...]) -> LookupError:
    known = dict.fromkeys(
        name for part in parts() if part.kind in kinds for name in part.register.names()
    )
    there = ", ".join(known) or "none"
    return LookupError(f"no {what} is called {name!r}; declared are: {there}")
