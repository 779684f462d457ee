"""The section SERVICE: who the service is."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from svcready.config._kinds import PAIRS, matching
from svcready.config._setting import setting, standard

__all__ = ["ServiceSettings"]

_RESOURCE = "OTEL_RESOURCE_ATTRIBUTES"
_WORD = matching(r".{0,255}", "up to 255 printable characters")
_ENVIRONMENT = matching(
    r"[a-z0-9][a-z0-9._:/-]{0,63}",
    "up to 64 of the characters a-z, 0-9, '.', '_', ':', '/', '-'",
    lower=True,
)


@dataclass(frozen=True, kw_only=True, slots=True)
class ServiceSettings:
    """Who the service is."""

    section: ClassVar[str] = "SERVICE"

    name: str = setting(
        "",
        _WORD,
        "The service's name; empty takes what the platform calls it",
        standards=(
            standard("OTEL_SERVICE_NAME", _WORD),
            standard(_RESOURCE, _WORD, key="service.name"),
        ),
    )
    version: str = setting(
        "",
        _WORD,
        "The service's own version",
        standards=(standard(_RESOURCE, _WORD, key="service.version"),),
    )
    environment: str = setting(
        "production",
        _ENVIRONMENT,
        "Where it runs; only development, dev, local and test relax anything",
        standards=(
            standard(_RESOURCE, _ENVIRONMENT, key="deployment.environment.name"),
            standard(_RESOURCE, _ENVIRONMENT, key="deployment.environment"),
        ),
        in_file=False,
    )
    namespace: str = setting(
        "",
        _WORD,
        "The group of services that this one belongs to",
        standards=(standard(_RESOURCE, _WORD, key="service.namespace"),),
    )
    instance: str = setting(
        "",
        _WORD,
        "This process's id; empty makes a new one in every process",
        standards=(standard(_RESOURCE, _WORD, key="service.instance.id"),),
    )
    attributes: tuple[tuple[str, str], ...] = setting(
        (),
        PAIRS,
        "More attributes of the OpenTelemetry resource",
        standards=(standard(_RESOURCE, PAIRS),),
    )
