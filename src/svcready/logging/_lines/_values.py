"""Any value as JSON: redacted, and never a reason to fail."""

from __future__ import annotations

import datetime as dt
import enum
from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from contextlib import suppress
from itertools import islice
from typing import TYPE_CHECKING, Protocol

import orjson

from svcready._core.guard import report_fault
from svcready._core.stored import stored
from svcready.logging._lines._objects import (
    items_of,
    pairs_of,
    plain_int,
    structure_of,
)
from svcready.logging._lines._text import kind_name, message_text, safe_repr

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable

__all__ = ["MAX_DEPTH", "Redaction", "Values"]

MAX_DEPTH = 6
"""How deep a context is nested at most, itself included, as the redaction has it."""

_ATOMS = frozenset({str, int, bool, float, type(None)})
_AS_THEY_ARE = frozenset({bool, float, type(None)})
_DATES = (dt.datetime, dt.date, dt.time)
_CUT_DEPTH = "[cut: depth]"
_CUT_SIZE = "[cut: size]"
_MAX_NODES = 10_000
_OPTIONS = (
    orjson.OPT_PASSTHROUGH_DATACLASS  # whose fields may be computed
    | orjson.OPT_PASSTHROUGH_DATETIME  # whose zone may fail, which ends the process
)
_MAX_REPR = 2048
_MAX_INNOCENT = 2048
_MAX_INNOCENT_LENGTH = 256


class Redaction(Protocol):
    """What hides secrets; the engine in the core, or the one that a test passes."""

    @property
    def enabled(self) -> bool:
        """Whether anything is hidden at all."""
        ...

    @property
    def masks_all(self) -> bool:
        """Whether every value is hidden that is not declared safe."""
        ...

    def fields(self, mapping: Mapping[str, object], /) -> Mapping[str, object]:
        """Return *mapping*, or one like it with secrets replaced and no deeper."""
        ...

    def text(self, value: str, /) -> str:
        """Return *value* with secrets replaced."""
        ...

    def stack(self, value: str, names: Collection[str], /) -> str:
        """Do so with the text of frames, whose code uses *names*."""
        ...


class Values:
    """
    Turns fields and texts into JSON; secrets are hidden on the way.

    No value makes it fail, none is asked for more than what it holds and its `repr`,
    and the JSON is never nested deeper than the schema allows.

    Args:
        redaction: Hides secrets.
        on_cut: Called with a word for what was cut.
    """

    __slots__ = (
        "_on_cut",
        "_redact_fields",
        "fields",
        "innocent",
        "message",
        "redact_text",
    )

    innocent: dict[str, bytes]
    """Texts without secrets that are often said, as JSON; `text` fills it."""

    fields: Callable[[Mapping[str, object]], bytes]
    """Return fields as a JSON object without secrets."""

    message: Callable[[object, tuple[object, ...]], str]
    """Put its arguments into a message, unless every value is to be hidden."""

    redact_text: Callable[[str], str]
    """Hide the secrets of a text."""

    def __init__(
        self, redaction: Redaction, on_cut: Callable[[str], None] | None = None
    ) -> None:
        self._redact_fields = redaction.fields
        self._on_cut = on_cut or _do_nothing
        self.redact_text = redaction.text
        self.message = message_text if not redaction.masks_all else _hidden_arguments
        # The redaction that walks through all of it also stops where it is too deep.
        self.fields = self._searched if redaction.enabled else self._unsearched
        self.innocent: dict[str, bytes] = {}

    def _searched(self, fields: Mapping[str, object]) -> bytes:
        shown: Mapping[str, object] | None = None
        try:
            shown = self._redact_fields(fields)
            text = orjson.dumps(shown, self._date, _OPTIONS)
        except Exception:  # noqa: BLE001 - what it doesn't know, what values' code raises
            # Once more: in their plain form more values have names, and so secrets.
            plain = self._hidden(fields if shown is None else shown)
            text = orjson.dumps(_as_dict(plain))

        if shown is not fields and b'"[cut: ' in text:
            self._on_cut("depth_cut" if _CUT_DEPTH.encode() in text else "fields_cut")

        return text

    def _date(self, value: object) -> str:
        """Return the text of a date, the one frequent type that orjson hands back."""
        if type(value) in _DATES and isinstance(value, _DATES):
            return self.redact_text(value.isoformat())

        raise TypeError

    def _unsearched(self, fields: Mapping[str, object]) -> bytes:
        if _ATOMS.issuperset(map(type, fields.values())):
            with suppress(Exception):  # a lone surrogate, a huge number, an odd key
                return orjson.dumps(fields)

        text = orjson.dumps(_as_dict(self._plain(fields)))
        if b'"[cut: ' in text:
            self._on_cut("depth_cut" if _CUT_DEPTH.encode() in text else "fields_cut")

        return text

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
            return orjson.dumps(self._plain(plain))

    def _hidden(self, fields: Mapping[str, object]) -> object:
        """Return plain *fields* without secrets."""
        try:
            bounded = _as_dict(self._plain(fields))  # a value nobody can look into
            return self._plain(self._redact_fields(bounded))
        except Exception as error:  # noqa: BLE001 - rather nothing than a secret
            report_fault("logging.redaction", error)
            return {"fields": "[redaction failed]"}

    def _plain(self, value: object) -> object:
        return self._walk(value, MAX_DEPTH, [_MAX_NODES])

    def _walk(self, value: object, depth: int, left: list[int]) -> object:
        """Return *value* of JSON's own types only, bounded."""
        left[0] -= 1
        if left[0] < 0:
            return _CUT_SIZE

        kind = type(value)
        if kind in _AS_THEY_ARE or (kind is str and value.isascii()):  # type: ignore[attr-defined]
            return value

        try:
            return self._plain_of(value, kind, depth, left)
        except Exception:  # noqa: BLE001 - the object's own code
            return f"<{kind_name(value)} that can't be read>"

    # Types are asked, never values: `isinstance` looks at `value.__class__`, for which
    # a lazy object does its work; and what a subclass overrides is not called.
    def _plain_of(
        self, value: object, kind: type, depth: int, left: list[int]
    ) -> object:
        if issubclass(kind, str):
            return _clean(str.__str__(value))

        if issubclass(kind, int):
            return plain_int(int.__index__(value))  # type: ignore[arg-type]

        if issubclass(kind, float):
            return float.__float__(value)  # type: ignore[arg-type] # NaN becomes null

        if issubclass(kind, enum.Enum):
            return self._walk(stored(value, ("_value_",))["_value_"], depth, left)

        if issubclass(kind, Mapping):
            return self._plain_pairs(pairs_of(value, kind, left[0]), depth, left)

        if issubclass(kind, tuple) and hasattr(kind, "_fields"):
            named = zip(tuple(kind._fields), items_of(value, kind), strict=False)
            return self._plain_pairs(named, depth, left)

        if issubclass(kind, list | tuple | AbstractSet):
            items = items_of(value, kind)
            if depth < 1:
                return _CUT_DEPTH if any(True for _ in items) else []

            return [
                self._walk(it, depth - 1, left)
                for it in islice(items, max(0, left[0] + 1))
            ]

        return self._plain_object(value, kind, depth, left)

    def _plain_pairs(
        self, pairs: Iterable[tuple[object, object]], depth: int, left: list[int]
    ) -> object:
        made: dict[str, object] = {}
        for key, item in pairs:
            if depth < 1:
                return _CUT_DEPTH

            if type(key) is str and key.isascii():
                name = key
            elif issubclass(type(key), str):
                name = _clean(str.__str__(key))
            else:  # the redaction has seen texts only
                name = _clean(self.redact_text(safe_repr(key)))

            while name in made:  # {1: "a", "1": "b"}
                name += "_"

            made[name] = self._walk(item, depth - 1, left)

        return made

    def _plain_object(
        self, value: object, kind: type, depth: int, left: list[int]
    ) -> object:
        found = structure_of(value, kind)
        if found is None:
            return _clean(_bounded(self.redact_text(safe_repr(value))))

        if type(found) is str:
            return _clean(self.redact_text(found))

        shown = self._redact_fields({"value": found})["value"]
        return self._walk(shown, depth, left)


def _do_nothing(_: str) -> None:
    pass


def _hidden_arguments(message: object, args: tuple[object, ...]) -> str:
    text = message_text(message, ())
    return f"{text} [arguments hidden]" if args else text


def _as_dict(plain: object) -> dict[str, object]:
    return plain if isinstance(plain, dict) else {"fields": plain}


def _clean(text: str) -> str:
    """Return *text* with lone surrogates written out."""
    return text.encode("utf-8", "backslashreplace").decode()


def _bounded(text: str) -> str:
    if len(text) > _MAX_REPR:
        return f"{text[:_MAX_REPR]}… ({len(text)} characters)"

    return text
