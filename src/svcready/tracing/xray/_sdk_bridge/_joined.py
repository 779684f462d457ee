"""Joins the X-Ray SDK to a runtime's traces when an application imports it."""

# How: the SDK has one recorder, an object that applications, its own middlewares and
# its patches import by name. Its class is replaced by one whose `begin` and `end` make
# spans by our tracer and find them in OpenTelemetry's context. Two other ways do less.
# An emitter that turns finished segments into spans comes too late: the ids have been
# sent to other services, log lines inside have none, and spans of other instrumentation
# are no children. A context object alone is asked after the SDK has decided, by its own
# sampler with its threads, what to keep; and `configure(context=AsyncContext())` would
# replace it.

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from svcready._core.guard import guard
from svcready._core.imports import when_imported

if TYPE_CHECKING:
    from collections.abc import Callable

    from opentelemetry.trace import Tracer

    from svcready.tracing._attributes import Attributes
    from svcready.tracing.xray._sdk_bridge._patches import Patches

__all__ = ["SdkBridge"]

_SDK = "aws_xray_sdk.core"
_SPANS = "_svcready_spans"
_quiet = guard("tracing.xray_sdk")


class SdkBridge:
    """
    Has the X-Ray SDK's recorder make spans, from `start` to `close`.

    Args:
        enabled: The setting; False leaves the SDK to itself.
        attributes: Redacts what goes into spans.
        service: The service's name.
    """

    def __init__(
        self,
        enabled: bool,  # noqa: FBT001 - the setting
        attributes: Attributes,
        service: str,
    ) -> None:
        self._enabled = enabled
        self._tracer: Tracer | None = None
        self._attributes = attributes
        self._service = service
        self._forget: Callable[[], None] | None = None
        self._patches: Patches | None = None
        self._part: Callable[[], None] | None = None

    @property
    def state(self) -> str:
        """What to tell people: whether code of the SDK is joined."""
        if self._forget is None:
            return "off"

        return "joined" if self._part is not None else "not imported"

    def start(self, tracer: Tracer | None) -> None:
        """
        Join the SDK now if it is imported, else when it is.

        Args:
            tracer: Begins spans; without one the SDK is left to itself.
        """
        self._tracer = tracer
        if self._enabled and tracer is not None:
            self._forget = when_imported(_SDK, self._join)

    def close(self) -> None:
        """Leave the SDK as it was."""
        forget, part = self._forget, self._part
        self._forget = self._part = None
        if forget is not None:
            forget()

        if part is not None:
            with _quiet:
                part()

    def traced(self, name: str) -> None:
        """Keep the SDK's patches off a library that OpenTelemetry traces now."""
        if self._patches is not None:
            self._patches.traced(name)

    def _join(self) -> None:
        from svcready.tracing.xray._sdk_bridge._kinds import make_kinds
        from svcready.tracing.xray._sdk_bridge._patches import Patches
        from svcready.tracing.xray._sdk_bridge._recorder import JoinedRecorder
        from svcready.tracing.xray._sdk_bridge._spans import Spans

        assert self._tracer is not None
        recorder = sys.modules[_SDK].xray_recorder
        spans = Spans(self._tracer, self._attributes, self._service, make_kinds())
        kind = type(recorder)
        if issubclass(kind, JoinedRecorder):  # another runtime's, which ends soon
            kind = kind.__bases__[1]
        else:
            recorder.__class__ = type("JoinedRecorder", (JoinedRecorder, kind), {})

        vars(recorder)[_SPANS] = spans
        patches = self._patches = Patches(sys.modules["aws_xray_sdk.core.patcher"])
        patches.join()

        def part() -> None:
            self._patches = None
            patches.part()
            if vars(recorder).get(_SPANS) is spans:
                recorder.__class__ = kind
                for name in (_SPANS, "_svcready_context"):
                    vars(recorder).pop(name, None)

        self._part = part
