"""The routes of every application that is served, as its adapter tells of them."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any
from weakref import WeakSet

from svcready._core.guard import guard

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from weakref import ref

    from svcready._runtime._cells import PlanCell
    from svcready.resilience._limiting._inbound_means import DeclaredRoute

__all__ = ["declared_routes", "note_bare"]

_guarded = guard("runtime.routes")
_bare: WeakSet[PlanCell[Any]] = WeakSet()


def note_bare(cell: PlanCell[Any]) -> None:
    """Take note that a wrapper is around an application that declares no routes."""
    _bare.add(cell)


def declared_routes(apps: Iterable[tuple[str, ref[object]]]) -> Sequence[DeclaredRoute]:
    """
    Return all routes; none where an application is served that declares none.

    Args:
        apps: The applications, each with the module that lists its routes.
    """
    routes: list[DeclaredRoute] = []
    if any(cell.plan is not None for cell in tuple(_bare)):
        return routes

    with _guarded:
        for module, app in apps:
            found = app()
            if found is not None:
                routes += import_module(module).list_routes(found)

    return routes
