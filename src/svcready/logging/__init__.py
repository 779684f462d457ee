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

__all__ = [
    "AccessLog",
    "JsonFormatter",
    "LogPillar",
    "Logger",
    "get_logger",
    "recorded",
    "schema",
]

_PLACES = {
    "AccessLog": "_access",
    "JsonFormatter": "_formatter",
    "LogPillar": "_pillar",
    "Logger": "_logger",
    "get_logger": "_logger",
    "recorded": "_recorded",
    "schema": "_schema",
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
