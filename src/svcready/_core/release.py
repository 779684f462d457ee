"""Which release of svcready this is."""

from __future__ import annotations

from functools import cache
from importlib.metadata import PackageNotFoundError, version

__all__ = ["own_version"]


@cache
def own_version() -> str:
    """Return the installed version; `unknown` where the tree runs uninstalled."""
    try:
        return version("svcready")
    except PackageNotFoundError:  # pragma: no cover - run from a bare tree
        return "unknown"
