"""What guards the requests of one client, and the time that each attempt has."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple, cast

from svcready.errors import DeadlineSpent, DeclarationError
from svcready.resilience._http._deadline_fields import name_of_field, text_of
from svcready.resilience._http._hosts import plan_for_host, plan_of
from svcready.resilience._layering._layers import FALLBACK, TIMEOUT
from svcready.resilience._parts import PER_HOST
from svcready.resilience._timing import _deadline
from svcready.resilience._timing._cut_short import TICK_S

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractAsyncContextManager

    from svcready.resilience._composing._policy import Plan, Policy
    from svcready.resilience._timing._timer import Timer

__all__ = ["Guarded", "Time", "within"]


class Time(NamedTuple):
    """What an attempt has."""

    left_s: float
    """How long it may take, in seconds; inf: nothing bounds it."""
    field: tuple[str, str] | None
    """The header field that says so to the server."""
    is_callers: bool
    """Whether it is a deadline that bounds it, and not the attempt's own time-out."""

    def bound(self, own_s: float | None) -> float | None:
        """Return a client's own time-out, or what is left if that is less."""
        if self.left_s == math.inf:
            return own_s

        return self.left_s if own_s is None else min(own_s, self.left_s)


class Guarded:
    """
    What guards the requests of one client.

    Args:
        policy: The policy, or its name.
        per_host: Whether each host has a policy of its own, made of the same parts.
        send_deadline: Whether the deadline travels in a header.

    Raises:
        DeclarationError: It is no policy, or keeps answers, each of which is the
            response to one request.
    """

    def __init__(
        self, policy: Policy | str, *, per_host: bool, send_deadline: bool
    ) -> None:
        self._plan = plan_of(policy)
        _refuse_stale(self._plan)
        self._per_host = per_host
        if per_host:
            PER_HOST.add(self._plan.name)

        self._send_deadline = send_deadline
        self._plans: dict[tuple[str, str, int | None], Plan] = {}

    def plan(self, scheme: str, host: str, port: int | None) -> Plan:
        """Return the policy of the requests to a host."""
        if not self._per_host:
            return self._plan

        key = (scheme, host, port)
        plan = self._plans.get(key)
        if plan is None:
            plan = plan_for_host(self._plan, scheme, host, port)
            if plan is not self._plan:  # of which there are few
                self._plans[key] = plan

        return plan

    def time(self, plan: Plan, *, sent: Callable[[str], bool]) -> Time:
        """
        Return what an attempt has, by the deadline in force.

        Args:
            plan: The policy.
            sent: Tells whether the request has a header field of that name already.

        Raises:
            DeadlineSpent: Nothing is left.
        """
        left_s = _deadline.remaining()
        if left_s == math.inf:
            return _UNBOUNDED

        text = text_of(left_s)
        if left_s <= 0.0 or (text is None and self._send_deadline):
            raise DeadlineSpent(plan.name, "spent")

        timer = cast("Timer | None", plan.layers.get(TIMEOUT))
        enforced = timer is not None and timer.config.mode == "enforce"
        own_s = timer.config.bound_s if timer is not None and enforced else None
        field = name_of_field()
        said = not self._send_deadline or sent(field)
        return Time(
            left_s,
            None if said or text is None else (field, text),
            own_s is None or left_s < own_s - TICK_S,
        )


_UNBOUNDED = Time(math.inf, None, is_callers=False)


def within(time: Time) -> AbstractAsyncContextManager[object]:
    """Return what cancels a block when the caller's deadline has passed."""
    import asyncio  # a coroutine runs here, so it is loaded already

    return asyncio.timeout(time.left_s if time.is_callers else None)


def _refuse_stale(plan: Plan) -> None:
    fallback = plan.layers.get(FALLBACK) if plan.is_declared else None
    if getattr(fallback, "answers", None) is not None:
        raise DeclarationError(
            f"policy {plan.name!r} keeps last good answers, and a client's are "
            "responses to single requests: put svcready.fallback(stale=...) around "
            "the function that makes the request"
        )
