"""The wrappers of a fallback: one for each kind of function."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar, cast

from svcready.errors import DeclarationError
from svcready.resilience._layering._kinds import Kind
from svcready.resilience._layering._results import PLAIN, is_awaitable
from svcready.resilience._layering._streams import begun_async, going_on
from svcready.resilience._retrying._marks import LAST
from svcready.resilience._standing_in._stale import Kept
from svcready.resilience._standing_in._watch import look_away, watch

if TYPE_CHECKING:
    from collections.abc import (
        AsyncGenerator,
        AsyncIterable,
        Awaitable,
        Callable,
        Generator,
        Hashable,
        Iterable,
        Mapping,
    )

    from svcready.resilience._standing_in._fallback_core import FallbackCore
    from svcready.resilience._standing_in._stand_in import StandIn
    from svcready.resilience._standing_in._watch import Seen

    Args = tuple[object, ...]
    Kwargs = Mapping[str, object]
    Call = Callable[..., object]
    Stream = Generator[object, object, object]
    AsyncStream = AsyncGenerator[object, object]

T = TypeVar("T")

__all__ = ["around"]

_UNFIT = {
    Kind.PLAIN: {Kind.COROUTINE},
    Kind.STREAM: {Kind.COROUTINE, Kind.ASYNC_STREAM},
}
"""What can't stand in for a function of a kind: it would have to be awaited."""


def around(core: FallbackCore, kind: Kind, call: Call) -> Call:
    """
    Return *call* with a fallback around it, of the same kind.

    Raises:
        DeclarationError: What stands in has to be awaited and *call* hasn't, or the
            answers of a stream are to be kept.
    """
    stand_in = core.stand_in
    if stand_in is not None and stand_in.kind in _UNFIT.get(kind, ()):
        raise DeclarationError(
            f"fallback {core.name!r}: {stand_in.function!r} has to be awaited, and the "
            f"function that it stands in for is a {kind.value} one"
        )

    if core.answers is not None and kind in {Kind.STREAM, Kind.ASYNC_STREAM}:
        raise DeclarationError(
            f"fallback {core.name!r}: stale=... keeps answers, and a generator's items "
            "are none"
        )

    if kind is Kind.STREAM:
        return _stream(core, cast("Callable[..., Stream]", call))

    if kind is Kind.ASYNC_STREAM:
        return _async_stream(core, cast("Callable[..., AsyncStream]", call))

    if kind is Kind.COROUTINE:
        return _coroutine(core, cast("Callable[..., Awaitable[object]]", call))

    return _plain(core, call)


def _plain(core: FallbackCore, call: Call) -> Call:
    def wrapper(*args: object, **kwargs: object) -> object:
        if core.config.mode == "off":
            return call(*args, **kwargs)

        key, before = core.key_of(args, kwargs), LAST.number
        seen: Seen | None = None
        try:
            if key is None:  # whoever is further out watches
                result = call(*args, **kwargs)
            else:
                seen = []
                token = watch(seen)
                try:
                    result = call(*args, **kwargs)
                finally:
                    look_away(token)
        except Exception as error:
            verdict = core.verdict(error, key, before)
            if verdict is None:
                raise

            if isinstance(verdict, Kept):
                return verdict.value

            return _answer(core, verdict, error, args, kwargs)

        if type(result) not in PLAIN and is_awaitable(result):
            running = cast("Awaitable[object]", result)
            return _await(core, running, (key, before, seen), args, kwargs)

        core.keep(key, result, has_own=not seen)
        return result

    return wrapper


def _coroutine(core: FallbackCore, call: Callable[..., Awaitable[object]]) -> Call:
    async def wrapper(*args: object, **kwargs: object) -> object:
        if core.config.mode == "off":
            return await call(*args, **kwargs)

        key = core.key_of(args, kwargs)
        seen: Seen | None = None if key is None else []
        begun = key, LAST.number, seen
        return await _await(core, call(*args, **kwargs), begun, args, kwargs)

    return wrapper


async def _await(
    core: FallbackCore,
    result: Awaitable[object],
    begun: tuple[Hashable | None, int, Seen | None],
    args: Args,
    kwargs: Kwargs,
) -> object:
    """Await what a call returned, or give what stands in for it."""
    key, before, seen = begun
    try:
        if seen is None:
            answer = await result
        else:
            token = watch(seen)
            try:
                answer = await result
            finally:
                look_away(token)
    except Exception as error:
        verdict = core.verdict(error, key, before)
        if verdict is None:
            raise

        if isinstance(verdict, Kept):
            return verdict.value

        made = _make(core, verdict, error, args, kwargs)
        if is_awaitable(made):
            return await _finish(core, cast("Awaitable[object]", made), error)

        core.answered(error)
        return made

    core.keep(key, answer, has_own=not seen)
    return answer


def _answer(
    core: FallbackCore, stand_in: StandIn, error: Exception, args: Args, kwargs: Kwargs
) -> object:
    made = _make(core, stand_in, error, args, kwargs)
    if is_awaitable(made):
        return _finish(core, cast("Awaitable[object]", made), error)

    core.answered(error)
    return made


def _make(
    core: FallbackCore, stand_in: StandIn, error: Exception, args: Args, kwargs: Kwargs
) -> object:
    """Return what *stand_in* gives; its own failure has *error* for its cause."""
    try:
        return stand_in(error, args, kwargs)
    except Exception as failure:
        core.broke(failure, error)
        raise
    finally:
        del error  # its traceback may come to hold this frame


async def _finish(
    core: FallbackCore, made: Awaitable[object], error: Exception
) -> object:
    try:
        answer = await made
    except Exception as failure:
        core.broke(failure, error)
        raise
    else:
        core.answered(error)
        return answer
    finally:
        del error  # its traceback may come to hold this frame


def _stream(core: FallbackCore, call: Callable[..., Stream]) -> Call:
    def wrapper(*args: object, **kwargs: object) -> Stream:
        stream = call(*args, **kwargs)
        if core.config.mode == "off":
            return (yield from stream)

        before = LAST.number
        failed: Exception | None = None
        stand_in: StandIn | None = None
        try:
            item = next(stream)
        except StopIteration as stop:
            core.succeeded()
            return stop.value
        except Exception as error:
            stand_in = _streaming(core, error, before)
            if stand_in is None:
                raise

            failed = error

        if failed is None or stand_in is None:
            core.succeeded()
            return (yield from going_on(stream, item))

        try:
            stream = _items(core, stand_in(failed, args, kwargs), failed)
        except Exception as failure:
            core.broke(failure, failed)
            raise
        finally:
            del failed  # its traceback holds this frame

        return (yield from stream)

    return wrapper


def _items(core: FallbackCore, made: object, error: Exception) -> Stream:
    """Give the items that stand in; what fails before the first counts as failed."""
    try:
        source = iter(cast("Iterable[object]", made))
        item = next(source)
    except StopIteration as stop:
        core.answered(error)
        return stop.value
    except Exception as failure:
        core.broke(failure, error)
        raise
    else:
        core.answered(error)
    finally:
        del error  # its traceback may come to hold this frame

    if hasattr(source, "throw"):
        return (yield from going_on(cast("Stream", source), item))

    yield item
    yield from source
    return None


def _async_stream(core: FallbackCore, call: Callable[..., AsyncStream]) -> Call:
    async def begin(
        *args: object, **kwargs: object
    ) -> tuple[AsyncStream, object] | None:
        stream = call(*args, **kwargs)
        if core.config.mode == "off":
            return await _first(stream)

        before = LAST.number
        try:
            begun = await _first(stream)
        except Exception as error:
            stand_in = _streaming(core, error, before)
            if stand_in is None:
                raise

            try:
                return await _begin(core, stand_in, error, args, kwargs)
            except Exception as failure:
                core.broke(failure, error)
                raise

        core.succeeded()
        return begun

    return begun_async(begin)


async def _begin(
    core: FallbackCore, stand_in: StandIn, error: Exception, args: Args, kwargs: Kwargs
) -> tuple[AsyncStream, object] | None:
    try:
        made = stand_in(error, args, kwargs)
        if is_awaitable(made):
            made = await cast("Awaitable[object]", made)

        stream = made if hasattr(made, "asend") else _async_items(made)
        begun = await _first(cast("AsyncStream", stream))
        core.answered(error)
        return begun
    finally:
        del error  # its traceback may come to hold this frame


async def _async_items(made: object) -> AsyncStream:
    if hasattr(made, "__aiter__"):
        async for item in cast("AsyncIterable[object]", made):
            yield item
    else:
        for item in cast("Iterable[object]", made):
            yield item


async def _first(stream: AsyncStream) -> tuple[AsyncStream, object] | None:
    """Return *stream* and its first item; None: it has none."""
    try:
        return stream, await anext(stream)
    except StopAsyncIteration:
        return None


def _streaming(core: FallbackCore, error: Exception, before: int) -> StandIn | None:
    """Return what stands in for a stream that failed before its first item."""
    verdict = core.verdict(error, None, before)
    return None if isinstance(verdict, Kept) else verdict
