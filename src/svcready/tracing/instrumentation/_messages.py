"""What the stable conventions of messaging want and the old ones say otherwise."""

from __future__ import annotations

from typing import TYPE_CHECKING

from opentelemetry.trace import SpanKind

from svcready.tracing.instrumentation._conventions import (
    OPERATION_TYPES,
    SQS_AND_SNS,
    SYSTEMS,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    from opentelemetry.util.types import AttributeValue

__all__ = ["CELERY", "complete", "is_one"]

CELERY = "opentelemetry.instrumentation.celery"
"""The scope whose spans are all about messages, and don't all say so."""
_PIKA = "opentelemetry.instrumentation.pika"
_BY_KIND = {
    SpanKind.PRODUCER: ("publish", "send"),
    SpanKind.CONSUMER: ("process", "process"),
}


def is_one(new: Mapping[str, AttributeValue], scope: str) -> bool:
    """Tell whether a span is about messages."""
    return "messaging.system" in new or scope == CELERY


def complete(
    new: dict[str, AttributeValue],
    old: Mapping[str, AttributeValue],
    name: str,
    kind: SpanKind,
    scope: str,
) -> tuple[str, SpanKind]:
    """
    Add to *new* what the old attributes of a message say in another way.

    Args:
        new: The attributes so far.
        old: Those that the package set.
        name: The span's.
        kind: The span's.
        scope: Whose span it is.

    Returns:
        The span's name, `{messaging.operation.name} {destination}`, and its kind.
    """
    system = str(new.setdefault("messaging.system", "celery"))
    new["messaging.system"] = SYSTEMS.get(system, system)
    if scope.startswith(_PIKA):
        # The package says so of whatever is published.
        new.pop("messaging.destination.temporary", None)

    operation, type_ = _operation(new, old, kind, scope)
    if not operation:
        return name, kind

    operation = str(new.setdefault("messaging.operation.name", operation))
    new.setdefault("messaging.operation.type", type_)
    if type_ == "send" and kind is SpanKind.CLIENT:
        kind = SpanKind.PRODUCER  # the message carries this span

    destination = str(new.get("messaging.destination.name", ""))
    if system == "aws.sns":
        # An ARN, which is elsewhere; a telephone number is masked by the package.
        destination = destination.rpartition(":")[2]
        new["messaging.destination.name"] = destination

    # All tasks of a queue by one name would say nothing: with Celery it is the task
    # that calls go to.
    task = old.get("celery.task_name") if scope == CELERY else None
    what = str(task or destination)
    return f"{operation} {what}".rstrip(), kind


def _operation(
    new: Mapping[str, AttributeValue],
    old: Mapping[str, AttributeValue],
    kind: SpanKind,
    scope: str,
) -> tuple[str, str]:
    if "rpc.method" in new:
        return SQS_AND_SNS.get(str(new["rpc.method"]), ("", ""))

    said = str(old.get("messaging.operation", ""))
    # pika's callback runs inside a span that the package calls `receive`.
    if said and not (scope.startswith(_PIKA) and kind is SpanKind.CONSUMER):
        return said, OPERATION_TYPES.get(said, said)

    return _BY_KIND.get(kind, ("", ""))
