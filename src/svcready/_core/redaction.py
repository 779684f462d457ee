"""The redaction engine: every part hides secrets by it before anything leaves."""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum
from itertools import islice
from typing import TYPE_CHECKING
from urllib.parse import unquote_plus

from svcready._core import _redaction_patterns as patterns_
from svcready._core._redaction_keys import HINTS, key_tokens, names_secret
from svcready._core._redaction_patterns import marker
from svcready._core.stored import stored

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["Cleared", "Redactor", "default_redactor", "marker"]

_ATOMS = frozenset({int, float, bool, type(None)})
_FLAGS = frozenset({bool, type(None)})
_SEARCHED = (str, bytes, bytearray, Mapping, list, tuple, set, frozenset)
_MAX_DEPTH = 6
_MAX_ENCODED = 3
_MAX_NODES = 20_000
_MAX_CACHED = 4096
_MAX_CACHED_LENGTH = 128
_PLAIN = frozenset("=: ")
_SHORT = 20
"""
No form of secret is shorter than this and has neither `=` nor `:` nor a space, but for
compact JSON of a pair as a list (`["pwd","x"]`), which is too rare to look for.
"""


class Cleared(list[str]):
    """Texts of our own that hold no secret; shown even where every value is hidden."""


class Redactor:
    """
    Hides secrets in fields, texts and URLs.

    Making one never fails: it guards what others print, so a bad pattern makes it hide
    more, not less.

    Args:
        keys: Further names whose values are secret; each also counts as the end of a
            longer name (`pan` hides `card_pan`).
        safe_keys: Names that are never secret as such, whatever the built-in list
            says; their values are still searched.
        patterns: Regular expressions whose matches are hidden. If one does not compile,
            `fields` hides every value that is not under a safe key.
        enabled: False shows everything.
    """

    def __init__(
        self,
        *,
        keys: Iterable[str] = (),
        safe_keys: Iterable[str] = (),
        patterns: Iterable[str] = (),
        enabled: bool = True,
    ) -> None:
        self.enabled = enabled
        self._also = tuple(words for key in keys if (words := key_tokens(key)))
        self._safe = frozenset(key_tokens(key) for key in safe_keys)
        self._patterns, self.problems = patterns_.compile_all(patterns)
        self.masks_all = enabled and bool(self.problems)
        self._hints = (*HINTS, *(words[-1] for words in self._also))
        # With patterns of the application's own, no text is too short for a secret.
        self._short = 0 if self._patterns else _SHORT
        self._verdicts: dict[str, bool] = {}
        self._innocent: set[object] = set()

    def fields(self, mapping: Mapping[str, object]) -> Mapping[str, object]:
        """
        Return *mapping* with its secrets replaced by markers.

        Values are searched to a depth of 6; deeper containers are cut out whole.
        Objects of unknown types are left alone: whoever turns them into text passes
        that to `text`.

        Returns:
            The same object if nothing is hidden.
        """
        if self._innocent.issuperset(mapping):
            short = self._short
            for value in mapping.values():
                kind = type(value)
                if kind is str:
                    if (
                        len(value) >= short  # type: ignore[arg-type]
                        or "=" in value  # type: ignore[operator]
                        or ":" in value  # type: ignore[operator]
                        or " " in value  # type: ignore[operator]
                    ) and self.text(value) is not value:  # type: ignore[arg-type]
                        break
                elif kind not in _ATOMS:
                    break
            else:
                return mapping

        if not self.enabled:
            return mapping

        return self._mapping(mapping, 1, [_MAX_NODES])

    def text(self, value: str) -> str:  # noqa: C901, PLR0912 - a table costs twice
        """
        Return *value* with the secrets in it replaced by markers.

        Returns:
            The same object if nothing is hidden.
        """
        if not self.enabled:
            return value

        text = value
        low = text.lower()
        if "eyj" in low:
            text = patterns_.replace_jwt(text)

        if "akia" in low or "asia" in low or "abia" in low or "acca" in low:
            text = patterns_.replace_key_id(text)

        if "-----begin" in low:
            text = patterns_.replace_private_key(text)

        if "://" in low:
            text = patterns_.replace_user_info(text)
            text = patterns_.replace_query(text)

        if "cookie" in low and ":" in low:
            text = patterns_.replace_cookie(text)

        if "=" in low or ":" in low:
            for hint in self._hints:
                if hint in low:
                    text = patterns_.replace_pairs(text, self.is_secret_key)
                    break

        if "," in low and ("'," in low or '",' in low):
            text = patterns_.replace_items(text, self.is_secret_key)

        if "bearer" in low or "basic" in low:
            text = patterns_.replace_authorization(text)

        if "aws" in low or "secret" in low:
            text = patterns_.replace_aws_secret(text)

        for hidden, pattern in self._patterns:
            text = pattern.sub(hidden, text)

        return value if text == value else text

    def url(self, value: str) -> str:
        """
        Return a URL without credentials, as the attribute `url.full` spells it.

        User, password and secret query parameters become `REDACTED`, as OpenTelemetry's
        conventions ask, so that the result is still a URL.
        """
        if not self.enabled:
            return value

        value = patterns_.replace_user_info(value, "REDACTED:REDACTED")
        value = patterns_.replace_query(value, "REDACTED")
        head, mark, query = value.partition("?")
        if mark:
            query, sharp, fragment = query.partition("#")
            pairs = [self._parameter(pair) for pair in query.split("&")]
            value = f"{head}?{'&'.join(pairs)}{sharp}{fragment}"

        value = patterns_.replace_key_id(patterns_.replace_jwt(value))
        value = patterns_.replace_authorization(value)
        for hidden, pattern in self._patterns:
            value = pattern.sub(hidden, value)

        return value

    def is_secret_key(self, name: str) -> bool:
        """Tell whether the value of a field, parameter or header *name* is secret."""
        verdict = self._verdicts.get(name)
        if verdict is None:
            verdict = self.enabled and names_secret(name, self._also, self._safe)
            if len(name) <= _MAX_CACHED_LENGTH:
                if len(self._verdicts) >= _MAX_CACHED:
                    self._verdicts.clear()

                self._verdicts[name] = verdict

        return verdict

    def _parameter(self, pair: str) -> str:
        name, sign, value = pair.partition("=")
        if not value:
            return pair

        if "%" in pair:
            name_said, said = unquote_plus(name), value
            for _ in range(_MAX_ENCODED):  # a URL within a URL is encoded twice
                said = unquote_plus(said)
                if self.text(said) is not said:
                    return f"{name}{sign}REDACTED"
        else:
            name_said = name

        return f"{name}{sign}REDACTED" if self.is_secret_key(name_said) else pair

    def _mapping(
        self, mapping: Mapping[str, object], depth: int, left: list[int]
    ) -> Mapping[str, object]:
        changed = False
        made: dict[str, object] = {}
        for key, value in mapping.items():
            shown = self._key(key)
            hidden = self._value_of(key, value, depth, left)
            changed = changed or hidden is not value or shown is not key
            made[shown] = hidden

        return made if changed else mapping

    def _key(self, key: str) -> str:
        if type(key) is not str or key in self._innocent:
            return key

        shown = self.text(key)
        if (
            shown is key
            and not self.masks_all
            and not self.is_secret_key(key)
            and len(key) <= _MAX_CACHED_LENGTH
        ):
            if len(self._innocent) >= _MAX_CACHED:
                self._innocent.clear()

            self._innocent.add(key)

        return shown

    def _value_of(
        self, key: object, value: object, depth: int, left: list[int]
    ) -> object:
        if isinstance(key, bytes):
            key = key.decode("latin-1")

        if isinstance(key, str):
            # None and flags tell nothing, and `password=None` explains much.
            if self.is_secret_key(key) and type(value) not in _FLAGS:
                return marker("key")

            shown = not self.masks_all or type(value) is Cleared
            if shown or key_tokens(key) in self._safe:
                return self._value(value, depth, left)

        return marker("mask-all") if self.masks_all else self._value(value, depth, left)

    def _value(self, value: object, depth: int, left: list[int]) -> object:
        left[0] -= 1
        if left[0] < 0:
            return "[cut: size]"

        kind = type(value)
        if kind in _ATOMS:
            return value

        # `isinstance` asks the value for its class: a lazy one would do its work.
        if not issubclass(kind, _SEARCHED):
            if issubclass(kind, Enum):  # orjson asks for its `value`, which may fail
                return self._value(stored(value, ["_value_"])["_value_"], depth, left)

            before = stored(value, getattr(kind, "__dataclass_fields__", ()))
            after = self._container(before, depth, left)
            return value if after is before else after

        if isinstance(value, str):
            # A subclass (an enumeration) keeps its type unless it holds a secret.
            text = value if type(value) is str else str.__str__(value)
            if len(text) < self._short and _PLAIN.isdisjoint(text):
                return value

            shown = self.text(text)
            return value if shown is text else shown

        if isinstance(value, bytes | bytearray):
            text = value.decode("utf-8", "replace")
            shown = self.text(text)
            return value if shown is text else shown

        if isinstance(value, Mapping | list | tuple | set | frozenset):
            return self._container(value, depth, left)

        return value

    def _item(self, item: object, depth: int, left: list[int]) -> object:
        """Return an item of a list; a pair is what headers are a list of."""
        if (
            issubclass(type(item), tuple | list)
            and isinstance(item, tuple | list)
            and len(item) == 2
        ):
            key, value = item
            name = key.decode("latin-1") if type(key) is bytes else key
            if (
                issubclass(type(name), str)
                and type(value) not in _FLAGS
                and self.is_secret_key(name)
            ):
                return (key, marker("key"))

        return self._value(item, depth, left)

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
            return self._mapping(value, depth + 1, left)

        items = list(islice(value, _MAX_NODES))
        made = [self._item(item, depth + 1, left) for item in items]
        if len(items) == len(value) and all(
            after is before for after, before in zip(made, items, strict=True)
        ):
            return value

        return tuple(made) if isinstance(value, tuple) else made


_default: Redactor | None = None


def default_redactor() -> Redactor:
    """Return the redactor with the built-in rules, made at the first call."""
    global _default  # noqa: PLW0603 - one per process; two made at once are equal
    if _default is None:
        _default = Redactor()

    return _default
