"""`limit`: the decorator, the explicit call and the context manager."""

from __future__ import annotations

from typing import TYPE_CHECKING

from svcready._core.declarations import Register, check_name, name_of
from svcready._core.http import OTHER_VALUE
from svcready._core.places import calling_place
from svcready.errors import DeclarationError
from svcready.resilience._admitting._rates import parse_rate
from svcready.resilience._declared import Declared
from svcready.resilience._layering._guard import Guard, Guarding
from svcready.resilience._layering._layers import LIMIT, apply_layer, compiled
from svcready.resilience._layering._primitive import Primitive
from svcready.resilience._limiting._hidden import note_limited
from svcready.resilience._limiting._in_force import IN_FORCE
from svcready.resilience._limiting._inbound import INBOUND, RequestRefused
from svcready.resilience._limiting._limit_keys import parse_key
from svcready.resilience._limiting._limit_rules import Rule
from svcready.resilience._limiting._limiter import LimitConfig, Limiter, override_limit
from svcready.resilience._limiting._quota import Quota
from svcready.resilience._parts import add_part, look_up

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from typing import ParamSpec, TypeVar

    from svcready._core.clock import Clock
    from svcready._core.places import Place
    from svcready.resilience._limiting._inbound import Admitted, Owed
    from svcready.resilience._limiting._limit_keys import KeyPart

    P = ParamSpec("P")
    R = TypeVar("R")

__all__ = ["LIMITS", "Limit", "get_limit", "limit"]

LIMITS: Register[Declared[Limiter, LimitConfig]] = Register("limit")
"""Every limit that the process declared."""
add_part("limit", LIMITS)

_MOST_COST = 1_000_000


class Limit(Primitive[Limiter], Guarding):
    """
    A declared limit: decorates routes and functions, makes one call, guards a block.

    In a request that svcready serves it counts for whoever sent it; refused, the
    request is answered 429, and the fields of its response tell how the caller stands.
    Elsewhere, as in a worker, nobody asks: limits by `all` hold there too, and raise
    `RateLimited`; the others let every call through. Nothing waits.
    """

    __slots__ = ("cost",)

    KIND = "a limit"
    RANK = LIMIT

    def __init__(
        self, declare: Callable[[str], Limiter], name: str | None, cost: int
    ) -> None:
        super().__init__(declare, name)
        self.cost = cost

    @property
    def limiter(self) -> Limiter:
        """The state behind it."""
        return self.core

    def guard(self) -> Guard:
        """Return a context manager for one block, sync or async."""
        return Guard(_Gate(self.limiter, self.cost))

    def __call__(self, function: Callable[P, R], /) -> Callable[P, R]:
        """
        Return *function* behind this limit; below the framework's own decorator.

        Raises:
            DeclarationError: It is no function, or its name means something else.
        """
        limiter = self._core or self._declare(name_of(function))
        gate = _Gate(limiter, self.cost)
        limited = apply_layer(function, LIMIT, gate)
        note_limited(function, limited, limiter.name)
        return limited  # type: ignore[return-value]

    def call(self, function: Callable[P, R], /, *args: P.args, **kwargs: P.kwargs) -> R:
        """
        Call *function* behind this limit; a coroutine function's is to be awaited.

        Raises:
            DeclarationError: It has no name.
            RateLimited: There is no room; nothing was called.
        """
        layers = {LIMIT: _Gate(self.limiter, self.cost)}
        return compiled(function, layers)(*args, **kwargs)  # type: ignore[return-value]


def limit(
    rate: str, *, by: str = "client", cost: int = 1, name: str | None = None
) -> Limit:
    """
    Limit how often a caller may ask of the service, by the generic cell rate algorithm.

    Args:
        rate: `100/minute burst 20`: how often, and how many at once after a pause;
            without a burst as many at once as the number in front.
        by: Whose requests share it: `client` (whom the resolver `principal` names,
            else the address), `address`, `header:x-api-key`, a resolver's name such
            as `tenant`, `route`, `all` for everybody together; several with `+`.
            What is not known of a request goes by its address.
        cost: How much of it one request takes; 0 only asks.
        name: Its name, which callers see; limits of one name share their state, and
            may differ in cost. None: derived from the function decorated, `main.login`,
            so give one where callers are not to see your modules.

    Raises:
        DeclarationError: An argument is wrong, or the name is declared with others.
    """
    try:
        parsed = parse_rate(rate)
    except DeclarationError as error:
        raise DeclarationError(f"{error}{look_up('limit', rate)}") from None

    if isinstance(cost, bool) or not isinstance(cost, int) or not cost >= 0:
        raise DeclarationError(f"cost={cost!r}: use a whole number, 0 or above")

    if cost > min(parsed.burst, _MOST_COST):
        raise DeclarationError(
            f"cost={cost} is above the burst of {rate!r}: nobody could ever pay it"
        )

    declare = _declarer(LimitConfig(parsed), parse_key(by), cost, calling_place())
    return Limit(declare, name, cost)


def get_limit(name: str) -> Limit:
    """
    Return the limit that was declared as *name*, at a cost of 1.

    Raises:
        KeyError: There is none.
    """
    declared = LIMITS.named(name)
    return Limit(lambda _: declared.core, name, 1)


def _declarer(
    config: LimitConfig, by: tuple[KeyPart, ...], cost: int, place: Place
) -> Callable[[str], Limiter]:
    def build(name: str) -> Declared[Limiter, LimitConfig]:
        limiter = Limiter(name, config, by, dearest=cost)
        return Declared(
            limiter,
            config,
            (config, by),
            place,
            lambda config, values: override_limit(config, values, limiter.dearest),
        )

    def declare(name: str) -> Limiter:
        declared = LIMITS.declare(
            check_name("limit", name), (config, by), lambda: build(name), place=place
        )
        limiter = declared.core
        if cost > limiter.dearest:
            limiter.dearest = cost
            # What the operator says may be in force, and be below this cost.
            declared.tune(declared.values, limiter.clock)

        return limiter

    return declare


class _Gate:
    """A limit as calls pass it: whoever calls pays the cost of this place."""

    __slots__ = ("_rules", "name")

    def __init__(self, limiter: Limiter, cost: int) -> None:
        self.name = limiter.name
        self._rules = (Rule(limiter, "*", "*", cost),)

    @property
    def clock(self) -> Clock:
        return self._rules[0].limiter.clock

    def peek(self) -> None:
        pass

    def enter(self) -> object:
        quota = self._quota()
        if quota is None:
            return None

        quota.spend()
        answer = quota.check(self._rules)
        if answer is not None:
            quota.request.rejected = answer.status
            quota.request.refusing()
            raise RequestRefused(self.name, quota.wait_s, answer)

        return None

    async def enter_async(self) -> object:
        quota = self._quota()
        if quota is None:
            return None

        quota.spend()
        answer = await quota.check_async(self._rules)
        if answer is not None:
            quota.request.rejected = answer.status
            quota.request.refusing()
            raise RequestRefused(self.name, quota.wait_s, answer)

        return None

    def leave(
        self, token: object, error: BaseException | None, elapsed_s: float
    ) -> None:
        pass

    def renew(self, token: object) -> None:
        pass

    def _quota(self) -> Quota | None:
        """Return what the request was told in whose context this runs, or a new one."""
        request = INBOUND.get()
        for one in () if request is None else request.admitted:
            if isinstance(one, Quota):
                return one

        by = self._rules[0].limiter.by
        is_shared = all(part.kind == "all" for part in by)
        return Quota(IN_FORCE.limits, _Nobody()) if is_shared else None


class _Nobody:
    """Stands for the request where there is none: everybody is one caller."""

    method = OTHER_VALUE
    client: str | None = None
    streamed = refused = False
    rejected = 0
    owing: Owed | None = None

    def __init__(self) -> None:
        self.admitted: list[Admitted] = []

    def header(self, name: str) -> str | None:
        del name
        return None

    def template(self) -> str | None:
        return None

    def bare_path(self) -> str | None:
        return None

    def native(self) -> object:
        return None

    def endpoint(self) -> object:
        return None

    def refusing(self) -> None:
        pass

    def wait_for(self, told: Awaitable[object]) -> object:
        del told
        raise TypeError("it has to be awaited, and nobody can")
