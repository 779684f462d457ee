"""Joining the OpenTelemetry provider that an application has set itself."""

from __future__ import annotations

from typing import TYPE_CHECKING
from weakref import WeakKeyDictionary

from svcready.tracing._sdk import Relay

if TYPE_CHECKING:
    from opentelemetry.trace import TracerProvider

    from svcready.tracing._sdk import SpanSink

__all__ = ["attach"]

_relays: WeakKeyDictionary[TracerProvider, Relay] = WeakKeyDictionary()


def attach(provider: TracerProvider, sink: SpanSink) -> Relay | None:
    """
    Have *sink* told about the spans of an application's own provider.

    A provider gets one relay for ever, because it lets none go.

    Returns:
        The relay; None if the provider takes no processors.
    """
    relay = _relays.get(provider)
    if relay is None:
        add = getattr(provider, "add_span_processor", None)
        if add is None:
            return None

        relay = _relays[provider] = Relay()
        add(relay)

    relay.sink = sink
    return relay
