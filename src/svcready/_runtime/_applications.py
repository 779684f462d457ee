"""The applications that a runtime is attached to, and their routes."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any
from weakref import WeakSet, ref

from svcready._core.guard import guard

if TYPE_CHECKING:
    from collections.abc import Sequence

    from svcready._runtime._cells import PlanCell
    from svcready.resilience._limiting._inbound_means import DeclaredRoute

__all__ = ["Applications", "note_bare"]

_guarded = guard("runtime.routes")
_bare: WeakSet[PlanCell[Any]] = WeakSet()


def note_bare(cell: PlanCell[Any]) -> None:
    """Take note that a wrapper is around an application that declares no routes."""
    _bare.add(cell)


class Applications:
    """Every application that a runtime was attached to."""

    def __init__(self) -> None:
        self._all: list[tuple[str, ref[object]]] = []
        self._frameworks: set[str] = set()

    def __bool__(self) -> bool:
        return bool(self._all)

    def add(self, framework: str, adapter: str, app: object) -> None:
        """
        Take note of an application.

        Args:
            framework: The framework's name.
            adapter: The module that lists its routes.
            app: The application.
        """
        self._frameworks.add(framework)
        self._all.append((adapter, ref(app)))

    @property
    def frameworks(self) -> list[str]:
        """The frameworks' names, in order."""
        return sorted(self._frameworks)

    @property
    def elsewhere(self) -> str:
        """Where a request may have routes beside those declared; empty: nowhere."""
        if "Django" not in self._frameworks:
            return ""

        return "unless a request has an `urlconf` of its own beside ROOT_URLCONF"

    def routes(self) -> Sequence[DeclaredRoute]:
        """Return all routes; none where an application is served that declares none."""
        routes: list[DeclaredRoute] = []
        if any(cell.plan is not None for cell in tuple(_bare)):
            return routes

        with _guarded:
            for adapter, app in self._all:
                found = app()
                if found is not None:
                    routes += import_module(adapter).list_routes(found)

        return routes
