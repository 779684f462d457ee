"""What segments and subsegments have in common: they write through to a span."""

# They are the SDK's classes to whoever asks by isinstance, with its fields to read, and
# without its constructor. Nothing of them raises: the SDK's own raise where something
# is changed after its end, which who shares spans with others cannot foresee.
# ruff: noqa: ARG002 - the signatures are the SDK's

from __future__ import annotations

import json
import sys
import time
from functools import cached_property
from typing import TYPE_CHECKING

from opentelemetry.trace import SpanKind, Status, StatusCode

from svcready._core.guard import guard
from svcready.tracing import _otel
from svcready.tracing._contents import note, rename
from svcready.tracing._contents import put as put_all
from svcready.tracing._live import LiveSpan
from svcready.tracing.propagation._reading import XRAY_KEY
from svcready.tracing.propagation._w3c import SAMPLED
from svcready.tracing.propagation._xray_header import format_xray_id
from svcready.tracing.xray._sdk_bridge._semantics import http_attributes

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from opentelemetry.context import Context
    from opentelemetry.trace import Span

    from svcready.tracing._attributes import Attributes

__all__ = ["Joined", "quiet"]

quiet = guard("tracing.xray_sdk")
_NO_IDS = "0" * 32, "0" * 16
_SERVED = frozenset((SpanKind.SERVER, SpanKind.CONSUMER))
_VALUES = (str, int, float, bool)
_FAULT = 500
_THROTTLED = 429
_ERROR = 400


class Joined:
    """
    What segments and subsegments have in common.

    Args:
        span: What it stands for.
        attributes: Redacts what goes into the span.
        context: The OpenTelemetry context in which the span is current.
        name: Its name.
        owned: It was begun through the SDK, and ends through it; else the span is
            another's, who names and ends it.
    """

    is_segment = False
    parent_id: str | None = None

    def __init__(
        self,
        span: Span,
        attributes: Attributes,
        context: Context,
        name: str,
        *,
        owned: bool,
    ) -> None:
        trace_id, self.id = _otel.ids_of(span) or _NO_IDS
        self.span = span
        self.context = context
        self.owned = owned
        self.trace_id = format_xray_id(trace_id)
        self.in_progress = True
        self.start_time = time.time()
        self.http: dict[str, dict[str, object]] = {}
        self.annotations: dict[str, object] = {}
        self.metadata: dict[str, dict[str, object]] = {}
        self.aws: Mapping[str, object] = {}
        self.cause: dict[str, object] = {}
        self.subsegments: list[object] = []
        self._name = name
        self.redacting = attributes
        self._live = LiveSpan(span, attributes)

    @cached_property
    def sampled(self) -> bool:
        """Whether the trace is sampled, as called services are told."""
        flags = getattr(self.span, "flags", None)
        if flags is None:
            flags = self.span.get_span_context().trace_flags

        return bool(flags & SAMPLED)

    @property
    def kind(self) -> object:
        """The span's role."""
        return getattr(self.span, "kind", None)

    @property
    def name(self) -> str:
        """Its name; a server's span keeps the one that its route gives it."""
        return self._name

    @name.setter
    def name(self, name: str) -> None:
        self._name = name
        if self.kind not in _SERVED or self.owned:
            with quiet:
                rename(self.span, self.redacting.name(str(name)))

    def put_http_meta(self, key: str, value: object) -> None:
        """Tell the HTTP request or its response; for its own spans svcready knows."""
        if value is None:
            return

        part = "response" if key in {"status", "content_length"} else "request"
        self.http.setdefault(part, {})[key] = value
        if key == "status" and str(value).isdigit():
            self.apply_status_code(int(str(value)))

        if self.owned or self.kind not in _SERVED:
            self.put(lambda: http_attributes(key, value, served=self._is_served))

    def put_annotation(self, key: str, value: object) -> None:
        """Set an attribute that X-Ray indexes."""
        if isinstance(key, str) and isinstance(value, _VALUES):
            self.annotations[key] = value
            self._live.annotate(**{key: value})

    def put_metadata(self, key: str, value: object, namespace: str = "default") -> None:
        """Attach data that is not indexed."""
        if isinstance(namespace, str):
            self.metadata.setdefault(namespace, {})[key] = value
            self._live.metadata(namespace, {key: value})

    def set_aws(self, aws_meta: Mapping[str, object]) -> None:
        """Tell the call of AWS's API that this is."""
        self.aws = aws_meta

    def add_exception(
        self,
        exception: object,
        stack: Sequence[object] | None = None,
        remote: bool = False,  # noqa: FBT001, FBT002
    ) -> None:
        """Record an exception, with its causes; the span counts as failed."""
        self.fault = True
        if isinstance(exception, BaseException):
            self._live.record_exception(exception)
            self._fail(type(exception).__name__)
        else:
            with quiet:
                text = self.redacting.text(str(exception))
                note(self.span, "exception", {"exception.message": text})

            self._fail("")

    def add_fault_flag(self) -> None:
        """Say that it failed."""
        self.fault = True
        self._fail("")

    def add_error_flag(self) -> None:
        """Say that its caller made a mistake."""
        self.error = True
        if not self._is_served:
            self._fail("")

    def add_throttle_flag(self) -> None:
        """Say that it was refused for coming too often."""
        self.throttle = True

    def apply_status_code(self, status_code: int) -> None:
        """Say what an HTTP status says."""
        if status_code >= _FAULT:
            self.add_fault_flag()
        elif status_code >= _ERROR:
            if status_code == _THROTTLED:
                self.add_throttle_flag()

            self.add_error_flag()

    def get_origin_trace_header(self) -> object:
        """Return the header that came with the request; what it carries goes on."""
        saved = vars(self).get("_origin_trace_header")
        passed = str(self.context.get(XRAY_KEY, ""))
        if saved is not None or not passed:
            return saved

        pairs = (pair.partition("=") for pair in passed.split(";") if pair)
        models = sys.modules["aws_xray_sdk.core.models.trace_header"]
        return models.TraceHeader(data={key: value for key, _, value in pairs})

    def add_subsegment(self, subsegment: object) -> None:
        """Do nothing: what is inside is known by its parent's id."""

    def remove_subsegment(self, subsegment: object) -> None:
        """Do nothing."""

    def close(self, end_time: float | None = None) -> None:
        """End it; *end_time* is in seconds since the epoch."""
        if not self.in_progress:
            return

        self.in_progress = False
        self.end_time = end_time or time.time()
        if self.owned:
            with quiet:
                self.span.end(int(end_time * 1e9) if end_time else None)

    def ready_to_send(self) -> bool:
        """Return that the SDK has nothing to send."""
        return False

    def serialize(self) -> str:
        """Return the document as far as it is known here; what is sent is the span."""
        return json.dumps(self.to_dict(), default=str)

    def to_dict(self) -> dict[str, object]:
        """Return the document as far as it is known here."""
        names = (
            "id",
            "trace_id",
            "name",
            "parent_id",
            "start_time",
            "end_time",
            "in_progress",
            "namespace",
            "http",
            "annotations",
            "metadata",
            "aws",
            "sql",
            "user",
            "error",
            "fault",
            "throttle",
        )
        told = ((name, getattr(self, name, None)) for name in names)
        return {name: value for name, value in told if value}

    @property
    def _is_served(self) -> bool:
        return self.kind in _SERVED

    def _fail(self, description: str) -> None:
        with quiet:
            self.span.set_status(Status(StatusCode.ERROR, description or None))

    def put(self, make: Callable[[], Mapping[str, object]]) -> None:
        with quiet:
            put_all(self.span, self.redacting.clean(make()))
