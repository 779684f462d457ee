"""The search through texts and URLs, rule by rule, as cheap as most texts allow."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING
from urllib.parse import unquote_plus

from svcready._core import _redaction_numbers as numbers
from svcready._core import _redaction_patterns as patterns_
from svcready._core import _redaction_vendors as vendors
from svcready._core._redaction_keys import may_name_secret, names_secret
from svcready._core._redaction_later import Later
from svcready._core._redaction_pairs import marker, replace_named
from svcready._core._redaction_source import hide_signs, show_signs

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

__all__ = ["MAX_CACHED", "MAX_CACHED_LENGTH", "Texts"]

MAX_CACHED = 4096
MAX_CACHED_LENGTH = 128
_MAX_ENCODED = 3
_MAX_SEARCHED = 64 * 1024
"""What patterns of the application's own search; only ours are known to be linear."""
_MAX_STRADDLING = 1024
_MARKER = Later(r"\[redacted:[\w\-]+\]")
_PERCENT = re.compile("%[0-9A-Fa-f]{2}").search
_PERCENT_ENCODED = Later(
    r"(?<![^\s&=?#\"'<>\\/])[^\s&=?#\"'<>\\/%]*+%[0-9A-Fa-f]{2}[^\s&\"'<>\\]*+"
)


class Texts:
    """
    Hides secrets in texts and URLs.

    Args:
        also: The words of further secret names.
        safe: The words of names that are never secret.
        patterns: What hides and what is hidden, for the operator's own rules.
        emails: Whether e-mail addresses are hidden.
        enabled: False shows everything.
    """

    def __init__(
        self,
        *,
        also: Iterable[tuple[str, ...]],
        safe: Iterable[tuple[str, ...]],
        patterns: Iterable[tuple[str, re.Pattern[str]]],
        emails: bool,
        enabled: bool,
    ) -> None:
        self.enabled = enabled
        self._also = tuple(also)
        self._safe = frozenset(safe)
        self._patterns = tuple(patterns)
        self._emails = emails
        self._wants_more = emails or bool(self._patterns)
        self._hints = tuple(words[-1] for words in self._also)
        self._verdicts: dict[str, bool] = {}

    def text(  # noqa: C901 - a table costs twice
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
            text = _PERCENT_ENCODED.pattern.sub(self._encoded, text)

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

        if "=" in low or ":" in low or "<" in low or dashed or "'" in low or '"' in low:
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

    def stack(self, value: str, names: Collection[str]) -> str:
        """
        Return the text of frames with its secrets replaced, and its code left alone.

        Args:
            value: As `traceback` prints it.
            names: Those that the frames' code uses: beside a secret's name they are no
                secrets (`auth=auth`), as literals are.
        """
        shown = self.text(value)
        if shown is value:
            return value

        unpaired = hide_signs(value, names)
        if unpaired is value:
            return shown

        text = show_signs(self.text(unpaired))
        return self._replace_own(text) if self._wants_more else text

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

        head = _PERCENT_ENCODED.pattern.sub(self._encoded, head)
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
            if len(name) <= MAX_CACHED_LENGTH:
                if len(self._verdicts) >= MAX_CACHED:
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

        named = may_name_secret(low) or ("'" in low and "identified" in low)
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
                found = _MARKER.pattern.search(shown)
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
