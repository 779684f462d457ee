"""Reads what an object holds without running any of its code."""

from __future__ import annotations

from types import MemberDescriptorType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["stored"]


def stored(value: object, names: Iterable[str]) -> dict[str, object]:
    """
    Return those of the attributes *names* that *value* holds itself.

    Only its `__dict__` and its slots are read: an attribute that would be computed,
    or loaded from a database, is left out.
    """
    kind = type(value)
    try:
        own: dict[str, object] = object.__getattribute__(value, "__dict__")
    except AttributeError:
        own = {}

    found = {}
    for name in names:
        if name in own:
            found[name] = own[name]
            continue

        slot = _slot(kind, name)
        if slot is not None:
            try:
                found[name] = slot.__get__(value, kind)
            except AttributeError:  # never set
                continue

    return found


def _slot(kind: type, name: str) -> MemberDescriptorType | None:
    for base in kind.__mro__:
        if name in base.__dict__:
            attribute = base.__dict__[name]
            return attribute if type(attribute) is MemberDescriptorType else None

    return None
