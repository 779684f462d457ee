"""The path `/admin/info`: what runs here, since when, and who else does."""

from __future__ import annotations

import os
import platform
import re
import sys
import threading
from functools import cache
from typing import TYPE_CHECKING

from svcready._core.release import own_version
from svcready.admin._exchange import answer_json
from svcready.admin._routes._times import wall_time
from svcready.admin._surface import Route
from svcready.metrics._model import Number

if TYPE_CHECKING:
    from collections.abc import Mapping

    from svcready._runtime import Runtime
    from svcready.admin._exchange import OpsRequest, OpsResponse
    from svcready.metrics.sources._process import ProcessSource

__all__ = ["info_route", "process", "revision"]

_REVISIONS = (
    *("GIT_SHA", "GIT_COMMIT", "GIT_REVISION", "COMMIT_SHA", "SOURCE_VERSION"),
    *("GITHUB_SHA", "CI_COMMIT_SHA", "CIRCLE_SHA1", "BUILD_SOURCEVERSION"),
    *("CODEBUILD_RESOLVED_SOURCE_VERSION", "RENDER_GIT_COMMIT"),
    *("RAILWAY_GIT_COMMIT_SHA", "HEROKU_SLUG_COMMIT", "HEROKU_BUILD_COMMIT"),
)
"""Where builds and platforms leave the commit that an image was made of."""
_SHA = re.compile(r"[0-9a-f]{7,64}")
_PACKAGES = (
    *("fastapi", "starlette", "flask", "werkzeug", "django", "uvicorn", "gunicorn"),
    *("hypercorn", "sqlalchemy", "celery", "pydantic"),
)


def info_route(runtime: Runtime) -> Route:
    """Make the path that says what runs here."""

    def answer(_: OpsRequest) -> OpsResponse:
        identity = runtime.identity
        told: dict[str, object] = {
            "service": {
                "name": identity.service,
                "namespace": identity.namespace or None,
                "version": identity.version or None,
                "environment": identity.environment,
                "instance": identity.instance,
                "platform": identity.platform or None,
                "revision": revision(os.environ),
            },
            "runs_on": {
                "svcready": own_version(),
                "python": platform.python_version(),
                "implementation": platform.python_implementation(),
                "system": platform.system(),
                "frameworks": runtime.apps.frameworks,
                "packages": _packages(),
            },
            "process": process(runtime),
            "workers": [pid for pid, _ in sorted(runtime.group.members())],
            "resource": {
                key: runtime.redactor.text(value) if isinstance(value, str) else value
                for key, value in identity.resource().items()
            },
        }
        return answer_json(200, told)

    # Slow: versions of packages and the process's figures are read from files.
    return Route("/admin/info", answer, guarded=True, slow=True)


def process(runtime: Runtime) -> dict[str, object]:
    """Return since when this process runs, and what it uses."""
    found: dict[str, float] = {}
    for family in _source()():
        for point in family.points[:1]:
            if isinstance(point, Number):
                found[family.name] = point.value

    started_ns = round(found.get("process.start_time", 0.0) * 1e9)
    return {
        "pid": os.getpid(),
        "parent_pid": os.getppid(),
        "started": wall_time(started_ns or None),
        "uptime_s": max(0.0, round((runtime.clock.time_ns() - started_ns) / 1e9, 1)),
        "threads": threading.active_count(),
        "memory_bytes": found.get("process.memory.usage"),
    }


def revision(environ: Mapping[str, str]) -> str | None:
    """Return the commit that was built, if a usual variable has one."""
    for name in _REVISIONS:
        value = environ.get(name, "").strip().lower()
        if _SHA.fullmatch(value):
            return value

    return None


@cache
def _source() -> ProcessSource:
    from svcready.metrics.sources._process import ProcessSource

    return ProcessSource()


def _packages() -> dict[str, str]:
    """Return the versions of what is in use, of packages that matter here."""
    return {
        name: version
        for name in _PACKAGES
        if name in sys.modules and (version := _version(name))
    }


@cache
def _version(name: str) -> str:
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version(name)
    except PackageNotFoundError:
        return ""
