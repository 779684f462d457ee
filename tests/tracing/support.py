"""What the tracing tests share: a pillar per test, and who it says it is."""

from __future__ import annotations

from typing import TYPE_CHECKING

from svcready._core.clock import SYSTEM_CLOCK
from svcready._core.identity import Identity
from svcready.config._sections.otlp import OtlpSettings
from svcready.config._sections.tracing import SamplingRate, TracingSettings
from svcready.config._sections.xray import XraySettings
from svcready.tracing._pillar import TracePillar

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from svcready._core.clock import Clock

ALL = SamplingRate(0.0, 1.0)
NONE = SamplingRate(0.0, 0.0)


IDENTITY = Identity(
    service="orders",
    version="1.4.2",
    environment="test",
    instance="i-1",
    host_instance="h",
)


class Masker:
    """A redactor that masks the key `password` and the text `hunter2`."""

    def fields(self, fields: Mapping[str, object], /) -> Mapping[str, object]:
        """Mask a mapping."""
        return {
            key: "***" if "password" in key else self._value(value)
            for key, value in fields.items()
        }

    def text(self, text: str, /) -> str:
        """Mask a text."""
        return text.replace("hunter2", "***")

    def stack(self, text: str, names: Collection[str], /) -> str:
        """Mask a stack."""
        return self.text(text)

    def _value(self, value: object) -> object:
        return self.text(value) if isinstance(value, str) else value


def make_pillar(
    settings: TracingSettings | None = None,
    otlp: OtlpSettings | None = None,
    clock: Clock = SYSTEM_CLOCK,
    xray: XraySettings | None = None,
) -> TracePillar:
    """Return a pillar that samples all and keeps its spans, unless told otherwise."""
    return TracePillar(
        settings or TracingSettings(sampling=ALL, view_spans=1000),
        otlp or OtlpSettings(),
        xray or XraySettings(),
        identity=IDENTITY,
        resource_attributes={"team": "shop"},
        clock=clock,
        redactor=Masker(),
        development=False,
    )
