"""`policy`: all that guards the calls to one dependency, under one name."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

from svcready._core.declarations import check_name
from svcready._core.guard import report_fault
from svcready._core.places import calling_place
from svcready.errors import DeclarationError
from svcready.resilience._composing._contradictions import check
from svcready.resilience._composing._plans import POLICIES, nowhere
from svcready.resilience._composing._policy_late import late
from svcready.resilience._composing._policy_parts import taken
from svcready.resilience._composing._presets import preset_parts
from svcready.resilience._layering._guard import Guard, Guarding
from svcready.resilience._layering._layers import (
    DEADLINE,
    FALLBACK,
    HEDGE,
    RETRY,
    TIMEOUT,
    apply_layers,
    gates_of,
    lease_probes,
    once,
)
from svcready.resilience._parts import PRESET_OF, declared_as, forget_but

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import ParamSpec, TypeVar

    from svcready._core.places import Place
    from svcready.resilience._arguments import Errors
    from svcready.resilience._layering._layers import Layer
    from svcready.resilience._layering._primitive import Primitive
    from svcready.resilience._numbers import Duration
    from svcready.resilience._standing_in._stale import Stale
    from svcready.resilience._timing._timer import Timer

    P = ParamSpec("P")
    R = TypeVar("R")

__all__ = ["POLICIES", "Plan", "Policy", "get_policy", "policy"]

_CALLS_ONLY = {FALLBACK: "fallback", RETRY: "retry", HEDGE: "hedge"}
"""The parts that need a call which they can make again, or answer for."""


class Plan:
    """
    What a policy's name stands for: its layers, once somebody has declared them.

    Args:
        name: The policy's name.
    """

    __slots__ = (
        *("_arguments", "_complained", "_layers", "_place"),
        *("name", "otherwise"),
    )

    def __init__(self, name: str) -> None:
        self.name = name
        self.otherwise = ""
        """The preset that it gets if nobody declares it; empty: none."""
        self._arguments: Mapping[str, object] = {}
        self._layers: Mapping[int, Layer] | None = None
        self._place: Place | None = None
        self._complained = False

    @property
    def is_declared(self) -> bool:
        """Whether its layers are known."""
        return self._layers is not None

    @property
    def layers(self) -> Mapping[int, Layer]:
        """
        Its layers by rank.

        Raises:
            DeclarationError: It is used and nowhere declared, so nothing would guard
                the call.
        """
        if self._layers is None:
            raise DeclarationError(nowhere(self.name))

        return self._layers

    def adopt(self, arguments: Mapping[str, object], place: Place) -> None:
        """
        Take the parts of a declaration.

        Args:
            arguments: Parts or their short spellings, by argument of `policy`.
            place: Where.

        Raises:
            DeclarationError: There are others.
        """
        known = declared_as(self.name)
        try:
            layers = taken(self.name, arguments)
            check(self.name)
        except DeclarationError:
            forget_but(self.name, known)  # so that it can be put right and tried again
            if self._layers is None:
                PRESET_OF.pop(self.name, None)

            raise

        if self._layers is not None and self._layers != layers:
            raise DeclarationError(
                f"policy {self.name!r} is declared at {place} with other parts than at "
                f"{self._place}"
            )

        self._arguments, self._layers, self._place = arguments, layers, place
        lease_probes(layers)

    def complain(self) -> None:
        """Say once which parts a block goes without, which nobody would see."""
        without = [name for rank, name in _CALLS_ONLY.items() if rank in self.layers]
        if without and not self._complained:
            self._complained = True
            text = (
                f"policy {self.name!r}: a block is run once, so its "
                f"{' and '.join(without)} do nothing for `with`: decorate a function, "
                "use call(), or guard blocks with a policy that has no such part"
            )
            report_fault("resilience.policy", DeclarationError(text))

    def derive(self, base: Plan) -> None:
        """
        Take the parts of another policy, each with a state of its own.

        Raises:
            DeclarationError: The other one is nowhere declared, or a part's name means
                something else.
        """
        base.layers  # noqa: B018 - says so if there are none
        self._layers = taken(self.name, base._arguments, renamed=True)
        self._arguments, self._place = base._arguments, base._place
        lease_probes(self._layers)


class Policy(Guarding):
    """
    A declared policy: decorates functions, makes one call, guards a block.

    From the outside in: fallback, deadline, retry or hedge, throttle, bulkhead,
    circuit breaker, rate limit, time-out of an attempt. A block is not run again, so
    for `with payments:` those hold that admit a call or bound it: deadline, throttle,
    bulkhead, breaker, rate limit and time-out; the times interrupt only what
    `async with payments:` guards. That a fallback, retry or hedge is left out is
    reported, once a policy; a block that nothing is left for is an error.

    One object serves all threads, tasks and event loops.
    """

    __slots__ = ("_plan",)

    def __init__(self, plan: Plan) -> None:
        self._plan = plan

    @property
    def name(self) -> str:
        """Its name."""
        return self._plan.name

    def __call__(self, function: Callable[P, R], /) -> Callable[P, R]:
        """
        Return *function* with the policy around it.

        Raises:
            DeclarationError: It is no function.
        """
        plan = self._plan
        if plan.is_declared:
            return cast(
                "Callable[P, R]", apply_layers(function, plan.name, plan.layers)
            )

        return cast("Callable[P, R]", late(plan, function))

    def call(self, function: Callable[P, R], /, *args: P.args, **kwargs: P.kwargs) -> R:
        """
        Call *function* under the policy; a coroutine function's is to be awaited.

        Raises:
            DeclarationError: The policy is nowhere declared.
            Rejected: The policy refused; nothing was called.
        """
        call = cast("Callable[P, R]", once(function, self._plan.layers))
        return call(*args, **kwargs)

    def guard(self) -> Guard:
        """
        Return a context manager for one block, sync or async.

        Raises:
            DeclarationError: No part of the policy can guard one.
        """
        plan = self._plan
        layers = plan.layers
        if layers.keys() <= _CALLS_ONLY.keys():
            raise DeclarationError(
                f"policy {plan.name!r} has nothing that a block could be guarded by: "
                "decorate a function, or use call()"
            )

        plan.complain()
        return Guard(
            *gates_of(layers),
            deadline=cast("Timer | None", layers.get(DEADLINE)),
            timeout=cast("Timer | None", layers.get(TIMEOUT)),
        )

    def __reduce__(self) -> tuple[Callable[[str], Policy], tuple[str]]:
        """Have copies and other processes know it by its name, as declared there."""
        return policy, (self.name,)

    def __repr__(self) -> str:
        return f"<policy {self.name!r}>"


def policy(
    name: str,
    *,
    preset: str | None = None,
    fallback: Primitive[Any] | Stale | Callable[..., object] | bool | None = None,
    deadline: Primitive[Any] | Duration | bool | None = None,
    retry: Primitive[Any] | Errors | bool | None = None,
    hedge: Primitive[Any] | Duration | bool | None = None,
    throttle: Primitive[Any] | bool | None = None,
    bulkhead: Primitive[Any] | int | None = None,
    breaker: Primitive[Any] | bool | None = None,
    rate_limit: Primitive[Any] | str | bool | None = None,
    timeout: Primitive[Any] | Duration | bool | None = None,
) -> Policy:
    """
    Declare all that guards the calls to one dependency, or look it up by its name.

    Each part is one of svcready's (`svcready.retry(on=..., attempts=5)`, which takes
    the policy's name) or a short spelling with everything else as usual. With the
    name alone it means the policy of that name, wherever it is declared, also later.

    Args:
        name: The dependency's name: `[a-z0-9_.-]`, up to 64 characters.
        preset: The parts that suit a kind of dependency: `http`. A part that is given
            besides takes the place of the preset's; False leaves it out.
        fallback: What answers where all else failed: a function of the call's
            arguments, or the last good answer (`svcready.stale("5m")`).
        deadline: What the whole call may take, retries and waits included.
        retry: Which errors are retried.
        hedge: After how long a second call is made beside the first.
        throttle: Hold calls back from a dependency that says it is overloaded.
        bulkhead: How many calls may run at once.
        breaker: Stop calling while the dependency fails.
        rate_limit: How often it may be called: `"100/s burst 20"`.
        timeout: What one attempt may take.

    Raises:
        DeclarationError: An argument is wrong, two contradict each other, or the name
            is declared with others.
    """
    arguments: Mapping[str, object] = {
        "fallback": fallback,
        "deadline": deadline,
        "retry": retry,
        "hedge": hedge,
        "throttle": throttle,
        "bulkhead": bulkhead,
        "breaker": breaker,
        "rate_limit": rate_limit,
        "timeout": timeout,
    }
    place = calling_place()
    plan = _plan(name)
    if preset is not None:
        arguments = preset_parts(name, preset, arguments)

    if any(value is not None for value in arguments.values()):
        if arguments["retry"] and arguments["hedge"]:
            raise DeclarationError(
                f"policy {name!r} has both retry and hedge: a hedge makes the further "
                "attempts itself"
            )

        plan.adopt(arguments, place)

    return Policy(plan)


def get_policy(name: str) -> Policy:
    """
    Return the policy that was declared as *name*.

    Raises:
        KeyError: There is none.
    """
    plan = POLICIES.get(name)
    if plan is None or not plan.is_declared:
        declared = (plan.name for plan in POLICIES.things() if plan.is_declared)
        there = ", ".join(declared) or "none"
        raise KeyError(f"no policy is called {name!r}; declared are: {there}")

    return Policy(plan)


def _plan(name: str) -> Plan:
    return POLICIES.declare(check_name("policy", name), None, lambda: Plan(name))
