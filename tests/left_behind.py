"""What tests share in a process, looked at around each to find who leaves a change."""

from __future__ import annotations

import contextvars
import logging
import math
import os
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

from svcready._core import context
from svcready._runtime import current

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

__all__ = ["SETTINGS", "look_around"]

SETTINGS = ("AWS_", "LOG_LEVEL", "OTEL_", "PROMETHEUS_", "SVCREADY_")
"""What the names of variables begin with that somebody reads settings from."""


def look_around() -> dict[str, object]:
    """Return what another test would find, by name; nothing is imported for it."""
    root = logging.getLogger()
    return {
        "variables": {k: v for k, v in os.environ.items() if k.startswith(SETTINGS)},
        "the runtime in force": current(),
        "the context": context.current(),
        "what policies and blocks left in the context": _variables(),
        "OpenTelemetry's context": dict(_otel_context()),
        "instrumented libraries": sorted(_instrumented()),
        "the root logger's level": root.level,
        "the root logger's handlers": [h for h in root.handlers if not _runners(h)],
        "logging.disable": root.manager.disable,
        "Logger.isEnabledFor": logging.Logger.isEnabledFor,
        "Thread.start": vars(threading.Thread)["start"],
        "ThreadPoolExecutor.submit": vars(ThreadPoolExecutor)["submit"],
        "sys.excepthook": sys.excepthook,
    }


def _runners(handler: logging.Handler) -> bool:
    return type(handler).__module__.startswith("_pytest.")


def _variables() -> Mapping[str, object]:
    """Return what policies set that means anything: no empty block, no endless time."""
    found = contextvars.copy_context().items()
    return {
        var.name: it
        for var, it in found
        if var.name.startswith("svcready.")
        and it not in (None, (), math.inf)
        and getattr(it, "permits", True)
    }


def _otel_context() -> Mapping[str, object]:
    module = sys.modules.get("opentelemetry.context")
    found: Mapping[str, object] = {} if module is None else module.get_current()
    return found


def _instrumented() -> Iterator[str]:
    module = sys.modules.get("opentelemetry.instrumentation.instrumentor")
    kinds = [] if module is None else module.BaseInstrumentor.__subclasses__()
    for kind in kinds:
        if getattr(kind._instance, "_is_instrumented_by_opentelemetry", False):
            yield kind.__name__
