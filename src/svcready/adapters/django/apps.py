"""The Django application: system checks, and `init()` if nobody called it."""

from __future__ import annotations

from django.apps import AppConfig
from django.core import checks
from django.core.signals import got_request_exception

from svcready._core import events
from svcready._core.events import ClientFound
from svcready._runtime import current, init
from svcready.adapters.django import _routes
from svcready.adapters.django._checks import check_middleware
from svcready.adapters.django._middleware import note_error

__all__ = ["SvcreadyConfig"]


class SvcreadyConfig(AppConfig):
    """Starts svcready with the project."""

    name = "svcready.adapters.django"
    label = "svcready"
    verbose_name = "svcready"

    def ready(self) -> None:
        """Register the checks, start the runtime, and unify the project's logging."""
        checks.register(check_middleware, "svcready")
        got_request_exception.connect(note_error, dispatch_uid="svcready")
        runtime = current() or init()
        runtime.apps.add("Django", _routes.__name__, self)
        events.publish(ClientFound("django"))
        # Django applied its LOGGING after the settings called init().
        if runtime.logging is not None:
            runtime.logging.unify()
