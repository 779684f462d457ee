"""One request of a client under a policy: its attempts, and what they leave open."""

from __future__ import annotations

from typing import TYPE_CHECKING, Generic, TypeVar, cast

from svcready.errors import (
    DeadlineExceeded,
    Rejected,
)
from svcready.resilience._admitting._permits import Permit
from svcready.resilience._http._errors import is_unsent
from svcready.resilience._http._request import is_idempotent
from svcready.resilience._layering._layers import (
    BULKHEAD,
    HEDGE,
    once,
)
from svcready.resilience._retrying._nested import begun_anew, handed_on
from svcready.resilience._retrying._retrier import not_again
from svcready.resilience._timing import _deadline
from svcready.resilience._timing._cut_short import TICK_S, is_timeout

if TYPE_CHECKING:
    from collections.abc import Callable

    from svcready._core.clock import Clock
    from svcready.resilience._composing._policy import Plan
    from svcready.resilience._hedging._hedge_core import HedgeCore
    from svcready.resilience._http._guarded import Time
    from svcready.resilience._layering._gate import Gate

__all__ = ["Exchange"]

A = TypeVar("A")


class Exchange(Generic[A]):
    """
    One request on its way: which attempts may be made, and which answers are open.

    An answer that counts as failed is raised inside the policy, so that its parts see
    it, and caught outside; those of other attempts are closed.

    Args:
        plan: The policy.
        method: The request's method.
        headers: Its headers.
        repeatable: Whether its body can be sent again.
        parallel: Whether two attempts may run at the same time at all.
    """

    __slots__ = (
        "_answers",
        "_asked",
        "_consumed",
        "_held",
        "_method",
        "_over",
        "_parallel",
        "_plan",
        "_repeatable",
        "_running",
    )

    def __init__(
        self,
        plan: Plan,
        method: str,
        headers: object,
        *,
        repeatable: bool,
        parallel: bool = True,
    ) -> None:
        self._plan = plan
        self._parallel = parallel
        self._method = (method, headers)
        self._repeatable = repeatable
        self._answers: list[A] = []
        self._running = 0
        self._asked = False
        self._over = False
        self._held: list[tuple[Gate, object, float]] = []
        self._consumed = False

    @property
    def plan(self) -> Plan:
        """The policy."""
        return self._plan

    def guard(self, attempt: Callable[..., object]) -> Callable[..., object]:
        """
        Return what makes the attempts, under the policy.

        A bulkhead's permit is held till `release`, if an answer came.

        Args:
            attempt: Makes one.
        """
        layers = self._plan.layers
        bulkhead = layers.get(BULKHEAD)
        if bulkhead is not None:
            held = _Held(cast("Gate", bulkhead), self)
            layers = {**layers, BULKHEAD: held}

        return once(attempt, layers)

    def begin(self) -> list[A]:
        """
        Begin an attempt; returns the answers that must be closed before it.

        Raises:
            Rejected: It can't be made: the body is gone, nobody waits for it any more,
                or it would be a second write beside one that is still running, or
                after one that the hedge does not repeat.
        """
        if self._over:
            raise Rejected(self._plan.name, "over")

        if self._consumed or (self._running and not self._repeatable):
            raise Rejected(self._plan.name, "body")

        if self._running or self._asked:
            alone = self._running and not self._parallel
            if alone or not is_idempotent(*self._method):
                raise Rejected(self._plan.name, "not_idempotent")

        self._running += 1
        if HEDGE in self._plan.layers:  # which answer counts is open till the end
            return []

        passed, self._answers = self._answers, []
        return passed

    def end(self, error: Exception | None = None) -> None:
        """End an attempt, with what it raised; a body that it took is gone."""
        self._running -= 1
        hedge = cast("HedgeCore | None", self._plan.layers.get(HEDGE))
        if hedge is not None and not _is_repeated(error, hedge):
            self._asked = True  # the next one may have been under way for long

        if self._repeatable or (error is not None and is_unsent(error)):
            return

        self._consumed = True
        if error is not None:
            not_again(error)

    def judged(self, error: Exception, time: Time | None) -> Exception:
        """
        Return what a policy is to see of an attempt's error.

        A time-out of the client's that came of the caller's deadline is not the
        dependency's doing.

        Args:
            error: What the attempt raised.
            time: What it had; None: it never began.
        """
        late = time is not None and time.is_callers and is_timeout(error)
        if late and _deadline.remaining() <= TICK_S:
            name = self._plan.name
            return DeadlineExceeded(f"{name}: the caller's deadline has passed")

        return error

    def brought(self, answer: A) -> bool:
        """Take an attempt's answer; False: nobody waits for it any more."""
        begun_anew(answer, self._plan.name)
        self._answers.append(answer)
        return not self._over

    def failed(self, error: Exception, answer: A) -> A:
        """Return the answer that goes out instead of *error*, given up on like it."""
        handed_on(error, answer)
        return answer

    def settle(self, kept: A | None) -> list[A]:
        """End the exchange; returns the answers that are to be closed."""
        self._over = True
        return [answer for answer in self._answers if answer is not kept]

    def hold(self, gate: Gate, token: object, elapsed_s: float) -> bool:
        """Keep a permit till the answer is closed; False: nobody waits for it."""
        if type(token) is Permit:
            token.rest()  # who asked goes on, with other calls

        entry = (gate, token, elapsed_s)
        self._held.append(entry)
        if self._over:  # `release` may have been there already, in another thread
            try:
                self._held.remove(entry)
            except ValueError:
                return True  # and has given it back

            _go_on(token)
            return False

        return True

    @property
    def holds(self) -> bool:
        """Whether there is something to `release`."""
        return bool(self._held)

    def release(self) -> None:
        """Give back what was held for the answer; once."""
        while self._held:
            try:
                gate, token, elapsed_s = self._held.pop()
            except IndexError:  # another thread was faster
                return

            _go_on(token)
            gate.leave(token, None, elapsed_s)

    def __del__(self) -> None:
        self.release()  # of an answer that nobody has closed


def _is_repeated(error: Exception | None, hedge: HedgeCore) -> bool:
    """Return whether an attempt that ended so is followed by one that does the same."""
    if error is None:
        return False

    unsent = isinstance(error, Rejected) or is_unsent(error)
    return unsent or hedge.names(error)


def _go_on(token: object) -> None:
    if type(token) is Permit:
        token.go_on(None)


class _Held:
    """A gate that an attempt which was answered leaves later."""

    __slots__ = ("_exchange", "_gate", "name")

    def __init__(self, gate: Gate, exchange: Exchange[A]) -> None:
        self._gate = gate
        self._exchange = exchange
        self.name = gate.name

    @property
    def clock(self) -> Clock:
        return self._gate.clock

    def peek(self) -> None:
        self._gate.peek()

    def enter(self) -> object:
        return self._gate.enter()

    async def enter_async(self) -> object:
        return await self._gate.enter_async()

    def leave(
        self, token: object, error: BaseException | None, elapsed_s: float
    ) -> None:
        if error is not None or not self._exchange.hold(self._gate, token, elapsed_s):
            self._gate.leave(token, error, elapsed_s)

    def renew(self, token: object) -> None:
        self._gate.renew(token)
