"""The fallback's decisions: which errors it answers, with what, and what is told."""

from __future__ import annotations

import math
import threading
from collections import Counter
from typing import TYPE_CHECKING, NamedTuple

from svcready._core import fork
from svcready._core.clock import SYSTEM_CLOCK
from svcready._core.context import mark_degraded
from svcready._core.events import publish
from svcready._core.guard import report_fault, report_foreign
from svcready.errors import (
    AttemptTimeout,
    DeadlineExceeded,
    DeclarationError,
    Rejected,
)
from svcready.resilience._events import FellBack
from svcready.resilience._overrides import parsed
from svcready.resilience._parts import core_of
from svcready.resilience._retrying._marks import Running
from svcready.resilience._retrying._nested import given_up
from svcready.resilience._standing_in import _fallback_calls
from svcready.resilience._standing_in._stale import Answers
from svcready.resilience._standing_in._watch import stood_in

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Mapping

    from svcready._core.clock import Clock
    from svcready.resilience._arguments import Matcher
    from svcready.resilience._layering._kinds import Kind
    from svcready.resilience._standing_in._stale import Kept, Stale
    from svcready.resilience._standing_in._stand_in import StandIn

__all__ = ["FallbackConfig", "FallbackCore", "override_fallback"]

_TELL_EVERY_S = 10.0


class FallbackConfig(NamedTuple):
    """The numbers of a fallback."""

    stale_max_age_s: float | None = None
    """How old a last good answer may be; None: none is given."""
    stale_max_entries: int | None = None
    """How many last good answers are kept; None: none is."""
    mode: str = "enforce"
    """`enforce`, `observe` (tells, and raises all the same) or `off`."""


_FIELDS = {
    "mode": "mode",
    "fallback_mode": "mode",
    "fallback_stale_max_age_s": "stale_max_age_s",
    "fallback_stale_max_entries": "stale_max_entries",
}


def override_fallback(
    config: FallbackConfig, values: Mapping[str, object]
) -> tuple[FallbackConfig, tuple[str, ...]]:
    """
    Return *config* with the operator's values in it, and what is wrong with them.

    An operator can't begin to keep answers: only who wrote the code knows whether
    they depend on more than the arguments.
    """
    changed, problems = parsed(_FIELDS, values, none={"stale_max_age_s"})
    if config.stale_max_age_s is None:
        for name in ("stale_max_age_s", "stale_max_entries"):
            changed.pop(name, None)

    return config._replace(**changed), problems  # type: ignore[arg-type]


class FallbackCore:
    """
    One fallback, shared by every call that is made under its name.

    Args:
        name: The policy's name.
        config: Its numbers.
        on: Which errors are answered; None: those that svcready gave up on.
        stand_in: Makes the answers; None: only last good ones are given.
        stale: How those are kept; None: they aren't.
        clock: Monotonic time.
    """

    def __init__(
        self,
        name: str,
        config: FallbackConfig,
        on: Matcher | None,
        stand_in: StandIn | None,
        stale: Stale | None,
        clock: Clock = SYSTEM_CLOCK,
    ) -> None:
        self.name = name
        self.config = config
        self.clock = clock
        self.answers = None if stale is None else Answers(stale, clock)
        self.stand_in = stand_in
        self._on = on
        self._lock = threading.RLock()  # finalizers come back
        self._outcomes: Counter[str] = Counter()
        self._tell_at_s = -math.inf
        self._not_told = 0
        self._complained_of_arguments = False
        self._complained_of_answers = False
        fork.reset_in_child(self._reset_in_child)

    def around(self, kind: Kind, call: Callable[..., object]) -> Callable[..., object]:
        """Return *call* with this fallback around it, of the same kind."""
        return _fallback_calls.around(self, kind, call)

    def check(self, function: Callable[..., object]) -> None:
        """
        See that what stands in for *function* can do so.

        Raises:
            DeclarationError: It takes other arguments.
        """
        if self.stand_in is not None:
            self.stand_in.check(self.name, function)

    def use(self, config: FallbackConfig, clock: Clock) -> None:
        """Put other numbers or another clock in force, keeping answers and counts."""
        self.config = config
        if clock is not self.clock:
            self.clock, self._tell_at_s = clock, -math.inf
            if self.answers is not None:
                self.answers.use(clock)

        if self.answers is not None and config.stale_max_entries is not None:
            self.answers.limit(config.stale_max_entries)

    def reset(self) -> None:
        """Forget last good answers, and tell of the next answer at once."""
        self._tell_at_s = -math.inf
        if self.answers is not None:
            self.answers.clear()

    def key_of(
        self, args: tuple[object, ...], kwargs: Mapping[str, object]
    ) -> Hashable | None:
        """Return under which key the answer of a call is kept; None: it isn't."""
        answers = self.answers
        if answers is None:
            return None

        key = answers.key_of(args, kwargs)
        if key is None and not (answers.is_keyed or self._complained_of_arguments):
            self._complain_of_arguments((*args, *kwargs.values()))

        return key

    def keep(self, key: Hashable | None, answer: object, *, has_own: bool) -> None:
        """
        Count a call that was answered, and keep its answer under *key*.

        Args:
            key: Of the call; None: it isn't kept.
            answer: What it returned.
            has_own: Whether no stand-in of a policy further in answered in it; what
                one was given is not kept, or its age would begin anew each time.
        """
        if self.answers is None:
            self._count("success")
            return

        kept = False
        if not has_own:
            stood_in()  # whoever keeps answers further out is told the same
        elif key is not None:
            try:
                kept = self.answers.put(key, answer)
            except Exception as fault:  # noqa: BLE001 - a key's own, and it is answered
                report_foreign("resilience.stale_key", fault)
            else:
                if not kept and not self._complained_of_answers:
                    self._complain_of_answer(answer)

        self._count("success" if kept else "success_unkept")

    def succeeded(self) -> None:
        """Count a call that was answered by what is not to be kept."""
        self._count("success")

    def verdict(
        self, error: Exception, key: Hashable | None, before: int
    ) -> Kept | StandIn | None:
        """
        Decide what answers a call that failed.

        Args:
            error: What it raised.
            key: Under which its answer would have been kept.
            before: The last mark that was put on an error before it.

        Returns:
            A last good answer, which counts as given; or who makes one, whose
            `answered` or `broke` follows; or None: *error* goes to the caller.
        """
        if not self._covers(error, before):
            self._count("unmatched")
            return None

        config = self.config
        if config.mode != "enforce":
            self._count("would_answer")
            return None

        if (
            key is not None
            and self.answers is not None
            and config.stale_max_age_s is not None
        ):
            kept = None
            try:
                kept = self.answers.get(key, config.stale_max_age_s)
            except Exception as fault:  # noqa: BLE001 - the call's own error must get out
                report_foreign("resilience.stale_key", fault)

            if kept is not None:
                self._answered("stale", error)
                return kept

        if self.stand_in is None:
            self._count("failed")

        return self.stand_in

    def answered(self, error: Exception) -> None:
        """Count an answer that was made, and mark the request as degraded."""
        self._answered("fallback", error)

    def broke(self, failure: Exception, error: Exception) -> None:
        """Count a failure of what stands in, and name the call's own as its cause."""
        self._count("failed")
        cause: BaseException = failure
        seen = {id(error)}
        while id(cause) not in seen:
            seen.add(id(cause))
            if cause.__cause__ is None:
                cause.__cause__ = error
                return

            cause = cause.__cause__

    def counts(self) -> dict[str, int]:
        """Return how many calls have had each outcome since the process started."""
        with self._lock:
            return {"success": 0, **self._outcomes}

    def _covers(self, error: Exception, before: int) -> bool:
        if self._on is not None:
            return self._on(error)

        ours = isinstance(error, Rejected | AttemptTimeout | DeadlineExceeded)
        if ours or given_up(error, Running(before, anywhere=True)):
            return True

        # What would have been tried again, if an operator had left it on.
        cores = (core_of(kind, self.name) for kind in ("retry", "hedge"))
        return any(core is not None and core.names(error) for core in cores)

    def _complain_of_arguments(self, arguments: tuple[object, ...]) -> None:
        """Say once that answers aren't kept, which an outage would be first to show."""
        self._complained_of_arguments = True
        kinds = dict.fromkeys(
            type(value).__name__ for value in arguments if not _can_be_hashed(value)
        )
        text = (
            f"fallback {self.name!r}: no answer is kept of calls whose arguments can't "
            f"be hashed ({', '.join(kinds)}); stale=svcready.stale(..., key=...) tells "
            "them apart by what can"
        )
        report_fault("resilience.stale", DeclarationError(text))

    def _complain_of_answer(self, answer: object) -> None:
        """Say once that such answers aren't kept; never what is in them."""
        self._complained_of_answers = True
        text = (
            f"fallback {self.name!r}: no answer is kept that gives its items only once "
            f"({type(answer).__name__}); return a list of them for "
            "stale=svcready.stale(...) to keep"
        )
        report_fault("resilience.stale", DeclarationError(text))

    def _count(self, outcome: str) -> None:
        with self._lock:
            self._outcomes[outcome] += 1

    def _answered(self, source: str, error: Exception) -> None:
        mark_degraded(self.name)
        stood_in()
        now_s = self.clock.monotonic()
        with self._lock:
            self._outcomes[source] += 1
            if now_s < self._tell_at_s:
                self._not_told += 1
                return

            self._tell_at_s = now_s + _TELL_EVERY_S
            not_told, self._not_told = self._not_told, 0

        publish(FellBack(self.name, source, type(error).__name__, not_told))

    def _reset_in_child(self) -> None:
        self._lock = threading.RLock()
        self._outcomes.clear()  # the parent tells of them
        self._not_told = 0


def _can_be_hashed(value: object) -> bool:
    try:
        hash(value)
    except Exception:  # noqa: BLE001 - the application's code
        return False

    return True
