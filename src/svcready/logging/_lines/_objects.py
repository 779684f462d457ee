"""What objects of all kinds hold, read without running code of theirs if possible."""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING, Protocol, cast

from svcready._core.stored import stored
from svcready.logging._lines._text import kind_name, safe_text

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from collections.abc import Set as AbstractSet

__all__ = ["items_of", "pairs_of", "plain_int", "structure_of"]

_MAX_AT_ONCE = 10_000
_MAX_HEX = 2048
_MAX_ARRAY = 256
_MAX_DIGITS_BITS = 4096
_LARGEST_INT = 2**64 - 1
_SMALLEST_INT = -(2**63)
_AS_STR = {
    ("decimal", "Decimal"),
    ("datetime", "timedelta"),
    ("fractions", "Fraction"),
    ("uuid", "UUID"),
    ("builtins", "complex"),
    ("django.utils.functional", "__proxy__"),  # a translation, which is a text
}
_DATES = {("datetime", "date"), ("datetime", "datetime"), ("datetime", "time")}
_STR_MODULES = {"pathlib", "pathlib._local", "ipaddress", "zoneinfo"}


class _Array(Protocol):
    @property
    def size(self) -> object: ...

    def tolist(self) -> object: ...


def pairs_of(value: object, kind: type, most: int) -> Iterable[tuple[object, object]]:
    """Return the items of a mapping, *most* and one more at the most."""
    if not issubclass(kind, dict):
        return islice(cast("Mapping[object, object]", value).items(), max(0, most + 1))

    # In one step if it isn't huge, since another thread may change it meanwhile.
    pairs = dict.items(cast("dict[object, object]", value))
    if len(pairs) <= _MAX_AT_ONCE:
        return list(pairs)

    return islice(pairs, max(0, most + 1))


def items_of(value: object, kind: type) -> Iterable[object]:
    """Return what a list, tuple or set holds, whatever its subclass says."""
    if issubclass(kind, list):
        return list.__iter__(cast("list[object]", value))

    if issubclass(kind, tuple):
        return tuple.__iter__(cast("tuple[object, ...]", value))

    if issubclass(kind, set):  # in one step: another thread may change it
        return list(set.__iter__(cast("set[object]", value)))

    return iter(cast("AbstractSet[object]", value))


def plain_int(value: int) -> int | str:
    """Return *value*, as text where JSON's readers would not take it."""
    if _SMALLEST_INT <= value <= _LARGEST_INT:
        return value

    if value.bit_length() < _MAX_DIGITS_BITS:
        return repr(value)

    text = hex(value)
    return text if len(text) <= _MAX_HEX else f"{text[:_MAX_HEX]}…"


def structure_of(value: object, kind: type) -> object:
    """Return containers and texts for what has them; None: only `repr` is left."""
    if issubclass(kind, bytes | bytearray | memoryview):
        return bytes(cast("bytes", value)).decode("utf-8", "backslashreplace")

    if issubclass(kind, BaseException):
        return f"{kind_name(value)}: {safe_text(value)}"

    text = _text_of(value, kind)
    if text is not None:
        return text

    fields = getattr(kind, "__dataclass_fields__", None)
    if fields is not None:
        return stored(value, fields)

    if hasattr(kind, "__pydantic_fields__"):
        own: dict[str, object] = object.__getattribute__(value, "__dict__")
        return {name: it for name, it in own.items() if not name.startswith("_")}

    attributes = getattr(kind, "__attrs_attrs__", None)
    if attributes is not None:
        return stored(value, (attribute.name for attribute in attributes))

    if hasattr(kind, "dtype") and hasattr(kind, "tolist"):  # numpy and its like
        array = cast("_Array", value)
        size = array.size
        if type(size) is int and size <= _MAX_ARRAY:
            return array.tolist()

    return None


def _text_of(value: object, kind: type) -> str | None:
    """Return a value's natural text, if it or what it inherits from has one."""
    for base in kind.__mro__[:-1]:
        name = base.__module__, base.__name__
        if name in _DATES:
            text = type.__getattribute__(base, "isoformat")(value)
            return cast("str", text)

        if name in _AS_STR or base.__module__ in _STR_MODULES:
            return safe_text(value)

    return None
