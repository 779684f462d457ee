"""What goes into spans: attribute values made safe, redacted and cut."""

from __future__ import annotations

import json
import logging
import math
import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple, Protocol

import orjson

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from opentelemetry.util.types import AttributeValue

__all__ = [
    "ANNOTATIONS",
    "MAX_ANNOTATIONS",
    "METADATA",
    "Annotated",
    "Attributes",
    "Redactor",
]

ANNOTATIONS = "aws.xray.annotations"
"""The attribute that lists the keys which X-Ray indexes."""
METADATA = "aws.xray.metadata."
"""What the attributes of a metadata namespace begin with; JSON."""

_ATOMS = (str, bool, int, float)
_UNFIT = re.compile("[^A-Za-z0-9_]")
MAX_ANNOTATIONS = 50
"""X-Ray's limit for a trace."""
_MAX_NOTICES = 100
_CHARSET = "X-Ray takes A-Z a-z 0-9 _"
_VALUES = "X-Ray takes texts, numbers and flags"
_COUNT = f"X-Ray takes {MAX_ANNOTATIONS} in a trace"
_log = logging.getLogger("svcready.tracing")
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

    def stack(self, text: str, names: Collection[str], /) -> str:
        """Do so with a stack, whose code uses *names*."""
        ...


class Annotated(NamedTuple):
    """Annotations made into attributes."""

    attributes: dict[str, AttributeValue]
    """What to set on the span."""
    indexed: int
    """How many of them X-Ray indexes that it did not before."""
    left_out: int
    """How many it does not, because the trace has too many."""


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
        self._noticed: set[str] = set()

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
            elif key.startswith(METADATA) and isinstance(value, str):
                cleaned[key] = value  # JSON, which a cut would spoil
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

    def stack(self, text: str, names: Collection[str] = ()) -> str:
        """
        Return a stack trace redacted and cut; its end says what happened.

        Args:
            text: As `traceback` prints it.
            names: Those that its code uses, which are no secrets.
        """
        return self._redactor.stack(text, names)[-self._text_chars :]

    def annotations(
        self, given: Mapping[str, object], known: object, used: int = 0
    ) -> Annotated:
        """
        Return *given* as attributes that X-Ray indexes.

        What X-Ray does not take is put right, with one notice for each key; what is
        too much for it is an attribute that is not indexed, with one notice for all.

        Args:
            given: By key; characters that X-Ray doesn't take become `_`.
            known: The span's list of annotations so far.
            used: How many the trace has already.
        """
        keys = list(known) if isinstance(known, list | tuple) else []
        made: dict[str, AttributeValue] = {}
        indexed = left_out = 0
        for key, value in self.clean(given).items():
            fit = _UNFIT.sub("_", key)[:_MAX_NAME_CHARS] or "_"
            if fit != key:
                self.notice(f"annotation {key!r} is sent as {fit!r}: {_CHARSET}")

            made[fit] = value
            if not isinstance(value, _ATOMS) or _is_no_number(value):
                made[fit] = str(value)
                self.notice(f"annotation {fit!r} is sent as text: {_VALUES}")

            if fit in keys:
                continue

            if used + indexed < MAX_ANNOTATIONS:
                keys.append(fit)
                indexed += 1
            else:
                left_out += 1
                # What is beyond the limit may have any name, and be much.
                self.notice(f"annotation {fit!r} is not indexed: {_COUNT}", _COUNT)

        made[ANNOTATIONS] = tuple(str(key) for key in keys)
        return Annotated(made, indexed, left_out)

    def notice(self, text: str, about: str = "") -> None:
        """Tell people *text*, once; of several *about* one thing, the first."""
        about = about or text
        if about not in self._noticed and len(self._noticed) < _MAX_NOTICES:
            self._noticed.add(about)
            _log.warning("%s", self._redactor.text(text))

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

        try:
            options = orjson.OPT_NON_STR_KEYS
            return orjson.dumps(values, default=_text_of, option=options).decode()
        except TypeError:  # a number beyond 64 bits, half a character, an odd key
            return _lenient_json(values)

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


def _lenient_json(values: Mapping[str, object]) -> str:
    """Return *values* as JSON that every reader takes, whatever is in them."""
    written = json.dumps(values, default=_text_of, skipkeys=True)
    # Python writes NaN and lone surrogates, which JSON has not.
    plain = json.loads(written, parse_constant=lambda _: None)
    text = json.dumps(plain, ensure_ascii=False)
    return text.encode("utf-8", "replace").decode()


def _is_no_number(value: object) -> bool:
    return isinstance(value, float) and not math.isfinite(value)


def _text_of(value: object) -> str:
    try:
        return str(value)
    except Exception as error:  # noqa: BLE001 - a value's own fault
        return f"<{type(value).__name__}: {type(error).__name__}>"
