"""The SDK's patch of Django's databases, kept off drivers that are traced."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from svcready._core.imports import when_imported

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["keep_off"]

_PATCH = "aws_xray_sdk.ext.django.db"
_CURSORS = ("cursor", "chunked_cursor")
_DRIVERS = {
    "mysql": ("mysqlclient", "mysql", "pymysql"),
    "postgresql": ("psycopg", "psycopg2"),
    "sqlite": ("sqlite3",),
}
"""By Django's word for the database, the instrumentation packages of its drivers."""


def keep_off(is_on: Callable[[str], bool]) -> Callable[[], None]:
    """
    Have the SDK leave databases alone whose drivers are traced; the others stay.

    Args:
        is_on: Tells whether an instrumentation package is switched on.

    Returns:
        What ends that.
    """
    undo: list[Callable[[], None]] = []

    def join() -> None:
        module = sys.modules[_PATCH]
        original: Callable[[object], None] = module._patch_conn  # noqa: SLF001

        def patch(kind: object) -> None:
            if not _is_traced(kind, is_on):
                original(kind)

        vars(module)["_patch_conn"] = patch
        undo.append(lambda: vars(module).update(_patch_conn=original))
        for kind in _patched():
            if _is_traced(kind, is_on):
                _take_back(kind)

    forget = when_imported(_PATCH, join)

    def end() -> None:
        forget()
        for step in undo:
            step()

    return end


def _is_traced(kind: object, is_on: Callable[[str], bool]) -> bool:
    return any(map(is_on, _DRIVERS.get(getattr(kind, "vendor", ""), ())))


def _patched() -> list[type]:
    """Return the classes of connections that the SDK has patched."""
    django = sys.modules.get("django.conf")
    if django is None or not django.settings.configured:
        return []

    kinds = {type(each) for each in sys.modules["django.db"].connections.all()}
    return [kind for kind in kinds if f"_xray_original_{_CURSORS[0]}" in vars(kind)]


def _take_back(kind: type) -> None:
    for name in _CURSORS:
        original = vars(kind).get(f"_xray_original_{name}")
        if original is not None:
            setattr(kind, name, original)
            delattr(kind, f"_xray_original_{name}")
