"""`init()` and `shutdown()`: the one call, and its undoing."""

from __future__ import annotations

import os
import sys
import threading
import warnings
from typing import TYPE_CHECKING

from svcready._core import fork
from svcready._runtime._cells import (
    current,
    has_wrappers,
    is_pinned,
    put_in_force,
)
from svcready._runtime._runtime import Runtime
from svcready._transport.aws import SecretResolver
from svcready.config import load, raise_if_any
from svcready.config._kinds import DURATION
from svcready.config._sections import CoreSettings
from svcready.errors import DeclarationError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import timedelta

    from svcready.config import Settings

__all__ = ["drain", "init", "resume", "shutdown"]

_lock = threading.RLock()


def _reset_lock() -> None:
    global _lock  # noqa: PLW0603 - a thread that the child lacks may hold the old one
    _lock = threading.RLock()


fork.reset_in_child(_reset_lock)


def init(
    *,
    service: str | None = None,
    version: str | None = None,
    environment: str | None = None,
    app: object | None = None,
    reconfigure: bool = False,
    settings: Mapping[str, object] | None = None,
) -> Runtime:
    """
    Make this service production-ready: logs, metrics, traces, health, lifecycle.

    Calling it again with the same configuration returns the same runtime; with
    another it keeps the one in force and warns, naming the keys that differ.

    Args:
        service: The service's name; SVCREADY_SERVICE_NAME overrides it.
        version: The service's own version.
        environment: Where it runs; `production` unless said, and only `development`,
            `dev`, `local` and `test` relax any default.
        app: A FastAPI, Starlette or Flask application to put the request lifecycle
            around. A bare ASGI or WSGI callable goes through `svcready.wrap`.
        reconfigure: Replace the runtime in force where the configuration differs.
        settings: Any other setting by its key: `{"log.level": "DEBUG"}` stands for
            SVCREADY_LOG_LEVEL, which overrides it.

    Returns:
        The runtime in force.

    Raises:
        DeclarationError: An argument is wrong: an unknown key of *settings*, a value
            that is not allowed, an *app* that cannot be wrapped in place.
        ConfigurationError: A variable or the file is wrong, and
            SVCREADY_CORE_STRICT is on.
    """
    wanted = load(
        environ=os.environ,
        arguments=settings,
        service=service,
        version=version,
        environment=environment,
        resolve_secret=SecretResolver(_init_timeout_s()),
    )
    if wanted.core.strict:
        raise_if_any(wanted.problems)

    with _lock:
        runtime, differing = _settle(current(), wanted, reconfigure=reconfigure)
        if app is not None:
            runtime.attach(app)
        elif not (runtime.apps or has_wrappers() or _django_is_loading()):
            runtime.work()

    if differing:  # said with no lock held: an application may hook warnings
        warnings.warn(
            "svcready.init() was called before with another configuration, which "
            f"stays in force; differing: {', '.join(differing)} (pass "
            "reconfigure=True to replace it)",
            stacklevel=2,
        )

    return runtime


def shutdown(timeout: float | timedelta | str | None = None) -> None:
    """
    Flush what is pending, stop everything, and put back what was there before.

    Args:
        timeout: How long it may take: seconds, timedelta or `"250ms"`;
            SVCREADY_LIFECYCLE_FLUSH_TIMEOUT_S if None.

    Raises:
        DeclarationError: *timeout* is no duration.
    """
    timeout_s = _seconds("timeout", timeout)
    with _lock:
        runtime = current()
        put_in_force(None)

    if runtime is not None:
        runtime.close(timeout_s)


def drain(delay: float | timedelta | str | None = None) -> None:
    """
    Have readiness fail in all processes of the service, and go on serving.

    For who knows that the instance is about to go: responses ask their clients to close
    connections, `health.draining()` is true, and when SIGTERM comes the delay counts
    from now. `resume` takes it back.

    Args:
        delay: How long load balancers take to notice: seconds, timedelta or `"5s"`;
            SVCREADY_LIFECYCLE_DRAIN_DELAY_S if None.

    Raises:
        DeclarationError: *delay* is no duration.
    """
    delay_s = _seconds("delay", delay)
    runtime = current()
    if runtime is not None:
        runtime.drain_orders.drain("svcready.drain()", delay_s)


def resume() -> bool:
    """
    Have all processes of the service take requests again, after `drain`.

    Returns:
        False if the service did not drain, or its server was told to end.
    """
    runtime = current()
    return runtime is not None and runtime.drain_orders.resume()


def _seconds(name: str, value: float | timedelta | str | None) -> float | None:
    """Return the argument *name* in seconds; None if nothing is said."""
    try:
        return None if value is None else DURATION.parse(value)
    except (TypeError, ValueError):
        msg = f"{name}={value!r} is not allowed: use {DURATION.allowed}"
        raise DeclarationError(msg) from None


def _settle(
    runtime: Runtime | None, wanted: Settings, *, reconfigure: bool
) -> tuple[Runtime, tuple[str, ...]]:
    """Return the runtime to go on with, and the keys in which it is not as wanted."""
    if runtime is None:
        return _replace(None, wanted), ()

    differing = wanted.changed_from(runtime.settings)
    if not differing or is_pinned():
        return runtime, ()

    if reconfigure:
        return _replace(runtime, wanted), ()

    return runtime, differing


def _django_is_loading() -> bool:
    """Tell whether Django's settings call us, whose application is ready later."""
    registry = sys.modules.get("django.apps")
    settings = os.environ.get("DJANGO_SETTINGS_MODULE", "")
    return registry is not None and settings in sys.modules and not registry.apps.ready


def _init_timeout_s() -> float:
    """Return how long secrets may take; needed before the settings are there."""
    try:
        return DURATION.parse(os.environ["SVCREADY_CORE_INIT_TIMEOUT_S"])
    except (KeyError, ValueError):
        return CoreSettings().init_timeout_s


def _replace(before: Runtime | None, settings: Settings) -> Runtime:
    runtime = Runtime(settings)
    if before is not None:
        runtime.apps = before.apps
        runtime.drain.inherit(before.drain)
        # Flushed while it still answers probes, and then closed at once: a sink that
        # hangs must not have the platform kill the service for a new setting.
        before.flush(before.settings.lifecycle.flush_timeout_s)
        before.close(0.0)

    try:
        runtime.start()
    except BaseException:  # cut off, by Ctrl-C or a time limit
        put_in_force(None)
        runtime.close(0.0)
        raise

    put_in_force(runtime)
    return runtime
