"""The redaction engine: every part hides secrets by it before anything leaves."""

from __future__ import annotations

import re
from functools import partial
from typing import TYPE_CHECKING
from urllib.parse import unquote_plus

from svcready._core import _redaction_numbers as numbers
from svcready._core import _redaction_patterns as patterns_
from svcready._core import _redaction_vendors as vendors
from svcready._core._redaction_keys import (
    key_tokens,
    may_name_secret,
    names_secret,
)
from svcready._core._redaction_pairs import marker, replace_named
from svcready._core._redaction_walk import Cleared, Walk, has_card

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

__all__ = ["Cleared", "Redactor", "default_redactor", "marker"]

_OTHER_ATOMS = frozenset({bool, type(None)})
_MAX_ENCODED = 3
_MAX_CACHED = 4096
_MAX_CACHED_LENGTH = 128
_MAX_SEARCHED = 64 * 1024
"""What patterns of the application's own search; only ours are known to be linear."""
_MAX_STRADDLING = 1024
_SHORT = 20
"""
No form of secret is shorter than this and has neither `=` nor `:` nor a space, but for
compact JSON of a pair as a list (`["pwd","x"]`), which is too rare to look for, and for
card numbers, which begin with a digit.
"""
_SHORTEST_CARD = 13
_UUID_SIZE = 36
_MARKER = re.compile(r"\[redacted:[\w\-]+\]")
_PERCENT = re.compile("%[0-9A-Fa-f]{2}").search
_PERCENT_ENCODED = re.compile(
    r"(?<![^\s&=?#\"'<>\\/])[^\s&=?#\"'<>\\/%]*+%[0-9A-Fa-f]{2}[^\s&\"'<>\\]*+"
)


class Redactor:
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
        self.enabled = enabled
        self._also = tuple(words for key in keys if (words := key_tokens(key)))
        self._safe = frozenset(key_tokens(key) for key in safe_keys)
        self._patterns, self.problems = _compile(patterns)
        self._emails = emails
        self.masks_all = enabled and bool(self.problems)
        self._hints = tuple(words[-1] for words in self._also)
        self._wants_more = emails or bool(self._patterns)
        # With patterns of the operator's own, no text is too short for a secret.
        self._short = 0 if self._wants_more else _SHORT
        self._verdicts: dict[str, bool] = {}
        self._innocent: set[object] = set()
        self._walk = Walk(
            key=self._key,
            text=self.text,
            certain=partial(self.text, certain=True),
            is_secret=self.is_secret_key,
            safe=self._safe,
            masks_all=self.masks_all,
        )

    def fields(self, mapping: Mapping[str, object]) -> Mapping[str, object]:  # noqa: C901, PLR0912 - inlined: it is on every line's path
        """
        Return *mapping* with its secrets replaced by markers.

        Values are searched to a depth of 6; deeper containers are hidden whole.
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
                    size = len(value)  # type: ignore[arg-type]
                    if (
                        (
                            size >= short
                            and not (size == _UUID_SIZE and short and _is_uuid(value))  # type: ignore[arg-type]
                        )
                        or "=" in value  # type: ignore[operator]
                        or ":" in value  # type: ignore[operator]
                        or " " in value  # type: ignore[operator]
                        or (short > size >= _SHORTEST_CARD and "1" < value[0] < "7")  # type: ignore[index]
                    ) and self.text(value) is not value:  # type: ignore[arg-type]
                        break
                elif kind is int:
                    if value > 9_999_999_999_999 and has_card(value):  # type: ignore[arg-type, operator]
                        break
                elif kind is float:
                    if value > 9e12 and has_card(value):  # type: ignore[arg-type, operator]
                        break
                elif kind not in _OTHER_ATOMS:
                    break
            else:
                return mapping

        return self._walk.mapping(mapping) if self.enabled else mapping

    def text(  # noqa: C901, PLR0912 - a table costs twice
        self, value: str, *, certain: bool = False, decoded: bool = False
    ) -> str:
        """
        Return *value* with the secrets in it replaced by markers.

        Args:
            value: Any text.
            certain: Leave out the rules whose secrets other text may look like by
                chance: card numbers and e-mail addresses.
            decoded: Don't look into percent-encoded words.

        Returns:
            The same object if nothing is hidden.
        """
        if not self.enabled:
            return value

        text = value
        if "%" in text and not decoded and _PERCENT(text):
            text = _PERCENT_ENCODED.sub(self._encoded, text)

        low = text.lower()
        mixed = low != text
        if mixed and ("J" in text or "A" in text or "K" in text or "~" in text):
            text = _replace_mixed(text)

        dashed = "-" in low
        if (
            ("_" in low and vendors.find_underscored(text))
            or (dashed and vendors.find_dashed(text))
            or ("." in low and vendors.find_dotted(text))
        ):
            text = vendors.replace_vendors(text)

        dashed = dashed and "--" in low
        if dashed and "-----" in low:
            text = patterns_.replace_private_key(text)

        if (
            "=" in low
            or ":" in low
            or "<" in low
            or dashed
            or "'" in low
            or '"' in low
        ):
            text = self._named(text, low)

        if "bearer" in low or "basic" in low:
            text = patterns_.replace_authorization(text)

        if mixed and ("aws" in low or "secret" in low):
            text = patterns_.replace_aws_secret(text)

        if "4" in low or "5" in low or "3" in low or "6" in low or "2" in low:
            if "dapi" in low:
                text = vendors.replace_vendors(text)

            if not certain and numbers.may_have_card(text):
                old = "card" in low or "visa" in low
                text = numbers.replace_cards(text, short=old)

        if self._wants_more:
            text = self._replace_own(text, emails=not certain)

        return value if text == value else text

    def url(self, value: str) -> str:
        """
        Return a URL without credentials, as the attribute `url.full` spells it.

        User, password and secret parameters become `REDACTED`, as OpenTelemetry's
        conventions ask, so that the result is still a URL.
        """
        if not self.enabled:
            return value

        value = patterns_.replace_user_info(value, "REDACTED:REDACTED")
        value = patterns_.replace_query(value, "REDACTED")
        head, mark, query = value.partition("?")
        query, sharp, fragment = query.partition("#")
        if not mark:
            head, sharp, fragment = head.partition("#")

        head = _PERCENT_ENCODED.sub(self._encoded, head)
        query = "&".join([self._parameter(pair) for pair in query.split("&")])
        fragment = "&".join([self._parameter(pair) for pair in fragment.split("&")])
        value = f"{head}{mark}{query}{sharp}{fragment}"

        value = _replace_mixed(vendors.replace_links(value))
        if vendors.has_vendor_token(value):
            value = vendors.replace_vendors(value)

        value = patterns_.replace_authorization(value)
        if numbers.may_have_card(value):
            value = numbers.replace_cards(value, short=False)

        return self._replace_own(value)

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

    def _named(self, text: str, low: str) -> str:
        """Hide what is secret by a name beside it, or by its place in a URL."""
        if "/" in low and ":" in low:
            if "@" in low:
                text = patterns_.replace_user_info(text)

            if "hook" in low or "/bot" in low:
                text = vendors.replace_links(text)

        named = may_name_secret(low)
        if ("?" in low or "&" in low or "#" in low) and (named or "sig" in low):
            text = patterns_.replace_query(text)

        if not named:
            for hint in self._hints:
                if hint in low:
                    break
            else:
                return text

        if "cookie" in low:
            text = patterns_.replace_cookie(text)

        return replace_named(text, low, self.is_secret_key)

    def _encoded(self, match: re.Match[str]) -> str:
        """Hide a percent-encoded word in which a secret is found once it is decoded."""
        said = match[0]
        for _ in range(_MAX_ENCODED):  # a URL within a URL is encoded twice
            before, said = said, unquote_plus(said)
            if said == before:
                break

            shown = self.text(said, decoded=True)
            if shown is not said:
                found = _MARKER.search(shown)
                return found[0] if found else match[0]

        return match[0]

    def _replace_own(self, text: str, *, emails: bool = True) -> str:
        """Hide what the operator asked for."""
        if emails and self._emails and ("@" in text or "%40" in text):
            text = numbers.replace_emails(text)

        if self._patterns and len(text) > _MAX_SEARCHED:
            # What may be half of a secret is left out with what is not searched.
            text = self._replace_own(text[:_MAX_SEARCHED], emails=False)
            return text[:-_MAX_STRADDLING] + marker("size")

        for hidden, pattern in self._patterns:
            text = pattern.sub(hidden, text)

        return text

    def _parameter(self, pair: str) -> str:
        name, sign, value = pair.partition("=")
        if not value:
            return pair

        if "%" in pair:
            name_said, said = unquote_plus(name), value
            for _ in range(_MAX_ENCODED):  # a URL within a URL is encoded twice
                said = unquote_plus(said)
                if self.text(said, decoded=True) is not said:
                    return f"{name}{sign}REDACTED"
        else:
            name_said = name

        return f"{name}{sign}REDACTED" if self.is_secret_key(name_said) else pair

    def _key(self, key: str) -> str:
        if type(key) is not str or key in self._innocent:
            return key

        shown = self.text(key)
        if (
            shown is key
            and not self.masks_all
            and not self.is_secret_key(key)
            and key_tokens(key) not in self._safe
            and len(key) <= _MAX_CACHED_LENGTH
        ):
            if len(self._innocent) >= _MAX_CACHED:
                self._innocent.clear()

            self._innocent.add(key)

        return shown


def _is_uuid(text: str) -> bool:
    """Tell whether *text* looks as ids of most requests and orders do."""
    return (
        text[8] == text[13] == text[18] == text[23] == "-"
        and text[:8].isalnum()
        and text[24:].isalnum()
    )


def _replace_mixed(text: str) -> str:
    """Hide the tokens that have letters of both cases, or upper ones."""
    if "J" in text and "eyJ" in text:
        text = patterns_.replace_jwt(text)

    if "A" in text:
        if "IA" in text or "ACCA" in text:
            text = patterns_.replace_key_id(text)

        if "AIza" in text or "ATATT" in text:
            text = vendors.replace_vendors(text)

    if "~" in text and vendors.find_tilde(text):
        text = vendors.replace_vendors(text)

    if "SK" in text and "wilio" in text.lower():
        text = vendors.replace_twilio(text)

    return text


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
