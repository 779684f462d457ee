"""Any value as JSON: redacted, and never a reason to fail."""

from __future__ import annotations

from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from itertools import islice
from typing import TYPE_CHECKING, Protocol, TypeVar

import orjson

from svcready._core.guard import report_fault
from svcready.logging._text import message_text, safe_repr, safe_text

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

T = TypeVar("T")

__all__ = ["Redaction", "Values"]

_MAX_DEPTH = 16
_MAX_NODES = 10_000
_MAX_HEX = 2048
_MAX_ARRAY = 256
_MAX_INNOCENT = 2048
_MAX_INNOCENT_LENGTH = 256
_LARGEST_INT = 2**64 - 1
_SMALLEST_INT = -(2**63)
_AS_STR = {
    ("decimal", "Decimal"),
    ("datetime", "timedelta"),
    ("fractions", "Fraction"),
    ("builtins", "complex"),
}
_STR_MODULES = {"pathlib", "pathlib._local", "ipaddress", "zoneinfo"}


class Redaction(Protocol):
    """What hides secrets; the engine in the core, or the one that a test passes."""

    @property
    def masks_all(self) -> bool:
        """Whether every value is hidden that is not declared safe."""
        ...

    def fields(self, mapping: Mapping[str, object], /) -> Mapping[str, object]:
        """Return *mapping*, or one like it with secrets replaced."""
        ...

    def text(self, value: str, /) -> str:
        """Return *value* with secrets replaced."""
        ...


class Values:
    """
    Turns fields and texts into JSON; secrets are hidden on the way.

    Args:
        redaction: Hides secrets.
    """

    __slots__ = ("_default", "_redact_fields", "innocent", "message", "redact_text")

    innocent: dict[str, bytes]
    """Texts without secrets that are often said, as JSON; `text` fills it."""

    message: Callable[[object, tuple[object, ...]], str]
    """Put its arguments into a message, unless every value is to be hidden."""

    redact_text: Callable[[str], str]
    """Hide the secrets of a text."""

    def __init__(self, redaction: Redaction) -> None:
        self._redact_fields = redaction.fields
        self.redact_text = redaction.text
        self.message = message_text if not redaction.masks_all else _hidden_arguments
        self._default = self._of_unknown
        self.innocent: dict[str, bytes] = {}

    def fields(self, fields: Mapping[str, object]) -> bytes:
        """Return *fields* as a JSON object without secrets."""
        try:
            return orjson.dumps(self._redact_fields(fields), self._default)
        except Exception:  # noqa: BLE001 - what the values' own code raises
            return orjson.dumps(self.plain_fields(fields))

    def text(self, text: str) -> bytes:
        """Return *text* as a JSON string without secrets."""
        known = self.innocent.get(text)
        if known is not None:
            return known

        shown = self.redacted(text)
        try:
            return orjson.dumps(shown)
        except Exception:  # noqa: BLE001 - lone surrogates
            return orjson.dumps(_clean(shown))

    def redacted(self, text: str) -> str:
        """Return *text* without secrets; one that is often said is judged once."""
        if text in self.innocent:
            return text

        try:
            shown = self.redact_text(text)
        except Exception as error:  # noqa: BLE001 - rather nothing than a secret
            report_fault("logging.redaction", error)
            return "[redaction failed]"

        if shown is text and len(text) <= _MAX_INNOCENT_LENGTH and text.isascii():
            if len(self.innocent) >= _MAX_INNOCENT:
                self.innocent.clear()

            self.innocent[text] = orjson.dumps(text)

        return shown

    def of_json(self, plain: Mapping[str, object]) -> bytes:
        """Return as JSON what holds no secret and only texts and numbers."""
        try:
            return orjson.dumps(plain)
        except Exception:  # noqa: BLE001 - lone surrogates
            return orjson.dumps(self._plain(plain, _MAX_DEPTH, [_MAX_NODES]))

    def plain_fields(self, fields: Mapping[str, object]) -> dict[str, object]:
        """Return *fields* without secrets and of JSON's own types only, bounded."""
        try:
            plain = self._plain(self._redact_fields(fields), _MAX_DEPTH, [_MAX_NODES])
        except Exception:  # noqa: BLE001 - a value that nobody can look into
            try:
                bounded = self._plain(fields, _MAX_DEPTH, [_MAX_NODES])
                hidden = self._redact_fields(_as_dict(bounded))
                plain = self._plain(hidden, _MAX_DEPTH, [_MAX_NODES])
            except Exception as error:  # noqa: BLE001 - rather nothing than a secret
                report_fault("logging.redaction", error)
                plain = {"fields": "[redaction failed]"}

        return _as_dict(plain)

    def _of_unknown(self, value: object) -> object:
        """Return what stands for *value*, which orjson doesn't know."""
        found = _structure(value)
        if found is None:
            return _clean(self.redact_text(safe_repr(value)))

        return self._redact_fields({"value": found})["value"]

    def _plain(self, value: object, depth: int, left: list[int]) -> object:
        left[0] -= 1
        if left[0] < 0 or depth < 0:
            return "[cut]"

        try:
            return self._plain_of(value, depth, left)
        except Exception:  # noqa: BLE001 - the object's own code
            return f"<{type(value).__name__} that can't be read>"

    def _plain_of(self, value: object, depth: int, left: list[int]) -> object:
        if value is None or isinstance(value, bool):
            return value

        if isinstance(value, str):
            return _clean(str.__str__(value))

        if isinstance(value, int):
            return _plain_int(value)

        if isinstance(value, float):
            return float(value)  # NaN and the infinities become null

        if isinstance(value, Mapping):
            return {
                _clean(self.redact_text(key if isinstance(key, str) else _key(key))): (
                    self._plain(item, depth - 1, left)
                )
                for key, item in _first(value.items(), left)
            }

        if isinstance(value, tuple) and hasattr(value, "_fields"):
            return self._plain(_structure(value), depth, left)

        if isinstance(value, list | tuple | AbstractSet):
            return [self._plain(item, depth - 1, left) for item in _first(value, left)]

        try:
            orjson.dumps(value)  # dates, UUIDs, enumerations
        except Exception:  # noqa: BLE001 - what it doesn't know, or can't write
            return self._plain(self._of_unknown(value), depth - 1, left)

        return value


def _hidden_arguments(message: object, args: tuple[object, ...]) -> str:
    text = message_text(message, ())
    return f"{text} [arguments hidden]" if args else text


def _first(items: Iterable[T], left: list[int]) -> list[T]:
    return list(islice(items, max(0, left[0] + 1)))


def _as_dict(plain: object) -> dict[str, object]:
    return plain if isinstance(plain, dict) else {"fields": plain}


def _key(key: object) -> str:
    return safe_repr(key)


def _clean(text: str) -> str:
    """Return *text* with lone surrogates written out."""
    return text.encode("utf-8", "backslashreplace").decode()


def _plain_int(value: int) -> object:
    if _SMALLEST_INT <= value <= _LARGEST_INT:
        return int(value)

    return safe_repr(int(value)) if value.bit_length() < 4096 else hex(value)[:_MAX_HEX]


def _structure(value: object) -> object:
    """Return containers and texts for what has them; None: only `repr` is left."""
    kind = type(value)
    if isinstance(value, Mapping):
        return dict(value)

    if isinstance(value, tuple):
        named = getattr(kind, "_fields", None)
        return dict(zip(named, value, strict=False)) if named else list(value)

    if isinstance(value, AbstractSet):
        return list(value)

    if isinstance(value, bytes | bytearray | memoryview):
        return bytes(value).decode("utf-8", "backslashreplace")

    if isinstance(value, BaseException):
        return f"{kind.__name__}: {safe_text(value)}"

    if (kind.__module__, kind.__name__) in _AS_STR or kind.__module__ in _STR_MODULES:
        return str(value)

    return _fields_of(value, kind)


def _fields_of(value: object, kind: type) -> object:
    if hasattr(kind, "__pydantic_fields__"):
        return {k: v for k, v in vars(value).items() if not k.startswith("_")}

    attributes = getattr(kind, "__attrs_attrs__", None)
    if attributes is not None:
        return {a.name: getattr(value, a.name, None) for a in attributes}

    if (
        hasattr(kind, "dtype")  # numpy and its like
        and hasattr(kind, "tolist")
        and getattr(value, "size", 1) <= _MAX_ARRAY
    ):
        return value.tolist()  # type: ignore[attr-defined]

    return None
