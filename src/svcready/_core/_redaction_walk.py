"""The walk through containers in search of secrets: bounded, changing nothing."""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum
from itertools import islice
from typing import TYPE_CHECKING, cast

from svcready._core._redaction_keys import key_tokens
from svcready._core._redaction_numbers import LEAST_CARD, is_card
from svcready._core._redaction_pairs import marker
from svcready._core.stored import stored

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

__all__ = ["Cleared", "Walk", "has_card"]

_FLAGS = frozenset({bool, type(None)})
_NUMBERS = (int, float)
_SEARCHED = (str, bytes, bytearray, Mapping, list, tuple, set, frozenset)
_MAX_DEPTH = 6
_MAX_NODES = 20_000
_LONGEST_CARD = 10**19


class Cleared(list[str]):
    """Texts of our own that hold no secret; shown even where every value is hidden."""


class Walk:
    """
    Finds the secrets of mappings, lists, tuples, named ones, sets and dataclasses.

    Args:
        key: Returns a key without secrets.
        text: Returns a text without secrets.
        certain: The same without what may be found by chance: for safe names.
        is_secret: Tells whether a name's value is hidden whatever it is.
        safe: The words of names that are never secret.
        masks_all: Whether every value is hidden that has no safe name.
    """

    __slots__ = ("_certain", "_is_secret", "_key", "_masks_all", "_safe", "_text")

    def __init__(
        self,
        *,
        key: Callable[[str], str],
        text: Callable[[str], str],
        certain: Callable[[str], str],
        is_secret: Callable[[str], bool],
        safe: Collection[tuple[str, ...]],
        masks_all: bool,
    ) -> None:
        self._key = key
        self._text = text
        self._certain = certain
        self._is_secret = is_secret
        self._safe = safe
        self._masks_all = masks_all

    def mapping(
        self,
        mapping: Mapping[str, object],
        depth: int = 1,
        left: list[int] | None = None,
    ) -> Mapping[str, object]:
        """Return *mapping* without secrets; the same object if it has none."""
        left = [_MAX_NODES] if left is None else left
        changed = False
        made: dict[str, object] = {}
        for key, value in mapping.items():
            shown = self._key(key)
            hidden = self._value_of(key, value, depth, left)
            changed = changed or hidden is not value or shown is not key
            made[shown] = hidden

        return made if changed else mapping

    def _value_of(
        self, key: object, value: object, depth: int, left: list[int]
    ) -> object:
        if isinstance(key, bytes):
            key = key.decode("latin-1")

        if isinstance(key, str):
            # None and flags tell nothing, and `password=None` explains much.
            if self._is_secret(key) and type(value) not in _FLAGS:
                return marker("key")

            if self._safe and key_tokens(key) in self._safe:
                return self._value(value, depth, left, self._certain)

            if not self._masks_all or type(value) is Cleared:
                return self._value(value, depth, left, self._text)

        if self._masks_all:
            return marker("mask-all")

        return self._value(value, depth, left, self._text)

    def _value(
        self, value: object, depth: int, left: list[int], search: Callable[[str], str]
    ) -> object:
        left[0] -= 1
        if left[0] < 0:
            return "[cut: size]"

        kind = type(value)
        if kind in _FLAGS:
            return value

        # `isinstance` asks the value for its class: a lazy one would do its work.
        if not issubclass(kind, _SEARCHED):
            return self._object(value, depth, left, search)

        if isinstance(value, str):
            # A subclass (an enumeration) keeps its type unless it holds a secret.
            text = value if type(value) is str else str.__str__(value)
            shown = search(text)
            return value if shown is text else shown

        if isinstance(value, bytes | bytearray):
            text = value.decode("utf-8", "replace")
            shown = search(text)
            return value if shown is text else shown

        if isinstance(value, Mapping | list | tuple | set | frozenset):
            return self._container(value, depth, left)

        return value

    def _object(
        self, value: object, depth: int, left: list[int], search: Callable[[str], str]
    ) -> object:
        kind = type(value)
        if issubclass(kind, Enum):  # orjson asks for its `value`, which may fail
            inner = stored(value, ["_value_"])["_value_"]
            return self._value(inner, depth, left, search)

        if issubclass(kind, _NUMBERS):
            found = search == self._text and has_card(cast("float", value))
            return marker("card") if found else value

        before = stored(value, getattr(kind, "__dataclass_fields__", ()))
        after = self._container(before, depth, left)
        return value if after is before else after

    def _item(self, item: object, depth: int, left: list[int]) -> object:
        """Return an item of a list; a pair is what headers are a list of."""
        if (
            issubclass(type(item), tuple | list)
            and isinstance(item, tuple | list)
            and len(item) == 2
            and not hasattr(type(item), "_fields")
        ):
            key, value = item
            name = key.decode("latin-1") if type(key) is bytes else key
            if (
                issubclass(type(name), str)
                and type(value) not in _FLAGS
                and self._is_secret(name)
            ):
                return (key, marker("key"))

        return self._value(item, depth, left, self._text)

    def _container(
        self,
        value: Mapping[str, object]
        | list[object]
        | tuple[object, ...]
        | set[object]
        | frozenset[object],
        depth: int,
        left: list[int],
    ) -> object:
        if depth >= _MAX_DEPTH:
            return "[cut: depth]" if value else value

        if isinstance(value, Mapping):
            return self.mapping(value, depth + 1, left)

        if isinstance(value, tuple) and hasattr(value, "_fields"):
            named = dict(zip(value._fields, tuple.__iter__(value), strict=False))
            shown = self.mapping(named, depth + 1, left)
            return value if shown is named else shown

        items = list(islice(value, _MAX_NODES))
        made = [self._item(item, depth + 1, left) for item in items]
        if len(items) == len(value) and all(
            after is before for after, before in zip(made, items, strict=True)
        ):
            return value

        return tuple(made) if isinstance(value, tuple) else made


def has_card(value: float) -> bool:
    """Tell whether a number is a card's."""
    return LEAST_CARD <= value < _LONGEST_CARD and is_card(f"{value:.0f}")
