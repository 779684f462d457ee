"""The decorator that counts calls by how they ended."""

from __future__ import annotations

from functools import WRAPPER_ASSIGNMENTS, WRAPPER_UPDATES, update_wrapper
from types import CoroutineType
from typing import TYPE_CHECKING, ParamSpec, TypeVar, cast

from svcready._core.callables import kind_of
from svcready._core.type_names import type_name
from svcready.errors import DeclarationError
from svcready.metrics._instruments._call_labels import (
    fixed_values,
    label_names,
    reader_of,
)
from svcready.metrics._instruments._names import check_labels
from svcready.metrics._instruments._register import Declarer

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Coroutine, Generator
    from typing import TypeAlias

    from svcready.metrics._instruments._call_labels import Labels, Read
    from svcready.metrics._instruments._instrument import Counter, Increment

    AsyncCall: TypeAlias = Callable[..., Coroutine[None, None, object]]
    Stream: TypeAlias = Callable[..., Generator[object, object, object]]
    AsyncStream: TypeAlias = Callable[..., AsyncGenerator[object, object]]
__all__ = ["Counted", "counted"]

P = ParamSpec("P")
R = TypeVar("R")

_ADDED = ("outcome", "error_type")
_SUCCESS = ("success", "")
_CANCELLED = ("cancelled", "")


def counted(
    name: str,
    help: str = "Calls, by how they ended.",  # noqa: A002
    *,
    labels: Labels = (),
) -> Counted:
    """
    Count the calls of a function by how they ended.

    ```python
    @svcready.counted("price_changes", "Prices changed", labels=("kind",))
    async def change_price(kind: str, price: int) -> None: ...
    ```

    It counts plain functions, coroutines, generators, async generators and methods,
    when they end, on a counter with two further labels. `outcome` is `success`,
    `error`, or `cancelled` if the call was given up from outside; `error_type` is the
    class of the exception, empty without one. A consumer that closes a generator early
    had what it wanted: a success.

    Args:
        name: The counter's, as for `svcready.counter`. Several functions may share it.
        help: What is counted, in one line.
        labels: Names of parameters, whose arguments are the values; or a mapping from
            names to fixed values, or to functions that are asked for the value with
            the arguments of each call. If one fails, the fault is reported and the
            value is empty; the call goes on.

    Returns:
        The decorator. What it decorates keeps its signature.

    Raises:
        DeclarationError: A sink could not take the name or labels, a function has no
            parameter of a label's name, or the name is declared differently elsewhere.
    """
    if not isinstance(name, str):
        raise DeclarationError(
            f"@counted needs the metric's name, which dashboards know it by: "
            f'@counted("price_changes"), was given {name!r}'
        )

    names = check_labels("counted", name, label_names(labels))
    taken = [label for label in names if label in _ADDED]
    if taken:
        raise DeclarationError(
            f"counted {name!r}: label {taken[0]!r} is what it tells the ends by"
        )

    declare = Declarer("application")
    return Counted(declare.counter(name, help, labels=(*names, *_ADDED)), labels)


class Counted:
    """
    The decorator that `counted` returns.

    Args:
        counter: Where it counts.
        labels: What its first labels are.
    """

    __slots__ = ("_counter", "_labels")

    def __init__(self, counter: Counter, labels: Labels) -> None:
        self._counter = counter
        self._labels = labels

    def __call__(self, function: Callable[P, R]) -> Callable[P, R]:
        """
        Count every call of *function*.

        Raises:
            DeclarationError: It is nothing that can be counted, or has no parameter of
                a label's name.
        """
        name = self._counter.spec.name
        if isinstance(function, staticmethod | classmethod):
            inner = self(function.__func__)
            return cast("Callable[P, R]", type(function)(inner))

        if isinstance(function, type) or not callable(function):
            raise DeclarationError(
                f"counted {name!r}: {function!r} is no function; decorate the "
                "function, and place @property and the like above"
            )

        wrapper = _wrap(self._tally(function), function)
        # An object's attributes are its own business.
        updated = WRAPPER_UPDATES if hasattr(function, "__code__") else ()
        update_wrapper(wrapper, function, WRAPPER_ASSIGNMENTS, updated)
        return cast("Callable[P, R]", wrapper)

    def _tally(self, function: Callable[..., object]) -> _Tally:
        counter = self._counter
        fixed = fixed_values(self._labels)
        if fixed is not None:
            return _Tally(counter, fixed, None)

        read = reader_of(counter.spec.name, function, self._labels)
        return _Tally(counter, (), read)


class _Tally:
    """
    Counts how the calls of one function end.

    Args:
        counter: Where.
        values: The labels of every call, if they are the same.
        read: Else, what makes them of a call's arguments.
    """

    __slots__ = ("_counter", "begin", "inc", "values")

    def __init__(
        self, counter: Counter, values: tuple[object, ...], read: Read | None
    ) -> None:
        self._counter = counter
        self.values = values
        self.begin: Read = read or (lambda _args, _kwargs: values)
        """Returns the labels of a call with some arguments."""
        # Kept, and there with 0 from the start, so that no rate misses the first one.
        self.inc: Increment | None = None
        """Counts a success, if all are one series; quicker than `succeeded`."""
        if read is None:
            self.inc = counter.labels(*values, *_SUCCESS).inc

    def succeeded(self, values: tuple[object, ...]) -> None:
        """Count a success."""
        self._counter.labels(*values, *_SUCCESS).inc()

    def failed(self, values: tuple[object, ...], error: BaseException) -> None:
        """Count an error, or that the call was given up from outside."""
        raised = isinstance(error, Exception)
        ended = ("error", type_name(error)) if raised else _CANCELLED
        self._counter.labels(*values, *ended).inc()


def _wrap(tally: _Tally, function: Callable[..., object]) -> Callable[..., object]:
    kind = kind_of(function)
    if kind == "coroutine":
        return _coroutine(tally, cast("AsyncCall", function))

    if kind == "async generator":
        return _async_generator(tally, cast("AsyncStream", function))

    if kind == "generator":
        return _generator(tally, cast("Stream", function))

    return _function(tally, function)


def _function(tally: _Tally, function: Callable[..., object]) -> Callable[..., object]:
    inc, same, begin, succeeded = tally.inc, tally.values, tally.begin, tally.succeeded

    def wrapper(*args: object, **kwargs: object) -> object:
        values = same if inc else begin(args, kwargs)
        try:
            result = function(*args, **kwargs)
        except BaseException as error:
            tally.failed(values, error)
            raise

        if type(result) is CoroutineType:  # another decorator's, not marked as one
            return _awaited(tally, values, result)

        if inc:
            inc()
        else:
            succeeded(values)

        return result

    return wrapper


def _coroutine(tally: _Tally, function: AsyncCall) -> Callable[..., object]:
    inc, same, begin, succeeded = tally.inc, tally.values, tally.begin, tally.succeeded

    async def wrapper(*args: object, **kwargs: object) -> object:
        values = same if inc else begin(args, kwargs)
        try:
            result = await function(*args, **kwargs)
        except BaseException as error:
            tally.failed(values, error)
            raise

        if inc:
            inc()
        else:
            succeeded(values)

        return result

    return wrapper


async def _awaited(
    tally: _Tally,
    values: tuple[object, ...],
    result: Coroutine[object, object, object],
) -> object:
    try:
        value = await result
    except BaseException as error:
        tally.failed(values, error)
        raise

    tally.succeeded(values)
    return value


def _generator(tally: _Tally, function: Stream) -> Callable[..., object]:
    def wrapper(*args: object, **kwargs: object) -> Generator[object, object, object]:
        values = tally.begin(args, kwargs)
        try:
            result = yield from function(*args, **kwargs)
        except GeneratorExit:
            tally.succeeded(values)
            raise
        except BaseException as error:
            tally.failed(values, error)
            raise

        tally.succeeded(values)
        return result

    return wrapper


def _async_generator(tally: _Tally, function: AsyncStream) -> Callable[..., object]:
    async def wrapper(
        *args: object, **kwargs: object
    ) -> AsyncGenerator[object, object]:
        values = tally.begin(args, kwargs)
        try:
            stream = function(*args, **kwargs)
            step = stream.__anext__()
            while True:
                try:
                    item = await step
                except StopAsyncIteration:
                    break

                try:
                    sent = yield item
                except GeneratorExit:
                    await stream.aclose()
                    raise
                except BaseException as error:  # noqa: BLE001 - the stream's to handle
                    step = stream.athrow(error)
                else:
                    step = stream.asend(sent)
        except GeneratorExit:
            tally.succeeded(values)
            raise
        except BaseException as error:
            tally.failed(values, error)
            raise

        tally.succeeded(values)

    return wrapper
