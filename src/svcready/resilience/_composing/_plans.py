"""All policies by name, and what is to be said of those that nobody has declared."""

from __future__ import annotations

from typing import TYPE_CHECKING

from svcready._core.declarations import Register

if TYPE_CHECKING:
    from svcready.resilience._composing._policy import Plan

__all__ = ["POLICIES", "nowhere", "presumed", "undeclared"]

POLICIES: Register[Plan] = Register("policy")
"""Every policy that the process declared or uses."""

_LIKE = 0.8
"""How alike two names are where one of them is right as it is."""


def nowhere(name: str) -> str:
    """Return what is wrong with a policy that is used and nowhere declared."""
    return (
        f"policy {name!r} is used, but nothing that was imported says what it is made "
        f"of{_meant(name)}"
    )


def undeclared() -> tuple[str, ...]:
    """Return a problem for each policy that is used and not declared by now."""
    return tuple(
        f"{nowhere(plan.name)} (used at {POLICIES.place(plan.name)})"
        for plan in POLICIES.things()
        if not plan.is_declared and not plan.otherwise
    )


def presumed() -> tuple[str, ...]:
    """Return a line for each that will get a preset and is nearly called as another."""
    return tuple(
        f"policy {plan.name!r} is declared nowhere, so it gets the preset "
        f"{plan.otherwise}{meant}"
        for plan in POLICIES.things()
        if not plan.is_declared
        and plan.otherwise
        and (meant := _meant(plan.name, _LIKE))
    )


def _meant(name: str, cutoff: float = 0.6) -> str:
    from svcready.config._problems import nearest, suggestion  # if something is wrong

    declared = (plan.name for plan in POLICIES.things() if plan.is_declared)
    return suggestion(nearest(name, declared, cutoff))
