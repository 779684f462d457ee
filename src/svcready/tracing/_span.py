"""Spans as applications declare them: the decorator, context manager, annotations."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar, cast

from svcready.errors import DeclarationError
from svcready.tracing._backend import CELL, NO_SPAN
from svcready.tracing._decorate import decorated

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from types import TracebackType

    from svcready.tracing._backend import Linkable, OpenSpan, SpanHandle

__all__ = ["annotate", "link", "metadata", "span"]

F = TypeVar("F", bound="Callable[..., object]")


def annotate(**attributes: object) -> None:
    """
    Set attributes of the current span by which traces are found.

    On X-Ray they are annotations: indexed, at most 50 in a trace, keys of
    `A-Z a-z 0-9 _`, values strings, numbers or flags. Other keys and values are put
    right, and what is too much is not indexed; a line in the log says so, once for
    each key. Outside a recorded span this does nothing.
    """
    backend = CELL.backend
    current = None if backend is None else backend.current()
    if current is not None:
        current.annotate(**attributes)


def metadata(namespace: str, values: Mapping[str, object]) -> None:
    """
    Attach data to the current span that is kept but not indexed.

    Args:
        namespace: Groups the values on X-Ray; may not begin with `AWS.`.
        values: Anything that JSON can say; said again, a namespace is added to.
    """
    backend = CELL.backend
    current = None if backend is None else backend.current()
    if current is not None:
        current.metadata(namespace, values)


def link(to: Linkable, /, **attributes: object) -> None:
    """
    Link the current span to another, of another trace as a rule.

    For work that several requests caused, or that goes on apart from its request: a
    batch and its messages, a job and what asked for it.

    Args:
        to: A `traceparent` or `X-Amzn-Trace-Id` header, a message's headers by name,
            what `SpanHandle.header` gave elsewhere, or a span or `SpanContext` of
            OpenTelemetry's. A damaged header links nothing.
        attributes: What to say about the link.
    """
    backend = CELL.backend
    current = None if backend is None else backend.current()
    if current is not None:
        current.link(to, **attributes)


class span:  # noqa: N801 - reads as a verb in `with span(...)`
    """
    Record the time of a block or of each call of a function.

    As a decorator it takes functions, coroutines, generators of both kinds and
    methods; a generator's span lasts until the generator ends, and is current only
    while its body runs. Before `init()`, and in traces that are not sampled, it does
    nothing. An `Exception` that leaves the block is recorded and makes the span
    failed.

    One object may be entered again inside itself, but not from two threads or tasks
    at once: write the call where the block is.

    Args:
        name: The span's name; a decorated function's own name if None.
        attributes: Attributes that the span starts with.

    Raises:
        DeclarationError: *name* is not a text, as in `@span` without parentheses.
    """

    __slots__ = ("_attributes", "_name", "_opened")

    def __init__(self, name: str | None = None, /, **attributes: object) -> None:
        if name.__class__ is not str and name is not None:
            raise DeclarationError(
                f"span name {name!r} is not a text; "
                "to have it named by the function write @span()"
            )

        self._name = name
        self._attributes = attributes
        self._opened: tuple[OpenSpan, object] | None = None

    def __enter__(self) -> SpanHandle:
        backend = CELL.backend
        if backend is not None:
            opened = backend.open(self._name or "span", self._attributes)
            if opened is not None:
                self._opened = (opened, self._opened)
                return opened

        if self._opened is not None:  # entered again: its exit has to find its own
            self._opened = (NO_SPAN, self._opened)

        return NO_SPAN

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._opened is not None:
            opened, before = self._opened
            self._opened = cast("tuple[OpenSpan, object] | None", before)
            opened.close(error)

    async def __aenter__(self) -> SpanHandle:
        return self.__enter__()

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.__exit__(kind, error, trace)

    def __call__(self, function: F) -> F:
        """Return *function* with a span around each call."""
        return cast("F", decorated(function, self._name, self._attributes))
