"""The logs of a service: one JSON object a line, whoever wrote it."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from svcready.logging._access import AccessLog
    from svcready.logging._formatter import JsonFormatter
    from svcready.logging._logger import Logger, get_logger
    from svcready.logging._pillar import LogPillar
    from svcready.logging._recorded import recorded
    from svcready.logging._schema import schema
    from svcready.logging._sources._gunicorn import GunicornLogger
    from svcready.logging._sources._log_config import log_config
    from svcready.logging._sources._loguru import loguru_sink
    from svcready.logging._sources._structlog import structlog_processor

__all__ = [
    "AccessLog",
    "GunicornLogger",
    "JsonFormatter",
    "LogPillar",
    "Logger",
    "get_logger",
    "log_config",
    "loguru_sink",
    "recorded",
    "schema",
    "structlog_processor",
]

_PLACES = {
    "AccessLog": "_access",
    "GunicornLogger": "_sources._gunicorn",
    "JsonFormatter": "_formatter",
    "LogPillar": "_pillar",
    "Logger": "_logger",
    "get_logger": "_logger",
    "log_config": "_sources._log_config",
    "loguru_sink": "_sources._loguru",
    "recorded": "_recorded",
    "schema": "_schema",
    "structlog_processor": "_sources._structlog",
}


def __getattr__(name: str) -> object:
    place = _PLACES.get(name)
    if place is None:
        msg = f"module {__name__!r} has no attribute {name!r}"
        raise AttributeError(msg)

    from importlib import import_module

    thing: object = getattr(import_module(f"{__name__}.{place}"), name)
    globals()[name] = thing
    return thing


def __dir__() -> list[str]:
    return __all__
