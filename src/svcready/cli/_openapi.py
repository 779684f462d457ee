"""The OpenAPI document of what a service with this environment serves to operators."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from svcready._runtime import Runtime
from svcready.admin import build_surface, describe_surface
from svcready.config import load

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["describe_operators"]


def describe_operators(environ: Mapping[str, str] | None = None) -> dict[str, object]:
    """
    Return the document; groups that only code names are not known here.

    Args:
        environ: The service's variables; those of the process by default.
    """
    # Whether there are tokens counts, and not which.
    settings = load(
        environ=os.environ if environ is None else environ,
        resolve_secret=lambda _: "unresolved",
    )
    runtime = Runtime(settings)  # never started: it is asked, and serves nobody
    service = runtime.identity.service
    # Only the code may know the name, and it is not asked here.
    is_named = not service.startswith("unknown_service")
    title = f"{service}: paths for operators" if is_named else "Paths for operators"
    version = runtime.identity.version
    public = build_surface(runtime)
    if settings.admin.port <= 0:
        return describe_surface(public, title=title, version=version)

    here: dict[str, object] = {"url": "/", "description": "The application's port"}
    port: dict[str, object] = {
        "url": f"http://{{host}}:{settings.admin.port}",
        "description": "The operator's own port",
        "variables": {"host": {"default": "localhost"}},
    }
    document = describe_surface(
        build_surface(runtime, own_port=True), title=title, version=version
    )
    paths = document["paths"]
    if isinstance(paths, dict):
        for path, item in paths.items():
            item["servers"] = [here, port] if path in public.routes else [port]

    return document
