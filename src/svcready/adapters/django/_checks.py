"""The system checks, whose ids stay the same between versions."""

from __future__ import annotations

from typing import TYPE_CHECKING

from django.conf import settings
from django.core.checks import Warning as CheckWarning

if TYPE_CHECKING:
    from collections.abc import Sequence

    from django.apps import AppConfig
    from django.core.checks import CheckMessage

__all__ = ["check_middleware"]

_MIDDLEWARE = "svcready.adapters.django.Middleware"


def check_middleware(
    app_configs: Sequence[AppConfig] | None = None, **_: object
) -> list[CheckMessage]:
    """
    Check that the middleware is there, once, and first.

    Returns:
        `svcready.W001` if it is missing, `svcready.W002` if another middleware comes
        before it, `svcready.W003` if it is there twice.
    """
    del app_configs
    middleware = list(settings.MIDDLEWARE)
    if _MIDDLEWARE not in middleware:
        return [
            CheckWarning(
                f"{_MIDDLEWARE} is not in MIDDLEWARE.",
                hint="Put it first: without it requests have no ids, no access line, "
                "no metrics and no span.",
                id="svcready.W001",
            )
        ]

    found: list[CheckMessage] = []
    if middleware[0] != _MIDDLEWARE:
        found.append(
            CheckWarning(
                f"{middleware[0]} comes before {_MIDDLEWARE}.",
                hint="Put svcready's first: what comes before it is not measured, and "
                "its answers carry no ids.",
                id="svcready.W002",
            )
        )

    if middleware.count(_MIDDLEWARE) > 1:
        found.append(
            CheckWarning(
                f"{_MIDDLEWARE} is in MIDDLEWARE more than once.",
                hint="Keep the first one only.",
                id="svcready.W003",
            )
        )

    return found
