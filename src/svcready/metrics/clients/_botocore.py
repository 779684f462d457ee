"""Metrics of AWS calls through botocore and boto3, by botocore's public events."""

from __future__ import annotations

import weakref
from typing import TYPE_CHECKING, Protocol

from svcready._transport.aws import THROTTLED
from svcready.metrics.clients._aws_messages import Addressed, AwsMessages
from svcready.metrics.clients._dynamodb import DynamoDB
from svcready.metrics.clients._shared import (
    DECLARE,
    Installed,
    Patches,
    error_type,
    quiet,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from botocore.client import BaseClient
    from botocore.hooks import BaseEventHooks
    from botocore.model import OperationModel
    from botocore.session import Session

    class HasEvents(Protocol):
        """A boto3 session."""

        @property
        def events(self) -> BaseEventHooks:
            """What tells of the calls of the clients that it makes."""
            ...


__all__ = ["OWN_AGENT", "instrument_botocore", "instrument_every_client"]

OWN_AGENT = "svcready"
"""What our own clients add to their user agent; their calls are not measured."""

_MARK, _MESSAGES = "svcready.metrics", "svcready.messages"

_instrumented: Installed[object] = Installed()
_global: Installed[type[Session]] = Installed()


def instrument_botocore(
    session_or_client: BaseClient | Session | HasEvents,
) -> Callable[[], None]:
    """
    Measure the AWS calls of a client, or of all clients that a session makes later.

    Durations, errors, throttles and retries by operation; for SQS and SNS messages
    sent, received and deleted by queue or topic; for DynamoDB the consumed capacity
    that it returns (`ReturnConsumedCapacity`).

    Args:
        session_or_client: Of boto3 or botocore. Again for the same one, it changes
            nothing; a client of an instrumented session is measured once.

    Returns:
        What takes the instrumentation back, of the clients that a session made, too.
    """
    return _instrumented.once(session_or_client, _install)


def instrument_every_client() -> Callable[[], None]:
    """
    Measure every client that botocore makes from now on, but for our own.

    Returns:
        What takes the instrumentation back.
    """
    from botocore.session import Session

    return _global.once(Session, _install_everywhere)


def _install_everywhere(sessions: type[Session]) -> Callable[[type[Session]], None]:
    made: weakref.WeakSet[BaseClient] = weakref.WeakSet()
    patches = Patches()

    def create(
        inner: Callable[..., BaseClient],
        _: object,
        *args: object,
        **kwargs: object,
    ) -> BaseClient:
        client = inner(*args, **kwargs)
        with quiet:
            agent = getattr(client.meta.config, "user_agent_extra", None)
            if agent != OWN_AGENT:
                made.add(client)
                instrument_botocore(client)

        return client

    patches.wrap_class(sessions, "create_client", create)

    def remove(_: type[Session]) -> None:
        patches.undo()
        for client in tuple(made):
            instrument_botocore(client)()

    return remove


def _install(thing: object) -> Callable[[object], None]:
    calls = _Calls()
    events = _events_of(thing)
    hooks: tuple[tuple[str, Callable[..., None]], ...] = (
        ("before-parameter-build.sqs", calls.addressed),
        ("before-parameter-build.sns", calls.addressed),
        ("before-call", calls.begun),
        ("needs-retry", calls.answered),
        ("after-call", calls.ended),
        ("after-call-error", calls.failed),
    )
    for name, hook in hooks:
        events.register_first(name, hook)

    def remove(thing: object) -> None:
        calls.active = False  # clients that a session made have copies of the hooks
        for name, hook in hooks:
            _events_of(thing).unregister(name, hook)

    return remove


def _events_of(thing: object) -> BaseEventHooks:
    meta = getattr(thing, "meta", None)
    events: BaseEventHooks | None = getattr(meta or thing, "events", None)
    if events is not None:
        return events

    component: Callable[[str], BaseEventHooks] | None
    component = getattr(thing, "get_component", None)
    if component is None:
        raise TypeError(f"{thing!r:.200} is no client or session of boto3 or botocore")

    found: BaseEventHooks = component("event_emitter")
    return found


class _Mark:
    """What the hooks keep of one call, in the context that botocore hands them."""

    __slots__ = ("attempts", "method", "owner", "started_s")

    def __init__(self, owner: _Calls, method: str, started_s: float) -> None:
        self.owner = owner
        self.method = method
        self.started_s = started_s
        self.attempts = 0


class _Calls:
    """What is told of the calls of one client, or of the clients of one session."""

    def __init__(self) -> None:
        self._duration = DECLARE.timer(
            "rpc.client.call.duration",
            "Duration of calls of AWS, retries included.",
            labels=("rpc_system_name", "rpc_method", "error_type"),
        )
        self._retries = DECLARE.counter(
            "aws.client.retries",
            "Attempts of AWS calls after the first.",
            unit="{attempt}",
            labels=("rpc_method",),
        )
        self._throttles = DECLARE.counter(
            "aws.client.throttles",
            "Attempts of AWS calls that AWS throttled, successful in the end or not.",
            unit="{attempt}",
            labels=("rpc_method",),
        )
        self._clock = self._duration.stopwatch
        self._messages = AwsMessages()
        self._dynamodb = DynamoDB()
        self.active = True

    def addressed(
        self,
        params: Mapping[str, object],
        model: OperationModel,
        context: dict[str, object],
        **_: object,
    ) -> None:
        """Note which queue or topic a call is for."""
        with quiet:
            context[_MESSAGES] = self._messages.addressed(model.name, params)

    def begun(
        self, model: OperationModel, context: dict[str, object], **_: object
    ) -> None:
        """Note when a call began, unless a hook of ours already did."""
        with quiet:
            if self.active and _MARK not in context:
                method = f"{model.service_model.service_id}/{model.name}"
                context[_MARK] = _Mark(self, method, self._clock.now())

    def answered(
        self,
        request_dict: Mapping[str, object],
        attempts: int,
        response: tuple[object, Mapping[str, object]] | None = None,
        **_: object,
    ) -> None:
        """Count an attempt, which may be followed by others."""
        with quiet:
            mark = self._own_mark(request_dict.get("context"))
            if mark is not None:
                mark.attempts = attempts
                if response is not None and _error_code(response[1]) in THROTTLED:
                    self._throttles.labels(mark.method).inc()

    def ended(
        self, parsed: Mapping[str, object], context: dict[str, object], **_: object
    ) -> None:
        """Record a call that AWS answered, be it with an error."""
        with quiet:
            mark = self._own_mark(context)
            if mark is not None:
                self._finish(context, mark, _error_code(parsed), parsed)

    def failed(
        self, exception: Exception, context: dict[str, object], **_: object
    ) -> None:
        """Record a call that got no answer."""
        with quiet:
            mark = self._own_mark(context)
            if mark is not None:
                self._finish(context, mark, error_type(exception), {})

    def _finish(
        self,
        context: dict[str, object],
        mark: _Mark,
        error: str,
        parsed: Mapping[str, object],
    ) -> None:
        del context[_MARK]
        seconds = self._clock.now() - mark.started_s
        self._duration.labels("aws-api", mark.method, error).observe(seconds)
        if mark.attempts > 1:
            self._retries.labels(mark.method).inc(mark.attempts - 1)

        addressed = context.get(_MESSAGES)
        if isinstance(addressed, Addressed):
            self._messages.ended(addressed, seconds, error, parsed)
        elif mark.method.startswith("DynamoDB/") and not error:
            self._dynamodb.answered(mark.method, parsed)

    def _own_mark(self, context: object) -> _Mark | None:
        mark = context.get(_MARK) if isinstance(context, dict) else None
        return mark if isinstance(mark, _Mark) and mark.owner is self else None


def _error_code(parsed: Mapping[str, object]) -> str:
    error = parsed.get("Error")
    metadata = parsed.get("ResponseMetadata")
    status = metadata.get("HTTPStatusCode") if isinstance(metadata, dict) else None
    if isinstance(status, int) and status < 300:
        return ""  # a body of S3 or SQS may say Error of single entries

    code = error.get("Code") if isinstance(error, dict) else None
    return str(code or status or "")
