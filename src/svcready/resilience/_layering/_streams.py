"""The wrappers of generators and async generators: retried until their first item."""

from __future__ import annotations

from typing import TYPE_CHECKING

from svcready.resilience._layering._gate import Passage, Unjudged
from svcready.resilience._retrying._attempts import bound
from svcready.resilience._retrying._retrier import Course
from svcready.resilience._timing import _deadline

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Awaitable, Callable, Generator

    from svcready.resilience._layering._gate import Gate
    from svcready.resilience._retrying._retrier import Retrier

    Stream = Generator[object, object, object]
    StreamCall = Callable[..., Stream]
    AsyncStream = AsyncGenerator[object, object]
    AsyncStreamCall = Callable[..., AsyncStream]

__all__ = [
    "begun_async",
    "going_on",
    "guarded",
    "guarded_async",
    "relayed_async",
    "retried",
    "retried_async",
]


def guarded(gates: tuple[Gate, ...], call: StreamCall) -> StreamCall:
    """
    Return the generator function *call* behind *gates*.

    The call is admitted when the first item is asked for and settled when the stream
    ends. A consumer that closes it early had what it wanted: a success; what a
    consumer throws into it is ignored. How fast it is, the first item says.
    """

    def wrapper(*args: object, **kwargs: object) -> Stream:
        passage = Passage(gates)
        passage.enter()
        elapsed_s: float | None = None
        thrown: BaseException | None = None
        try:
            stream = call(*args, **kwargs)
            item = next(stream)
            elapsed_s = passage.elapsed_s()
            while True:
                passage.rest()
                try:
                    sent = yield item
                except GeneratorExit:
                    passage.go_on()
                    stream.close()
                    raise
                except BaseException as error:  # noqa: BLE001 - it belongs inside
                    passage.go_on()
                    thrown = error
                    item = stream.throw(error)
                else:
                    passage.go_on()
                    item = stream.send(sent)
        except StopIteration as stop:
            passage.leave(None, elapsed_s)
            return stop.value
        except GeneratorExit:
            passage.leave(None, elapsed_s or 0.0)
            raise
        except BaseException as error:
            passage.leave(Unjudged() if error is thrown else error, elapsed_s)
            raise
        finally:
            del thrown  # its traceback holds this frame

    return wrapper


def retried(retrier: Retrier, call: StreamCall) -> StreamCall:
    """Return the generator function *call*, begun anew until its first item."""

    def wrapper(*args: object, **kwargs: object) -> Stream:
        bound_s = retrier.bound_s()
        until_s = min(_deadline.until_s(), retrier.clock.monotonic() + bound_s)
        course = Course(retrier, until_s)
        while True:
            token = course.put(again=course.attempt > 1)
            try:
                stream = call(*args, **kwargs)
                item = next(stream)
            except StopIteration as stop:
                course.done()
                return stop.value
            except Exception as error:
                wait_s = course.wait_s(error)
                if wait_s is None:
                    raise
            else:
                course.done()
                break
            finally:
                course.lift(token)

            retrier.clock.sleep(wait_s)

        return (yield from going_on(stream, item))

    return wrapper


def going_on(stream: Stream, item: object) -> Stream:
    """Go on with a generator whose first item was taken out already."""
    while True:
        try:
            sent = yield item
        except GeneratorExit:
            stream.close()
            raise
        except BaseException as thrown:  # noqa: BLE001 - it belongs inside
            try:
                item = stream.throw(thrown)
            except StopIteration as stop:
                return stop.value

            continue

        if sent is None:
            return (yield from stream)

        try:
            item = stream.send(sent)
        except StopIteration as stop:
            return stop.value


def guarded_async(gates: tuple[Gate, ...], call: AsyncStreamCall) -> AsyncStreamCall:
    """Return the async generator function *call* behind *gates*, as `guarded`."""

    async def wrapper(*args: object, **kwargs: object) -> AsyncStream:
        passage = Passage(gates)
        await passage.enter_async()
        elapsed_s: float | None = None
        thrown: BaseException | None = None
        try:
            stream = call(*args, **kwargs)
            item = await anext(stream)
            elapsed_s = passage.elapsed_s()
            while True:
                passage.rest()
                try:
                    sent = yield item
                except GeneratorExit:
                    passage.go_on()
                    await stream.aclose()
                    raise
                except BaseException as error:  # noqa: BLE001 - it belongs inside
                    passage.go_on()
                    thrown = error
                    item = await stream.athrow(error)
                else:
                    passage.go_on()
                    item = await stream.asend(sent)
        except StopAsyncIteration:
            passage.leave(None, elapsed_s)
        except GeneratorExit:
            passage.leave(None, elapsed_s or 0.0)
            raise
        except BaseException as error:
            passage.leave(Unjudged() if error is thrown else error, elapsed_s)
            raise
        finally:
            del thrown  # its traceback holds this frame

    return wrapper


def retried_async(retrier: Retrier, call: AsyncStreamCall) -> AsyncStreamCall:
    """
    Return the async generator function *call*, begun anew until its first item.

    The policy's deadline bounds the way to that item, by cancellation too.
    """

    async def begin(
        *args: object, **kwargs: object
    ) -> tuple[AsyncStream, object] | None:
        return await bound(
            retrier, lambda course: _begin(course, lambda: call(*args, **kwargs))
        )

    return begun_async(begin)


def begun_async(
    begin: Callable[..., Awaitable[tuple[AsyncStream, object] | None]],
) -> AsyncStreamCall:
    """
    Return an async generator function that goes on with streams begun elsewhere.

    Args:
        begin: Returns a stream and the item that was taken out already; None: there
            is no item.
    """

    async def wrapper(*args: object, **kwargs: object) -> AsyncStream:
        begun = await begin(*args, **kwargs)
        if begun is None:
            return

        stream, item = begun
        while True:
            try:
                sent = yield item
            except GeneratorExit:
                await stream.aclose()
                raise
            except BaseException as thrown:  # noqa: BLE001 - it belongs inside
                following = stream.athrow(thrown)
            else:
                following = stream.asend(sent)

            try:
                item = await following
            except StopAsyncIteration:
                return

    return wrapper


def relayed_async(
    call: AsyncStreamCall,
    first: Callable[[AsyncStream], Awaitable[object]] = anext,
) -> AsyncStreamCall:
    """
    Return an async generator function whose streams are those that *call* makes.

    Args:
        call: Makes them.
        first: Asks a stream for its first item.
    """

    async def wrapper(*args: object, **kwargs: object) -> AsyncStream:
        stream = call(*args, **kwargs)
        following = first(stream)
        while True:
            try:
                item = await following
            except StopAsyncIteration:
                return

            try:
                sent = yield item
            except GeneratorExit:
                await stream.aclose()
                raise
            except BaseException as thrown:  # noqa: BLE001 - it belongs inside
                following = stream.athrow(thrown)
            else:
                following = stream.asend(sent)

    return wrapper


async def _begin(
    course: Course, call: Callable[[], AsyncStream]
) -> tuple[AsyncStream, object] | None:
    """Return the stream that gave a first item, and the item; None: there is none."""
    while True:
        stream = call()
        token = course.put(again=course.attempt > 1)
        try:
            item = await anext(stream)
        except StopAsyncIteration:
            course.done()
            return None
        except Exception as error:
            wait_s = course.wait_s(error)
            if wait_s is None:
                raise
        else:
            course.done()
            return stream, item
        finally:
            course.lift(token)

        await course.retrier.clock.sleep_async(wait_s)
