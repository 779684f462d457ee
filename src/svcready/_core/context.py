"""The context of the work at hand: one ContextVar that holds one immutable record."""

from __future__ import annotations

from contextvars import ContextVar
from functools import partial
from types import MappingProxyType
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from contextvars import Context, Token
    from types import TracebackType
    from typing import Self

__all__ = [
    "NO_FIELDS",
    "ContextRecord",
    "RefusedBy",
    "activate",
    "bind",
    "bound",
    "current",
    "deactivate",
    "degraded",
    "mark_degraded",
    "new_record",
    "note_refusal",
    "record_in",
    "refused_by",
]

NO_FIELDS: Mapping[str, object] = MappingProxyType({})
"""The fields of a record for which nothing was bound."""


class RefusedBy(NamedTuple):
    """What a request was answered by in the application's place."""

    name: str
    """The policy's name; empty: not known."""
    error_type: str
    """The type of its error."""


class ContextRecord(NamedTuple):
    """
    What is known of the request, message or job that is being worked on.

    A record is never changed: a change makes a new one, so that tasks and threads
    which took a copy of the context keep theirs.
    """

    request_id: str | None = None
    """This hop's id: a valid inbound X-Request-ID or a new one."""
    correlation_id: str | None = None
    """The id that the whole chain of calls shares."""
    trace_id: str | None = None
    """W3C trace id of the server span: 32 lower-case hex digits."""
    span_id: str | None = None
    """W3C id of the server span: 16 lower-case hex digits."""
    sampled: bool = False
    """True if the server span is recorded and exported."""
    fields: Mapping[str, object] = NO_FIELDS
    """What the application bound; goes on every log line."""
    degraded: list[str | RefusedBy] | None = None
    """
    Whose stand-ins answered calls, and what refused the request in the end. The one
    list of a request, which all copies of its record share, so that what a task or
    thread of its notes is seen by the others.
    """


new_record: Callable[[tuple[object, ...]], ContextRecord] = partial(
    tuple.__new__, ContextRecord
)
"""Make a record of all its values in a tuple, without the constructor's frame."""

_EMPTY = ContextRecord()
_CURRENT: ContextVar[ContextRecord | None] = ContextVar("svcready", default=None)

current = _CURRENT.get
"""Return the record in force, or None outside any request, message or job."""

activate = _CURRENT.set
"""Put a record in force; returns the token that `deactivate` takes."""


def record_in(context: Context) -> ContextRecord | None:
    """Return the record in force in another context, a task's or a job's."""
    return context.get(_CURRENT)


def deactivate(token: Token[ContextRecord | None]) -> None:
    """
    Put back what was in force before *token*'s `activate`.

    A response body that is closed in another context than it was opened in (a
    server's thread pool, a garbage-collected generator) has nothing to put back.
    """
    try:
        _CURRENT.reset(token)
    except ValueError:
        _CURRENT.set(None)


def bind(**fields: object) -> None:
    """
    Put *fields* on every log line of the rest of this request, message or job.

    Args:
        fields: Names and values; a name bound before gets the new value.
    """
    record = _CURRENT.get() or _EMPTY
    _CURRENT.set(record._replace(fields={**record.fields, **fields}))


class bound:  # noqa: N801 - reads as a verb in `with bound(...)`
    """
    Put fields on every log line inside a `with` block.

    Outside any request it is the unit that `degraded` tells of. Each entry keeps its
    own token on a stack, so one object can be entered again.

    Args:
        fields: Names and values; a name bound before gets the new value inside.
    """

    __slots__ = ("_fields", "_tokens")

    def __init__(self, **fields: object) -> None:
        self._fields = fields
        self._tokens: list[Token[ContextRecord | None]] = []

    def __enter__(self) -> Self:
        record = _CURRENT.get() or _EMPTY
        marks = [] if record.degraded is None else record.degraded
        fields = {**record.fields, **self._fields}
        record = record._replace(fields=fields, degraded=marks)
        self._tokens.append(_CURRENT.set(record))
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        deactivate(self._tokens.pop())


def mark_degraded(name: str) -> None:
    """Note that a stand-in answered for *name*; outside a unit of work nobody asks."""
    record = _CURRENT.get()
    if record is not None:
        marks = record.degraded
        if marks is not None and name not in marks:
            marks.append(name)


def degraded() -> tuple[str, ...]:
    """
    Return the names of the policies whose fallbacks answered so far.

    Of this request, message or job, whichever of its tasks and threads made the call;
    empty, and so false, while every answer was the dependency's own. For a job that is
    none of a server's, enclose it in `with svcready.bound():`.
    """
    record = _CURRENT.get()
    marks = None if record is None else record.degraded
    names = (mark for mark in marks or () if isinstance(mark, str))
    return tuple(dict.fromkeys(names)) if marks else ()


def note_refusal(name: str, error_type: str) -> None:
    """Note what the request at hand is answered by; outside any nobody asks."""
    record = _CURRENT.get()
    if record is not None and record.degraded is not None:
        record.degraded.append(RefusedBy(name, error_type))


def refused_by() -> RefusedBy | None:
    """Return what the request at hand was answered by last; None: by nothing."""
    record = _CURRENT.get()
    marks = None if record is None else record.degraded
    found = [mark for mark in marks or () if isinstance(mark, RefusedBy)]
    return found[-1] if found else None
