"""The runtime in force, and the cells that hold what wrappers took from it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Generic, TypeVar
from weakref import WeakSet

from svcready._core import fork
from svcready._core.guard import report_fault

if TYPE_CHECKING:
    from collections.abc import Callable

    from svcready._runtime._runtime import Runtime

__all__ = [
    "PlanCell",
    "begin_all",
    "current",
    "has_wrappers",
    "is_pinned",
    "put_in_force",
    "renew_plans",
]

P = TypeVar("P")

_current: Runtime | None = None
_pinned = False
_cells: WeakSet[PlanCell[Any]] = WeakSet()


class PlanCell(Generic[P]):
    """
    Holds one wrapper's plan, so that a single assignment replaces it.

    The plan is None until the first request asks for it by `take`: at the start,
    after a fork, and after every reconfiguration.

    Args:
        build: Makes the plan from the runtime in force; None where all is off.
        begin: Does what the first request would, for a server that tells when it
            begins to serve.
    """

    __slots__ = ("__weakref__", "_build", "begin", "plan")

    def __init__(
        self,
        build: Callable[[Runtime], P | None],
        begin: Callable[[], object] | None = None,
    ) -> None:
        self._build = build
        self.begin = begin
        self.plan: P | None = None
        _cells.add(self)
        if _current is not None:
            _current.wait_for_server()

    def take(self) -> P | None:
        """Return the plan, made now; None before `init()` and where all is off."""
        runtime = _current
        if runtime is None:
            return None

        try:
            runtime.wake()
            self.plan = self._build(runtime)
        except Exception as error:  # noqa: BLE001 - the application serves without us
            report_fault("runtime.plan", error)

        return self.plan


def begin_all() -> None:
    """Have every wrapper do what its first request would."""
    for cell in tuple(_cells):
        if cell.begin is not None and cell.plan is None:
            cell.begin()


def current() -> Runtime | None:
    """Return the runtime in force, or None before `init()`."""
    return _current


def put_in_force(runtime: Runtime | None, *, pinned: bool = False) -> None:
    """
    Make *runtime* the one in force; requests in flight end on their old plan.

    Args:
        runtime: The runtime; None if there is none any more.
        pinned: It stays, whatever `init()` asks for.
    """
    global _current, _pinned
    _current, _pinned = runtime, pinned
    renew_plans()


def has_wrappers() -> bool:
    """Tell whether something is wrapped that will serve and take its plan."""
    return len(_cells) > 0


def is_pinned() -> bool:
    """Tell whether the runtime in force stays, whatever `init()` asks for."""
    return _pinned


def renew_plans() -> None:
    """Have every wrapper take its plan anew at its next request."""
    for cell in tuple(_cells):
        cell.plan = None


fork.reset_in_child(renew_plans)
