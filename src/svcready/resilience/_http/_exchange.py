"""One request of a client under a policy: its attempts, and what they leave open."""

from __future__ import annotations

from contextlib import suppress
from contextvars import ContextVar
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
from svcready.resilience._retrying._marks import not_again
from svcready.resilience._retrying._nested import handed_on
from svcready.resilience._timing import _deadline
from svcready.resilience._timing._cut_short import TICK_S, is_timeout

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextvars import Token

    from svcready._core.clock import Clock
    from svcready.resilience._composing._policy import Plan
    from svcready.resilience._hedging._hedge_core import HedgeCore
    from svcready.resilience._http._guarded import Time
    from svcready.resilience._layering._gate import Gate
    from svcready.resilience._timing._threads import Pool

__all__ = ["Exchange"]

A = TypeVar("A")


class _Place:
    """
    What one attempt was admitted with, and which answer it brought.

    Args:
        gate: Who admitted it.
        token: With what.
    """

    __slots__ = ("answer", "elapsed_s", "gate", "put", "token")

    def __init__(self, gate: Gate, token: object) -> None:
        self.gate = gate
        self.token = token
        self.answer: object = None
        self.elapsed_s = 0.0
        self.put: Token[_Place | None] = _PLACE.set(self)

    def go_on(self) -> None:
        """Have the permit be nobody's who runs."""
        if type(self.token) is Permit:
            self.token.go_on(None)

    def forget(self) -> None:
        """Let go of the answer: connections opened in its context keep this object."""
        self.answer = None

    def leave(self) -> None:
        """Give it back."""
        self.go_on()
        self.gate.leave(self.token, None, self.elapsed_s)


_PLACE: ContextVar[_Place | None] = ContextVar("svcready.http.place", default=None)
"""The attempt that runs here, in a thread of a time-out's too."""


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
        "_losers",
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
        self._held: list[_Place] = []
        self._losers: list[A] = []
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
        place = _PLACE.get()
        if place is not None:
            place.answer = answer

        self._answers.append(answer)
        return not self._over

    def failed(self, error: Exception, answer: A) -> A:
        """Return the answer that goes out instead of *error*, given up on like it."""
        handed_on(error, answer)
        return answer

    def settle(self, kept: A | None) -> list[A]:
        """End the exchange; returns the answers that are to be closed, and `closed`."""
        self._over = True
        self._losers = [answer for answer in self._answers if answer is not kept]
        return self._losers

    @property
    def pool(self) -> Pool | None:
        """The threads that a hedge's attempts run in; None: it has none."""
        pool: Pool | None = getattr(self._plan.layers.get(HEDGE), "pool", None)
        return pool

    @property
    def is_race(self) -> bool:
        """Whether attempts run beside each other."""
        return HEDGE in self._plan.layers

    def hold(self, place: _Place, elapsed_s: float) -> bool:
        """Keep a permit till its answer is closed; False: nobody waits for it."""
        if type(place.token) is Permit:
            place.token.rest()  # who asked goes on, with other calls

        place.elapsed_s = elapsed_s
        self._held.append(place)
        # Another thread may have closed the answer already.
        if self._over and self._take(place):
            place.go_on()
            return False

        return True

    @property
    def holds(self) -> bool:
        """Whether there is something to `release`."""
        return any(not self._has_lost(place) for place in self._held.copy())

    def release(self) -> None:
        """Give back what was held for the answer that is kept; once."""
        for place in self._held.copy():
            if not self._has_lost(place) and self._take(place):
                place.leave()

    def closed(self, loser: A) -> None:
        """Give back what was held for an answer that nobody gets; once."""
        for place in self._held.copy():
            if place.answer is loser and self._take(place):
                place.leave()

    def _has_lost(self, place: _Place) -> bool:
        return any(place.answer is loser for loser in self._losers)

    def _take(self, place: _Place) -> bool:
        """Return whether *place* is the caller's to give back, and nobody else's."""
        try:
            self._held.remove(place)
        except ValueError:
            return False

        place.forget()
        return True

    def __del__(self) -> None:
        while self._held:
            place = self._held.pop()  # of an answer that nobody has closed
            place.leave()


def _is_repeated(error: Exception | None, hedge: HedgeCore) -> bool:
    """Return whether an attempt that ended so is followed by one that does the same."""
    if error is None:
        return False

    unsent = isinstance(error, Rejected) or is_unsent(error)
    return unsent or hedge.names(error)


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

    def enter(self) -> _Place:
        return _Place(self._gate, self._gate.enter())

    async def enter_async(self) -> _Place:
        return _Place(self._gate, await self._gate.enter_async())

    def leave(
        self, token: object, error: BaseException | None, elapsed_s: float
    ) -> None:
        place = cast("_Place", token)
        with suppress(ValueError):  # left in another context
            _PLACE.reset(place.put)

        if error is not None or not self._exchange.hold(place, elapsed_s):
            place.forget()
            self._gate.leave(place.token, error, elapsed_s)

    def renew(self, token: object) -> None:
        self._gate.renew(cast("_Place", token).token)
