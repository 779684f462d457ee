"""The source of what libraries record through OpenTelemetry's meters."""

from __future__ import annotations

from typing import TYPE_CHECKING

from svcready._core.guard import report_fault

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from svcready.config._sections.metrics import MetricsSettings
    from svcready.metrics._instruments._cardinality import Room, Sized
    from svcready.metrics._model import Family
    from svcready.metrics.sources._otel._provider import Provider

__all__ = ["MeterSource"]


class MeterSource:
    """Follows the process' one provider of meters, once it is started."""

    def __init__(self) -> None:
        self.state = "off"
        """`on`, `off`, or that the application has a provider of its own."""
        self._provider: Provider | None = None

    def start(
        self,
        settings: MetricsSettings,
        redact: Callable[[str], str],
        room: Room,
        buckets_for: Callable[[str], tuple[float, ...] | None],
    ) -> None:
        """
        Make our provider OpenTelemetry's, unless the application has set one.

        Args:
            settings: The section METRICS.
            redact: Hides the secrets in attributes.
            room: What all metrics share.
            buckets_for: Returns the configured buckets of a metric, or None.
        """
        try:
            from svcready.metrics.sources._otel import _provider as _otel
            from svcready.metrics.sources._otel._streams import Limits

            _otel.PROVIDER.bind(
                Limits(
                    settings.max_series,
                    settings.max_label_length,
                    redact,
                    room,
                    buckets_for,
                )
            )
            if _otel.install() is None:
                self._provider = _otel.PROVIDER
                self.state = "on"
            else:
                self.state = "off: the application has a meter provider of its own"
        except Exception as error:  # noqa: BLE001 - the service starts without
            report_fault("metrics.otel", error)
            self.state = f"off: {type(error).__name__}"

    def streams(self) -> tuple[Sized, ...]:
        """Return the metrics, as the room for series sees them."""
        return () if self._provider is None else self._provider.streams()

    def families(self) -> Iterator[Family]:
        """Read every metric; nothing before the start."""
        if self._provider is not None:
            yield from self._provider.families()
