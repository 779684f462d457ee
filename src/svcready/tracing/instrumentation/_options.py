"""How each instrumentation package is switched on, where its defaults don't do."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

__all__ = ["Options", "options_of"]

_MEASURED = frozenset(("celery", "sqlalchemy"))
"""Libraries of which svcready has metrics of its own: the packages' would double."""

_WEB = frozenset(("aiohttp_client", "httpx", "requests", "urllib3"))
"""Libraries whose package's metrics are the only ones, and have old names."""


class Options(NamedTuple):
    """How a package is switched on."""

    given: Mapping[str, object] = {}
    """Arguments of its `instrument`."""
    besides: Callable[[], Callable[[], None]] | None = None
    """Does what else is needed, and returns what takes that back."""


def options_of(name: str, propagators: tuple[str, ...]) -> Options:
    """
    Return how the package of the library called *name* is switched on.

    Args:
        name: As the setting has it.
        propagators: The header formats that are written.
    """
    given: dict[str, object] = {}
    besides: Callable[[], Callable[[], None]] | None = None
    if name in _MEASURED:
        from opentelemetry.metrics import NoOpMeterProvider

        given["meter_provider"] = NoOpMeterProvider()
    elif name in _WEB:
        from svcready.tracing.instrumentation._meters import StableMeters

        given["meter_provider"] = StableMeters()

    if name == "botocore":
        from svcready.tracing.instrumentation._aws_messages import AwsMessages
        from svcready.tracing.propagation._propagator import Propagator

        messages = AwsMessages()
        given["request_hook"] = messages.asked
        given["response_hook"] = messages.answered
        # The header that AWS' services read; of no use to them if it is not X-Ray's.
        speaks_xray = any(each.startswith("xray") for each in propagators)
        given["propagator"] = Propagator(("xray",) if speaks_xray else ())
    elif name == "sqlalchemy":
        from svcready.tracing.instrumentation._sqlalchemy import watch_engines

        besides = watch_engines

    return Options(given, besides)
