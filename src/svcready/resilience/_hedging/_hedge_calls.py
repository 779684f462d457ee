"""The wrappers of a hedge: one for each kind of function that can be hedged."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from svcready.errors import DeclarationError
from svcready.resilience._hedging._hedge_race import Race
from svcready.resilience._hedging._hedge_threads import race_in_threads
from svcready.resilience._layering._kinds import Kind
from svcready.resilience._layering._results import PLAIN, is_awaitable

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from svcready.resilience._hedging._hedge_core import HedgeCore

    Call = Callable[..., object]
    AsyncCall = Callable[..., Awaitable[object]]

__all__ = ["around"]


def around(core: HedgeCore, kind: Kind, call: Call) -> Call:
    """
    Return *call* with a hedge around it, of the same kind.

    Raises:
        DeclarationError: It is a generator of either kind.
    """
    if kind in {Kind.STREAM, Kind.ASYNC_STREAM}:
        raise DeclarationError(
            f"hedge {core.name!r}: two generators can't be raced for their items; "
            "hedge the call that opens the stream"
        )

    if kind is Kind.COROUTINE:
        return _coroutine(core, cast("AsyncCall", call))

    return _plain(core, call) if core.pool is None else _threaded(core, call)


def _coroutine(core: HedgeCore, call: AsyncCall) -> AsyncCall:
    async def wrapper(*args: object, **kwargs: object) -> object:
        config = core.config
        if config.mode == "off" or not config.max_hedges:
            return await call(*args, **kwargs)

        if config.mode == "observe":
            return await _observed(core, call(*args, **kwargs))

        return await Race(core, call, args, kwargs).run()

    return wrapper


def _plain(core: HedgeCore, call: Call) -> Call:
    def wrapper(*args: object, **kwargs: object) -> object:
        config = core.config
        result = call(*args, **kwargs)
        if config.mode == "off" or not config.max_hedges:
            return result

        if type(result) in PLAIN or not is_awaitable(result):
            core.complain(call)
            return result

        running = cast("Awaitable[object]", result)
        if config.mode == "observe":
            return _observed(core, running)

        return Race(core, call, args, kwargs).run(running)

    return wrapper


def _threaded(core: HedgeCore, call: Call) -> Call:
    def wrapper(*args: object, **kwargs: object) -> object:
        config = core.config
        if config.mode == "off" or not config.max_hedges:
            return call(*args, **kwargs)

        if config.mode == "enforce":
            return race_in_threads(core, call, args, kwargs)

        after_s, started_s = core.after_s(), core.clock.monotonic()
        try:
            result = call(*args, **kwargs)
        except Exception:
            core.count("failed")
            raise

        _observe(core, after_s, core.clock.monotonic() - started_s)
        return result

    return wrapper


async def _observed(core: HedgeCore, result: Awaitable[object]) -> object:
    """Await a call, and tell whether it would have been hedged."""
    after_s, started_s = core.after_s(), core.clock.monotonic()
    try:
        answer = await result
    except Exception:
        core.count("failed")
        raise

    _observe(core, after_s, core.clock.monotonic() - started_s)
    return answer


def _observe(core: HedgeCore, after_s: float, elapsed_s: float) -> None:
    core.took(elapsed_s)
    core.count("would_hedge" if elapsed_s >= after_s else "success")
