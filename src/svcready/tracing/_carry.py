"""Context taken along: work that runs elsewhere keeps the ids it was started with."""

from __future__ import annotations

import functools
import sys
from typing import TYPE_CHECKING, ParamSpec, TypeVar, cast

from svcready._core.callables import kind_of
from svcready._core.context import activate, current, deactivate
from svcready.errors import DeclarationError

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine
    from contextvars import Token
    from types import ModuleType
    from typing import Self

    from opentelemetry.context import Context

    from svcready._core.context import ContextRecord

__all__ = ["Carried", "carry_context"]

P = ParamSpec("P")
T = TypeVar("T")

_CONTEXT = "opentelemetry.context"


class Carried:
    """
    What is in force where it is made: our record, and OpenTelemetry's context.

    Not more of the context: a framework's own variables (Flask's request, a database
    session's scope) are not safe in two threads at once.
    """

    __slots__ = ("_context", "_otel", "_record")

    def __init__(self) -> None:
        self._record = current()
        self._context: Context | None = None
        self._otel: ModuleType | None = None
        if _CONTEXT in sys.modules:  # else nobody has put anything there
            from svcready.tracing import _otel

            self._otel = _otel
            self._context = _otel.current()

    def __bool__(self) -> bool:
        """Tell whether it is anything at all."""
        return self._record is not None or bool(self._context)

    def run(self, function: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> T:
        """Call *function* in it."""
        with _In(self._record, self._context, self._otel):
            return function(*args, **kwargs)

    async def run_async(
        self,
        function: Callable[P, Coroutine[object, object, T]],
        /,
        *args: P.args,
        **kwargs: P.kwargs,
    ) -> T:
        """Await *function* in it."""
        with _In(self._record, self._context, self._otel):
            return await function(*args, **kwargs)


class _In:
    __slots__ = ("_attached", "_context", "_otel", "_record", "_token")

    def __init__(
        self,
        record: ContextRecord | None,
        context: Context | None,
        otel: ModuleType | None,
    ) -> None:
        self._record = record
        self._context = context
        self._otel = otel

    def __enter__(self) -> Self:
        self._token = activate(self._record)
        if self._otel is not None:
            self._attached: Token[Context] = self._otel.attach(self._context)

        return self

    def __exit__(self, *_: object) -> None:
        if self._otel is not None:
            self._otel.detach(self._attached, self._context)

        deactivate(self._token)


def carry_context(function: Callable[P, T]) -> Callable[P, T]:
    """
    Take the ids, bound fields and current span that are in force now along.

    For work that another thread does: Python carries context into tasks and
    `asyncio.to_thread`, but not into `threading.Thread`, `executor.submit` and
    `loop.run_in_executor`. The span may have ended by then; spans that the work makes
    are its children all the same.

    Args:
        function: A function or coroutine function; called as often as you like, by
            several threads at once too.

    Returns:
        The same function, which runs in the context of this call.

    Raises:
        DeclarationError: *function* is a generator function, whose body runs where it
            is iterated.
    """
    kind = kind_of(function)
    if kind not in ("function", "coroutine"):
        msg = f"carry_context() takes functions and coroutine functions, not a {kind}"
        raise DeclarationError(msg)

    carried = Carried()
    if kind == "coroutine":
        return cast("Callable[P, T]", _carry_coroutine(function, carried))

    def call(*args: P.args, **kwargs: P.kwargs) -> T:
        return carried.run(function, *args, **kwargs)

    return functools.update_wrapper(call, function)


def _carry_coroutine(
    function: Callable[..., object], carried: Carried
) -> Callable[..., object]:
    inner = cast("Callable[..., Coroutine[object, object, object]]", function)

    async def call(*args: object, **kwargs: object) -> object:
        return await carried.run_async(inner, *args, **kwargs)

    return functools.update_wrapper(call, function)
