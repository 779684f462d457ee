"""Our segments and subsegments as the SDK's classes, made when the SDK is there."""

# Importing the SDK opens a socket, so no file of ours does. What is handed out has to
# be the SDK's to whoever asks by `isinstance`.

from __future__ import annotations

import sys
from typing import Any, NamedTuple, cast

from svcready.tracing.xray._sdk_bridge._entities import (
    JoinedSegment,
    JoinedSubsegment,
)
from svcready.tracing.xray._sdk_bridge._left_out import (
    LeftOutSegment,
    LeftOutSubsegment,
)

__all__ = ["Kinds", "make_kinds", "sdk_enabled"]

_MODELS = "aws_xray_sdk.core.models"


class Kinds(NamedTuple):
    """The classes that are handed out."""

    segment: type[JoinedSegment]
    """A segment that is recorded."""
    subsegment: type[JoinedSubsegment]
    """A subsegment that is recorded."""
    left_out_segment: type[LeftOutSegment]
    """A segment that is not sampled."""
    left_out_subsegment: type[LeftOutSubsegment]
    """A subsegment that is not sampled."""


def make_kinds() -> Kinds:
    """Return the classes; the SDK is imported."""
    dummies = sys.modules[f"{_MODELS}.dummy_entities"]
    bases = {
        JoinedSegment: sys.modules[f"{_MODELS}.segment"].Segment,
        JoinedSubsegment: sys.modules[f"{_MODELS}.subsegment"].Subsegment,
        LeftOutSegment: dummies.DummySegment,
        LeftOutSubsegment: dummies.DummySubsegment,
    }
    made = [type(ours.__name__, (ours, base), {}) for ours, base in bases.items()]
    kinds = Kinds._make(cast("list[Any]", made))
    kinds.left_out_subsegment.segment_kind = kinds.left_out_segment
    return kinds


def sdk_enabled() -> bool:
    """Tell whether the SDK is on (`AWS_XRAY_SDK_ENABLED`)."""
    return bool(sys.modules["aws_xray_sdk"].global_sdk_config.sdk_enabled())
