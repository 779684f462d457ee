"""OpenTelemetry's context and ids, read and written without its detours."""

from __future__ import annotations

import random
from contextvars import ContextVar
from typing import TYPE_CHECKING

from opentelemetry import context as otel_context
from opentelemetry.context import Context
from opentelemetry.trace import (
    NonRecordingSpan,
    SpanContext,
    TraceFlags,
    TraceState,
)
from opentelemetry.trace.propagation import _SPAN_KEY as SPAN_KEY

from svcready._core import fork
from svcready.tracing.propagation._w3c import parse_tracestate

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextvars import Token

__all__ = [
    "ROOT_KEY",
    "SPAN_KEY",
    "UNDECIDED_KEY",
    "RemoteSpan",
    "UnsampledSpan",
    "attach",
    "current",
    "detach",
    "ids_of",
    "is_left_out",
    "new_ids",
    "new_span_id",
    "sampled_span_ids",
    "span_ids",
    "trace_state",
]

ROOT_KEY = otel_context.create_key("svcready-root")
"""The span that this process's part of the trace began with, inside that."""

UNDECIDED_KEY = otel_context.create_key("svcready-undecided")
"""Set for a remote parent that made no decision (X-Ray): our rule decides."""

_IDS = "_svcready_ids"
_FLAGS = tuple(TraceFlags(number) for number in range(256))
_EMPTY = Context()


def _find_variable() -> ContextVar[Context] | None:
    # OpenTelemetry keeps its context in a ContextVar behind three calls. Where that is
    # not so (OTEL_PYTHON_CONTEXT names another keeper), its own functions serve.
    keeper = getattr(otel_context, "_RUNTIME_CONTEXT", None)
    variable = getattr(keeper, "_current_context", None)
    return variable if isinstance(variable, ContextVar) else None


_variable = _find_variable()

current: Callable[[], Context] = (
    otel_context.get_current if _variable is None else _variable.get
)
"""Return the OpenTelemetry context in force."""

attach: Callable[[Context], Token[Context]] = (
    otel_context.attach if _variable is None else _variable.set
)
"""Put a context in force; returns the token that `detach` takes."""


def detach(token: Token[Context], ours: Context) -> None:
    """
    Put back what was in force before *token*'s `attach` of *ours*.

    In another context than that of `attach` (a response body closed by another
    thread or task) there is nothing to put back, and nothing to log.
    """
    if _variable is None:
        otel_context.detach(token)
        return

    try:
        _variable.reset(token)
    except ValueError:
        if _variable.get() is ours:
            _variable.set(_EMPTY)


_random = random.Random()
_drawn: list[tuple[str, str]] = []
_DRAWS = 16
_STARTS = range(0, 48 * _DRAWS, 48)


def _reseed() -> None:
    _random.seed()
    _drawn.clear()


fork.reset_in_child(_reseed)


def new_ids() -> tuple[str, str]:
    """Return a new trace id and span id in hex, from a generator of our own."""
    try:
        return _drawn.pop()
    except IndexError:
        return _draw()


def _draw() -> tuple[str, str]:
    """Draw some at once: 0.2 µs for each in a row, 0.7 between other work."""
    text = _random.getrandbits(192 * _DRAWS).to_bytes(24 * _DRAWS, "big").hex()
    ids = [(text[at : at + 32], text[at + 32 : at + 48]) for at in _STARTS]
    _drawn.extend(ids[1:])
    return ids[0]


def new_span_id() -> str:
    """Return a new span id in hex."""
    return _random.getrandbits(64).to_bytes(8, "big").hex()


class _State(TraceState):
    """A trace state of members that are checked already, by the rules of level 2."""

    def __init__(self, members: dict[str, str]) -> None:
        super().__init__()
        self._dict = members


def trace_state(header: str | None) -> TraceState | None:
    """Return the trace state that a tracestate header says; None without one."""
    members = parse_tracestate(header) if header else None
    return _State(members) if members else None


class _LazySpan(NonRecordingSpan):
    """A span that is ids and nothing else; OpenTelemetry's form of them when asked."""

    _remote = False
    flags = 2
    tracestate: str | None = None

    def __init__(
        self, ids: tuple[str, str], flags: int = 2, tracestate: str | None = None
    ) -> None:
        self._svcready_ids = ids
        self.flags = flags
        self.tracestate = tracestate

    def get_span_context(self) -> SpanContext:
        """Return the ids in OpenTelemetry's form."""
        made: SpanContext | None = getattr(self, "_made", None)
        if made is None:
            trace_id, span_id = self._svcready_ids
            made = self._made = SpanContext(
                int(trace_id, 16),
                int(span_id, 16),
                self._remote,
                _FLAGS[self.flags],
                trace_state(self.tracestate),
            )

        return made

    def __repr__(self) -> str:
        return f"{type(self).__name__}({'-'.join(self._svcready_ids)})"


class UnsampledSpan(_LazySpan):
    """
    The current span of a request that is not sampled.

    Instrumentation that runs inside finds a valid parent which says "not sampled".

    Args:
        ids: Trace id and span id in hex.
        flags: The trace flags, without the sampled bit.
        tracestate: The caller's tracestate header.
    """


class RemoteSpan(_LazySpan):
    """
    A caller's span.

    Args:
        ids: Trace id and span id in hex.
        flags: The trace flags.
        tracestate: The caller's tracestate header.
    """

    _remote = True


def is_left_out(span: object) -> bool:
    """Tell whether *span* belongs to a trace that this process doesn't sample."""
    if span.__class__ is UnsampledSpan:
        return True

    if span.__class__ is RemoteSpan or not isinstance(span, NonRecordingSpan):
        return False

    made = span.get_span_context()
    return made.is_valid and not made.is_remote and not made.trace_flags.sampled


def ids_of(span: object) -> tuple[str, str] | None:
    """Return trace id and span id of *span* in hex; None if it has no valid ones."""
    ids: tuple[str, str] | None = getattr(span, _IDS, None)
    if ids is not None:
        return ids

    read = getattr(span, "get_span_context", None)
    made = read() if read is not None else None
    if made is None or not made.is_valid:
        return None

    ids = (
        made.trace_id.to_bytes(16, "big").hex(),
        made.span_id.to_bytes(8, "big").hex(),
    )
    try:
        span._svcready_ids = ids  # type: ignore[attr-defined]  # noqa: SLF001
    except AttributeError:  # a foreign span with slots
        pass

    return ids


def span_ids() -> tuple[str, str] | None:
    """Return the current span's trace id and span id in hex; None outside any."""
    span = current().get(SPAN_KEY)
    if span is None:
        return None

    ids: tuple[str, str] | None = getattr(span, _IDS, None)
    return ids_of(span) if ids is None else ids


def sampled_span_ids() -> tuple[str, str] | None:
    """Return the current span's ids in hex if that is sampled, open or ended."""
    span = current().get(SPAN_KEY)
    if span is None or span.__class__ is UnsampledSpan:
        return None

    read = getattr(span, "get_span_context", None)
    return ids_of(span) if read is not None and read().trace_flags.sampled else None
