"""
Our propagators by the names of `OTEL_PROPAGATORS`.

OpenTelemetry looks its names up when it is imported, and raises over one that no
installed package offers: a service would not start for the sake of a header.
"""

from __future__ import annotations

from svcready.tracing.propagation._propagator import Propagator

__all__ = ["b3", "b3multi", "xray", "xray_lambda"]


def b3() -> Propagator:
    """Return what reads and writes B3 in one header."""
    return Propagator(("b3",))


def b3multi() -> Propagator:
    """Return what reads and writes B3 in several headers."""
    return Propagator(("b3multi",))


def xray() -> Propagator:
    """Return what reads and writes X-Amzn-Trace-Id."""
    return Propagator(("xray",))


def xray_lambda() -> Propagator:
    """Return the same, which looks into Lambda's environment too."""
    return Propagator(("xray-lambda",))
