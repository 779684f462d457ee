"""The time that an application takes for a message, measured by block or function."""

from __future__ import annotations

import inspect
from functools import wraps
from typing import TYPE_CHECKING, ParamSpec, TypeVar, cast

from svcready.metrics.clients._messaging import messaging
from svcready.metrics.clients._shared import error_type

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from types import TracebackType

__all__ = ["processing"]

P = ParamSpec("P")
R = TypeVar("R")


class processing:  # noqa: N801 - reads as a verb in `with processing(...)`
    """
    Measure the processing of a message, by its error's class if it fails.

    ```python
    with svcready.metrics.processing("orders", system="aws_sqs"):
        handle(message)


    @svcready.metrics.processing("orders")
    async def handle(message): ...
    ```

    Make one for each `with`; as a decorator, of plain and coroutine functions, one
    serves all calls.

    Args:
        destination: The queue or topic, one of few.
        system: `aws_sqs`, `rabbitmq`, `kafka`, ... as OpenTelemetry has it; empty if
            it is nobody's business.
    """

    __slots__ = ("_destination", "_messaging", "_started_s", "_system")

    def __init__(self, destination: str, *, system: str = "") -> None:
        self._destination = destination
        self._messaging = messaging(system)
        self._system = system
        self._started_s = 0.0

    def __call__(self, function: Callable[P, R]) -> Callable[P, R]:
        """Measure every call of *function*, a coroutine's until it ends."""
        destination, system = self._destination, self._system

        def begin() -> processing:
            return processing(destination, system=system)

        if inspect.iscoroutinefunction(function):
            awaited = cast("Callable[P, Awaitable[object]]", function)

            @wraps(function)
            async def measured_later(*args: P.args, **kwargs: P.kwargs) -> object:
                with begin():
                    return await awaited(*args, **kwargs)

            return cast("Callable[P, R]", measured_later)

        @wraps(function)
        def measured(*args: P.args, **kwargs: P.kwargs) -> R:
            with begin():
                return function(*args, **kwargs)

        return measured

    def __enter__(self) -> None:
        self._started_s = self._messaging.watch.now()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._messaging.processed(
            self._destination,
            self._messaging.watch.now() - self._started_s,
            "" if error is None else error_type(error),
        )
