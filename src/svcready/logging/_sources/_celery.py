"""Celery, which sets `logging` up for itself unless somebody says that he did."""

from __future__ import annotations

import sys

from svcready._core.guard import report_fault

__all__ = ["connect"]


def connect() -> None:
    """Have Celery, if it is loaded, leave `logging` to us; doing so again is cheap."""
    signals = sys.modules.get("celery.signals")
    if signals is not None:
        signals.setup_logging.connect(_take_over, weak=False, dispatch_uid="svcready")


def _take_over(**_: object) -> None:
    """
    Answer that logging is set up, and redirect what tasks print as Celery would.

    Celery does either only where nobody answers; `worker_redirect_stdouts` still
    decides, and the lines come from the logger `celery.redirected`.
    """
    try:
        app = sys.modules["celery"].current_app
        if app.conf.worker_redirect_stdouts:
            app.log.redirect_stdouts(app.conf.worker_redirect_stdouts_level)
    except Exception as error:  # noqa: BLE001 - telemetry never raises
        report_fault("logging", error)
