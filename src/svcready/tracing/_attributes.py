"""What goes into spans: attribute values made safe, redacted and cut."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, Protocol

import orjson

if TYPE_CHECKING:
    from collections.abc import Mapping

    from opentelemetry.util.types import AttributeValue

__all__ = ["ANNOTATIONS", "METADATA", "Attributes", "Redactor"]

ANNOTATIONS = "aws.xray.annotations"
"""The attribute that lists the keys which X-Ray indexes."""
METADATA = "aws.xray.metadata."
"""What the attributes of a metadata namespace begin with; JSON."""

_ATOMS = (str, bool, int, float)
_UNFIT = re.compile("[^A-Za-z0-9_]")
_MAX_ANNOTATIONS = 50
_MAX_INT = 2**63 - 1
_MAX_NAME_CHARS = 250
_MAX_NAMES = 1024


class Redactor(Protocol):
    """The redaction engine, as far as spans need it."""

    def fields(self, fields: Mapping[str, object], /) -> Mapping[str, object]:
        """Return *fields* with secrets masked, by key and by value."""
        ...

    def text(self, text: str, /) -> str:
        """Return *text* with secrets masked."""
        ...


class Attributes:
    """
    Makes what an application gives into attributes.

    Args:
        redactor: Masks secrets, before anything is cut.
        max_chars: Longer texts are cut.
        max_span_chars: And those of a span's own attributes, if there the limit is
            another.
    """

    def __init__(
        self, redactor: Redactor, max_chars: int, max_span_chars: int | None = None
    ) -> None:
        self._redactor = redactor
        self._text_chars = max_chars
        self._max_chars = max_span_chars or max_chars
        self._names: dict[str, str] = {}

    def clean(self, given: Mapping[str, object]) -> dict[str, AttributeValue]:
        """Return *given* redacted and as values that OpenTelemetry takes."""
        most = self._max_chars
        cleaned: dict[str, AttributeValue] = {}
        for key, value in self._redactor.fields(given).items():
            if (
                (value.__class__ is str and len(value) <= most)
                or (value.__class__ is int and -_MAX_INT <= value <= _MAX_INT)
                or value.__class__ is float
                or value.__class__ is bool
            ):
                cleaned[key] = value
            elif value is not None:
                cleaned[key] = self._value(value)

        return cleaned

    def name(self, name: str) -> str:
        """Return the *name* of a span or event redacted; of few, which are kept."""
        known = self._names.get(name)
        if known is None:
            known = self.text(name)
            if len(self._names) < _MAX_NAMES:
                self._names[name] = known

        return known

    def text(self, text: str) -> str:
        """Return *text* redacted and cut."""
        return self._redactor.text(text)[: self._text_chars]

    def stack(self, text: str) -> str:
        """Return a stack trace redacted and cut; its end says what happened."""
        return self._redactor.text(text)[-self._text_chars :]

    def annotations(
        self, given: Mapping[str, object], known: object
    ) -> dict[str, AttributeValue]:
        """
        Return *given* as attributes that X-Ray indexes.

        Args:
            given: By key; characters that X-Ray doesn't take become `_`.
            known: The span's list of annotations so far.
        """
        keys = list(known) if isinstance(known, list | tuple) else []
        made: dict[str, AttributeValue] = {}
        for key, value in self.clean(given).items():
            fit = _UNFIT.sub("_", key)[:_MAX_NAME_CHARS]
            made[fit] = value if isinstance(value, _ATOMS) else str(value)
            if fit not in keys and len(keys) < _MAX_ANNOTATIONS:
                keys.append(fit)

        made[ANNOTATIONS] = tuple(str(key) for key in keys)
        return made

    def metadata(self, given: Mapping[str, object], known: object) -> str:
        """
        Return *given* as JSON, added to what is there.

        Args:
            given: By key; what JSON cannot say becomes text.
            known: The namespace's JSON so far.
        """
        values = dict(self._redactor.fields(given))
        if isinstance(known, str):
            values = {**orjson.loads(known), **values}

        options = orjson.OPT_NON_STR_KEYS
        return orjson.dumps(values, default=_text_of, option=options).decode()

    def _value(self, value: object) -> AttributeValue:
        if value.__class__ is str or isinstance(value, str):
            return str(value)[: self._max_chars]

        if isinstance(value, bool | float):
            return value

        if isinstance(value, int):
            return value if -_MAX_INT <= value <= _MAX_INT else str(value)

        if isinstance(value, Sequence) and not isinstance(value, bytes | bytearray):
            return self._values(value)

        return self._object(value)

    def _values(self, values: Sequence[object]) -> AttributeValue:
        kinds = {type(value) for value in values}
        if len(kinds) == 1 and kinds <= {str, bool, int, float}:
            return tuple(self._value(value) for value in values)

        return tuple(
            str(self._value(value))
            if isinstance(value, _ATOMS)
            else self._object(value)
            for value in values
        )

    def _object(self, value: object) -> str:
        # The engine leaves objects alone: their text is not known before.
        return self._redactor.text(_text_of(value))[: self._max_chars]


def _text_of(value: object) -> str:
    try:
        return str(value)
    except Exception as error:  # noqa: BLE001 - a value's own fault
        return f"<{type(value).__name__}: {type(error).__name__}>"
