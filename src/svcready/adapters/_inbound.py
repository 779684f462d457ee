"""The headers of a request that its lifecycle reads, as adapters hand them over."""

from __future__ import annotations

__all__ = ["B3_SLOTS", "NO_HEADERS", "B3Headers", "Headers"]


class Headers:
    """The inbound headers that matter; an adapter fills them in one pass."""

    __slots__ = (
        "baggage",
        "correlation_id",
        "request_id",
        "traceparent",
        "tracestate",
        "xray",
    )

    b3: tuple[str | None, str | None, str | None, str | None, str | None] | None = None
    """The headers of B3, where they are read."""

    def __init__(self) -> None:
        self.request_id: str | None = None
        self.correlation_id: str | None = None
        self.traceparent: str | None = None
        self.tracestate: str | None = None
        self.xray: str | None = None
        self.baggage: str | None = None


B3_SLOTS = ("b3_single", "b3_trace_id", "b3_span_id", "b3_sampled", "b3_flags")
"""The slots of B3's headers, in the order in which they are handed on."""


class B3Headers(Headers):
    """The same where B3 is among the formats in force."""

    __slots__ = B3_SLOTS

    def __init__(self) -> None:
        Headers.__init__(self)
        self.b3_single: str | None = None
        self.b3_trace_id: str | None = None
        self.b3_span_id: str | None = None
        self.b3_sampled: str | None = None
        self.b3_flags: str | None = None

    @property
    def b3(  # type: ignore[override]
        self,
    ) -> tuple[str | None, str | None, str | None, str | None, str | None]:
        """The headers of B3."""
        return (
            self.b3_single,
            self.b3_trace_id,
            self.b3_span_id,
            self.b3_sampled,
            self.b3_flags,
        )


NO_HEADERS = Headers()
"""Of a request that brought none of them; never filled."""
