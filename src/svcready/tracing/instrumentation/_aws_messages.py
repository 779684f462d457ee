"""The trace in messages of SQS, which the package for botocore leaves out."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from opentelemetry import propagate
from opentelemetry.context import Context
from opentelemetry.trace import get_current_span

from svcready._core.guard import guard

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from opentelemetry.trace import Span, SpanContext

__all__ = ["AwsMessages"]

_quiet = guard("tracing.instrumentation")
_HEADER = "X-Amzn-Trace-Id"
_SYSTEM_ATTRIBUTE = "AWSTraceHeader"
_MOST_ATTRIBUTES = 10
_MOST_LINKS = 10
# A message, or a batch, of more bytes is refused; the second since August 2025.
_LIMITS_BYTES = (256 * 1024, 1024 * 1024)
_ROOM_BYTES = 1024
_ALL = frozenset(("All", ".*"))

_Entry = dict[str, object]


class AwsMessages:
    """
    Puts the trace on messages to SQS, and links what is received to who sent it.

    A message carries the trace twice: as message attributes, by the propagator in
    force, and in X-Ray's form as the system attribute that AWS' own services read.
    SNS is the package's own work.
    """

    def asked(
        self, _span: object, service: str, operation: str, params: dict[str, object]
    ) -> None:
        """Change what a call sends, before it does."""
        if service != "sqs":
            return

        with _quiet:
            if operation == "SendMessage":
                self._carry([params])
            elif operation == "SendMessageBatch":
                # The application's own entries stay as they are.
                entries = [dict(entry) for entry in _dicts(params.get("Entries"))]
                self._carry(entries)
                params["Entries"] = entries
            elif operation == "ReceiveMessage":
                self._ask_for(params)

    def answered(
        self, span: Span, service: str, operation: str, result: object
    ) -> None:
        """Link a span that received messages to the spans that sent them."""
        if service != "sqs" or operation != "ReceiveMessage":
            return

        with _quiet:
            if span.is_recording() and isinstance(result, dict):
                for sender in _distinct(self._senders(result)):
                    span.add_link(sender)

    def _carry(self, entries: list[_Entry]) -> None:
        size = sum(_size(entry) for entry in entries)
        room = _ROOM_BYTES * len(entries)
        if any(limit - room < size <= limit for limit in _LIMITS_BYTES):
            return  # the message matters more than its trace

        carrier: dict[str, str] = {}
        propagate.inject(carrier)
        header = carrier.pop(_HEADER, "")
        for entry in entries:
            _add_attributes(entry, carrier)
            if header:
                system = dict(_dict(entry.get("MessageSystemAttributes")))
                system.setdefault(_SYSTEM_ATTRIBUTE, _text(header))
                entry["MessageSystemAttributes"] = system

    def _ask_for(self, params: dict[str, object]) -> None:
        fields = propagate.get_global_textmap().fields
        names = _strings(params.get("MessageAttributeNames"))
        wanted = [name for name in sorted(fields - {_HEADER}) if name not in names]
        if wanted and _ALL.isdisjoint(names):
            params["MessageAttributeNames"] = [*names, *wanted]

        if _HEADER not in fields:
            return

        asked = _strings(params.get("AttributeNames"))
        system = _strings(params.get("MessageSystemAttributeNames"))
        if {*_ALL, _SYSTEM_ATTRIBUTE}.isdisjoint((*asked, *system)):
            # The older parameter's name, if that is what the application uses.
            key = "AttributeNames" if asked else "MessageSystemAttributeNames"
            params[key] = [*(asked or system), _SYSTEM_ATTRIBUTE]

    def _senders(self, result: Mapping[str, object]) -> Iterator[SpanContext]:
        for message in _dicts(result.get("Messages")):
            carrier = {
                key: str(value.get("StringValue", ""))
                for key, value in _dict(message.get("MessageAttributes")).items()
                if isinstance(value, dict)
            }
            header = _dict(message.get("Attributes")).get(_SYSTEM_ATTRIBUTE)
            if header is not None:
                carrier[_HEADER] = str(header)

            found = propagate.extract(carrier, context=Context())
            sender = get_current_span(found).get_span_context()
            if sender.is_valid:
                yield sender


def _add_attributes(entry: _Entry, carrier: Mapping[str, str]) -> None:
    attributes = dict(_dict(entry.get("MessageAttributes")))
    new = {key: _text(value) for key, value in carrier.items() if key not in attributes}
    if "traceparent" in new and len(attributes) + len(new) > _MOST_ATTRIBUTES:
        new = {"traceparent": new["traceparent"]}

    if new and len(attributes) + len(new) <= _MOST_ATTRIBUTES:
        entry["MessageAttributes"] = {**attributes, **new}


def _distinct(senders: Iterable[SpanContext]) -> list[SpanContext]:
    found = {(sender.trace_id, sender.span_id): sender for sender in senders}
    return list(found.values())[:_MOST_LINKS]


def _size(entry: _Entry) -> int:
    body = entry.get("MessageBody")
    text = body.encode("utf-8", "replace") if isinstance(body, str) else b""
    return len(text) + sum(
        len(name) + len(str(value))
        for name, value in _dict(entry.get("MessageAttributes")).items()
    )


def _text(value: str) -> dict[str, str]:
    return {"DataType": "String", "StringValue": value}


def _dict(value: object) -> Mapping[str, object]:
    return cast("Mapping[str, object]", value) if isinstance(value, dict) else {}


def _dicts(value: object) -> list[Mapping[str, object]]:
    return [e for e in value if isinstance(e, dict)] if isinstance(value, list) else []


def _strings(value: object) -> list[str]:
    return [str(each) for each in value] if isinstance(value, list | tuple) else []
