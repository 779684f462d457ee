"""The seam between declared spans and the runtime that makes them real."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import TypeAlias

    Linkable: TypeAlias = (
        "str | bytes | Mapping[str, object] | SpanHandle | Ids | HasIds"
    )

__all__ = [
    "CELL",
    "NO_SPAN",
    "Backend",
    "HasIds",
    "Ids",
    "OpenSpan",
    "SpanHandle",
    "bind",
]


class Ids(Protocol):
    """A span's ids, as OpenTelemetry's `SpanContext` has them."""

    @property
    def trace_id(self) -> int:
        """The trace id."""
        ...

    @property
    def span_id(self) -> int:
        """The span's id."""
        ...


class HasIds(Protocol):
    """A span of OpenTelemetry's."""

    def get_span_context(self) -> Ids:
        """Return its ids."""
        ...


class SpanHandle(Protocol):
    """The span that a `with` block or the current request is in."""

    def set(self, /, **attributes: object) -> None:
        """Set attributes; values are strings, numbers, flags, or lists of one kind."""
        ...

    def annotate(self, /, **attributes: object) -> None:
        """Set attributes that X-Ray indexes, so that traces are found by them."""
        ...

    def metadata(self, namespace: str, values: Mapping[str, object]) -> None:
        """Attach anything JSON can say; kept with the trace, not indexed."""
        ...

    def record_exception(self, error: BaseException) -> None:
        """Note an exception that was handled: it doesn't make the span failed."""
        ...

    def link(self, to: Linkable, /, **attributes: object) -> None:
        """Link the span to another, of another trace as a rule."""
        ...

    @property
    def header(self) -> str:
        """The span's ids as a `traceparent`, for `link`; empty if there is none."""
        ...


class OpenSpan(SpanHandle, Protocol):
    """A span of ours that was started and is to be ended."""

    def close(self, error: BaseException | None) -> None:
        """End the span; *error* is what left the block, if anything."""
        ...

    def enter(self) -> object:
        """Make the span current; returns what `leave` takes."""
        ...

    def leave(self, token: object) -> None:
        """Make current what was so before `enter`, without ending the span."""
        ...


class Backend(Protocol):
    """What a runtime binds to make spans real; none of it raises."""

    def open(self, name: str, attributes: Mapping[str, object], /) -> OpenSpan | None:
        """Start a span and make it current; None if its trace is not sampled."""
        ...

    def start(self, name: str, attributes: Mapping[str, object], /) -> OpenSpan | None:
        """Start a span that is not current; None if its trace is not sampled."""
        ...

    def current(self) -> SpanHandle | None:
        """Return the current span if it is recorded."""
        ...


class _NoSpan:
    """Stands for every span that is not recorded."""

    __slots__ = ()

    def set(self, /, **attributes: object) -> None:
        pass

    def annotate(self, /, **attributes: object) -> None:
        pass

    def metadata(self, namespace: str, values: Mapping[str, object]) -> None:
        pass

    def record_exception(self, error: BaseException) -> None:
        pass

    def link(self, to: Linkable, /, **attributes: object) -> None:
        pass

    @property
    def header(self) -> str:
        return ""

    def close(self, error: BaseException | None) -> None:
        pass

    def enter(self) -> object:
        pass

    def leave(self, token: object) -> None:
        pass


class _Cell:
    """Holds the backend; read on every call, so that it can change under all."""

    __slots__ = ("backend",)

    def __init__(self) -> None:
        self.backend: Backend | None = None


NO_SPAN: OpenSpan = _NoSpan()
"""The one span that is not recorded."""
CELL = _Cell()
"""Where declared spans look for what makes them real."""


def bind(backend: Backend | None) -> None:
    """Make spans real by *backend*; None ends that."""
    CELL.backend = backend
