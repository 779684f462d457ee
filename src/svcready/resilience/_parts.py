"""The kinds of things that policies are made of, as far as their modules are loaded."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

    from svcready._core.declarations import Register
    from svcready.resilience._declared import Declared

    AnyDeclared: TypeAlias = Declared[Any, Any]

__all__ = [
    "DERIVED",
    "LIMIT_KIND",
    "PER_HOST",
    "PRESET_OF",
    "Part",
    "add_part",
    "bind_parts",
    "core_of",
    "cores",
    "declaration",
    "declared_as",
    "forget_but",
    "look_up",
    "of_the_preset",
    "parts",
]


class Part(NamedTuple):
    """One kind of them."""

    kind: str
    """As metrics and variables name it: `breaker`, `retry`, ..."""
    register: Register[AnyDeclared]
    """All of the kind that the process declared, by name."""


DERIVED: dict[str, str] = {}
"""The policy that one of the same parts was made from, by the latter's name."""

PER_HOST: set[str] = set()
"""The policies that clients make others from, one for each host."""

PRESET_OF: dict[str, tuple[str, frozenset[str]]] = {}
"""By policy, the preset that it was made of, and the kinds that the code gave."""

LIMIT_KIND = "limit"
"""What is no part of a policy, and has variables of its own: `SVCREADY_LIMIT__...`."""
_PARTS: dict[str, Part] = {}
_binder: Callable[[Part], None] | None = None


def add_part(kind: str, register: Register[AnyDeclared]) -> None:
    """Make a kind known to the pillar, when the module that has it is loaded."""
    part = _PARTS[kind] = Part(kind, register)
    if _binder is not None:
        _binder(part)


def bind_parts(binder: Callable[[Part], None] | None) -> None:
    """
    Call *binder* with every kind that is loaded, and with each that will be.

    Args:
        binder: None ends the binding.
    """
    global _binder  # noqa: PLW0603 - the one pillar in force
    _binder = binder
    if binder is not None:
        for part in parts():
            binder(part)


def parts() -> tuple[Part, ...]:
    """Return the kinds that are loaded."""
    return tuple(_PARTS.values())


def core_of(kind: str, name: str) -> Any:
    """Return the state of what is called *name*; None: no such thing is declared."""
    part = _PARTS.get(kind)
    declared = None if part is None else part.register.get(name)
    return None if declared is None else declared.core


def declaration(kind: str, name: str) -> AnyDeclared | None:
    """Return what the code declares of that kind under a name; None: nothing."""
    part = _PARTS.get(kind)
    return None if part is None else part.register.get(name)


def cores(kind: str) -> list[Any]:
    """Return the state of everything of a kind, in the order of declaration."""
    part = _PARTS.get(kind)
    return (
        [] if part is None else [declared.core for declared in part.register.things()]
    )


def look_up(kind: str, name: object) -> str:
    """Say how what is called *name* is looked up, to who declares it with nothing."""
    part = _PARTS.get(kind)
    place = part.register.place(name) if part and isinstance(name, str) else None
    if place is None:
        return ""

    return f"; svcready.resilience.get_{kind}({name!r}) returns what {place} declared"


def declared_as(name: str) -> dict[str, AnyDeclared]:
    """Return the parts of policies that are declared under a name, by kind."""
    found = (
        (kind, register.get(name)) for kind, register in parts() if kind != LIMIT_KIND
    )
    return {kind: declared for kind, declared in found if declared is not None}


def of_the_preset(name: str, kind: str) -> str:
    """Return the preset that gave a policy its part of a kind; empty: the code did."""
    preset, given = PRESET_OF.get(DERIVED.get(name, name), ("", frozenset()))
    return "" if kind in given else preset


def forget_but(name: str, known: Collection[str]) -> None:
    """Forget the parts that are declared under a name, but for kinds in *known*."""
    for kind, register in parts():
        if kind != LIMIT_KIND and kind not in known:
            register.remove(name)
