"""The redaction engine: every part hides secrets by it before anything leaves."""

from __future__ import annotations

import re
from functools import partial
from typing import TYPE_CHECKING, Protocol

from svcready._core._redaction_keys import key_tokens
from svcready._core._redaction_pairs import marker
from svcready._core._redaction_source import names_behind, names_in
from svcready._core._redaction_text import MAX_CACHED, MAX_CACHED_LENGTH, Texts
from svcready._core._redaction_walk import Cleared, Walk, has_card

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

__all__ = [
    "Cleared",
    "RedactionSettings",
    "Redactor",
    "default_redactor",
    "marker",
    "names_behind",
    "names_in",
]

_SHORT = 20
"""
No form of secret is shorter than this and has neither `=` nor `:` nor a space, but for
compact JSON of a pair as a list (`["pwd","x"]`), which is too rare to look for, and for
card numbers.
"""
_SHORTEST_CARD = 13
_UUID_SIZE = 36


class RedactionSettings(Protocol):
    """What an operator sets of redaction; the section LOG."""

    @property
    def redact_keys(self) -> tuple[str, ...]:
        """Further names whose values are secret."""
        ...

    @property
    def redact_safe_keys(self) -> tuple[str, ...]:
        """Names that are never secret as such."""
        ...

    @property
    def redact_patterns(self) -> tuple[str, ...]:
        """Regular expressions whose matches are hidden."""
        ...

    @property
    def redact_emails(self) -> bool:
        """Whether e-mail addresses are hidden."""
        ...

    @property
    def redact_enabled(self) -> bool:
        """Whether anything is."""
        ...


class Redactor(Texts):
    """
    Hides secrets in fields, texts and URLs.

    Making one never fails: it guards what others print, so a bad pattern makes it hide
    more, not less.

    Args:
        keys: Further names whose values are secret; each also counts as the end of a
            longer name (`pan` hides `card_pan`).
        safe_keys: Names that are never secret as such, whatever the built-in list
            says; their values are still searched, but for card numbers and e-mail
            addresses, which an innocent value may look like.
        patterns: Regular expressions whose matches are hidden. If one does not compile,
            `fields` hides every value that is not under a safe key. They search the
            first 64 KiB of a text; what comes after is hidden, for nobody can tell
            how long they take.
        emails: Whether e-mail addresses are hidden.
        enabled: False shows everything.
    """

    def __init__(
        self,
        *,
        keys: Iterable[str] = (),
        safe_keys: Iterable[str] = (),
        patterns: Iterable[str] = (),
        emails: bool = False,
        enabled: bool = True,
    ) -> None:
        compiled, self.problems = _compile(patterns)
        super().__init__(
            also=[words for key in keys if (words := key_tokens(key))],
            safe=map(key_tokens, safe_keys),
            patterns=compiled,
            emails=emails,
            enabled=enabled,
        )
        self.masks_all = enabled and bool(self.problems)
        # With patterns of the operator's own, no text is too short for a secret.
        self._short = 0 if self._wants_more else _SHORT
        self._innocent: set[object] = set()
        self._walk = Walk(
            key=self._key,
            text=self.text,
            certain=partial(self.text, certain=True),
            is_secret=self.is_secret_key,
            safe=self._safe,
            masks_all=self.masks_all,
        )

    @classmethod
    def from_settings(cls, settings: RedactionSettings) -> Redactor:
        """Return the engine that *settings* ask for."""
        return cls(
            keys=settings.redact_keys,
            safe_keys=settings.redact_safe_keys,
            patterns=settings.redact_patterns,
            emails=settings.redact_emails,
            enabled=settings.redact_enabled,
        )

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
                    text: str = value  # type: ignore[assignment]
                    size = len(text)
                    if (
                        (
                            size >= short
                            and not (size == _UUID_SIZE and short and _is_uuid(text))
                        )
                        or "=" in text
                        or ":" in text
                        or " " in text
                        or (short > size >= _SHORTEST_CARD and _is_numeric(text))
                    ) and self.text(text) is not text:
                        break
                elif kind is int:
                    whole: int = value  # type: ignore[assignment]
                    if whole > 9_999_999_999_999 and has_card(whole):
                        break
                elif kind is float:
                    part: float = value  # type: ignore[assignment]
                    if part > 9e12 and has_card(part):
                        break
                elif kind is not bool and value is not None:
                    break
            else:
                return mapping

        return self._walk.mapping(mapping) if self.enabled else mapping

    def _key(self, key: str) -> str:
        if type(key) is not str or key in self._innocent:
            return key

        shown = self.text(key)
        if (
            shown is key
            and not self.masks_all
            and not self.is_secret_key(key)
            and key_tokens(key) not in self._safe
            and len(key) <= MAX_CACHED_LENGTH
        ):
            if len(self._innocent) >= MAX_CACHED:
                self._innocent.clear()

            self._innocent.add(key)

        return shown


def _is_numeric(text: str) -> bool:
    """Tell whether *text*, shorter than 20, may have a card's 13 digits in it."""
    # Wherever they begin, these two places are theirs, and one at most has a hyphen.
    return "/" < text[6] < ":" or "/" < text[7] < ":"


def _is_uuid(text: str) -> bool:
    """Tell whether *text* looks as ids of most requests and orders do."""
    return (
        text[8] == text[13] == text[18] == text[23] == "-"
        and text[:8].isalnum()
        and text[24:].isalnum()
    )


def _compile(
    patterns: Iterable[str],
) -> tuple[tuple[tuple[str, re.Pattern[str]], ...], tuple[str, ...]]:
    compiled = []
    problems = []
    for number, pattern in enumerate(patterns, 1):
        try:
            compiled.append((marker(f"pattern-{number}"), re.compile(pattern)))
        except (re.error, TypeError, OverflowError, RecursionError) as error:
            problems.append(f"redaction pattern {number}, {pattern!r}: {error}")

    return tuple(compiled), tuple(problems)


_default: Redactor | None = None


def default_redactor() -> Redactor:
    """Return the redactor with the built-in rules, made at the first call."""
    global _default  # noqa: PLW0603 - one per process; two made at once are equal
    if _default is None:
        _default = Redactor()

    return _default
